"""What launch reads of a running engine: own memory, and whether all records are accounted for."""

import mmap
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine.observation import RECENT_S, Observer, accounted, memory_shares, own_mib
from engine.table import decimals
from shm import Status, attach, layout
from tests.shm.plain_writer import PlainEngine

MIB = 1 << 20


def test_own_memory_is_without_the_shared_folder(tmp_path: Path) -> None:
    """A mapping of a file that nobody else has counts as USS: it is left out only if it lies in the folder."""
    pid = os.getpid()
    with open(tmp_path / "segment", "w+b") as file:
        file.truncate(32 * MIB)
        with mmap.mmap(file.fileno(), 32 * MIB) as memory:
            memory[:] = b"x" * (32 * MIB)
            with_it, without = own_mib(pid, tmp_path / "elsewhere"), own_mib(pid, tmp_path)
    assert with_it is not None
    assert without is not None
    assert with_it - without == pytest.approx(32, abs=4)
    assert without > 1


def test_a_process_that_is_gone_has_no_memory(tmp_path: Path) -> None:
    assert own_mib(0x3FFFFF, tmp_path) is None


def test_instruments_of_one_process_pay_equally_and_it_is_measured_once() -> None:
    asked: list[int] = []

    def measure(pid: int) -> float | None:
        asked.append(pid)
        return None if pid == 0 else 6.0

    assert memory_shares([7, 8, 7, 0, 7], measure) == {7: 2.0, 8: 6.0, 0: None}
    assert sorted(asked) == [0, 7, 8]


def test_a_pause_does_not_stay_in_the_latencies_for_ever(tmp_path: Path) -> None:
    with PlainEngine(tmp_path, symbols=("MNQ",)) as engine, attach(root=tmp_path) as market:
        observer = Observer(market, tmp_path)
        counts = engine.writers["MNQ"].control[layout.LATENCY :]
        seen = []
        for second, slow, quick in ((0, 0, 0), (1, 9, 0), (2, 0, 100), (3, 0, 0), (RECENT_S + 2, 0, 100)):
            counts[100] += slow
            counts[20] += quick
            seen.append(observer.rows(float(second))[0].latency_us)
        assert seen[0] is None
        assert [round(p99) if p99 > 1 else p99 for _, p99 in filter(None, seen)] == [41943, 41943, 41943, 0.04]
        assert observer.rows(RECENT_S + 60.0)[0].latency_us is None


def _status(**counts: int) -> Status:
    zero = dict.fromkeys(("delivered", "applied", "refused", "dropped", "quarantined"), 0)
    return cast(Status, SimpleNamespace(**zero | counts))


@pytest.mark.parametrize(
    ("counts", "so"),
    [
        ({}, True),
        ({"delivered": 10, "applied": 7, "refused": 1, "dropped": 1, "quarantined": 1}, True),
        ({"delivered": 10, "applied": 9}, False),
        ({"delivered": 10, "applied": 11}, False),
    ],
)
def test_every_record_is_somewhere(counts: dict[str, int], so: bool) -> None:
    assert accounted([_status(), _status(**counts)]) is so


@pytest.mark.parametrize(
    ("increment", "scale", "digits"),
    [(25, 2, 2), (250_000_000, 9, 2), (1, 0, 0), (100, 2, 0), (5, 5, 5), (15625, 6, 6)],
)
def test_decimals_of_a_tick_size(increment: int, scale: int, digits: int) -> None:
    assert decimals(increment, scale) == digits
