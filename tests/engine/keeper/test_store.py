"""The keeper's folder under random work and kills at any step: every row once, the highest revision of each bar."""

import errno
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.keeper.disk import Disk, put
from engine.keeper.retention import GRACE_NS, Limits
from engine.keeper.store import Store, whole
from shm.bars_frame import Hot, frame, scan
from shm.errors import LayoutError
from shm.sealed import FETCHED, LIVE, Name, listing
from shm.timeframe import parse
from tests import made_bars
from tests.engine.keeper.stopping import Stopped, StoppingDisk
from tests.made_bars import BEGIN_NS, DAY_NS, QUARTERS, SECOND_NS, highest, plain, revised, seen

HOUR = parse("1hr")
LATER_NS = BEGIN_NS + 400 * DAY_NS  # when every month of these bars is over


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "bars", made_bars.subject("1hr"))


def test_what_is_sealed_is_passed_over_when_it_is_sealed_again(store: Store) -> None:
    rows = plain(100)
    assert store.seal(rows[:0], 1) == 0
    assert store.seal(rows[:60], 1) == 60
    assert store.seal(rows[:60], 1) == 60
    assert store.seal(rows, 1) == 100
    assert made_bars.files(store.folder) == [Name(LIVE, 0, 60).text, Name(LIVE, 60, 100).text]
    assert store.sealed_through() == 100
    assert seen(scan(store.folder, HOUR)) == highest(rows, HOUR)


def test_rows_with_a_hole_are_not_sealed(store: Store) -> None:
    with pytest.raises(ValueError, match="do not follow"):
        store.seal(plain(10)[[0, 1, 3]], 1)
    assert made_bars.files(store.folder) == []


def test_more_rows_than_a_file_holds_are_not_sealed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.keeper.sealing.MAX_FILE_ROWS", 9)
    with pytest.raises(ValueError, match="between 1 and 9 bars, not 10"):
        store.seal(plain(10), 1)
    assert made_bars.files(store.folder) == []


def test_frames_with_other_columns_are_not_added(store: Store) -> None:
    with pytest.raises(ValueError, match="no bars of MNQ"):
        store.add(pl.DataFrame({"start": [1], "revision": [0]}, strict=False).with_columns(number=0), 1)
    assert store.add(frame(plain(0), QUARTERS), 1) is None


