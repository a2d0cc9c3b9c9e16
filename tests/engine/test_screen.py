"""Where a run is shown: on a terminal a table, in a log a line, with --json nowhere but on a terminal."""

import io

import pytest
from rich.console import Console

from engine.screen import Screen
from engine.table import Heading

HEADING = Heading("default", 1, "simulator at 6,000/s", 3.0, None)


def _console(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=80, force_terminal=terminal, color_system=None), file


def test_a_log_gets_a_line_a_look() -> None:
    console, file = _console(terminal=False)
    with Screen(console, quiet=False) as screen:
        screen.show(HEADING, [])
        screen.show(HEADING, [])
    assert file.getvalue().count("live 0 of 0") == 2
    assert file.getvalue().count("\n") == 2


def test_quiet_says_in_a_log_only_what_takes_long_and_what_went_wrong() -> None:
    console, file = _console(terminal=False)
    with Screen(console, quiet=True) as screen:
        screen.show(HEADING, [])
        screen.note("x")
        screen.say({"event": "died", "role": "MNQ", "pid": 7, "how": "ended by SIGKILL"})
    assert file.getvalue() == "x\nMNQ: process 7 ended by SIGKILL\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_a_terminal_gets_the_table(quiet: bool) -> None:
    console, file = _console(terminal=True)
    with Screen(console, quiet=quiet) as screen:
        screen.show(HEADING, [])
    assert "shardbook default g1" in file.getvalue()
    assert "best bid" in file.getvalue()


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event": "died", "role": "MNQ", "pid": 7, "how": "ended by SIGKILL"}, "MNQ: process 7 ended by SIGKILL\n"),
        (
            {"event": "died", "role": "quiet", "pid": 7, "how": "ended by SIGKILL", "symbols": ["ES", "NQ"]},
            "quiet (ES, NQ): process 7 ended by SIGKILL\n",
        ),
        (
            {"event": "died", "role": "MNQ", "pid": 7, "how": "ended by SIGKILL", "symbols": ["MNQ"]},
            "MNQ: process 7 ended by SIGKILL\n",
        ),
        (
            {"event": "restarted", "role": "quiet", "pid": 8, "restarts": 1, "why": "…", "symbols": ["ES", "NQ"]},
            "quiet (ES, NQ): goes on in process 8\n",
        ),
        ({"event": "restarted", "role": "MNQ", "pid": 8, "restarts": 1, "why": "…"}, "MNQ: goes on in process 8\n"),
        ({"event": "parked", "role": "MNQ", "why": "died too often"}, "MNQ: died too often\n"),
        (
            {"event": "quarantined", "role": "quiet", "symbol": "MNQ", "sequence": 9},
            "MNQ: record 9 kills its worker and was set aside\n",
        ),
        (
            {"event": "killed", "pid": 7, "after_s": 30.0},
            "the supervisor, process 7, did not stop within 30 s and was killed with all that it ran\n",
        ),
        ({"event": "said", "role": "engine", "line": {}}, ""),
    ],
)
def test_events_that_people_should_know_of(event: dict[str, object], said: str) -> None:
    console, file = _console(terminal=False)
    with Screen(console, quiet=False) as screen:
        screen.say(event)
    assert file.getvalue() == said


def test_a_line_is_never_cut() -> None:
    console, file = _console(terminal=False)
    with Screen(console, quiet=False) as screen:
        screen.note("word " * 100)
    assert file.getvalue().count("\n") == 1
