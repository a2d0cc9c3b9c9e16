"""A client program at the other end of a pipe: a command as a JSON line, its answer as the next line."""

import json
import select
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANSWER_LIMIT_S = 60.0
END_LIMIT_S = 30.0


class Client:
    """`hello`: what it said when it was ready."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log
        self._rest = b""
        self.hello: Any = self._answer()

    def do(self, command: str, **arguments: Any) -> Any:
        """Have it do something; its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        out = self._process.stdout
        assert out is not None
        while b"\n" not in self._rest:
            ready, _, _ = select.select([out], [], [], ANSWER_LIMIT_S)
            data = out.read1(1 << 20) if ready else b""  # type: ignore[attr-defined]
            if not data:
                raise AssertionError(f"the client says nothing more; its log ends with {self._log.read_text()[-2000:]}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)


@contextmanager
def conversation(command: Sequence[str], environ: Mapping[str, str], log: Path) -> Iterator[Client]:
    """A client program that ends with its input, and is surely ended."""
    pipe = subprocess.PIPE
    with open(log, "wb") as errors:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, env=dict(environ))
    with process:
        try:
            yield Client(process, log)
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
            assert process.wait(END_LIMIT_S) == 0, log.read_text()[-2000:]
        finally:
            process.kill()
