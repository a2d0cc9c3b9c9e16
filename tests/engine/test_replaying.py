"""When a replay is over: all that was played is done, or it is known that it never will be."""

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from engine import config, replaying
from engine.page import Page
from engine.replay import main
from engine.replayer.stretches import Content
from engine.replaying import Notices, Replay
from engine.run import Ending, EngineEnded, Failed, RefusedForGood
from shm import layout, registry
from shm.layout import Kind
from shm.segment import Segment, attach, create
from tests import recorded_minute

PLAYED = {"event": "said", "role": "engine", "line": {"event": "played", "missing": {}}}
WHY = "ended by SIGKILL, not for the first time, and is not started again"
GENERATION = 3
TIMES = 1_795_357_980_000_000_000, 1_795_358_000_000_000_000  # 2026-11-22 14:33:00 and 20 s later
OPTIONS = argparse.Namespace(digest=True, from_wall_ns=None, to_wall_ns=None, speed=1.0)


class Engine:
    """What is there of a supervised engine: its events, by turns, and then nothing more."""

    def __init__(self, turns: list[list[dict[str, Any]]]) -> None:
        self._turns = iter(turns)
        self.running = True

    def events(self, timeout_s: float) -> list[dict[str, Any]]:
        return next(self._turns)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def shown(console: Console) -> list[str]:
    """The lines that were printed."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.fixture
def ring(tmp_path: Path) -> Any:
    """The ring of MNQ, with 800 bytes in it, of an engine whose workers live."""
    here = registry.generation_folder(tmp_path, GENERATION)
    here.mkdir()
    made: dict[Kind, Segment] = {
        kind: create(here / f"MNQ.{kind.name.lower()}", kind, regions, generation=GENERATION, symbol="MNQ")
        for kind, regions in ((Kind.RING, layout.ring_regions(1 << 14)), (Kind.BOOK, layout.book_regions(4, 8, 4, 4)))
    }
    create(here / "keeper", Kind.KEEPER, layout.keeper_regions(), generation=GENERATION)
    listed = registry.Listed("MNQ", "MNQ", 1, 0, "", 4, 8, 1, 1000)
    data = str(tmp_path / "data")
    registry.write(
        tmp_path,
        registry.Registry(layout.LAYOUT_VERSION, "replay", GENERATION, 1, 1, "replay", data, 1, None, None, (listed,)),
    )
    words = made[Kind.RING].array("words")
    words[layout.TAIL] = 800
    return words


def watch(folder: Path, engine: Any, notices: Notices, console: Console, options: argparse.Namespace = OPTIONS) -> None:
    """A replay of MNQ, until it is over."""
    ready = {"folder": str(folder), "generation": GENERATION}
    settings = config.load(symbols=["MNQ"], name="replay", venue=config.REPLAY)
    Replay(engine, ready, settings, Content(frozenset(), *TIMES), notices).watch(options, Ending(), console)


def test_it_is_over_when_what_was_played_is_done(ring: Any, tmp_path: Path, console: Console) -> None:
    ring[layout.HEAD] = 800
    watch(tmp_path, Engine([[PLAYED]]), Notices(console), console)


def test_it_goes_on_until_then(ring: Any, tmp_path: Path, console: Console) -> None:
    ring[layout.HEAD] = 792
    with pytest.raises(StopIteration):
        watch(tmp_path, Engine([[PLAYED], [], []]), Notices(console), console)


def test_what_says_that_time_goes_on_is_not_waited_for(ring: Any, tmp_path: Path, console: Console) -> None:
    class Later(Engine):
        def events(self, timeout_s: float) -> list[dict[str, Any]]:
            ring[layout.TAIL] += 48
            ring[layout.HEAD] += 300
            return super().events(timeout_s)

    watch(tmp_path, Later([[PLAYED], [], []]), Notices(console), console)
    assert ring[layout.HEAD] < ring[layout.TAIL]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"role": "keeper", "symbols": []}, f"the keeper {WHY}, and nobody else makes room for bars"),
        ({"role": "index", "symbols": ["MES", "MNQ"]}, f"the worker of MES {WHY}"),
    ],
)
def test_who_is_given_up_ends_it(event: dict[str, Any], said: str, ring: Any, tmp_path: Path, console: Console) -> None:
    with pytest.raises(Failed) as failed:
        watch(tmp_path, Engine([[], [{"event": "parked", "why": WHY, **event}]]), Notices(console), console)
    assert str(failed.value) == said


def test_who_is_given_up_before_the_engine_is_up_ends_it_too(ring: Any, tmp_path: Path, console: Console) -> None:
    notices = Notices(console)
    notices.say({"event": "parked", "role": "MNQ", "symbols": ["MNQ"], "why": WHY})
    with pytest.raises(Failed, match="the worker of MNQ"):
        watch(tmp_path, Engine([[]]), notices, console)


def test_a_disk_that_lets_it_wait_is_told_of_each_time(ring: Any, tmp_path: Path, console: Console) -> None:
    place = registry.generation_folder(tmp_path, GENERATION) / "keeper"
    keeper = Page(attach(place, Kind.KEEPER, writable=True).array("words"), layout.KEEPER_WORDS)

    class Full(Engine):
        def events(self, timeout_s: float) -> list[dict[str, Any]]:
            keeper.add("disk_errors", count=len(found := super().events(timeout_s)))
            return found

    with pytest.raises(StopIteration):
        watch(tmp_path, Full([[], [PLAYED], [], [PLAYED]]), Notices(console), console)
    assert console.file.getvalue().count("make room") == 2  # type: ignore[attr-defined]


HEADING = 'attach("replay"): MNQ, 2026-11-22 14:33:00 to 14:33:20 UTC, at 1 ×'


def test_what_is_played_and_that_it_is_are_told_once(ring: Any, tmp_path: Path, console: Console) -> None:
    ring[layout.HEAD] = 800
    options = argparse.Namespace(**vars(OPTIONS) | {"digest": False})
    with pytest.raises(StopIteration):  # it stays
        watch(tmp_path, Engine([[], [PLAYED], [], [PLAYED], []]), Notices(console), console, options)
    assert shown(console) == [HEADING, 'all is played: attach("replay") reads it, Ctrl-C ends it']


def test_where_records_are_missing_is_told_before_the_end(ring: Any, tmp_path: Path, console: Console) -> None:
    ring[layout.HEAD] = 800
    played = {"event": "said", "line": {"event": "played", "missing": {"MNQ": 1200, "MES": 1}}}
    watch(tmp_path, Engine([[played]]), Notices(console), console)
    missing = "records are missing, of MES at 1 place, of MNQ at 1,200 places: scripts/inspect says where"
    assert shown(console) == [HEADING, missing]


def test_a_bar_is_full_at_the_end(ring: Any, tmp_path: Path) -> None:
    """Whatever the last record of each instrument is of: here no worker has said anything of time."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    ring[layout.HEAD] = 800
    watch(tmp_path, Engine([[PLAYED]]), Notices(console), console)
    bar = [line for line in shown(console) if "%" in line][-1]
    assert "played" in bar
    assert " 100 % 0:00:00" in bar
    assert "╸" not in bar


