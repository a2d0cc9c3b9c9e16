"""The pipe over which a process of the engine's is told its job, and what is new."""

import os
from collections.abc import Iterator

import pytest

from engine.lines import Lines


class Pipe:
    """Both ends of one."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.lines = Lines(self.read)

    def say(self, text: bytes) -> None:
        os.write(self.write, text)

    def end(self) -> None:
        if self.write >= 0:
            os.close(self.write)
            self.write = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.end()
    os.close(made.read)
