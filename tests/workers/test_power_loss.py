"""The power goes while bars are written, and any subset of the hot file's pages since the last sync is missing: 500
cases, bytes in memory. The file opens every time, holds nothing that was not so, and lacks nothing that was synced."""

import mmap
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from shm import layout
from shm.bars import HotBars
from shm.layout import BarFlag
from tests.workers.bar_rig import SECOND, TICKS, BarRig, week_of

CASES = 500
STEPS = 400
ROWS = 256
SYNCED_STEPS = 60  # at most so many after the last sync the power goes
MONDAY = 20780  # BEGIN_NS is the Sunday before
FIVE = "1s 5s=flat 1m 4tick 1d"
SEVEN = f"{FIVE} 15s=marked 9vol"  # the slots of the sixth lie on two pages
BY_CLOCK = range(3)

Trades = list[tuple[int, int, int, int]]


class Moment(NamedTuple):
    """After one ring record."""

    data: bytes  # the file
    sequence: int
    trades: Trades  # of that record
    throughs: list[int]  # of each timeframe, the record that it goes through


class Life:
    """A worker that nothing befell, and the file as it was after each record."""

    def __init__(self, folder: Path, timeframes: str, rng: random.Random) -> None:
        self.timeframes = timeframes
        self.moments: list[Moment] = []
        n = len(timeframes.split())
        # Of each timeframe, by the record that it goes through, the end of its closed rows and its forming bars.
        self.commits: list[dict[int, tuple[int, bytes]]] = [{} for _ in range(n)]
        self.rows: list[dict[int, bytes]] = [{} for _ in range(n)]  # by number
        self._rig = BarRig(folder, timeframes, hot_rows=ROWS)
        self._seen = HotBars(folder / "hot", "MNQ")
        for week in range(-1, 2):
            self._take(partial(self._rig.sessions, week_of(MONDAY + 7 * week)))
        self._take(self._rig.snapshot)
        for _ in range(STEPS):
            self._step(rng)
        assert self._rig.hot is not None
        self._rig.hot.close()

    def _step(self, rng: random.Random) -> None:
        rig = self._rig
        rig.later(rng.choice((100, 700, 1500)) * SECOND // 1000)
        what = rng.random()
        if what < 0.02:
            self._take(rig.gap)
            self._take(rig.snapshot)
        elif what < 0.04:
            self._take(lambda: rig.sessions(week_of(MONDAY + rng.choice((0, 7)))))
        elif what < 0.6:
            trades = trades_of(rng, rig.wall_ns - rng.choice((0, 0, 2, 6)) * SECOND)
            self._take(lambda: rig.trades(trades), trades)
        else:
            self._take(rig.clock)

    def _take(self, push: Callable[[], None], trades: Trades | None = None) -> None:
        push()
        self._rig.drain()
        hot = self._rig.hot
        assert hot is not None
        slots = [self._seen.slot(i) for i in range(len(self.rows))]
        for i, slot in enumerate(slots):
            self.commits[i][slot.through] = slot.end, slot.bars.tobytes()
            self.rows[i] |= {int(row["number"]): row.tobytes() for row in self._seen.rows(i, 0, slot.end)}
            # The keeper's part; so that where a row is missing an older one lies as often as none.
            hot.array("control")[layout.sealed_line(i)] = max(0, slot.end - ROWS // 2)
        data, sequence = hot._segment.memory.tobytes(), int(self._rig.memory.state["sequence"][0])
        self.moments.append(Moment(data, sequence, trades or [], [slot.through for slot in slots]))


def trades_of(rng: random.Random, ns: int) -> Trades:
    return [(ns, TICKS + rng.randrange(9), rng.randrange(1, 9), 0) for _ in range(rng.randrange(1, 4))]


def left_by(moments: list[Moment], rng: random.Random, torn: bool) -> bytes:
    """The file as the disk has it: each page as it was at the sync, the first of `moments`, or when it was written back
    since. One perhaps half as at one moment and half as at the next: it was written back while a record was applied."""
    page = mmap.PAGESIZE
    written_back = moments if rng.random() < 0.5 else moments[:: len(moments) - 1]
    data = bytearray().join(
        rng.choice(written_back).data[at : at + page] for at in range(0, len(moments[0].data), page)
    )
    if torn:
        i, at = rng.randrange(len(moments) - 1), rng.randrange(0, len(data), page)
        cut = at + rng.randrange(0, page, 8)
        first, second = rng.sample(moments[i : i + 2], 2)
        data[at : at + page] = first.data[at:cut] + second.data[cut : at + page]
    return bytes(data)


@pytest.mark.parametrize(("timeframes", "torn", "behind"), [(FIVE, True, 0), (SEVEN, False, 1)])
def test_a_power_loss_costs_at_most_what_was_not_synced(
    tmp_path: Path, seed: int, timeframes: str, torn: bool, behind: int
) -> None:
    """Of a slot that lies on two pages the newest commit before the sync may be missing too: `behind`."""
    rng = random.Random(seed)
    life = Life(tmp_path / "life", timeframes, rng)
    for case in range(CASES // 2):
        last = rng.randrange(1, len(life.moments))
        synced = rng.randint(max(0, last - SYNCED_STEPS), last - 1)
        folder = tmp_path / str(case)
        folder.mkdir()
        (folder / "hot").touch(0o600)
        (folder / "hot").write_bytes(left_by(life.moments[synced : last + 1], rng, torn))
        hot = HotBars(folder / "hot", "MNQ")
        throughs = [_check_opened(life, hot, i, synced, last, behind) for i in range(len(life.rows))]
        hot.segment.close()
        _go_on(life, folder, throughs, rng)
        assert list(folder.glob("hot.aside-*")) == []
        (folder / "hot").unlink()


def _check_opened(life: Life, hot: HotBars, i: int, synced: int, last: int, behind: int) -> int:
    """What a reader finds of a timeframe was so, at the sync or later; and nothing that was closed then is missing.
    Returns the record that the timeframe goes through."""
    commits, slot = life.commits[i], hot.slot(i)
    assert (slot.end, slot.bars.tobytes()) == commits[slot.through]
    order = list(commits)
    at_sync = order.index(life.moments[synced].throughs[i])
    assert order.index(slot.through) >= at_sync - behind
    rows = hot.rows(i, 0, slot.end)
    assert all(row.tobytes() == life.rows[i][int(row["number"])] for row in rows)
    least, _ = commits[order[max(at_sync - behind, 0)]]
    most, _ = commits[life.moments[last].throughs[i]]
    assert set(range(max(0, most - ROWS), least)) <= set(rows["number"].tolist())
    return slot.through


def _go_on(life: Life, folder: Path, throughs: list[int], rng: random.Random) -> None:
    """The machine is up again, and trades come late for bars of before: a bar that is shown anew has all that was heard
    for it through the record to which the file goes, or says that it is suspect."""
    rig = BarRig(folder, life.timeframes, hot_rows=ROWS, generation=2)
    heard = [[trade for m in life.moments if m.sequence <= throughs[i] for trade in m.trades] for i in BY_CLOCK]
    newest_ns = max((ns for trades in heard for ns, *_ in trades), default=rig.wall_ns)
    rig.later(newest_ns + 20 * SECOND - rig.wall_ns)
    rig.gap()
    rig.snapshot()
    for _ in range(8):
        rig.later(rng.choice((1, 2)) * SECOND)
        trades = trades_of(rng, rig.wall_ns - rng.choice((0, 20, 25)) * SECOND)
        rig.trades(trades)
        rig.clock()
        for each in heard:
            each += trades
    rig.drain()
    assert rig.hot is not None
    rig.hot.close()
    hot = HotBars(folder / "hot", "MNQ")
    for i in BY_CLOCK:
        slot = hot.slot(i)
        shown = {int(row["start_ns"]): row for row in (*hot.rows(i, 0, slot.end), *slot.bars)}
        for start, row in shown.items():
            is_new = row["sequence"] >> layout.GENERATION_SHIFT == 2
            if is_new and not row["flags"] & (BarFlag.SUSPECT | BarFlag.NO_TRADE):
                assert row["volume"] == sum(size for ns, _, size, _ in heard[i] if start <= ns < row["end_ns"])
    hot.segment.close()
