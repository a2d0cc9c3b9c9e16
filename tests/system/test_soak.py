"""The whole engine at work for a while: files roll, bars are sealed, readers come and go, and nothing of it grows.

`SHARDBOOK_SOAK_S` says for how long. In ten minutes one descriptor or map a minute is found, and a few bytes a record;
in the seconds that it takes by default, what leaks each second.
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from shm import attach, layout
from shm.journal import JournalFile, journal_files
from shm.journal_entries import Lane, Loss, Piece
from tests.system.growth import Look, growth, look, too_much
from tests.system.recorded import recorder_counts, recorder_pid, rings_of
from tests.system.running import TOP, Running, is_exact, listing, running, wait_beside, wait_live
from tests.waiting import wait_for
from workers import waypoints

SOAK_S = float(os.environ.get("SHARDBOOK_SOAK_S", "16"))
RATE = os.environ.get("SHARDBOOK_SOAK_RATE", "20000")  # entries a second of all instruments
WARM_UP_S = SOAK_S / 4
LOOK_S = SOAK_S / 80
LEAST_LOOKS = 12  # however slow the machine is
CROWD = 6
SYMBOLS = ("CL", "ES", "GC", "MES", "MNQ", "NQ")
TICKS = "20tick"
ALLOWED = Look(own_mib=4.0, descriptors=2, threads=1, maps=4)
ALLOWED_HERE = Look(own_mib=16.0, descriptors=2, threads=16, maps=64)  # Polars starts its threads one by one
WARM_LIMIT_S = 120.0  # it has the lowest priority

# Small files, and few hot bars: all that rolls, rolls. A large ring: how slow a disk may be is not asked here.
CONFIG = """
[journal]
ring_mib = 64
file_mib = 1
keep_mib = 8
[keeper]
sync_s = 1
"""
SYMBOL = f"""
hot_rows = 256
timeframes = ["1s", "1m", "{TICKS}"]
keep_rows = {{"{TICKS}" = 1000}}
"""


@pytest.fixture
def symbols_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "symbols"
    folder.mkdir()
    for symbol in SYMBOLS:
        (folder / f"{symbol}.toml").write_text(SYMBOL)
    return folder


@pytest.mark.timeout(400 + 2 * SOAK_S)
def test_nothing_grows_while_files_roll_and_readers_come_and_go(
    left_nothing: Path, tmp_path: Path, symbols_dir: Path, engine_name: str, seed: int
) -> None:
    config, data = tmp_path / "engine.toml", tmp_path / "data"
    config.write_text(CONFIG)
    arguments = ("--config", str(config), "--symbols-dir", str(symbols_dir), "--rate", RATE)
    with running(engine_name, *arguments, data=data) as engine, engine.attach() as market:
        wait_live(market)
        wait_beside(engine)
        recorder_pid(engine)
        _warm_up(engine)
        rings, roles = rings_of(engine), _roles(engine)
        shared = engine.folder, data, Path(str(engine.registry.truth_folder))
        looks: dict[int, list[Look]] = {pid: [] for pid in roles}
        with _crowds(engine_name, seed) as more:
            for passed_s in _moments():
                more()
                _read(engine_name)
                if passed_s < WARM_UP_S:
                    files = listing(engine.folder)
                    continue
                assert _roles(engine) == roles, "somebody was replaced"
                for pid, seen in looks.items():
                    seen.append(look(pid, shared))
                if passed_s >= SOAK_S and len(seen) >= LEAST_LOOKS:
                    break
        assert listing(engine.folder) == files
        counts = recorder_counts(engine)
        summary = engine.stop()
    # Its status may be 1: beside so much else a slow machine compares too few books.
    assert is_exact(summary), summary
    for pid, seen in looks.items():
        print(f"{roles[pid]:16} first {seen[0]} last {seen[-1]} grown {growth(seen)}")
    assert all(counts[name] == 0 for name in ("lost", "jumps", "failed_syncs", "unfinished")), counts
    assert counts["files"] > 2, counts
    ends = _check_journal(data / "journal")
    assert ends == {symbol: int(ring.array("words")[layout.TAIL]) for symbol, ring in rings.items()}
    grown = {pid: too_much(growth(seen), _allowed(pid)) for pid, seen in looks.items()}
    assert {roles[pid]: what for pid, what in grown.items() if what} == {}


def _allowed(pid: int) -> Look:
    return ALLOWED_HERE if pid == os.getpid() else ALLOWED


def _warm_up(engine: Running) -> None:
    """Until the slowest has done its work once; this reader does its own meanwhile."""

    def done() -> bool:
        _read(engine.name)
        fetched = (engine.data / "bars" / symbol / "1min" for symbol in SYMBOLS)
        surveyed = (engine.data / "journal").glob(f"*{waypoints.SUFFIX}")
        return any(surveyed) and all(any(folder.glob("f*.arrow")) for folder in fetched)

    wait_for(done, WARM_LIMIT_S, "the historian has done a file, and the keeper has fetched bars of each instrument")


def _check_journal(folder: Path) -> dict[str, int]:
    """Every file is whole, and what is left of each ring has no hole; to which position that goes, by symbol."""
    symbols: dict[int, str] = {}
    through: dict[int, int] = {}
    for path in journal_files(folder):
        with JournalFile(path) as file:
            assert list(file.verify()) == []
            for entry in file.entries():
                assert not isinstance(entry, Loss)
                if isinstance(entry, Lane):
                    symbols[entry.lane] = entry.symbol
                elif isinstance(entry, Piece):
                    assert through.get(entry.lane, entry.begin) == entry.begin
                    through[entry.lane] = entry.end
    return {symbols[lane]: end for lane, end in through.items()}


def _moments() -> Iterator[float]:
    """How many seconds have passed, for as long as somebody asks."""
    begin_s = time.monotonic()
    while True:
        passed_s = time.monotonic() - begin_s
        yield passed_s
        time.sleep(max(0.0, begin_s + passed_s + LOOK_S - time.monotonic()))


def _roles(engine: Running) -> dict[int, str]:
    """All its processes, and this one, which reads. Not those that the historian starts: one for each journal file."""
    found = engine.registry
    named = {os.getpid(): "this reader", engine.process.pid: "launch", found.supervisor_pid: "supervisor"}
    for child in psutil.Process(found.supervisor_pid).children():
        named[child.pid] = " ".join(child.cmdline()[2:])
    named |= {each.pid: each.symbol for each in found.instruments}
    return named


@contextmanager
def _crowds(name: str, seed: int) -> Iterator[Callable[[], None]]:
    """Readers that come, leave and are killed: a call sees to it that there are some."""
    crowd: subprocess.Popen[bytes] | None = None
    numbers = itertools.count(seed)

    def more() -> None:
        nonlocal crowd
        if crowd is not None and crowd.poll() is None:
            return
        assert crowd is None or crowd.returncode == 0
        command = [sys.executable, "-m", "tests.system.crowd", name, str(CROWD), str(next(numbers))]
        crowd = subprocess.Popen(command, cwd=TOP, stdout=subprocess.DEVNULL)
        os.setpriority(os.PRIO_PROCESS, crowd.pid, 10)  # that they work at all is enough

    try:
        yield more
    finally:
        if crowd is not None:
            crowd.wait(60)


def _read(name: str) -> None:
    """Attach, look at all there is, and go."""
    with attach(name) as market:
        for symbol in market.symbols:
            instrument = market[symbol]
            instrument.book(allow_stale=True)
            instrument.depth(allow_stale=True)
            instrument.tape().last(100)
            instrument.bars(TICKS).last(10)
        instrument.bars(TICKS).scan().tail(10).collect()
        market.events().last(10)
