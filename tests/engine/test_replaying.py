"""When a replay is over: all that was played is done, or it is known that it never will be."""

import argparse
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine import config
from engine.page import Page
from engine.replayer.stretches import Content
from engine.replaying import Notices, Replay
from engine.run import Ending, Failed
from shm import layout, registry
from shm.layout import Kind
from shm.segment import Segment, attach, create

PLAYED = {"event": "said", "role": "engine", "line": {"event": "played"}}
WHY = "ended by SIGKILL, not for the first time, and is not started again"
GENERATION = 3
OPTIONS = argparse.Namespace(digest=True, from_wall_ns=None, to_wall_ns=None)


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


def watch(folder: Path, engine: Any, notices: Notices, console: Console) -> None:
    """A replay of MNQ, until it is over."""
    ready = {"folder": str(folder), "generation": GENERATION}
    settings = config.load(symbols=["MNQ"], venue=config.REPLAY)
    Replay(engine, ready, settings, Content(frozenset(), 1, 2), notices).watch(OPTIONS, Ending(), console)


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
