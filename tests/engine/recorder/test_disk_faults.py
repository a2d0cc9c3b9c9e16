"""The disk fails at each of the first 500 calls, once and for good: nothing is lost that is not counted and marked."""

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.recorder.disk import Disk, Kept
from engine.recorder.health import State
from engine.recorder.recorder import Options, Recorder
from engine.recorder.retention import Limits
from shm.journal import FILE
from shm.journal_entries import Entry, Loss, Piece
from tests import made_journal
from tests.made_journal import later

CALLS = 500
TINY = Options(block_bytes=300, block_ns=1, file_bytes=2500, sync_ns=1, limits=Limits(bytes=10**9))

pytestmark = pytest.mark.timeout(600)


class FaultyDisk(Disk):
    """The real one, but without its syncs. From call `at` on, `count` calls fail; a write does a part of it first."""

    def __init__(self, at: int, count: int, error: int) -> None:
        self.calls = 0
        self._failing = range(at, at + count)
        self._error = error

    def fail(self, failing: bool) -> None:
        """From now on every call, or none."""
        self._failing = range(self.calls, 1 << 62) if failing else range(0)

    def fail_after(self, calls: int, count: int) -> None:
        """So many more calls succeed, then `count` of them fail."""
        self._failing = range(self.calls + calls, self.calls + calls + count)

    def _call(self) -> None:
        self.calls += 1
        if self.calls - 1 in self._failing:
            raise OSError(self._error, os.strerror(self._error))

    def make_folder(self, folder: Path) -> None:
        self._call()
        super().make_folder(folder)

    def create(self, path: Path) -> int:
        self._call()
        return super().create(path)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        if self.calls in self._failing:
            super().write(descriptor, data[: len(data) // 2], offset)
        self._call()
        super().write(descriptor, data, offset)

    def shorten(self, descriptor: int, size: int) -> None:
        self._call()
        super().shorten(descriptor, size)

    def sync(self, descriptor: int) -> None:
        self._call()

    def sync_folder(self, folder: Path) -> None:
        self._call()

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self._call()

    def files(self, folder: Path) -> list[Kept]:
        self._call()
        return super().files(folder)

    def unlink(self, path: Path) -> None:
        self._call()
        super().unlink(path)


def _missing(entries: list[Entry], lane: int) -> Iterator[tuple[int, int]]:
    """The stretches of a lane between what is there and what is marked as lost."""
    covered = sorted(entry[1:3] for entry in entries if isinstance(entry, Piece | Loss) and entry.lane == lane)
    through = 0
    for begin, end in covered:
        if begin > through:
            yield through, begin
        through = max(through, end)


def _check(folder: Path, recorder: Recorder, entries: list[Entry]) -> None:
    counts = recorder.counts
    assert counts.taken == counts.written + counts.lost + recorder.unwritten == len(entries) - counts.doubles
    found = made_journal.all_entries(folder) if folder.is_dir() else []
    assert [list(_missing(found, lane)) for lane in (0, 1)] == [[], []]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_one_fault_at_each_call(tmp_path: Path, seed: int, error: int) -> None:
    """It comes back by itself, and every position is there or marked."""
    made = made_journal.stream(random.Random(seed), 200)
    for at in range(CALLS):
        folder = tmp_path / f"{at}"
        disk = FaultyDisk(at, 1, error)
        recorder = made_journal.record(folder, made.entries, TINY, disk, step_ms=20)
        assert disk.calls > at, "there are fewer calls than faults"
        recorder.tick(later(10**5))
        recorder.tick(later(10**5 + 1))
        assert recorder.health.state == State.RECORDING
        recorder.close(later(10**6))
        _check(folder, recorder, made.entries)


@pytest.mark.parametrize(("error", "state"), [(errno.ENOSPC, State.FULL), (errno.EIO, State.BROKEN)])
def test_faults_for_good_from_each_call_on(tmp_path: Path, seed: int, error: int, state: State) -> None:
    """It says so and goes on counting; what was written before is whole."""
    made = made_journal.stream(random.Random(seed), 200)
    for at in range(CALLS):
        folder = tmp_path / f"{at}"
        recorder = made_journal.record(folder, made.entries, TINY, FaultyDisk(at, 1 << 60, error), step_ms=20)
        for turn in (1, 2):  # the first may be what meets the first fault, at its sync
            recorder.take([made.entries[-1]], later(turn * 10**5))
            recorder.tick(later(turn * 10**5 + 1000))
        assert recorder.health.state == state
        assert recorder.health.why == os.strerror(error)
        assert recorder.counts.lost > 0
        _check(folder, recorder, [*made.entries, *made.entries[-1:] * 2])


def test_a_file_whose_sync_failed_is_written_no_more(tmp_path: Path, seed: int) -> None:
    made = made_journal.stream(random.Random(seed), 60)

    sizes: dict[Path, int] = {}

    class Unsynced(FaultyDisk):
        def sync(self, descriptor: int) -> None:
            if self.calls > 20 and not sizes and os.fstat(descriptor).st_size > FILE.itemsize:
                sizes.update({path: path.stat().st_size for path in tmp_path.iterdir()})
                raise OSError(errno.EIO, "a page could not be written")

    recorder = made_journal.record(tmp_path, made.entries, TINY, Unsynced(0, 0, 0), step_ms=20)
    assert recorder.counts.failed_syncs == 1
    assert {path: path.stat().st_size for path in sizes} == sizes
    assert recorder.health.state == State.RECORDING
    recorder.close(later(10**6))
    _check(tmp_path, recorder, made.entries)
