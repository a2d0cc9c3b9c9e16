"""One frame of sealed, fetched and hot rows: exact, in order, each bar once, and read lazily."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.keeper.store import Store
from shm.bars_frame import DamagedBars, Hot, frame, rows_of, scan, schema
from shm.errors import LayoutError, UnknownTimeframe
from shm.layout import BarFlag
from shm.sealed import BATCH_ROWS, LIVE, Name
from shm.timeframe import parse
from shm.values import Scale
from tests import made_bars
from tests.made_bars import BEGIN_NS, DAY_NS, QUARTERS, SECOND_NS, highest, plain, revised, seen

EIGHTHS_OF_A_CENT = Scale(price_scale=5, price_increment=125, size_scale=3, size_increment=1)
TENTHS = Scale(price_scale=1, price_increment=1, size_scale=0, size_increment=1)
COINS = Scale(price_scale=2, price_increment=1, size_scale=8, size_increment=1000)
THIRTY_SECONDS = Scale(price_scale=9, price_increment=7_812_500, size_scale=0, size_increment=1)
MINUTE_NS = 60 * SECOND_NS


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "bars" / "MNQ" / "1min", made_bars.subject())


@pytest.mark.parametrize("scale", [QUARTERS, EIGHTHS_OF_A_CENT, Scale(9, 7, 8, 3), Scale(0, 5, 0, 10)])
def test_the_integers_are_had_again_from_the_floats(scale: Scale, seed: int) -> None:
    chance = np.random.default_rng(seed)
    rows = plain(2000)
    prices, sizes = (1 << 50) // scale.price_increment, (1 << 50) // scale.size_increment
    for name in ("open", "high", "low", "close"):
        rows[name] = chance.integers(-prices, prices, len(rows))
    for name in ("volume", "buy_volume", "sell_volume"):
        rows[name] = chance.integers(0, sizes, len(rows))
    bars = frame(rows, scale)
    assert bars.schema == schema(scale.whole_sizes)
    for name in ("open", "high", "low", "close"):
        ticks = np.rint(bars[name].to_numpy() * 10**scale.price_scale / scale.price_increment)
        assert (ticks.astype(np.int64) == rows[name]).all()
    for name in ("volume", "buy_volume", "sell_volume"):
        units = np.rint(bars[name].to_numpy() * 10**scale.size_scale / scale.size_increment)
        assert (units.astype(np.int64) == rows[name]).all()


def test_the_notional_is_had_again_from_vwap_and_volume(seed: int) -> None:
    chance = np.random.default_rng(seed)
    rows = plain(2000)
    rows["volume"] = chance.integers(1, 1 << 22, len(rows))
    rows["notional"] = rows["volume"] * chance.integers(1, 1 << 27, len(rows)) + chance.integers(0, 1 << 20, len(rows))
    bars = frame(rows, QUARTERS)
    again = np.rint(bars["vwap"].to_numpy() * 4 * rows["volume"]).astype(np.int64)
    assert (again == rows["notional"]).all()


@pytest.mark.parametrize("scale", [QUARTERS, TENTHS, COINS, THIRTY_SECONDS])
def test_rows_of_a_frame_are_those_that_it_was_made_of(scale: Scale) -> None:
    rows = plain(5000)
    rows["low"][:100] = -rows["high"][:100]
    rows["volume"][5], rows["notional"][5], rows["trading_day"][7] = 0, 0, 0
    every = np.concatenate([rows, made_bars.repaired(50, 5000), made_bars.marked(50, 5050)])
    assert rows_of(frame(every, scale), scale).tobytes() == every.tobytes()


def test_what_the_venue_does_not_tell_of_a_bar_is_null() -> None:
    known, told, empty = frame(np.concatenate([plain(1), made_bars.repaired(1), made_bars.marked(1)]), QUARTERS).rows(
        named=True
    )
    ours = ("buy_volume", "sell_volume", "trades", "vwap")
    prices = ("open", "high", "low", "close")
    assert None not in known.values()
    assert {name for name, value in told.items() if value is None} == set(ours)
    assert {name for name, value in empty.items() if value is None} == {*prices, "vwap"}
    assert [empty[name] for name in ours] == [0, 0, 0, None]


def test_a_flat_bar_and_one_of_the_venues_at_zero_have_their_prices() -> None:
    flat, told = made_bars.marked(1), made_bars.repaired(1)
    for name in ("open", "high", "low", "close"):
        flat[name], told[name] = 5, 0
    assert frame(np.concatenate([flat, told]), QUARTERS)["close"].to_list() == [1.25, 0.0]


def test_a_day_that_nobody_told_is_null() -> None:
    rows = plain(2)
    rows["trading_day"][0] = 0
    assert frame(rows, QUARTERS)["trading_day"].is_null().to_list() == [True, False]


def test_columns_say_what_the_row_says() -> None:
    rows = plain(2)
    rows["open"], rows["volume"], rows["notional"], rows["trading_day"] = 80_001, [4, 0], [320_006, 0], 20_515
    bars = frame(rows, QUARTERS)
    assert bars["open"][0] == 20_000.25
    assert bars["vwap"].to_list() == [20_000.375, None]
    assert bars["start"][0] == datetime(2026, 3, 2, tzinfo=UTC)
    assert bars["trading_day"][0] == datetime(2026, 3, 3, tzinfo=UTC).date()
    assert frame(rows, EIGHTHS_OF_A_CENT)["volume"].to_list() == [0.004, 0.0]


def test_nothing_stored_is_an_empty_frame_of_the_same_columns(tmp_path: Path) -> None:
    assert scan(tmp_path, "1m").collect().schema == schema()
    with pytest.raises(ValueError, match="no timeframe"):
        scan(tmp_path, "1 fortnight")


def test_a_folder_is_named_as_text_too_and_must_be_there(store: Store) -> None:
    store.seal(plain(10), 1)
    assert len(scan(str(store.folder), "1min").collect()) == 10
    for missing in (store.folder / "none", next(store.folder.iterdir())):
        with pytest.raises(UnknownTimeframe, match=r"is no folder: .*DATA/bars/MNQ/1min"):
            scan(missing, "1min")


def test_sound_files_of_another_timeframe_are_not_called_damaged(store: Store) -> None:
    store.seal(plain(10), 1)
    with pytest.warns(DamagedBars) as caught:
        assert scan(store.folder, "5min").collect().is_empty()
    assert "damaged" not in str(caught[0].message)
    assert "holds bars of 1min, and 5min was expected" in str(caught[0].message)


def test_a_file_that_is_missing_between_others_is_warned_of(store: Store) -> None:
    for first in (0, 10, 20):
        store.seal(plain(10, first, BEGIN_NS + first * MINUTE_NS), 1)
    (store.folder / Name(LIVE, 10, 20).text).unlink()
    with pytest.warns(DamagedBars, match=r"no file has the rows 10 to 19 .*1 such hole.*scripts/inspect"):
        assert len(scan(store.folder, "1min").collect()) == 20


def test_bars_without_overlap_are_one_plain_scan_with_pushdown(store: Store) -> None:
    for first in range(0, 3000, 1000):
        store.seal(plain(1000, first, BEGIN_NS + first * MINUTE_NS), 1)
    bars = scan(store.folder, "1min")
    planned = bars.filter(pl.col("volume") > 500).select("start", "close").explain()
    assert planned.count("Ipc SCAN") == 1
    assert "PROJECT 3/16 COLUMNS" in planned
    assert "SELECTION" in planned
    assert "UNION" not in planned
    assert "SORT" not in planned
    sealed = [plain(1000, first, BEGIN_NS + first * MINUTE_NS) for first in range(0, 3000, 1000)]
    assert bars.collect().equals(frame(np.concatenate(sealed), QUARTERS))


def test_a_late_revision_makes_one_batch_be_looked_through(store: Store) -> None:
    count = 4 * BATCH_ROWS
    store.seal(plain(count), 1)
    hot = plain(10, count, BEGIN_NS + count * MINUTE_NS)
    late = BEGIN_NS + (BATCH_ROWS + 5) * MINUTE_NS
    hot["start_ns"][3], hot["revision"][3], hot["close"][3] = late, 1, 4
    bars = scan(store.folder, "1min", hot=Hot(hot, QUARTERS))
    planned = bars.select("close").explain()
    assert planned.count("UNIQUE") == 1
    assert f"SLICE: Positive {{ offset: {BATCH_ROWS}, len: {BATCH_ROWS} }}" in planned
    assert planned.count("Ipc SCAN") == 3  # before, the batch itself, after
    assert "CACHE" not in planned
    assert seen(bars) == highest([*plain(count), *hot], parse("1min"))
    assert bars.filter(pl.col("revision") == 1).select("start", "close").collect().rows() == [
        (datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=BATCH_ROWS + 5), 1.0)
    ]


def test_rows_that_are_sealed_and_hot_count_once(store: Store) -> None:
    rows = plain(500)
    store.seal(rows[:300], 1)
    for hot in (rows, rows[200:], rows[300:]):
        assert seen(scan(store.folder, "1min", hot=Hot(hot, QUARTERS))) == highest(rows, parse("1min"))


def test_hot_rows_alone_and_between_files(store: Store) -> None:
    rows = plain(900)
    middle = rows[300:600]
    assert seen(scan(store.folder, "1min", hot=Hot(middle, QUARTERS))) == highest(middle, parse("1min"))
    store.seal(rows[:300], 1)
    store.add(frame(rows[600:], QUARTERS), 1)  # fetched, later than what is hot
    bars = scan(store.folder, "1min", hot=Hot(middle, QUARTERS))
    assert [start for start, _, _ in seen(bars)] == rows["start_ns"].tolist()
    assert "UNIQUE" not in bars.explain()


def test_a_repaired_bar_counts_where_its_revision_is_higher(store: Store) -> None:
    rows = plain(100)
    store.seal(rows, 1)
    fetched = rows[40:60].copy()
    fetched["revision"] = [1, 0] * 10
    fetched["close"] = 8
    store.add(frame(fetched, QUARTERS), 1)
    hot = plain(5, 100, BEGIN_NS + 100 * MINUTE_NS)
    hot["start_ns"][0], hot["revision"][0], hot["close"][0] = rows["start_ns"][42], 2, 12
    bars = scan(store.folder, "1min", hot=Hot(hot, QUARTERS)).collect()
    assert len(bars) == 104
    assert bars["start"].is_sorted()
    changed = bars.filter(pl.col("revision") > 0)
    assert changed["close"].to_list() == [2.0, 3.0, *[2.0] * 8]


@pytest.mark.parametrize("is_hot", [False, True])
def test_a_late_trade_does_not_hide_the_repair_of_its_bar(store: Store, is_hot: bool) -> None:
    """Ours was suspect, the venue's has revision 1, and so has ours with one more trade. Only the one after that, which
    is suspect as well and so is asked for again, goes before the venue's."""
    rows = plain(100)
    store.seal(rows[:90], 1)
    fetched = rows[80:81].copy()
    fetched["revision"], fetched["close"], fetched["flags"] = 1, 8, BarFlag.COMPLETE | BarFlag.REPAIRED
    store.add(frame(fetched, QUARTERS), 1)
    rows["start_ns"][95:97], rows["revision"][95:97] = rows["start_ns"][80], (1, 2)
    for end, revision, close in ((96, 1, 2.0), (97, 2, rows["close"][96] / 4)):
        if not is_hot:
            store.seal(rows[:end], 1)
        bars = scan(store.folder, "1min", hot=Hot(rows[90:end], QUARTERS)).collect()
        counted = bars.filter(pl.col("start").to_physical() == int(rows["start_ns"][80]))
        assert counted.select("revision", "close").rows() == [(revision, close)]


