"""Names of calendars: each is one of the library, and nobody loads the library for them."""

import re
import subprocess
import sys
from pathlib import Path

import pandas_market_calendars

from engine.calendars import ALWAYS_OPEN, CALENDARS, calendar_of
from engine.config import SHIPPED_SYMBOLS

TOP = Path(__file__).resolve().parents[2]


def test_each_calendar_is_one_of_the_library() -> None:
    known = set(pandas_market_calendars.get_calendar_names())
    assert {calendar.library for calendar in CALENDARS.values()} <= known


def test_the_shipped_futures_have_the_calendar_of_their_exchange() -> None:
    found = {path.stem: calendar_of(path.stem) for path in SHIPPED_SYMBOLS.glob("*.toml")}
    equity = dict.fromkeys(("ES", "NQ", "MNQ", "MES"), "CME_Equity")
    assert found == equity | {"GC": "CMEGlobex_Metals", "CL": "CMEGlobex_Energy"}


def test_a_name_that_is_given_counts_and_an_unknown_symbol_never_closes() -> None:
    assert calendar_of("ES", "CME_Rate") == "CME_Rate"
    assert calendar_of("BTCUSDT") == ALWAYS_OPEN
    for symbol in ("MGC", "RTY", "6E", "ZN", "ZC", "HE", "MBT"):
        assert calendar_of(symbol) in CALENDARS
        assert calendar_of(symbol) != ALWAYS_OPEN


def test_no_process_but_the_keeper_loads_the_library() -> None:
    modules = "engine.config, engine.run, engine.launch, engine.supervisor.run, engine.simulator.gateway, shm"
    code = f"import sys, {modules}; print('pandas' in sys.modules, 'pandas_market_calendars' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_document_names_every_calendar_with_its_symbols_and_hours() -> None:
    text = (TOP / "docs" / "sessions.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    assert {name for name, _, _ in rows} == set(CALENDARS)
    for name, symbols, hours in rows:
        calendar = CALENDARS[name]
        if calendar.rth_open is None or calendar.rth_close is None:
            assert hours == "none: all hours"
            continue
        told = [int(hour) * 60 + int(minute) for hour, minute in re.findall(r"(\d+):(\d\d)", hours)]
        assert told == [calendar.rth_open, calendar.rth_close]
        assert {calendar_of(symbol) for symbol in symbols.split()} == {name}
