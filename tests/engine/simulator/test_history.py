"""retrieveBars over HTTP: windows, paging, the partial bar, codes, and bars that agree with what was sent."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.simulator.history import MAX_BARS, Window, bars_text, select
from shm.timeframe import Unit
from tests.engine.simulator.venue import Venue, play

MNQ = "CON.F.US.MNQ.Z26"
PATH = "/api/History/retrieveBars"


def asked(**changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    plain: dict[str, Any] = {
        **{"contractId": MNQ, "live": False, "unit": 2, "unitNumber": 1, "limit": 1440, "includePartialBar": True},
        **{"startTime": (now - timedelta(days=1)).isoformat(), "endTime": (now + timedelta(minutes=1)).isoformat()},
    }
    return plain | changed


def test_a_day_of_minutes_in_pages(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        status, whole = await venue.post(PATH, asked(), token)
        assert status == 200
        assert (whole["success"], whole["errorCode"], whole["errorMessage"]) == (True, 0, None)
        stamps = [bar["t"] for bar in whole["bars"]]
        assert stamps == sorted(stamps, reverse=True)
        assert 1438 <= len(stamps) <= 1440
        assert all(stamp.endswith(":00+00:00") for stamp in stamps)
        for bar in whole["bars"]:
            assert bar["l"] <= min(bar["o"], bar["c"]) <= max(bar["o"], bar["c"]) <= bar["h"]
            assert bar["v"] > 0
        _, page = await venue.post(PATH, asked(limit=100), token)
        assert [bar["t"] for bar in page["bars"]][5:] == stamps[5:100]
        _, older = await venue.post(PATH, asked(endTime=stamps[99], limit=100), token)
        assert older["bars"] == whole["bars"][100:200], "the end of a window is not in it"
        _, first = await venue.post(PATH, asked(startTime=stamps[200], endTime=stamps[199]), token)
        assert first["bars"] == [whole["bars"][200]]

    play(tmp_path, story)


def test_the_partial_bar_comes_only_when_asked_for(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        _, partial = await venue.post(PATH, asked(unit=4, limit=2), token)
        _, complete = await venue.post(PATH, asked(unit=4, limit=2, includePartialBar=False), token)
        today = datetime.now(UTC).date().isoformat()
        assert partial["bars"][0]["t"] == f"{today}T00:00:00+00:00"
        assert all(bar["t"] < today for bar in complete["bars"])

    play(tmp_path, story)


def test_bars_are_the_prints_that_were_sent(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        channel = venue.gateway.sender.channels["MNQ"]
        async with asyncio.timeout(30):
            while channel.log.sent_trades < 500:
                await asyncio.sleep(0.01)
        venue.gateway.sender.pause()
        begin = datetime.fromtimestamp(channel.start_s, UTC).isoformat()
        _, answer = await venue.post(PATH, asked(unit=1, startTime=begin, limit=MAX_BARS), token)
        sent = venue.truth[MNQ].trades_sent(0, venue.truth[MNQ].rows)
        assert len(sent) >= 500
        seconds = sent["venue_ns"] // 10**9
        tick = venue.truth[MNQ].tick_e9 / 1e9
        expected = []
        for second in sorted(set(seconds.tolist()), reverse=True):
            part = sent[seconds == second]
            prices = (part["price"] * tick).tolist()
            stamp = datetime.fromtimestamp(second, UTC).isoformat()
            ohlc = {"o": prices[0], "h": max(prices), "l": min(prices), "c": prices[-1]}
            expected.append({"t": stamp, **ohlc, "v": int(part["size"].sum())})
        assert answer["bars"] == expected
        _, before = await venue.post(PATH, asked(unit=1, endTime=begin), token)
        assert before["bars"][0]["c"] == channel.contract.middle_ticks * tick

    play(tmp_path, story, rate_entries_per_s=20_000, symbols=["MNQ"])


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"contractId": "CON.F.US.ENQ.H25"}, 1),
        ({"unit": 0}, 2),
        ({"unit": 7}, 2),
        ({"unitNumber": 0}, 3),
        ({"unitNumber": 10**30}, 3),
        ({"limit": 0}, 4),
        ({"limit": MAX_BARS + 1}, 4),
    ],
)
def test_codes(tmp_path: Path, changed: dict[str, Any], code: int) -> None:
    async def story(venue: Venue) -> None:
        status, answer = await venue.post(PATH, asked(**changed), await venue.login())
        assert status == 200
        assert answer == {"bars": None, "success": False, "errorCode": code, "errorMessage": None}

    play(tmp_path, story, symbols=["MNQ"])


def test_odd_windows(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        changed: dict[str, Any]
        for changed in (
            {"contractId": "CON.F.US.EP.Z26"},  # listed, and does not trade
            {"startTime": "2031-01-01T00:00:00Z", "endTime": "2032-01-01T00:00:00Z"},
            {"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"},
            {"startTime": "0001-01-01T00:00:00+14:00", "endTime": "1999-01-01T00:00:00.1234567"},
        ):
            _, answer = await venue.post(PATH, asked(**changed), token)
            assert (answer["bars"], answer["success"]) == ([], True)
        for key in asked():
            body = asked()
            del body[key]
            assert (await venue.post(PATH, body, token))[0] == 400
        for changed in ({"startTime": "yesterday"}, {"live": 0}, {"limit": 1.5}, {"limit": True}):
            assert (await venue.post(PATH, asked(**changed), token))[0] == 400

    play(tmp_path, story, symbols=["MNQ"])


def test_prices_are_written_with_nine_decimals() -> None:
    bars = np.array([[1_795_000_000, 5, 6, -3, 4, 9]])
    window = Window(0, 2**40, Unit.SECOND, 1, 5, True)
    assert bars_text(select(bars, window, time.time()), 250_000_000) == (
        '"bars":[{"t":"2026-11-18T11:06:40+00:00","o":1.250000000,"h":1.500000000,"l":-0.750000000,'
        '"c":1.000000000,"v":9}]'
    )