def test_repairs_far_apart_leave_our_own_batches_between_them_alone(store: Store) -> None:
    """Of a month of minutes the first and the last are repaired, in one file: no batch of ours between is merged."""
    rows = plain(40_000)
    for at in range(0, 40_000, 10_000):
        store.seal(rows[at : at + 10_000], 1)
    fetched = rows[[5, 6, 39_990]]
    fetched["revision"], fetched["close"] = 1, 8
    store.add(frame(fetched, QUARTERS), 1)
    plan = scan(store.folder, "1min").explain()
    assert plan.count("UNIQUE") == 2
    assert seen(scan(store.folder, "1min", rows["start_ns"][10_000], rows["start_ns"][30_000])) == [
        (int(row["start_ns"]), int(row["number"]), 0) for row in rows[10_000:30_000]
    ]
    bars = scan(store.folder, "1min").collect()
    assert bars["start"].to_physical().to_list() == rows["start_ns"].tolist()
    assert bars.filter(pl.col("revision") == 1)["close"].to_list() == [2.0] * 3


@pytest.mark.parametrize(
    "tuned", [(0, 900), (0, 299), (0, 699), (299, 300), (100, 100), (33, 700), (-50, 20), (880, 5000), (2000, 3000)]
)
def test_only_what_starts_in_the_time_that_is_asked_for(store: Store, tuned: tuple[int, int]) -> None:
    rows = plain(900)
    store.seal(rows[:300], 1)
    store.seal(rows[300:700], 1)
    low, high = (BEGIN_NS + minute * MINUTE_NS for minute in tuned)
    bars = scan(store.folder, "1min", low, high, Hot(rows[700:], QUARTERS))
    kept = rows[(rows["start_ns"] >= low) & (rows["start_ns"] < high)]
    assert seen(bars) == highest(kept, parse("1min"))
    start, end = (datetime(2026, 3, 2) + timedelta(minutes=minute) for minute in tuned)
    assert seen(scan(store.folder, "1min", start, end.replace(tzinfo=UTC), Hot(rows[700:], QUARTERS))) == seen(bars)


