"""Bars folded into longer ones are the bars that the trades themselves would have made."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

import shm.indicators  # noqa: F401  registers .shard
from shm.layout import SESSION, BarFlag
from shm.resample import resample
from tests.shm import plain_indicators as plain

COLUMNS = {
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Int64,
    "buy_volume": pl.Int64,
    "sell_volume": pl.Int64,
    "trades": pl.Int64,
    "vwap": pl.Float64,
}
UNKNOWN: dict[str, Any] = dict.fromkeys(("buy_volume", "sell_volume", "trades", "vwap"))
NO_PRICE: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close", "vwap"))
START = pl.Datetime("ns", "UTC")
MONDAY = 1_704_067_200  # 2024-01-01 00:00 UTC
SECONDS = {"5sec": 5, "1min": 60, "15m": 900, "1hr": 3600, "4h": 14_400}


def _frame(bars: Sequence[plain.Bar]) -> pl.LazyFrame:
    frame = pl.LazyFrame(bars, schema={"start": pl.Int64, **COLUMNS}, orient="row")
    return frame.with_columns(pl.from_epoch("start", time_unit="s").dt.replace_time_zone("UTC").cast(START))


def _prints(chance: random.Random, count: int) -> list[plain.Print]:
    """Trades of a random walk; some seconds hold many, and some minutes none."""
    at_s, ticks, prints = MONDAY + chance.randrange(10**6), 80_000, []
    for _ in range(count):
        at_s += chance.choice([0, 0, 0, 1, 1, 2, 7, chance.choice([30, 400])])
        ticks += chance.randint(-3, 3)
        prints.append(plain.Print(at_s, ticks / 4, chance.randint(1, 9), chance.random() < 0.5))
    return prints


@pytest.mark.parametrize("flat", [False, True])
def test_seconds_fold_into_the_bars_of_the_trades(seed: int, flat: bool) -> None:
    chance = random.Random(seed)
    for _ in range(10):
        prints = _prints(chance, chance.randint(1, 400))
        seconds = _frame(plain.bars(prints, 1, flat))
        for name, length_s in SECONDS.items():
            made = resample(seconds, name).collect()
            expected = _frame(plain.bars(prints, length_s, flat)).collect()
            exact = [column for column in expected.columns if column != "vwap"]
            assert made.select(exact).equals(expected.select(exact)), name
            assert made["vwap"].to_list() == pytest.approx(expected["vwap"].to_list(), rel=1e-13)
        shuffled = seconds.collect().sample(fraction=1.0, shuffle=True, seed=seed % 1000).lazy()
        assert resample(shuffled, "1min").collect().equals(resample(seconds, "1min").collect())
        twice = resample(resample(seconds, "1min"), "1hr").collect()
        assert twice.drop("vwap").equals(resample(seconds, "1hr").collect().drop("vwap"))


def test_a_bar_holds_its_start_and_not_its_end() -> None:
    bars = [plain.Bar(MONDAY + at_s, 1.0, 1.0, 1.0, 1.0, 1, 1, 0, 1, 1.0) for at_s in (0, 59, 60, 119, 120)]
    made = resample(_frame(bars).with_columns(end=pl.col("start")), "1min").collect()
    starts = [datetime(2024, 1, 1, 0, minute, tzinfo=UTC) for minute in range(4)]
    assert made["volume"].to_list() == [2, 2, 1]
    assert made["start"].to_list() == starts[:3]
    assert made["end"].to_list() == starts[1:]
    assert made.schema["start"] == made.schema["end"] == START


def test_days_weeks_and_months_are_those_of_the_trading_day() -> None:
    """The Sunday evening belongs to Monday, a week begins on Monday, and the 31st is another month."""
    evening = MONDAY - 2 * 3600
    rows = [(evening, date(2024, 1, 1)), (MONDAY, date(2024, 1, 1)), (MONDAY + 86_400, date(2024, 1, 2))]
    rows = [(MONDAY - 4 * 86_400, date(2023, 12, 29)), *rows, (MONDAY + 30 * 86_400, date(2024, 1, 31))]
    bars = [plain.Bar(at_s, 1.0, 2.0, 0.5, 1.5, 10, 4, 6, 2, 1.25) for at_s, _ in rows]
    frame = _frame(bars).with_columns(
        trading_day=pl.Series([day for _, day in rows]), end=pl.col("start") + pl.duration(hours=1)
    )
    days = resample(frame, "1day").collect()
    assert days["volume"].to_list() == [10, 20, 10, 10]
    assert days["start"].to_list()[1] == datetime(2023, 12, 31, 22, tzinfo=UTC)
    assert days["end"].to_list()[1] == datetime(2024, 1, 1, 1, tzinfo=UTC)
    assert days["trading_day"].to_list()[1] == date(2024, 1, 1)
    assert days.columns == frame.collect_schema().names()
    assert resample(frame, "1week").collect()["volume"].to_list() == [10, 30, 10]
    assert resample(frame, "1month").collect()["volume"].to_list() == [10, 40]
    assert resample(frame.head(0), "1day").collect().height == 0


def test_with_sessions_days_and_longer_have_the_bounds_of_their_sessions() -> None:
    """The bars begin on a Tuesday, in the middle of its session: the week is Monday's all the same."""
    day_s, opens = 86_400, [MONDAY + day * 86_400 - 3600 for day in range(-7, 50)]
    table = [(at * 10**9, (at + 80_000) * 10**9, (at + 3600) // day_s, 0) for at in opens if (at // day_s + 4) % 7 < 6]
    sessions = np.array([row for row in table if (row[2] + 3) % 7 < 5], SESSION)
    at = [MONDAY + day * day_s + hour * 3600 for day in (1, 2, 8, 36) for hour in (5, 9)]
    frame = _frame([plain.Bar(at_s, 1.0, 2.0, 0.5, 1.5, 10, 4, 6, 2, 1.25) for at_s in at]).with_columns(
        end=pl.col("start") + pl.duration(hours=1), trading_day=pl.col("start").dt.date()
    )
    days, weeks, months = (frame.shard.resample(name, sessions).collect() for name in ("1d", "1w", "1mo"))  # type: ignore[attr-defined]
    assert days["start"][0] == datetime(2024, 1, 1, 23, tzinfo=UTC)
    assert days["end"][0] == datetime(2024, 1, 2, 21, 13, 20, tzinfo=UTC)
    assert weeks["trading_day"].to_list() == [date(2024, 1, 1), date(2024, 1, 8), date(2024, 2, 5)]
    assert weeks["start"][0] == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert weeks["end"][0] == datetime(2024, 1, 5, 21, 13, 20, tzinfo=UTC)
    assert months["trading_day"].to_list() == [date(2024, 1, 1), date(2024, 2, 6)]  # the rows end within February
    assert months["start"][0] == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert months["volume"].to_list() == [60, 20]
    for made, name in ((days, "1d"), (weeks, "1w"), (months, "1mo")):
        assert made.schema == resample(frame, name).collect_schema()
    assert resample(frame, "1hr", sessions).collect().equals(resample(frame, "1hr").collect())
    bare = frame.drop("end")
    assert resample(bare, "1w", sessions).collect().equals(weeks.drop("end"))


def test_flags_of_one_and_flags_of_all() -> None:
    whole, empty = int(BarFlag.COMPLETE), int(BarFlag.COMPLETE | BarFlag.NO_TRADE)
    flags = [whole, empty, whole | int(BarFlag.SUSPECT), empty, empty, whole, int(BarFlag.FORMING)]
    minutes = [0, 0, 0, 1, 1, 2, 2]
    bars = [plain.Bar(MONDAY + 60 * m + n, 1.0, 1.0, 1.0, 1.0, 0, 0, 0, 0, 1.0) for n, m in enumerate(minutes)]
    frame = _frame(bars).with_columns(flags=pl.Series(flags, dtype=pl.UInt32))
    made = resample(frame, "1min").collect()
    assert made["flags"].to_list() == [whole | int(BarFlag.SUSPECT), empty, int(BarFlag.FORMING)]
    assert made.schema["flags"] == pl.UInt32


def test_a_bar_without_trades_has_no_say() -> None:
    bars = [plain.Bar(MONDAY, 9.0, 9.0, 9.0, 9.0, 0, 0, 0, 0, float("nan"))]
    bars += [plain.Bar(MONDAY + 1, 2.0, 4.0, 1.0, 3.0, 10, 4, 6, 2, 2.5), bars[0]._replace(start_s=MONDAY + 2)]
    bars += [plain.Bar(MONDAY + 60, 3.0, 3.0, 3.0, 3.0, 0, 0, 0, 0, 3.0)]
    made = resample(_frame(bars), "1min").drop("start").collect()
    assert made.rows() == [(2.0, 4.0, 1.0, 3.0, 10, 4, 6, 2, 2.5), (3.0, 3.0, 3.0, 3.0, 0, 0, 0, 0, 3.0)]


def test_what_is_not_known_stays_so() -> None:
    """A minute of the venue's bars alone; one that is known in part; one that is marked to be empty."""
    known = plain.Bar(MONDAY, 2.0, 4.0, 1.0, 3.0, 10, 4, 6, 2, 2.5)
    told = known._replace(volume=30, **UNKNOWN)
    empty = known._replace(volume=0, buy_volume=0, sell_volume=0, trades=0, **NO_PRICE)
    minutes = [[told, empty, told], [known, told, known], [empty, empty], [empty, known]]
    bars = [
        bar._replace(start_s=MONDAY + 60 * m + n) for m, minute in enumerate(minutes) for n, bar in enumerate(minute)
    ]
    made = resample(_frame(bars), "1min").drop("start").collect()
    assert made.rows() == [
        (2.0, 4.0, 1.0, 3.0, 60, None, None, None, None),
        (2.0, 4.0, 1.0, 3.0, 50, 8, 12, 4, 2.5),
        (None, None, None, None, 0, 0, 0, 0, None),
        (2.0, 4.0, 1.0, 3.0, 10, 4, 6, 2, 2.5),
    ]


def test_a_marked_bar_beside_a_flat_one_has_no_say() -> None:
    flat = plain.Bar(MONDAY, 9.0, 9.0, 9.0, 9.0, 0, 0, 0, 0, 9.0)
    empty = flat._replace(**NO_PRICE)
    bars = [bar._replace(start_s=MONDAY + n) for n, bar in enumerate([empty, flat, empty])]
    assert resample(_frame(bars), "1min").select("open", "high", "low", "close").collect().row(0) == (9.0,) * 4


def test_days_of_bars_without_trading_days_are_refused() -> None:
    bars = [plain.Bar(MONDAY + n, 1.0, 2.0, 0.5, 1.5, 10, 4, 6, 2, 1.25) for n in range(3)]
    frame = _frame(bars).with_columns(trading_day=pl.Series([date(2024, 1, 1), None, None]))
    with pytest.raises(ValueError, match=r"^2 of 3 bars have no trading_day: .*is_not_null"):
        resample(frame, "1week").collect()
    assert resample(frame.filter(pl.col("trading_day").is_not_null()), "1day").collect()["volume"].to_list() == [10]


def test_only_the_columns_that_came_go_out() -> None:
    frame = _frame([plain.Bar(MONDAY, 1.0, 2.0, 0.5, 1.5, 10, 4, 6, 2, 1.25)])
    few = frame.select("start", "open", "high", "low", "close", "volume", extra=pl.lit("x"))
    assert resample(few, "1min").collect().columns == ["start", "open", "high", "low", "close", "volume"]


def test_what_cannot_be_folded_is_refused() -> None:
    frame = _frame([])
    with pytest.raises(ValueError, match="no timeframe"):
        resample(frame, "1fortnight")
    with pytest.raises(ValueError, match="100tick"):
        resample(frame, "100tick")
    with pytest.raises(ValueError, match="has no trading_day"):
        resample(frame, "1day")
    with pytest.raises(ValueError, match="has no close, volume"):
        resample(frame.drop("close", "volume"), "1min")
