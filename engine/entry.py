"""The first moments of a command, before anything is imported that takes time or needs a certain machine."""

import argparse
import io
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


def complain(command: str, sentence: str) -> None:
    """One sentence on stderr, in the name of the command that was typed."""
    print(f"{command}: {sentence}", file=sys.stderr)


@contextmanager
def early(command: str) -> Iterator[None]:
    """Until somebody else listens to it, Ctrl-C ends the process with a sentence: nothing was begun yet.

    Whatever encoding the terminal has, printing may not fail: what it lacks becomes a question mark.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def end(number: int, frame: object) -> None:
        os.write(2, f"{command}: ended before it began\n".encode())
        os._exit(1)  # an exception could be caught by whichever import is under way

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def refusal() -> str:
    """Why shardbook cannot run here; empty if it can."""
    try:
        from shm import platform_check
    except ImportError as error:  # `shm` refuses too, and before it imports anything else
        return str(error)
    return platform_check.refusal(platform.system(), platform.machine(), sys.version_info[:2]) or ""


def begin(
    argv: Sequence[str] | None,
    command: str,
    parser: Callable[[str], argparse.ArgumentParser],
    load: Callable[[], Callable[[argparse.Namespace, str], int]],
) -> int:
    """A command by the name that was typed: its options, then what `load` imports for them. The exit status; 1 where
    shardbook cannot run."""
    with early(command):
        options = parser(command).parse_args(argv)
        if sentence := refusal():
            complain(command, sentence)
            return 1
        do = load()
    return do(options, command)
