"""An engine that is started in the middle of a day, a week and a month has those that were before, as trading days cut
them: half hours of the same history, folded one by one, say the same."""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from engine.calendars import calendar_of
from engine.sessions import sessions_of
from shm import Instrument
from shm.bars import FILE_NAME, Bars, HotBars
from shm.layout import BarFlag, Rows
from shm.timeframe import Unit, parse
from shm.trading_days import periods, trading_day_of
from tests.system.running import running, wait_live
from tests.waiting import wait_for

LIMIT_S = 120.0
HOUR_NS = 3600 * 10**9
HALF_HOURS = 4000  # fifty trading days and more
CALENDARS = {"MNQ": "24/7", "ES": calendar_of("ES")}  # the simulator trades all day: what is between sessions too
LEAST = {"1d": 40, "1w": 5, "1mo": 1}
Bar = tuple[float, ...]


def wait_begun_ns(data: Path, symbol: str, name: str) -> int:
    """Where the first bar of the worker's own begins, once there is one."""
    hot = HotBars(data / "bars" / symbol / FILE_NAME, symbol)
    t = hot.timeframes.index(parse(name))

    def starts() -> list[int]:
        slot = hot.slot(t)
        return [*hot.rows(t, 0, slot.end)["start_ns"].tolist(), *slot.bars["start_ns"].tolist()]

    wait_for(starts, LIMIT_S, "a trade in it")
    return min(starts())


def sessions_about_now(calendar: str) -> Rows:
    today = datetime.now(UTC).date()
    return sessions_of(calendar, date(today.year - 1, 1, 1), today + timedelta(days=60))


def folded(half_hours: pl.DataFrame, sessions: Rows, unit: Unit, seam_ns: int) -> dict[int, Bar]:
    """By start: those before the seam that are whole in the half hours, and over for longer than an hour."""
    found = periods(sessions, unit)
    bars: dict[int, list[float]] = {}
    for start, *row in half_hours.select(
        pl.col("start").to_physical(), "open", "high", "low", "close", "volume"
    ).rows():
        day = int(trading_day_of(sessions, start))
        place = int(np.searchsorted(found["trading_day"], day, "right")) - 1
        bar = bars.setdefault(place, [*row[:4], 0])
        bar[1:] = max(bar[1], row[1]), min(bar[2], row[2]), row[3], bar[4] + row[4]
    before_ns = min(seam_ns + 1, time.time_ns() - 2 * HOUR_NS)
    places = [place for place in list(bars)[1:] if found["open_ns"][place + 1] < before_ns]
    return {int(found["open_ns"][place]): tuple(bars[place]) for place in places}


def test_the_days_weeks_and_months_before_the_start_are_there(
    left_nothing: Path, tmp_path: Path, engine_name: str
) -> None:
    folder, data = tmp_path / "symbols", tmp_path / "data"
    folder.mkdir()
    for symbol, calendar in CALENDARS.items():
        settings = f'calendar = "{calendar}"\ntimeframes = ["30m", "1d", "1w", "1mo"]\nhistory_bars = {HALF_HOURS}'
        (folder / f"{symbol}.toml").write_text(settings)
    with running(engine_name, "--symbols-dir", str(folder), data=data) as engine, engine.attach() as market:
        wait_live(market)
        for symbol, calendar in CALENDARS.items():
            compare(market[symbol], data, calendar)
        assert engine.stop()["totals"]["wrong_levels"] == 0


def compare(instrument: Instrument, data: Path, calendar: str) -> None:
    """Each timeframe with the half hours of it."""
    half_hours, sessions = instrument.bars("30m"), sessions_about_now(calendar)
    wait_for(lambda: len(half_hours.last(2000)) == 2000, LIMIT_S, "the half hours of before")
    for name, least in LEAST.items():
        seam_ns = wait_begun_ns(data, instrument.symbol, name)
        wanted = folded(half_hours.to_polars(end=seam_ns), sessions, parse(name).unit, seam_ns)
        assert len(wanted) >= least
        check(instrument.bars(name), wanted, seam_ns)


def check(bars: Bars, wanted: dict[int, Bar], seam_ns: int) -> None:
    """Each of those once, none between them; the worker's first is doubted, so that it will be repaired."""
    wait_for(lambda: len(bars.last(len(wanted))) == len(wanted), LIMIT_S, "the bars of before")
    told = bars.to_polars(min(wanted), max(wanted) + 1)
    rows = told.select(pl.col("start").to_physical(), "open", "high", "low", "close", "volume").rows()
    assert {start: tuple(bar) for start, *bar in rows} == wanted
    assert len(rows) == len(wanted)
    assert set(told["flags"]) == {int(BarFlag.COMPLETE | BarFlag.REPAIRED)}
    assert bars.to_polars(end=seam_ns)["start"].is_unique().all()
    own = np.concatenate((bars.last(1), bars.forming()))
    assert (own["flags"][own["start_ns"] == seam_ns] & int(BarFlag.SUSPECT | BarFlag.REPAIRED)).all()
