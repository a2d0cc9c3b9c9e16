"""Producer and consumer in two processes over a real segment: messages of every size, laps by the thousand."""

from typing import Any

import numpy as np
import pytest

from shm import layout
from shm.layout import Kind
from shm.records import PEEK_WORDS
from shm.segment import create
from tests.shm.stress import ring as stress
from tests.shm.stress.processes import GENERATION, GO, make_flags, running, shared_folder

LEAST_LAPS = 2_000
TURNS_AT_ONCE = 2_000


@pytest.mark.parametrize(("way", "total"), [("lossless", 1_000_000), ("lossy", 1_500_000)])
def test_no_record_is_torn_lost_doubled_or_out_of_order(way: str, total: int) -> None:
    """Lossless: the producer waits for room. Lossy: it never waits; what did not fit is told by gaps, exactly."""
    with shared_folder() as folder:
        segment = create(folder / stress.RING, Kind.RING, layout.ring_regions(stress.CAPACITY), generation=GENERATION)
        words = segment.array("words").view(np.int64)
        flags = make_flags(folder)
        counts = np.zeros(stress.COUNTS, np.int64)
        counts[stress.EXPECTED] = GENERATION << layout.GENERATION_SHIFT
        arguments = words, words.view(np.uint8), np.zeros(PEEK_WORDS, np.int64), counts, np.zeros(4, np.int64)
        with running("ring", folder, flags, total, way) as producer:
            stress.consume(*arguments, 0)  # compiled before the race begins
            flags[GO] = 1
            while producer.poll() is None:
                stress.consume(*arguments, TURNS_AT_ONCE)
            assert producer.returncode == 0
            stress.consume(*arguments, TURNS_AT_ONCE)
    laps = int(words[layout.TAIL]) // stress.CAPACITY
    _report(way, counts, laps)
    assert counts[[stress.TORN, stress.ORDER, stress.MISCOUNTED]].tolist() == [0, 0, 0]
    assert counts[stress.MESSAGES] + counts[stress.TOLD] == words[layout.DELIVERED] == total
    assert counts[stress.TOLD] == words[layout.DROPPED]
    assert counts[stress.POSITION] == words[layout.TAIL]
    assert counts[stress.CHUNKED] > 0
    if way == "lossless":
        assert counts[stress.TOLD] == 0
        assert laps > LEAST_LAPS
    else:
        assert counts[stress.TOLD] > 0, "the consumer was never too slow: nothing was tested"


def _report(way: str, counts: Any, laps: int) -> None:
    names = ("messages", "told", "torn", "order", "miscounted", "clocks", "chunked")
    said = ", ".join(f"{name} {int(count):,}" for name, count in zip(names, counts[2:9], strict=True))
    print(f"{way}: {laps:,} laps, {said}")
