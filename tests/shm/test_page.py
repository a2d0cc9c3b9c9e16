"""Whole copies of what is being rewritten: against a writer that comes in at the worst moment, and one that races."""

import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from shm import Instrument, Stale, State, layout, page
from shm.layout import CELLS, Reason
from tests.shm.plain_writer import (
    ASKS,
    BIDS,
    LEVELS,
    MAX_DEPTH,
    MAX_LAG_MS,
    PlainEngine,
    PlainWriter,
    Racer,
    boottime_ns,
)
from tests.shm.reads import READS, Read, each_read
from tests.waiting import wait_for

RACE_READS = 200_000
RACE_CHECKPOINTS = 3000


class _BusyWords:
    """Control words of a page whose writer comes in (`act`) right after `published` was read, `times` times."""

    def __init__(self, words: memoryview, act: Callable[[int], None], times: int) -> None:
        self._words = words
        self._act = act
        self._left = times

    def __getitem__(self, index: int) -> int:
        value: int = self._words[index]
        if index == page.PUBLISHED and self._left > 0:
            self._left -= 1
            self._act(value)
        return value

    def release(self) -> None:
        self._words.release()


def _lap(writer: PlainWriter) -> Callable[[int], None]:
    """Publish as many times as there are cells; all levels say the number that was current before."""

    def act(number: int) -> None:
        for _ in range(CELLS):
            writer.publish([(number, number)] * LEVELS, [(number, number)] * LEVELS)

    return act


@pytest.mark.parametrize("times", [1, page.MAX_TRIES - 1])
def test_a_cell_that_is_written_while_it_is_copied_is_read_again(
    writer: PlainWriter, mnq: Instrument, times: int
) -> None:
    for name, read in READS.items():
        writer.checkpoint(BIDS, ASKS)
        before = writer.publish(BIDS, ASKS)
        read(mnq, False)  # the quick ways are open from here on
        opened = mnq._follower.page
        words = opened.words
        opened.words = _BusyWords(words, _lap(writer), times)  # type: ignore[assignment]
        read(mnq, False)
        opened.words = words
        book = mnq.book()
        assert book.published == before + times * CELLS, name
        assert set(book.bid_ticks.tolist()) == {(book.published - CELLS, book.published - CELLS)}


def test_a_reader_that_is_lapped_for_ever_is_told_so(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    opened = mnq._follower.page
    opened.words = _BusyWords(opened.words, _lap(writer), 10**6)  # type: ignore[assignment]
    with pytest.raises(Stale, match="faster than they can be read"):
        mnq.book()


@each_read
def test_a_sign_of_life_does_not_vouch_for_an_older_cell(writer: PlainWriter, mnq: Instrument, read: Read) -> None:
    """Between two loads of a reader the book goes stale, and the engine is heard of again: the old cell is old."""
    writer.checkpoint(BIDS, ASKS)
    writer.publish(BIDS, ASKS, through_ns=boottime_ns() - 2 * MAX_LAG_MS * 1_000_000)
    opened = mnq._follower.page

    def act(_: int) -> None:
        writer.publish(BIDS, ASKS, state=State.STALE, reason=Reason.DROPPED)

    opened.words = _BusyWords(opened.words, act, 1)  # type: ignore[assignment]
    with pytest.raises(Stale):
        read(mnq, False)


def test_reads_against_a_writer_that_never_pauses(engine: PlainEngine, writer: PlainWriter, mnq: Instrument) -> None:
    """0 torn: every number of a publication is that publication's, and none goes back."""
    with Racer(engine, "cells"):
        wait_for(lambda: writer.control[layout.PUBLISHED] > CELLS, 20, "cells of the racer")
        newest = writer.control[layout.PUBLISHED]
        last = 0
        for _ in range(RACE_READS // 100):
            for _ in range(90):
                quote = mnq.quote()
                n = quote.sequence
                assert quote.bid_ticks == quote.bid_units == quote.ask_ticks == quote.ask_units == n
                assert n >= last
                last = n
            for _ in range(8):
                top = mnq.top(LEVELS)
                assert (top.levels == top.sequence).all()
                assert top.sequence >= last
                last = top.sequence
            for _ in range(2):
                book = mnq.book()
                assert book.published == book.sequence >= last
                assert (book.bid_ticks.view(np.int64) == book.sequence).all()
                assert (book.ask_ticks.view(np.int64) == book.sequence).all()
                last = book.sequence
        assert writer.control[layout.PUBLISHED] - newest > 1000 * CELLS


def test_checkpoints_against_a_writer_that_never_pauses(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument
) -> None:
    """With two slots and a writer that does nothing else a reader is often told to try again, and never misled."""
    with Racer(engine, "slots"):
        wait_for(lambda: (writer.slots["end"] > 1).all(), 20, "checkpoints of the racer")
        last = whole = 0
        while whole < RACE_CHECKPOINTS:
            try:
                depth = mnq.depth()
            except Stale:
                assert mnq.quote()
                continue
            assert depth.sequence == depth.published >= last
            assert (depth.bid_ticks.view(np.int64) == depth.sequence).all()
            assert (depth.ask_ticks.view(np.int64) == depth.sequence).all()
            assert len(depth.bids) == len(depth.asks) == MAX_DEPTH
            last = depth.sequence
            whole += 1
        assert last > RACE_CHECKPOINTS


_LOOK = """
import json, platform, sys
from contextlib import nullcontext
from pathlib import Path
if sys.argv[2] == "fenced":
    platform.machine = lambda: "aarch64"
import shm
from shm import page
with shm.attach(root=Path(sys.argv[1])) as market:
    handle = market["MNQ"]
    book, depth = handle.book(), handle.depth()
    with handle.book_view() as view:
        seen = view.bids.tolist()
    read = [
        handle.quote(), handle.top(3).levels.tolist(), book.bids.tolist(), depth.asks.tolist(), seen,
        handle.tape().last(5).tolist(), handle.status().contract, page.ORDERED_LOADS,
    ]
heavy = sorted({"numba", "llvmlite", "polars", "aiohttp", "engine", "workers"} & set(sys.modules))
print(json.dumps({"read": read, "heavy": heavy}))
"""


def _look(engine: PlainEngine, way: str) -> dict[str, list[object]]:
    command = [sys.executable, "-c", _LOOK, str(engine.root), way]
    answer: dict[str, list[object]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answer


def test_reading_imports_nothing_heavy_and_fences_read_the_same(engine: PlainEngine, writer: PlainWriter) -> None:
    writer.checkpoint(BIDS, ASKS)
    writer.trade((86400, 2, 0), (86401, 3, 1))
    writer.publish(BIDS, ASKS, through_ns=boottime_ns() + 60_000_000_000)  # live for as long as this takes
    plain, fenced = _look(engine, "plain"), _look(engine, "fenced")
    assert plain["heavy"] == []
    assert "numba" in fenced["heavy"]
    assert plain["read"][-1] is True
    assert fenced["read"][-1] is False
    assert plain["read"][:-1] == fenced["read"][:-1]
