"""Bars that are hot, sealed and repaired, read as one: every bar once, in its highest revision, with no engine."""

import random
import subprocess
import sys
import warnings
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.keeper.store import Store
from engine.sessions import marked_sessions, sessions_of
from shm import Bars, NoHours, UnknownTimeframe
from shm.bars import HotBars, priced
from shm.bars_frame import DamagedBars, frame, schema
from shm.layout import BAR
from shm.timeframe import parse
from shm.trading_days import is_open
from tests import made_bars
from tests.made_bars import BEGIN_NS, DAY_NS, QUARTERS, Rows, highest, plain, revised, seen
from tests.made_hot import MadeHot

HOUR = parse("1hr")
HOUR_NS = 3600 * 10**9


class Yard:
    """The bars of MNQ in a data folder: hot rows, a store, and all rows that there ever were."""

    def __init__(self, data: Path, size: int = 64) -> None:
        self.data = data
        folder = data / "bars" / "MNQ"
        self.hot = MadeHot(folder, "1hr", size)
        self.store = Store(folder / "1hr", made_bars.subject("1hr"))
        self.rows = np.zeros(0, BAR)
        self.fetched = np.zeros(0, BAR)
        self.stored_to = 0

    def append(self, rows: Rows) -> None:
        self.hot.append(rows)
        self.rows = np.concatenate([self.rows, rows])

    def seal(self, to: int) -> None:
        """A file; `sealed to` is told with the next one, or by `tell`."""
        self.stored_to = self.store.seal(self.rows[self.stored_to : to], 1)

    def tell(self) -> None:
        self.hot.sealed_to = self.stored_to

    def repair(self, rows: Rows) -> None:
        rows["number"] = len(self.fetched) + np.arange(len(rows))
        self.store.add(frame(rows, QUARTERS), 1)
        self.fetched = np.concatenate([self.fetched, rows])

    def bars(self) -> Bars:
        return Bars(self.data, "MNQ", "1h")

    def model(self) -> list[tuple[int, int, int]]:
        return highest([*self.rows, *self.fetched], HOUR)


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def _keys(rows: Rows) -> list[tuple[int, int, int]]:
    return list(zip(*(rows[name].tolist() for name in ("start_ns", "number", "revision")), strict=True))


