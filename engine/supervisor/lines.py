"""JSON lines: what children print for the supervisor, and what it prints for launch."""

import contextlib
import json
import os
import sys
from typing import IO, Any

MAX_LINE_BYTES = 1 << 16
_READ_BYTES = 1 << 16


class LineReader:
    """The JSON objects on a child's standard output. A line that is none is passed on to stderr, never dropped."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._descriptor = pipe.fileno()
        os.set_blocking(self._descriptor, False)
        self._rest = b""
        self.ended = False

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> list[dict[str, Any]]:
        """The objects that came since; does not wait."""
        found = []
        while not self.ended:
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                break
            self.ended = not data
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > MAX_LINE_BYTES:  # no line of ours: show it and begin again
                lines, self._rest = [*lines, self._rest], b""
            found += [value for line in lines if (value := _parse(line)) is not None]
        return found


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    if line.strip():
        print(line[:MAX_LINE_BYTES].decode(errors="replace"), file=sys.stderr)
    return None


class Report:
    """What launch is told: one object a line. When launch is gone there is nobody to tell; its death also signals."""

    def say(self, event: str, **fields: object) -> None:
        line = json.dumps({"event": event, **fields}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            os.write(1, line)
