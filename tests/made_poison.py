"""A journal with a record that ends whoever runs it, in two closed files and one that is not; and what its worker said.

The worker of it is as one that was started after two before it had died: it has the record among those to set aside.
"""

import faulthandler
import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shm import layout
from shm.journal_entries import Entry, Lane, Piece
from tests import made_past
from tests.shm.test_refill import recorded
from tests.workers.rig import Rig, depth, snapshot, task
from workers.decode import slow
from workers.passage import LEVELS, MAX_DEPTH

POISON = b'{"poison": true}'  # no scanner takes it: it goes the slow way
LANE = Lane(0, "MNQ", 7, 1, 1 << 20)


class Poisoned(NamedTuple):
    """The journal's folder, the poisoned record, and the state and levels of its worker after all of it."""

    journal: Path
    sequence: int
    state: Any
    levels: Any


def lay(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this process, and all that are forked from it, die on the record."""
    decode = slow.decode

    def deadly(message: bytes, *rest: Any) -> Any:
        if message == POISON:
            faulthandler.disable()  # it would tell of that at length
            os.kill(os.getpid(), signal.SIGSEGV)
        return decode(message, *rest)

    monkeypatch.setattr(slow, "decode", deadly)


def made(data: Path, *, is_known: bool) -> Poisoned:
    """The journal in a data folder. `is_known`: what the worker kept of the record lies beside it."""
    rig = Rig(levels=LEVELS, max_depth=MAX_DEPTH, generation=LANE.generation)
    words = rig.ring.array("words")
    entries: list[Entry] = [LANE]

    def drain() -> None:
        before = int(words[layout.TAIL])
        rig.drain()
        after = int(words[layout.TAIL])
        entries.append(Piece(0, before, after, memoryview(recorded(words, before, after))))

    def some(n: int) -> None:
        for each in range(n, n + 500):
            of_bid, ticks = each % 2, 1 + each % 9
            rig.send(depth([(3 + of_bid, 21000.0 + 0.25 * ticks * (-1 if of_bid else 1), each % 5)], each))
            if each % 10 == 0:
                rig.engine.clock()
            drain()

    rig.configure()
    rig.send(snapshot())
    some(2)
    sequence = int(rig.memory.state["sequence"][0]) + 1
    rig.restart(task((sequence,)), data if is_known else data / "elsewhere")
    rig.send(POISON)
    some(502)
    rig.send(snapshot(n=1002))
    some(1003)
    made_past.record(data / "journal", LANE.generation, entries, close=False)
    return Poisoned(data / "journal", sequence, rig.memory.state.copy(), rig.memory.levels.copy())
