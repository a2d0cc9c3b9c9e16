"""The supervisor's side of the fork server: ask for workers, take their pidfds. `workers/__main__.py` is the other."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .child import Started, plain_environment

_MAX_PACKET_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Compiling:
    """Its kernels are not kept from an earlier start: it takes a while."""


@dataclass(frozen=True, slots=True)
class Ready:
    """It has compiled or loaded all kernels."""

    compile_seconds: float


@dataclass(frozen=True, slots=True)
class Spawned:
    """A worker lives, as a child of this process."""

    name: str
    pid: int
    pidfd: int


@dataclass(frozen=True, slots=True)
class Refused:
    name: str
    message: str


Answer = Compiling | Ready | Spawned | Refused


class ForkServer(Started):
    """A running `python -m workers`. `channel` is readable when it has answered or ended."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.setblocking(False)
        with theirs:
            super().__init__("workers", plain_environment(environ), theirs.fileno(), subprocess.DEVNULL)

    def ask(self, job: Mapping[str, object]) -> bool:
        """Ask for a worker with a job as `workers/job.py` has it; False if it is dead or does not read."""
        try:
            self.channel.send(json.dumps(job, separators=(",", ":")).encode())
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            return False
        return True

    def answers(self) -> Iterator[Answer]:
        """What it has answered and nobody took yet; does not wait."""
        while True:
            try:
                packet, descriptors, _, _ = socket.recv_fds(self.channel, _MAX_PACKET_BYTES, 1)
            except (BlockingIOError, ConnectionResetError):
                return
            if not packet:
                return
            for each in descriptors:
                os.set_inheritable(each, False)  # this call gives descriptors that a started program would inherit
            yield _answer(json.loads(packet), descriptors)


def _answer(message: dict[str, Any], descriptors: list[int]) -> Answer:
    if message["event"] == "compiling":
        return Compiling()
    if message["event"] == "ready":
        return Ready(float(message["compile_seconds"]))
    if message["event"] == "spawned":
        return Spawned(message["name"], message["pid"], descriptors[0])
    return Refused(message["name"], message["message"])
