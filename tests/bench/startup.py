"""From the command to the first live book, kernels compiled before: what a user waits for. And whether that is longer
because of the keeper, which is started when all others are up and imports for seconds, or because of the recorder,
which is started with them and waited for."""

import os
import signal
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from shm import registry

from .row import Promise, Row
from .running import Engine, running

RATE_ENTRIES_PER_S = 6000.0
PROMISED_S = Promise(2.0)
_LOOK_EVERY_S = 0.01

Times = list[tuple[float, float]]  # until the first book was live, and until all were


def rows(quick: bool) -> Iterator[Row]:
    with_keeper: Times = []
    without: Times = []
    unrecorded: Times = []
    for _ in range(1 if quick else 4):
        without.append(_started(is_held=True))
        unrecorded.append(_started(is_held=True, record=False))
        with_keeper.append(_started(is_held=False))
    if not quick:  # the first ones may have compiled
        with_keeper, without, unrecorded = with_keeper[1:], without[1:], unrecorded[1:]
    for i, (name, promise) in enumerate((("first live book", PROMISED_S), ("all six live", None))):
        value_s, held_s, unrecorded_s = (
            statistics.median(each[i] for each in times) for times in (with_keeper, without, unrecorded)
        )
        compared_with = f"with the keeper stopped at its start: {held_s:.3g} s"
        yield Row("startup", f"command to {name}", value_s, "s", compared_with, held_s, promise)
        compared_with = f"and nothing recorded: {unrecorded_s:.3g} s"
        yield Row(
            "startup", f"the same, the keeper stopped at its start: {name}", held_s, "s", compared_with, unrecorded_s
        )


def _started(*, is_held: bool, record: bool = True) -> tuple[float, float]:
    with running(RATE_ENTRIES_PER_S, record=record) as engine, _keeper_held(engine) if is_held else nullcontext():
        return engine.wait_until_live()


@contextmanager
def _keeper_held(engine: Engine) -> Iterator[None]:
    """Its keeper, as soon as there is one, stands still until the end of this."""
    ended = threading.Event()
    held: list[int] = []

    def hold() -> None:
        while not held and not ended.wait(_LOOK_EVERY_S):
            if pid := registry.read(engine.folder).keeper_pid:
                os.kill(pid, signal.SIGSTOP)
                held.append(pid)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for pid in held:
            os.kill(pid, signal.SIGCONT)
