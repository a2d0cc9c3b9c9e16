"""A journal replayed: the same books, trades and bars each time, whoever is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engine.config import SHIPPED_SYMBOLS, load_symbols
from engine.recorder.recorder import Options
from engine.replay_digest import Ended
from shm import NoEngine, attach
from shm.errors import LayoutError
from shm.journal_entries import Entry
from shm.layout import GENERATION_SHIFT
from shm.quarantine import record_path
from shm.refill import words_of
from shm.registry import engine_folder, generation_folder, read
from tests import recorded_minute
from tests.made_journal import later, record
from tests.recorded_minute import GENERATION, SYMBOLS, bytes_of
from tests.waiting import wait_for
from workers.rerun import Rerun

pytestmark = pytest.mark.timeout(600)  # several engines, one after the other

TOP = Path(__file__).resolve().parents[2]
LIMIT_S = 180.0
MILLISECONDS = 8000
KILLS = 6


@pytest.fixture
def entries(seed: int, tmp_path: Path) -> list[Entry]:
    """What lies in tmp_path / "journal"."""
    made = recorded_minute.made(np.random.default_rng(seed), MILLISECONDS)
    recorded_minute.write(tmp_path / "journal", made)
    return made


@contextmanager
def replaying(name: str, journal: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A replay that is surely ended, whatever the test does."""
    command = [sys.executable, "-m", "engine.replay", str(journal), "--name", name, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TOP)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LIMIT_S)


def ended(process: subprocess.Popen[str]) -> str:
    """The last line of its output. It must have gone well."""
    out, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, errors
    return out.splitlines()[-1]


def in_one_process(entries: list[Entry], symbol: str) -> tuple[int, int]:
    """The digests of book and tape without rings, processes and kills."""
    rerun = Rerun()
    rerun.take(words_of(bytes_of(entries, symbol)))
    state = rerun.memory.state[0]
    return int(state["book_digest"]), int(state["tape_digest"])


def pid_of(name: str, who: str) -> int:
    """The process of a worker, or of the player; 0 while there is none."""
    try:
        registry = read(engine_folder(name))
    except (FileNotFoundError, LayoutError):
        return 0
    found = {listed.symbol: listed.pid for listed in registry.instruments} | {"player": registry.engine_pid}
    return found[who]


def test_it_comes_to_the_same_however_often_and_whoever_is_killed(
    entries: list[Entry], seed: int, tmp_path: Path
) -> None:
    name, digests = f"replay-{os.getpid()}", []
    for _ in range(2):
        with replaying(name, tmp_path / "journal", "--speed", "max", "--digest") as process:
            digests.append(ended(process))
    chance = np.random.default_rng(seed)
    with replaying(name, tmp_path / "journal", "--speed", "2", "--digest") as process:
        wait_for(lambda: pid_of(name, "player"), LIMIT_S, "it runs")
        here = generation_folder(engine_folder(name), GENERATION + 1)
        books = [Ended(here, each) for each in load_symbols(SHIPPED_SYMBOLS, SYMBOLS)]
        killed: set[int] = set()
        for turn in range(KILLS):
            who = (*SYMBOLS, "player")[turn % 3]
            wait_for(lambda who=who: pid_of(name, who) not in (0, *killed), LIMIT_S, f"{who} lives")  # type: ignore[misc]
            before = [each.wall_ns for each in books]
            ahead_ns = int(chance.integers(100_000_000))
            wait_for(
                lambda before=before, ahead_ns=ahead_ns: all(  # type: ignore[misc]
                    each.wall_ns > then + ahead_ns for each, then in zip(books, before, strict=True)
                ),
                LIMIT_S,
                "it goes on",
            )
            pid = pid_of(name, who)
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        digests.append(ended(process))
    assert len(killed) == KILLS
    assert digests == digests[:1] * 3
    assert {each.settings.symbol: each.digests() for each in books} == {
        symbol: in_one_process(entries, symbol) for symbol in SYMBOLS
    }


def test_it_is_read_as_any_engine_and_says_that_it_is_a_replay(entries: list[Entry], tmp_path: Path) -> None:
    name, data = f"replayed-{os.getpid()}", tmp_path / "data"
    arguments = ("--symbols", "MNQ", "--speed", "max", "--data", str(data))
    with replaying(name, tmp_path / "journal", *arguments) as process:

        def there() -> bool:
            assert process.poll() is None, process.communicate()[1]
            try:
                return attach(name)["MNQ"].status().live
            except NoEngine:
                return False

        wait_for(there, LIMIT_S, "the book is live")
        market = attach(name)
        assert market.symbols == ("MNQ",)
        wait_for(
            lambda: market["MNQ"].status().applied == market["MNQ"].status().delivered > MILLISECONDS * 0.9,
            LIMIT_S,
            "all is played",
        )
        status = market["MNQ"].status()
        assert (status.source, status.live) == ("replay", True)
        assert len(market["MNQ"].bars("1s").last(5)) == 5
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, errors
    assert out == ""
    assert (data / "bars" / "MNQ" / "hot").exists()
    assert not (data / "bars" / "MES").exists()


def test_what_live_workers_set_aside_is_left_out_and_kills_nobody(entries: list[Entry], tmp_path: Path) -> None:
    """The digest is that of a rerun that leaves it out too; and of the whole journal's it is another."""
    sequence = (GENERATION << GENERATION_SHIFT) + 100
    path = record_path(tmp_path, "MNQ", sequence)
    path.parent.mkdir()
    path.touch()
    rerun = Rerun(set_aside=(sequence,))
    rerun.take(words_of(bytes_of(entries, "MNQ")))
    wanted = tuple(int(rerun.memory.state[name][0]) for name in ("book_digest", "tape_digest"))
    name = f"left-out-{os.getpid()}"
    with replaying(name, tmp_path / "journal", "--speed", "max", "--symbols", "MNQ", "--digest") as process:
        wait_for(lambda: pid_of(name, "MNQ"), LIMIT_S, "it runs")
        here = generation_folder(engine_folder(name), GENERATION + 1)
        (book,) = (Ended(here, each) for each in load_symbols(SHIPPED_SYMBOLS, ("MNQ",)))
        _, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, book.digests()) == (0, wanted), errors
    assert "died" not in errors
    assert wanted[0] != in_one_process(entries, "MNQ")[0]


def test_a_file_that_is_gone_is_told(entries: list[Entry], tmp_path: Path) -> None:
    """Of all instruments, once each; and not what came before the first file, which is deleted in time anyway."""
    journal = tmp_path / "files"
    record(journal, entries, Options(file_bytes=1 << 18), step_ms=1).close(later(len(entries)))
    files = sorted(journal.iterdir())
    assert len(files) > 3
    files[0].unlink()
    name, arguments = f"gone-{os.getpid()}", ("--speed", "max", "--to", "9999-12-31", "--digest")
    with replaying(name, journal, *arguments) as process:
        _, whole = process.communicate(timeout=LIMIT_S)
    files[2].unlink()
    with replaying(name, journal, *arguments) as process:
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert "missing" not in whole
    missing = "records are missing, of MES at 1 place, of MNQ at 1 place: scripts/inspect says where"
    assert errors.splitlines()[-1] == missing