def test_whole_files_in_the_time_that_is_asked_for_are_not_filtered(store: Store) -> None:
    store.seal(plain(300), 1)
    store.seal(plain(300, 300, BEGIN_NS + DAY_NS), 1)
    assert "SELECTION" not in scan(store.folder, "1min", BEGIN_NS, BEGIN_NS + DAY_NS).explain()
    assert "SELECTION" in scan(store.folder, "1min", BEGIN_NS + MINUTE_NS, BEGIN_NS + DAY_NS).explain()


def test_bars_by_count_that_begin_in_one_instant_are_all_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "100tick", made_bars.subject("100tick"))
    rows = plain(3 * BATCH_ROWS, step_ns=0)
    rows["start_ns"] += np.arange(len(rows)) // 50_000
    store.seal(rows[:-500], 1)
    bars = scan(store.folder, "100tick", hot=Hot(rows[-700:], QUARTERS))
    assert seen(bars) == highest(rows, parse("100tick"))
    assert seen(scan(store.folder, "100tick", BEGIN_NS + 1, BEGIN_NS + 2)) == highest(
        rows[50_000:100_000], parse("100tick")
    )


def test_sizes_that_became_fractions_are_one_column(tmp_path: Path) -> None:
    rows = plain(300)
    Store(tmp_path / "x", made_bars.subject()).seal(rows[:100], 1)
    Store(tmp_path / "x", made_bars.subject(scale=EIGHTHS_OF_A_CENT)).seal(rows[100:200], 1)
    bars = scan(tmp_path / "x", "1min", hot=Hot(rows[200:], QUARTERS)).collect()
    assert bars.schema == schema(whole_sizes=False)
    factor = np.repeat([1, 0.001, 1], 100)
    assert np.allclose(bars["volume"].to_numpy(), rows["volume"] * factor)


