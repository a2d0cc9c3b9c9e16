"""engine/history/continuous.py: the contracts before are found, asked for no longer than needed, and joined."""

import asyncio
from typing import Any

import pytest

from engine.budget import Limit
from engine.config import SymbolSettings
from engine.feeds.gateway import Contract
from engine.history.continuous import Continuous, fetch_continuous
from engine.history.fetching import History
from engine.http import VenueError, VenueRefusal
from shm.layout import BarFlag
from shm.timeframe import parse
from tests.engine.history.kept_bars import SECOND_NS, TICK, KeptBars, seconds, sent

DAY_S = 86_400
FIRST_S = 20_700 * DAY_S
NOW_NS = (FIRST_S + 12 * DAY_S) * SECOND_NS
WINDOW = FIRST_S * SECOND_NS, NOW_NS
STEM = "CON.F.US.MNQ."


def hours(volumes: dict[int, int], close: float) -> list[dict[str, Any]]:
    """Two bars a day, by day of the volumes of each."""
    return [
        sent(FIRST_S + day * DAY_S + hour * 3600, close, volume) for day, volume in volumes.items() for hour in (3, 15)
    ]


class Contracts(KeptBars):
    """With the contracts as well: those that have bars, and those named."""

    def __init__(self, bars: dict[str, list[dict[str, Any]]], ticks: dict[str, int] | None = None) -> None:
        super().__init__({STEM + month: kept for month, kept in bars.items()})
        self.ticks = {STEM + month: tick for month, tick in (ticks or {}).items()}
        self.looked_up: list[str] = []

    async def contract(self, settings: SymbolSettings) -> Contract:
        self.looked_up.append(settings.contract)
        if settings.contract not in self.bars_of:
            raise VenueRefusal("no such contract")
        return Contract(settings.contract, "MNQ", self.ticks.get(settings.contract, TICK))


def joined(venue: Contracts, *, adjusted: bool = False) -> Continuous:
    history = History(venue, Limit(1000, 1.0), now_ns=lambda: NOW_NS)
    newest = Contract(STEM + "Z26", "MNQZ6", TICK)
    gateway: Any = venue
    return asyncio.run(fetch_continuous(history, gateway, "MNQ", newest, parse("1hr"), WINDOW, adjusted=adjusted))


THREE = {
    "Z26": hours({day: day for day in range(2, 12)}, 130.0),
    "U26": hours({day: 7 for day in range(10)}, 120.0),
    "M26": hours({day: 9 - day for day in range(6)}, 110.0),
}


def days(found: Continuous) -> list[int]:
    return [(int(start) // SECOND_NS - FIRST_S) // DAY_S for start in found.fetched.rows["start_ns"]]


def test_each_contract_follows_the_one_before_and_the_joins_are_marked() -> None:
    venue = Contracts(THREE)
    found = joined(venue)
    assert found.contracts == (STEM + "M26", STEM + "U26", STEM + "Z26")
    assert days(found) == [day for day in range(12) for _ in range(2)]
    closes = [close * TICK / 10**9 for close in found.fetched.rows["close"].tolist()]
    # U26 trades more than M26 on day 3 (7 > 6), Z26 more than U26 on day 8 (8 > 7)
    assert closes == [110.0] * 8 + [120.0] * 10 + [130.0] * 6
    marks = [bool(flags & BarFlag.JOINED) for flags in found.fetched.rows["flags"]]
    assert [place for place, is_join in enumerate(marks) if is_join] == [8, 18]
    ends = {str(body["contractId"]): seconds(body["endTime"]) for body in venue.asked}
    assert ends[STEM + "M26"] < FIRST_S + 9 * DAY_S + 2 * 3600, "not beyond the join of the next"


def test_adjusted_there_is_no_step_at_a_join() -> None:
    found = joined(Contracts(THREE), adjusted=True)
    assert set(found.fetched.rows["close"].tolist()) == {520}


def test_it_stops_after_four_contracts_that_the_venue_does_not_have() -> None:
    venue = Contracts({"Z26": THREE["Z26"]})
    assert joined(venue).contracts == (STEM + "Z26",)
    assert venue.looked_up == [STEM + month for month in ("U26", "M26", "H26", "Z25")]


def test_it_stops_where_the_window_begins() -> None:
    always_more = {"Z26": hours(dict.fromkeys(range(12), 9), 1.0), "U26": hours(dict.fromkeys(range(12), 5), 1.0)}
    venue = Contracts(always_more)
    assert joined(venue).contracts == (STEM + "U26", STEM + "Z26")
    assert venue.looked_up == [STEM + "U26"], "all but the first day is the newest contract's"


def test_only_misses_in_a_row_end_the_search() -> None:
    venue = Contracts({"Z26": THREE["Z26"], "Z25": THREE["U26"], "Z24": THREE["M26"]})
    assert joined(venue).contracts == (STEM + "Z24", STEM + "Z25", STEM + "Z26")


def test_contracts_that_are_missing_or_empty_are_passed_over() -> None:
    venue = Contracts({"Z26": THREE["Z26"], "U26": [], "H26": THREE["U26"]})
    assert joined(venue).contracts == (STEM + "H26", STEM + "Z26")


def test_without_bars_of_the_newest_nobody_else_is_asked_for() -> None:
    venue = Contracts({"Z26": [], "U26": THREE["U26"]})
    found = joined(venue)
    assert (len(found.fetched.rows), found.contracts, venue.looked_up) == (0, (STEM + "Z26",), [])


def test_contracts_that_cannot_be_joined_are_an_error() -> None:
    with pytest.raises(VenueError, match=r"U26 has another tick size than CON\.F\.US\.MNQ\.Z26"):
        joined(Contracts(THREE, {"U26": 2 * TICK}))
    apart = {"Z26": hours({11: 5}, 1.0), "U26": hours({2: 5, 3: 5}, 1.0)}
    with pytest.raises(VenueError, match="Z26 cannot be joined"):
        joined(Contracts(apart), adjusted=True)
    assert days(joined(Contracts(apart))) == [2, 2, 3, 3, 11, 11]
