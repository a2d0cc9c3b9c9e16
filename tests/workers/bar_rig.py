"""A rig with bars whose clock is the test's, and the plain model beside it."""

from pathlib import Path
from typing import Any

import numpy as np

from shm import bar_rows, layout
from shm.layout import BarFlag
from tests import model
from tests.workers import rig
from workers.hotfile import plan

SECOND = 1_000_000_000
BEGIN_NS = 1_795_358_000 * SECOND  # Sunday 2026-11-22, 14:33:20 UTC
SLACK_NS = 1_000 * 1_000_000
TICKS = 84_000

Fields = tuple[int, ...]


def stamp(ns: int) -> str:
    """As the venue writes it, to 100 ns."""
    whole = np.datetime64(ns // SECOND, "s")
    return f"{whole}.{ns % SECOND // 100:07d}+00:00"


def cut(length_s: int) -> Any:
    """The period of a stamp, of bars so long."""
    return lambda ns: (ns - ns % (length_s * SECOND), ns - ns % (length_s * SECOND) + length_s * SECOND)


def week_of(monday: int) -> Any:
    """Five trading days, each from 23:00 of the evening before to 22:00, with a break at noon on Wednesday."""
    rows = []
    for day in range(monday, monday + 5):
        begin, end = (day * 86_400 - 3600) * SECOND, (day * 86_400 + 22 * 3600) * SECOND
        noon = (day * 86_400 + 12 * 3600) * SECOND
        parts = [(begin, noon), (noon + 3600 * SECOND, end)] if day == monday + 2 else [(begin, end)]
        rows += [(*part, day, 0) for part in parts]
    return np.array(rows, layout.SESSION)


class BarRig(rig.Rig):
    """Every record is stamped with `wall_ns`, and with a clock that began with it and never jumps."""

    def __init__(
        self,
        folder: Path,
        timeframes: str,
        *,
        grace_ms: int = 250,
        hot_rows: int = 1 << 15,
        generation: int = 1,
        begin_ns: int = BEGIN_NS,
        tick_e9: int = 250_000_000,
    ) -> None:
        super().__init__(batch=16, bars=folder, plan=plan(timeframes, grace_ms, hot_rows), generation=generation)
        self.wall_ns = begin_ns
        self.steady_ns = SECOND
        self.tick_e9 = tick_e9
        self.put(lambda: self.engine.configure(rig.config(tick_e9=tick_e9, max_venue_lag_ns=SLACK_NS)))

    def put(self, push: Any) -> None:
        """Push one record, with the test's stamps."""
        words = self.engine.words
        capacity = int(words[layout.CAPACITY])
        position = int(words[layout.TAIL_PRIVATE])
        push()
        word = layout.DATA_WORD + ((position & (capacity - 1)) >> 3)
        if int(words[word]) >> 32 & 0xFFFFFFFF == layout.Record.PAD:
            word = layout.DATA_WORD
        words[word + 2], words[word + 3] = self.steady_ns, self.wall_ns

    def later(self, ns: int) -> None:
        self.wall_ns += ns
        self.steady_ns += ns

    def snapshot(self) -> None:
        self.put(lambda: self.send(rig.snapshot(n=1)))

    def trades(self, trades: list[tuple[int, int, int, int]]) -> None:
        """One message: stamp, ticks, size, side of each."""
        rows = [
            {
                "symbolId": "F.US.MNQ",
                "price": ticks * self.tick_e9 / 10**9,
                "timestamp": stamp(ns),
                "type": side,
                "volume": size,
            }
            for ns, ticks, size, side in trades
        ]
        self.put(lambda: self.send(rig._message("GatewayTrade", rows, rig.CONTRACT)))

    def until(self, ns: int) -> None:
        """A clock frame of then."""
        self.later(ns - self.wall_ns)
        self.clock()

    def clock(self) -> None:
        self.put(self.engine.clock)

    def sessions(self, rows: Any) -> None:
        """Trading hours, in as many records as they need."""
        for first in range(0, len(rows), layout.MAX_SESSION_ROWS):
            piece = rows[first : first + layout.MAX_SESSION_ROWS]
            self.put(lambda piece=piece: self.engine.sessions(piece))

    def gap(self, reason: layout.Reason = layout.Reason.DISCONNECTED) -> None:
        self.put(lambda: self.engine.gap(reason))

    # ── what the file says ────────────────────────────────────────────────────────────────────────────────

    def slot(self, i: int) -> Any:
        assert self.hot is not None
        pair = self.hot.array("slots")[i]
        return pair[bar_rows.newest(pair)]

    def rows(self, i: int) -> Any:
        """The closed rows of timeframe `i` that its ring still holds, each with the right number and checksum."""
        assert self.hot is not None
        frame = self.hot.array("frames")[i]
        count, size, first = int(self.slot(i)["count"]), int(frame["rows"]), int(frame["first"])
        numbers = np.arange(max(count - size, int(frame["first_number"])), count)
        rows = self.hot.array("rows")[first + numbers % size]
        assert bar_rows.whole_bars(rows).all()
        assert rows["number"].tolist() == numbers.tolist()
        return rows

    def forming(self, i: int) -> Any:
        bars = self.slot(i)["bars"]
        return bars[bars["flags"] != 0]


def of_row(row: Any) -> Fields:
    """What the model has as well: the key, the marks, the numbers."""
    suspect, quiet = bool(row["flags"] & BarFlag.SUSPECT), bool(row["flags"] & BarFlag.NO_TRADE)
    numbers = ("open", "high", "low", "close", "volume", "buy_volume", "sell_volume", "trades", "notional")
    key = int(row["start_ns"]), int(row["end_ns"]), int(row["revision"]), suspect, quiet
    return (*key, *(int(row[name]) for name in numbers))


def of_bar(bar: model.Bar) -> Fields:
    return bar.start, bar.end, bar.revision, "suspect" in bar.marks, "no trade" in bar.marks, *bar.numbers()