def test_an_engine_that_fails_is_told_from_one_that_would_fail_again(
    ring: Any, tmp_path: Path, console: Console
) -> None:
    failed = {"event": "failed", "message": "no"}
    with pytest.raises(Failed) as once:
        watch(tmp_path, Engine([[failed | {"final": False}]]), Notices(console), console)
    assert not isinstance(once.value, RefusedForGood)
    with pytest.raises(RefusedForGood):
        watch(tmp_path, Engine([[failed | {"final": True}]]), Notices(console), console)


@pytest.mark.parametrize(("failure", "shows"), [(Failed, True), (EngineEnded, True), (RefusedForGood, False)])
def test_the_end_of_the_log_says_why_an_engine_failed(
    failure: type[Failed],
    shows: bool,
    seed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its folder is a temporary one: nobody can look there afterwards."""

    def fail(options: Any, settings: Any, content: Any, ending: Any, log: Path) -> str:
        log.write_text("".join(f"line {n}\n" for n in range(30)) + "OverflowError: it is too large\n")
        raise failure("the engine ended with status 1")

    recorded_minute.write(tmp_path / "journal", recorded_minute.made(np.random.default_rng(seed), 20))
    monkeypatch.setattr(replaying, "run", fail)
    assert main([str(tmp_path / "journal")], "replay") == 1
    *log, sentence = capsys.readouterr().err.splitlines()
    assert sentence == "replay: the engine ended with status 1"
    assert log == ([f"  line {n}" for n in range(11, 30)] + ["  OverflowError: it is too large"] if shows else [])