def test_whatever_is_sealed_and_repaired_reads_as_the_model(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for case in range(12):
        yard = Yard(tmp_path / str(case))
        rows, bars = revised(chance, 300), yard.bars()
        while len(yard.rows) < len(rows):
            at = len(yard.rows)
            room = yard.hot.sealed_to + 64 - at
            yard.append(rows[at : at + chance.randrange(room + 1)])
            if len(yard.rows) > yard.stored_to and (room < 20 or chance.random() < 0.3):
                yard.seal(chance.randrange(yard.stored_to, len(yard.rows)) + 1)
            if chance.random() < 0.7:
                yard.tell()
            if len(yard.rows) and chance.random() < 0.2:
                again = yard.rows[sorted(chance.sample(range(len(yard.rows)), min(len(yard.rows), 5)))]
                again = again[np.unique(again["start_ns"], return_index=True)[1]]
                again["revision"] += 10 + at
                yard.repair(again)
            model = yard.model()
            assert seen(bars.scan()) == model
            for count in (1, 7, chance.randrange(400)):
                assert _keys(bars.last(count)) == model[len(model) - min(count, len(model)) :]
            low = BEGIN_NS + chance.randrange(60 * DAY_NS)
            high = low + chance.randrange(40 * DAY_NS)
            assert seen(bars.to_polars(low, high)) == [row for row in model if low <= row[0] < high]
        yard.hot.path.unlink()
        sealed = highest([*yard.rows[: yard.stored_to], *yard.fetched], HOUR)
        assert seen(bars.to_polars()) == seen(yard.bars().scan()) == _keys(bars.last(1000)) == sealed


def test_the_integers_come_back_from_the_files(yard: Yard) -> None:
    rows = plain(50, step_ns=HOUR_NS)
    yard.append(rows)
    yard.seal(40)
    yard.tell()
    yard.hot.path.unlink()
    assert yard.bars().last(40).tobytes() == priced(rows[:40], QUARTERS).tobytes()
    assert len(yard.bars().forming()) == yard.bars().lost == len(yard.bars().hours) == 0


def test_what_the_venue_does_not_tell_is_nan_among_the_newest(yard: Yard) -> None:
    rows = plain(10, step_ns=HOUR_NS)
    yard.append(rows)
    again = made_bars.repaired(10)[4:6]
    again["start_ns"], again["end_ns"], again["revision"] = rows["start_ns"][4:6], rows["end_ns"][4:6], 1
    yard.repair(again)
    last = yard.bars().last(10)
    for name in ("vwap", "buy_volume", "sell_volume"):
        assert np.flatnonzero(np.isnan(last[name])).tolist() == [4, 5]
    assert np.flatnonzero(last["trades"] == 0).tolist() == [4, 5]
    assert last["volume_units"].tolist()[4:6] == again["volume"].tolist()
    assert yard.bars().to_polars()["trades"].is_null().to_list() == [n in (4, 5) for n in range(10)]


def test_an_old_bar_that_came_again_is_not_among_the_newest(yard: Yard) -> None:
    rows = plain(10, step_ns=HOUR_NS)
    rows["start_ns"][9], rows["revision"][9] = rows["start_ns"][2], 1
    yard.append(rows)
    assert yard.bars().last(3)["number"].tolist() == [6, 7, 8]
    assert yard.bars().last(100)["number"].tolist() == [0, 1, 9, 3, 4, 5, 6, 7, 8]


def test_the_newest_need_no_polars_until_a_repair_reaches_them(yard: Yard) -> None:
    rows = plain(60, step_ns=HOUR_NS)
    yard.append(rows)
    yard.seal(50)
    yard.tell()
    old = rows[20:21].copy()
    old["revision"] = 1
    yard.repair(old)
    asked = (
        "import sys; from pathlib import Path; from shm import Bars; bars = Bars(Path(sys.argv[1]), 'MNQ', '1h');"
        "print(len(bars.last(30)), 'polars' in sys.modules, bars.last(45)['revision'].sum(), 'polars' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked, str(yard.data)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["30", "False", "1", "True"]


def test_rows_that_are_sealed_and_overwritten_while_they_are_copied(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = plain(100, step_ns=HOUR_NS)
    yard.append(rows[:64])
    bars, copy = yard.bars(), HotBars.rows
    copies = []

    def overtaken(hot: HotBars, t: int, first: int, last: int) -> Rows:
        copies.append(first)
        if len(copies) == 1:
            yard.seal(50)
            yard.tell()
            yard.append(rows[64:])
        return copy(hot, t, first, last)

    monkeypatch.setattr(HotBars, "rows", overtaken)
    assert seen(bars.scan()) == yard.model()
    assert copies == [0, 50]


def test_a_torn_row_is_left_out_and_nothing_else(yard: Yard) -> None:
    yard.append(plain(20, step_ns=HOUR_NS))
    yard.hot.segment.array("rows")["volume"][5] += 1
    assert [number for _, number, _ in seen(yard.bars().scan())] == [n for n in range(20) if n != 5]


def test_bars_that_were_merged_once_are_kept(yard: Yard) -> None:
    rows = plain(60, step_ns=HOUR_NS)
    yard.append(rows)
    yard.seal(50)
    yard.tell()
    again = rows[10:12].copy()
    again["revision"] = 1
    yard.repair(again)
    bars = yard.bars()
    hits, misses = bars.merged.hits, bars.merged.misses
    assert bars.to_polars().equals(bars.to_polars())
    assert seen(bars.to_polars(BEGIN_NS + 11 * HOUR_NS)) == yard.model()[11:]
    assert (bars.merged.hits - hits, bars.merged.misses - misses) == (2, 1)
    again["revision"] = 2
    yard.repair(again)
    assert seen(bars.to_polars()) == yard.model()


def test_regular_hours_are_a_view(yard: Yard) -> None:
    days = date(2026, 3, 2), date(2026, 3, 6)
    yard.append(plain(60, start_ns=BEGIN_NS - DAY_NS, step_ns=HOUR_NS))
    yard.seal(30)
    yard.tell()
    with pytest.raises(NoHours, match="keeper"):
        yard.bars().scan(view="rth")
    yard.hot.tell_hours(marked_sessions("CME_Equity", *days))
    bars = yard.bars()
    regular = sessions_of("CME_Equity", *days, "rth")
    wanted = [row for row in yard.model() if is_open(regular, row[0])]
    assert len(wanted) == 6  # of one day: 15:00 to 20:00 in UTC
    assert seen(bars.scan(view="rth")) == seen(bars.to_polars(view="rth")) == wanted
    assert seen(bars.scan(wanted[2][0], wanted[4][0], view="rth")) == wanted[2:4]
    assert bars.to_polars(view="rth").schema == schema()
    with pytest.raises(ValueError, match="no view"):
        bars.scan(view="night")  # type: ignore[arg-type]


def test_forming_bars_and_hot_rows_that_come_later(yard: Yard) -> None:
    yard.append(plain(10, step_ns=HOUR_NS))
    yard.seal(10)
    yard.hot.path.unlink()
    bars = yard.bars()
    assert len(bars.forming()) == 0
    hot = MadeHot(yard.hot.path.parent)
    hot.append(plain(12, step_ns=HOUR_NS), forming=plain(1, 12, BEGIN_NS + 12 * HOUR_NS, HOUR_NS))
    hot.sealed_to = 10
    assert bars.last(3)["number"].tolist() == [9, 10, 11]
    assert bars.forming()["start_ns"].tolist() == [BEGIN_NS + 12 * HOUR_NS]
    assert len(bars.to_polars()) == 12


def test_a_damaged_file_is_warned_of_where_it_is_read(yard: Yard) -> None:
    yard.append(plain(20, step_ns=HOUR_NS))
    yard.seal(10)
    yard.tell()
    (path,) = yard.store.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    bars = yard.bars()
    for read in (bars.scan, bars.to_polars):
        with pytest.warns(DamagedBars) as caught:
            read()
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedBars)
        assert seen(bars.scan()) == yard.model()[10:]


def test_what_there_is_is_said_without_hot_rows_too(yard: Yard) -> None:
    yard.append(plain(10, step_ns=HOUR_NS))
    yard.seal(10)
    yard.hot.path.unlink()
    with pytest.raises(UnknownTimeframe, match="did you mean 1hr"):
        Bars(yard.data, "MNQ", "4h")
    with pytest.raises(UnknownTimeframe, match="has no bars in"):
        Bars(yard.data, "MES", "1h")


def test_bars_by_count_of_one_instant_and_fractions_of_sizes(tmp_path: Path) -> None:
    scale = made_bars.QUARTERS._replace(size_scale=2)
    hot = MadeHot(tmp_path / "bars" / "BTC", "100tick", symbol="BTC", scale=scale)
    rows = plain(40, step_ns=1)
    hot.append(rows)
    store = Store(tmp_path / "bars" / "BTC" / "100tick", made_bars.subject("100tick", scale)._replace(symbol="BTC"))
    store.seal(rows[:30], 1)
    hot.sealed_to = 30
    hot.path.unlink()
    bars = Bars(tmp_path, "BTC", "100t")
    assert bars.last(25).tobytes() == priced(rows[5:30], scale).tobytes()
    assert bars.scan().select(pl.col("volume").sum()).collect().item() == pytest.approx(rows["volume"][:30].sum() / 100)


def test_strange_arguments_are_told_in_a_sentence(yard: Yard) -> None:
    yard.append(plain(20, step_ns=HOUR_NS))
    yard.seal(10)
    yard.tell()
    bars = yard.bars()
    everything = yard.model()
    assert len(bars.last(10**12)) == len(bars.last(10**30)) == 20
    assert seen(bars.to_polars(date(2026, 3, 2), date(2026, 3, 3))) == everything
    assert seen(bars.to_polars(date(2026, 3, 3))) == []
    assert seen(bars.scan(-(10**30), 10**30)) == everything
    assert seen(bars.scan(datetime(1, 1, 1), datetime(9999, 12, 31))) == everything
    for count in (1.5, "3", None):
        with pytest.raises(TypeError, match="number of bars wanted is a whole number, not"):
            bars.last(count)  # type: ignore[arg-type]
    for moment in ("2026-11-02", 1.5):
        with pytest.raises(TypeError, match="a datetime, a date or nanoseconds since 1970"):
            bars.scan(moment)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a datetime, a date or nanoseconds since 1970"):
            bars.to_polars(None, moment)  # type: ignore[arg-type]
    for name in (None, 5):
        with pytest.raises(TypeError, match='a timeframe is a name such as "1min", not'):
            Bars(yard.data, "MNQ", name)  # type: ignore[arg-type]
    assert seen(Bars(str(yard.data), "MNQ", "1h").scan()) == everything
