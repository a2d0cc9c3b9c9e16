"""engine/history/frame.py: the columns that all bars have, and null where the venue told nothing."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from engine.history.frame import frame
from shm.layout import BAR

SCHEMA = {
    **{"start": pl.Datetime("ns", "UTC"), "end": pl.Datetime("ns", "UTC")},
    **dict.fromkeys(("open", "high", "low", "close"), pl.Float64()),
    **dict.fromkeys(("volume", "buy_volume", "sell_volume", "trades"), pl.Int64()),
    **{"vwap": pl.Float64(), "flags": pl.UInt32(), "revision": pl.UInt32(), "trading_day": pl.Date()},
    **{"number": pl.Int64(), "sequence": pl.Int64()},
}


def row(**fields: int) -> np.ndarray:
    made = np.zeros(1, BAR)
    for name, value in fields.items():
        made[name] = value
    return made


def test_what_the_venue_does_not_tell_is_null() -> None:
    start_ns = 1_795_357_920 * 10**9
    made = frame(
        row(start_ns=start_ns, end_ns=start_ns + 1, open=3, high=4, low=-5, close=2, volume=9, flags=6), 50_000
    )
    assert dict(made.schema) == SCHEMA
    (values,) = made.rows(named=True)
    assert values["start"] == datetime.fromtimestamp(start_ns // 10**9, UTC)
    assert [values[name] for name in ("open", "high", "low", "close")] == [0.00015, 0.0002, -0.00025, 0.0001]
    assert (values["volume"], values["flags"], values["revision"]) == (9, 6, 0)
    told_by_nobody = ("buy_volume", "sell_volume", "trades", "vwap", "trading_day", "number", "sequence")
    assert {values[name] for name in told_by_nobody} == {None}


def test_what_we_know_is_there() -> None:
    known = row(volume=4, buy_volume=1, trades=2, notional=10, trading_day=20_000, number=3, sequence=8)
    (values,) = frame(known, 250_000_000).rows(named=True)
    assert (values["buy_volume"], values["sell_volume"], values["trades"], values["vwap"]) == (1, 0, 2, 0.625)
    assert (values["trading_day"], values["number"], values["sequence"]) == (date(2024, 10, 4), 3, 8)


def test_a_bar_without_a_trade_has_none_and_no_vwap() -> None:
    (values,) = frame(row(), 1).rows(named=True)
    assert (values["trades"], values["buy_volume"], values["vwap"]) == (0, 0, None)


def test_ticks_can_be_had_again_from_prices() -> None:
    ticks = np.arange(-50_000, 50_000, 7)
    rows = np.zeros(len(ticks), BAR)
    rows["close"] = ticks
    for increment in (1, 50_000, 250_000_000, 15_625_000):
        prices = frame(rows, increment)["close"].to_numpy()
        assert np.rint(prices * 1e9 / increment).astype(np.int64).tolist() == ticks.tolist()
        assert prices.tolist() == [tick * increment / 10**9 for tick in ticks.tolist()]


def test_no_bars() -> None:
    made = frame(np.zeros(0, BAR), 1)
    assert (dict(made.schema), len(made)) == (SCHEMA, 0)