def test_months_become_one_file_and_what_they_were_goes_after_an_hour(store: Store, seed: int) -> None:
    rows = revised(random.Random(seed), 3000)
    for at in range(0, 3000, 25):
        store.seal(rows[at : at + 25], 1)
    before = made_bars.files(store.folder)
    planned = scan(store.folder, HOUR)
    made = store.compact(LATER_NS)
    assert len(made) > 5
    assert set(made_bars.files(store.folder)) > set(before)
    after = store.listing()
    assert {file.path for file in after.read} >= set(made)
    assert seen(scan(store.folder, HOUR)) == highest(rows, HOUR) == seen(planned)
    assert sum(file.rows for file in after.read) < 3000  # lower revisions went
    assert store.compact(LATER_NS) == []
    now_ns = made[0].stat().st_mtime_ns
    assert store.sweep(now_ns + GRACE_NS // 2) == []
    assert len(store.sweep(now_ns + 2 * GRACE_NS)) == len(before) - (len(after.read) - len(made))
    assert made_bars.files(store.folder) == sorted(file.name.text for file in after.read)
    assert seen(scan(store.folder, HOUR)) == highest(rows, HOUR)


def test_a_compacted_file_that_is_damaged_gives_way_to_what_it_was_made_of(store: Store) -> None:
    rows = plain(200)
    store.seal(rows[:100], 1)
    store.seal(rows[100:], 1)
    (made,) = store.compact(LATER_NS)
    made.write_bytes(made.read_bytes()[:-7])
    assert len(store.listing().refused) == 1
    assert store.sweep(made.stat().st_mtime_ns + 2 * GRACE_NS) == []
    with pytest.warns(UserWarning, match="left out"):
        assert seen(scan(store.folder, HOUR)) == highest(rows, HOUR)
    assert store.compact(LATER_NS) == [made]
    assert store.listing().refused == ()
    assert seen(scan(store.folder, HOUR)) == highest(rows, HOUR)


def test_a_damaged_batch_is_not_compacted_into_a_good_file(store: Store) -> None:
    rows = plain(200)
    store.seal(rows[:100], 1)
    store.seal(rows[100:], 1)
    path = store.folder / Name(LIVE, 100, 200).text
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(LayoutError, match=r"batch 0: its checksum"):
        whole(store.listing().read[1])
    assert store.compact(LATER_NS) == []
    assert len(scan(store.folder, HOUR).collect()) == 200


def test_what_retention_takes_is_seen_no_more_and_deleted_after_an_hour(store: Store) -> None:
    rows = plain(300)
    for at in (0, 100, 200):
        store.seal(rows[at : at + 100], 1)
    planned = scan(store.folder, HOUR)
    taken = store.retain(Limits(rows=100), BEGIN_NS)
    assert taken == [Name(LIVE, 0, 100), Name(LIVE, 100, 200)]
    assert store.retain(Limits(rows=100), BEGIN_NS) == []
    assert store.sealed_through() == 300
    assert seen(scan(store.folder, HOUR)) == highest(rows[200:], HOUR)
    assert seen(planned) == highest(rows, HOUR)  # planned before: its files are still there
    mark_ns = (store.folder / taken[0]._replace(gone=True).text).stat().st_mtime_ns
    assert store.sweep(mark_ns + GRACE_NS - 1) == []
    assert len(store.sweep(mark_ns + 2 * GRACE_NS)) == 4
    assert made_bars.files(store.folder) == [Name(LIVE, 200, 300).text]


def test_a_mapping_outlives_the_name(store: Store) -> None:
    store.seal(plain(100), 1)
    path = store.folder / Name(LIVE, 0, 100).text
    mapped = np.memmap(path, np.uint8, "r")
    before = bytes(mapped)
    path.unlink()
    assert bytes(mapped) == before


def test_a_full_disk_and_one_that_forgets_leave_nothing(store: Store) -> None:
    class Full(Disk):
        def write(self, path: Path, data: bytes) -> None:
            super().write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    class Forgetful(Disk):
        def write(self, path: Path, data: bytes) -> None:
            super().write(path, data[:-1] + b"?")

    for disk, said in ((Full(), "No space"), (Forgetful(), "read back as something else")):
        failing = Store(store.folder, store.subject, disk)
        for _ in range(2):
            with pytest.raises(OSError, match=said):
                failing.seal(plain(10), 1)
        assert made_bars.files(store.folder) == []
    assert store.seal(plain(10), 1) == 10


def test_reading_back_compares_every_byte_and_the_length(tmp_path: Path) -> None:
    longer = tmp_path / "longer"
    longer.write_bytes(b"abcd")
    assert Disk().holds(longer, b"abcd")
    assert not Disk().holds(longer, b"abc")
    assert not Disk().holds(longer, b"abcde")


def test_files_of_others_are_left_alone(store: Store) -> None:
    for name in ("notes.txt", ".notes.tmp", ".x.arrow.tmp"):
        (store.folder / name).write_text("mine")
    put(Disk(), store.folder / "other.arrow", b"theirs")
    store.seal(plain(10), 1)
    store.recover()
    store.sweep(LATER_NS)
    assert len(made_bars.files(store.folder)) == 5


def _work(store: Store, rows: made_bars.Rows, chance: random.Random, now_ns: int) -> None:
    """One turn of what the keeper does, chosen at random."""
    kind = chance.random()
    if kind < 0.55:
        through = store.sealed_through()
        store.seal(rows[through : through + chance.randrange(1, 60)], now_ns)
    elif kind < 0.7:
        some = rows[sorted(chance.sample(range(len(rows)), 8))]
        some["revision"] += 50  # what the venue says of a bar is the same however often it is asked
        some = some[np.unique(some["start_ns"], return_index=True)[1]]
        store.add(frame(some, QUARTERS), now_ns)
    elif kind < 0.9:
        store.compact(now_ns, max_rows=chance.choice((150, 1 << 19)))
    else:
        store.sweep(now_ns)


def test_killed_at_any_step_every_row_is_there_once(tmp_path: Path, seed: int) -> None:
    """Random seals, fetches, compactions and sweeps, each life ended by a kill after a random number of steps."""
    chance = random.Random(seed)
    for case in range(12):
        folder = tmp_path / str(case)
        rows = revised(chance, 900)
        kills = 0
        while kills < 25:
            disk = StoppingDisk(10_000)
            store = Store(folder, made_bars.subject("1hr"), disk)
            disk.steps = chance.randrange(14)
            # Files were made now, by the clock of this machine, so an hour later lies in its future.
            now_ns = max(LATER_NS, _newest_ns(folder) + chance.choice((0, 2 * GRACE_NS)))
            try:
                while True:
                    _work(store, rows, chance, now_ns)
            except Stopped:
                kills += 1
            found = listing(folder, HOUR, "MNQ")
            assert found.refused == ()
            hot = Hot(rows[found.through_of(LIVE) - min(5, found.through_of(LIVE)) :], QUARTERS)
            bars = scan(folder, HOUR, hot=hot).collect()
            assert bars["start"].is_sorted()
            sealed = bars.filter(pl.col("revision") < 50)
            kept = {start for start, _, revision in seen(bars) if revision >= 50}
            model = highest(rows, HOUR)
            assert [row for row in model if row[0] not in kept] == seen(sealed)
            assert {row[0] for row in model} == {row[0] for row in seen(bars)}
            assert bars["start"].n_unique() == len(bars)


def _newest_ns(folder: Path) -> int:
    return max((path.stat().st_mtime_ns for path in folder.iterdir()), default=0)


def _kept_until(folder: Path, rows: made_bars.Rows, steps: int, keep: Callable[[Store], object]) -> bool:
    """Three sealed files of `rows`, kept and swept by one who ends after so many steps; whether that was too early."""
    store = Store(folder, made_bars.subject("1hr"))
    for at in (0, 30, 60):
        store.seal(rows[at : at + 30], 1)
    disk = StoppingDisk(100)
    killed = Store(folder, made_bars.subject("1hr"), disk)
    disk.steps = steps
    try:
        keep(killed)
        killed.sweep(_newest_ns(folder) + 2 * GRACE_NS)
    except Stopped:
        return True
    return False


def test_a_kill_at_every_single_step_of_a_compaction_and_its_sweep(tmp_path: Path) -> None:
    rows = plain(90, step_ns=3600 * SECOND_NS)
    for steps in range(20):
        folder = tmp_path / str(steps)
        ended = _kept_until(folder, rows, steps, lambda store: store.compact(LATER_NS))
        assert ended == (steps < 8)  # write, sync, rename, sync the folder; three unlinks, sync the folder
        again = Store(folder, made_bars.subject("1hr"))
        assert not list(folder.glob(".*"))
        assert seen(scan(folder, HOUR)) == highest(rows, HOUR)
        again.compact(LATER_NS)
        again.sweep(_newest_ns(folder) + 2 * GRACE_NS)
        assert made_bars.files(folder) == [Name(LIVE, 0, 90).text]
        assert seen(scan(folder, HOUR)) == highest(rows, HOUR)


def test_a_kill_at_every_single_step_of_retention_and_its_sweep(tmp_path: Path) -> None:
    rows = plain(90, step_ns=3600 * SECOND_NS)
    for steps in range(16):
        folder = tmp_path / str(steps)
        ended = _kept_until(folder, rows, steps, lambda store: store.retain(Limits(rows=30), LATER_NS))
        assert ended == (steps < 14)  # two marks of four steps; two files, two marks, each with the folder's sync
        left = seen(scan(folder, HOUR))
        assert left in [highest(rows[at:], HOUR) for at in (0, 30, 60)]
        again = Store(folder, made_bars.subject("1hr"))
        assert again.sealed_through() == 90
        again.retain(Limits(rows=30), LATER_NS)
        again.sweep(_newest_ns(folder) + 2 * GRACE_NS)
        assert made_bars.files(folder) == [Name(LIVE, 60, 90).text]


def test_the_two_series_are_numbered_each_for_itself(store: Store) -> None:
    store.seal(plain(10), 1)
    later = frame(plain(20, start_ns=BEGIN_NS + DAY_NS), QUARTERS)
    assert store.add(later, 1) == store.folder / Name(FETCHED, 0, 20).text
    assert store.add(later, 1) == store.folder / Name(FETCHED, 20, 40).text
    assert store.sealed_through() == 10
    assert len(scan(store.folder, HOUR).collect()) == 30
    store.compact(LATER_NS)
    assert [file.name for file in store.listing().read] == [Name(LIVE, 0, 10), Name(FETCHED, 0, 40)]
    assert len(scan(store.folder, HOUR).collect()) == 30


def test_a_file_stands_for_rows_that_were_lost_before_it(store: Store) -> None:
    """They were damaged in the hot file: no file of them is missing. A new hot file's rows follow no other's."""
    rows, anew = plain(200), plain(20, 3 << 32)
    assert store.seal(rows[:100], 1) == 100
    assert store.seal(rows[103:], 1) == 200
    assert store.seal(anew[2:], 1) == (3 << 32) + 20
    assert [(file.name.first, file.name.last) for file in store.listing().read] == [
        *((0, 100), (100, 200)),
        (3 << 32, (3 << 32) + 20),
    ]
    assert store.listing().holes == ()
