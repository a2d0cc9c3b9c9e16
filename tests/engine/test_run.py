"""The parts of a run that need no engine: waiting for it, and what a second Ctrl-C means."""

import io
import os
import signal
from typing import Any

import pytest
from rich.console import Console

from engine.run import (
    LEAST_LOOK_S,
    SETTLE_LIMIT_S,
    Ending,
    EngineEnded,
    Failed,
    RefusedForGood,
    looked_enough,
    wait_until_ready,
)
from engine.screen import Screen


class _Scripted:
    """An engine that says what it was told to say, one list a look, and has ended after the last."""

    def __init__(self, *looks: list[dict[str, Any]]) -> None:
        self._looks = list(looks)

    def events(self, timeout_s: float) -> list[dict[str, Any]]:
        return self._looks.pop(0)

    @property
    def running(self) -> bool:
        return bool(self._looks)


def _wait(engine: _Scripted, ending: Ending | None = None) -> tuple[dict[str, Any] | None, str]:
    file = io.StringIO()
    with Screen(Console(file=file), quiet=False) as screen:
        return wait_until_ready(engine, ending or Ending(), screen), file.getvalue()  # type: ignore[arg-type]


def test_ready_is_waited_for() -> None:
    ready = {"event": "ready", "name": "x"}
    found, _ = _wait(_Scripted([], [{"event": "compiling"}], [{"event": "compiled", "seconds": 1}, ready], []))
    assert found == ready


def test_what_is_said_in_one_breath_with_ready_is_not_lost() -> None:
    died = {"event": "died", "role": "MNQ", "pid": 5, "how": "ended by SIGKILL"}
    _, said = _wait(_Scripted([{"event": "ready", "name": "x"}, died], []))
    assert "process 5" in said


def test_compiling_is_said_once() -> None:
    _, said = _wait(_Scripted([{"event": "compiling"}], [], [], [{"event": "ready"}], []))
    assert said.count("compiling the kernels") == 1


def test_kept_kernels_are_not_said_to_be_compiled_however_long_they_load() -> None:
    _, said = _wait(_Scripted([], [], [{"event": "compiled", "seconds": 9.0}], [{"event": "ready"}], []))
    assert said == ""


def test_the_supervisors_own_sentence_is_the_error() -> None:
    with pytest.raises(Failed, match="no room at all"):
        _wait(_Scripted([{"event": "failed", "message": "no room at all", "final": False}], []))


def test_what_would_fail_again_is_an_error_of_its_own() -> None:
    with pytest.raises(RefusedForGood, match="wrong key"):
        _wait(_Scripted([{"event": "failed", "message": "wrong key", "final": True}], []))


def test_an_end_without_a_word_is_an_error() -> None:
    with pytest.raises(EngineEnded):
        _wait(_Scripted([]))


def test_a_wish_to_end_is_heard_before_it_is_up() -> None:
    ending = Ending()
    ending.wanted = True
    assert _wait(_Scripted([], []), ending)[0] is None


@pytest.mark.parametrize(
    ("looked_s", "settled", "enough"),
    [
        (0.0, True, False),  # live, and over before the first look: nothing was compared yet
        (LEAST_LOOK_S, True, True),
        (LEAST_LOOK_S, False, False),  # it may be live in a moment
        (SETTLE_LIMIT_S, False, True),  # it never is
    ],
)
def test_a_flow_that_is_over_is_looked_at_until_that_says_something(
    looked_s: float, settled: bool, enough: bool
) -> None:
    assert looked_enough(looked_s, settled) is enough


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_hurries(number: int) -> None:
    before = signal.getsignal(number)
    ending = Ending()
    with ending.listening():
        os.kill(os.getpid(), number)
        assert (ending.wanted, ending.hurried) == (True, False)
        os.kill(os.getpid(), number)
        assert (ending.wanted, ending.hurried) == (True, True)
    assert signal.getsignal(number) is before
