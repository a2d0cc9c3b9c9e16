"""JSON lines from children: cut where they end, bounded, and what is none is shown and not lost."""

import io
import os
from collections.abc import Iterator

import pytest

from engine.supervisor.lines import MAX_LINE_BYTES, LineReader, Report


class Pipe:
    def __init__(self) -> None:
        here, there = os.pipe()
        self.here, self.there = os.fdopen(here, "rb"), os.fdopen(there, "wb", buffering=0)
        self.reader = LineReader(self.here)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.here.close()
    made.there.close()


def test_objects_come_out_as_they_are_complete(pipe: Pipe) -> None:
    assert pipe.reader.read() == []
    pipe.there.write(b'{"a": 1}\n{"b"')
    assert pipe.reader.read() == [{"a": 1}]
    pipe.there.write(b": 2}\n\n")
    assert pipe.reader.read() == [{"b": 2}]
    pipe.there.write(b'{"c": 3}\n')
    pipe.there.close()
    assert pipe.reader.read() == [{"c": 3}]
    assert pipe.reader.ended
    assert pipe.reader.read() == []


@pytest.mark.parametrize("line", [b"Traceback (most recent call last):", b"[1]", b"\xff", b"5", b"[" * 50_000])
def test_what_is_no_object_goes_to_stderr(pipe: Pipe, line: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    pipe.there.write(line + b'\n{"a": 1}\n')
    assert pipe.reader.read() == [{"a": 1}]
    assert line.decode(errors="replace") in capsys.readouterr().err


def test_a_line_without_end_is_bounded(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(4):
        pipe.there.write(b"x" * (MAX_LINE_BYTES // 2 + 1))
        assert pipe.reader.read() == []
    pipe.there.write(b'\n{"a": 1}\n')
    assert pipe.reader.read() == [{"a": 1}]
    assert capsys.readouterr().err.count("x") >= MAX_LINE_BYTES


def test_what_launch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(os, "write", lambda _descriptor, line: written.write(line))
    Report().say("ready", generation=3)
    assert written.getvalue() == b'{"event": "ready", "generation": 3}\n'


def test_nobody_to_tell_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_descriptor: int, _line: bytes) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(os, "write", gone)
    Report().say("ready")
