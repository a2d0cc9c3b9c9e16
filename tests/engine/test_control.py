"""What the supervisor says while the engine runs: how it is cut into lines, done, and answered."""

import asyncio
import json
from typing import Any, cast

import pytest

from engine import control
from engine.config import SymbolSettings
from engine.control import Control
from engine.http import VenueError, VenueRefusal
from engine.instruments import Instruments
from shm.errors import LayoutError
from tests.engine.conftest import Pipe
from tests.engine.feeds.fake_venue import until


class FakeInstruments:
    """Does nothing, or fails as it is told to."""

    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []
        self.error: Exception | None = None
        self.hold = False

    async def check(self, settings: SymbolSettings) -> None:
        await self._do("check", settings)

    async def add(self, settings: SymbolSettings) -> None:
        await self._do("add", settings)

    async def remove(self, symbol: str) -> None:
        await self._do("remove", symbol)

    async def _do(self, what: str, value: object) -> None:
        if self.hold:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        self.done.append((what, value))


def answers(pipe: Pipe, instruments: FakeInstruments, text: bytes, count: int) -> list[dict[str, Any]]:
    """What is answered to `text`, `count` answers."""
    said: list[dict[str, Any]] = []

    async def go() -> None:
        running = asyncio.create_task(Control(pipe.lines, cast(Instruments, instruments), said.append).run())
        pipe.say(text)
        await until(lambda: len(said) >= count, f"{count} answers")
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(go())
    return said


def line(do: object, symbol: object) -> bytes:
    return json.dumps({"do": do, "symbol": symbol}).encode() + b"\n"


def test_what_is_asked_for_is_done_and_answered(pipe: Pipe) -> None:
    instruments = FakeInstruments()
    text = line("check", {"symbol": "MNQ", "levels": 9}) + line("add", {"symbol": "MES"}) + line("remove", "ES")
    assert answers(pipe, instruments, text, 3) == [
        {"event": "checked", "symbol": "MNQ"},
        {"event": "added", "symbol": "MES"},
        {"event": "removed", "symbol": "ES"},
    ]
    assert instruments.done == [
        ("check", SymbolSettings("MNQ", levels=9)),
        ("add", SymbolSettings("MES")),
        ("remove", "ES"),
    ]


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (VenueRefusal("no such contract"), True),
        (VenueError("no such contract"), False),
        (LayoutError("no such contract"), True),
        (FileNotFoundError("no such contract"), True),
    ],
)
def test_what_fails_is_answered_with_its_sentence(pipe: Pipe, error: Exception, final: bool) -> None:
    instruments = FakeInstruments()
    instruments.error = error
    (said,) = answers(pipe, instruments, line("add", {"symbol": "MES"}), 1)
    assert said == {"event": "refused", "symbol": "MES", "message": "no such contract", "final": final}


@pytest.mark.parametrize(
    ("do", "symbol"),
    [("check", {"symbol": "MES", "levels": 0}), ("add", "MES"), ("dance", {"symbol": "MES"}), ("remove", {})],
)
def test_what_cannot_be_done_is_refused(pipe: Pipe, do: str, symbol: object) -> None:
    instruments = FakeInstruments()
    (said,) = answers(pipe, instruments, line(do, symbol), 1)
    assert (said["event"], said["final"]) == ("refused", True)
    assert instruments.done == []


@pytest.mark.parametrize("text", [b"\n", b"{\n", b"[]\n", b'{"do": "add"}\n', b"[" * 5000 + b"\n", b"\xff\n"])
def test_what_is_no_wish_is_passed_over(pipe: Pipe, text: bytes) -> None:
    assert answers(pipe, FakeInstruments(), text + line("remove", "ES"), 1) == [{"event": "removed", "symbol": "ES"}]


def test_more_than_can_be_under_way_is_not_begun(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_UNDER_WAY", 2)
    instruments = FakeInstruments()
    instruments.hold = True

    async def go() -> None:
        made = Control(pipe.lines, cast(Instruments, instruments), lambda said: None)
        for symbol in ("MNQ", "MES", "ES"):
            made._begin(line("remove", symbol))
        assert len(made._under_way) == 2
        for task in made._under_way:
            task.cancel()
        await asyncio.wait(made._under_way)

    asyncio.run(go())
