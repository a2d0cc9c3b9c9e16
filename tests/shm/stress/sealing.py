"""A worker and a keeper in one: bars are appended without a pause, sealed, compacted and overwritten below readers."""

import os
import random
from pathlib import Path

from engine.keeper.store import Store
from tests import made_bars
from tests.made_bars import BEGIN_NS, DAY_NS, plain
from tests.made_hot import MadeHot
from tests.shm.stress.processes import STARTED, STOP, orphaned, start_flagged

ROWS = 256
MINUTE_NS = 60 * 10**9
_AT_ONCE = 40


def main(folder: str, seed: str) -> None:
    flags, parent, chance = start_flagged(Path(folder)), os.getppid(), random.Random(int(seed))
    hot = MadeHot(Path(folder) / "bars" / "MNQ", "1min", ROWS)
    store = Store(hot.path.parent / "1min", made_bars.subject("1min"))
    sealed_to = end = 0
    flags[STARTED] = 1
    while not flags[STOP] and not orphaned(parent):
        count = chance.randrange(1, _AT_ONCE)
        if end + count - hot.sealed_to > ROWS:
            rows = hot.segment.array("rows")[[number % ROWS for number in range(sealed_to, end - ROWS // 4)]]
            sealed_to = store.seal(rows, 1)
            if chance.random() < 0.2:
                store.compact(BEGIN_NS + 400 * DAY_NS)
            hot.sealed_to = sealed_to
        hot.append(plain(count, end, BEGIN_NS + end * MINUTE_NS, MINUTE_NS))
        end += count
