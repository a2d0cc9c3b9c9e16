"""How what the supervisor says is cut into lines."""

import pytest

from engine import lines
from tests.engine.conftest import Pipe


def test_the_first_line_is_waited_for_and_the_rest_is_kept(pipe: Pipe) -> None:
    pipe.say(b'{"job"\n{"do"')
    assert pipe.lines.wait() == b'{"job"'
    pipe.say(b": 1}\n{}\n{")
    assert pipe.lines.take() == [b'{"do": 1}', b"{}"]
    pipe.end()
    assert pipe.lines.take() == []
    assert pipe.lines.ended


def test_a_first_line_without_an_end_is_what_there_was(pipe: Pipe) -> None:
    pipe.say(b"{}")
    pipe.end()
    assert pipe.lines.wait() == b"{}"


def test_a_line_that_never_ends_is_not_kept(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 8)
    pipe.say(b"123456789")
    assert pipe.lines.take() == []
    pipe.say(b"{}\n")
    assert pipe.lines.take() == [b"{}"]
    pipe.say(b"1234567890")
    assert len(pipe.lines.wait()) == 10  # which is then refused as a job