def test_other_columns_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.seal(plain(10), 1)
    monkeypatch.setattr("shm.bars_frame.schema", lambda whole=True: pl.Schema({"start": pl.Int64()}))
    with pytest.raises(LayoutError, match="other columns"):
        scan(store.folder, "1min")


@pytest.mark.parametrize("timeframe", ["1hr", "50tick"])
def test_any_mix_of_files_and_hot_rows_reads_as_the_model(
    tmp_path: Path, timeframe: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random stores of small batches: every bar once, in order, the highest revision, in any window of time."""
    monkeypatch.setattr("engine.keeper.sealing.BATCH_ROWS", 16)
    chance = random.Random(seed)
    wanted = parse(timeframe)
    for case in range(25):
        store = Store(tmp_path / str(case), made_bars.subject(timeframe))
        rows = revised(chance, 400)
        fetched = rows[:0]
        at = 0
        while at < 300:
            through = at + chance.randrange(1, 120)
            store.seal(rows[at:through], 1)
            at = through
            if wanted.is_time and chance.random() < 0.5:
                extra = rows[sorted(chance.sample(range(400), 20))]
                extra = extra[np.unique(extra["start_ns"], return_index=True)[1]]
                extra["revision"] += 10 + case
                extra["number"] = np.arange(len(fetched), len(fetched) + len(extra))
                store.add(frame(extra, QUARTERS), 1)
                fetched = np.concatenate([fetched, extra])
        hot = rows[chance.randrange(at) if at < 400 else 0 :]
        model = highest([*rows, *fetched], wanted)
        assert seen(scan(store.folder, timeframe, hot=Hot(hot, QUARTERS))) == model
        low = chance.randrange(BEGIN_NS - DAY_NS, BEGIN_NS + 80 * DAY_NS)
        high = low + chance.randrange(60 * DAY_NS)
        window = scan(store.folder, timeframe, low, high, Hot(hot, QUARTERS))
        assert seen(window) == [row for row in model if low <= row[0] < high]
