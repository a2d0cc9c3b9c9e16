"""The best bid and ask along a flow are those of the books that its checkpoints give."""

from itertools import pairwise

import numpy as np

from engine.simulator.book import book_after
from engine.simulator.contracts import CONTRACTS
from engine.simulator.generated import generate
from engine.simulator.matching import Top
from engine.simulator.rules import checkpoints
from engine.simulator.tops import Tops, warm

FLOW = generate(CONTRACTS["MNQ"], 8, depth_records=300)
MARKS = checkpoints(FLOW)


def true_top(record: int) -> Top:
    bids, asks = book_after(FLOW.records, FLOW.entries, MARKS, record)
    return Top(*bids[0].tolist(), *asks[0].tolist())


def test_every_top_is_the_true_one_also_in_the_second_loop() -> None:
    tops, n = Tops(FLOW), len(FLOW)
    for position in range(2 * n):
        assert tops.at(position) == true_top((position - 1) % n if position else -1)


def test_changes_are_the_tops_that_differ() -> None:
    tops, n = Tops(FLOW), len(FLOW)
    for begin, end in ((0, 40), (17, 17), (n - 20, n + 20), (0, 1)):
        seen = [tops.at(position) for position in range(begin, end + 1)]
        wanted = [top for before, top in pairwise(seen) if top != before]
        assert tops.changes(begin, end) == wanted
    assert tops.changes(3, 3 + 5 * n) == tops.changes(3 + 4 * n, 3 + 5 * n), "a loop says it all"


def test_the_flow_is_only_read() -> None:
    before = FLOW.records.copy(), FLOW.entries.copy(), FLOW.opening_bids.copy()
    warm()
    Tops(FLOW).changes(0, 100)
    for now, then in zip((FLOW.records, FLOW.entries, FLOW.opening_bids), before, strict=True):
        assert np.array_equal(now, then)
