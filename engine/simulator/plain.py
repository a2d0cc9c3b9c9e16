"""A flow for clients that know less than the fact sheet: the same market, told so that nobody can take it wrongly.

Widely used clients take one trade out of a trade list and lose the others, and take no level away that a new best
price purges (fact sheet, sections 8.4 and 10.6). So a trade list becomes as many records of one trade, and what an
entry would purge is deleted by name before it. Whoever knows all the rules gets the same books and the same tape.

They also keep only the last of the depth lists, and of trades within a millisecond, that reach them in one turn; so
records of a contract leave one at a time and apart (`gap_s`).
"""

import dataclasses

import numpy as np

from .book import apply
from .flow import ENTRY, RECORD, Dom, Flow, Kind, entries_before

MAX_RATE = 500.0  # depth entries a second and contract: such clients are wrong above it, whatever they are sent

Entry = tuple[int, int, int]

_BIDS = (Dom.BEST_BID, Dom.NEW_BEST_BID)
_ASKS = (Dom.BEST_ASK, Dom.NEW_BEST_ASK)


def plain(flow: Flow) -> Flow:
    """A generated flow, told plainly. Its rate is still one of depth entries, of which there are more now."""
    bids, asks = dict(flow.opening_bids.tolist()), dict(flow.opening_asks.tolist())
    records: list[Entry] = []
    entries: list[Entry] = []
    for kind, first, count in flow.records.tolist():
        said = flow.entries[first : first + count].tolist()
        if kind == Kind.DEPTH:
            said = _named(said, bids, asks)
        for part in [[trade] for trade in said] if kind == Kind.TRADES else [said]:
            records.append((kind, len(entries), len(part)))
            entries += part
    rows = np.array(records, RECORD)
    due, span = entries_before(rows)
    return dataclasses.replace(flow, records=rows, entries=np.array(entries, ENTRY), due=due, span=span)


def gap_s(flow: Flow, rate_entries_per_s: float) -> float:
    """The least time between two records: half of the mean, so that the schedule is always caught up with."""
    return flow.span / rate_entries_per_s / len(flow) / 2


def _named(said: list[Entry], bids: dict[int, int], asks: dict[int, int]) -> list[Entry]:
    """Depth entries with every purge spelled out; the book goes along."""
    told: list[Entry] = []
    for dom, ticks, size in said:
        if dom in _BIDS:
            gone = [(Dom.BID, price) for price in bids if price > ticks]
            gone += [(Dom.ASK, price) for price in asks if price <= ticks and dom == Dom.NEW_BEST_BID]
        elif dom in _ASKS:
            gone = [(Dom.ASK, price) for price in asks if price < ticks]
            gone += [(Dom.BID, price) for price in bids if price >= ticks and dom == Dom.NEW_BEST_ASK]
        else:
            gone = []
        told += [(int(side), price, 0) for side, price in sorted(gone)]
        told.append((dom, ticks, size))
        apply(bids, asks, [(dom, ticks, size)])
    return told
