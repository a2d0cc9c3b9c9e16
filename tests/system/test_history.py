"""Days of history of a venue that refuses, breaks and cuts in between: each bar of its truth once, or a sentence."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.simulator.bars import CLOSE, HIGH, LOW, OPEN, START, VOLUME, of_prints
from shm.layout import BarFlag
from tests.system.alone import KEY, USER
from tests.system.between import BROKEN, BUSY, CUT, Between
from tests.system.running import TOP
from tests.system.venue import Venue, venue_alone
from tests.waiting import wait_for

LIMIT_S = 120.0
TRADED_NS = 3 * 10**9  # before the simulator is paused


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder = tmp_path_factory.mktemp("venue") / "temporary"
    with venue_alone(folder, "--symbols", "MNQ", "--rate", "20000") as alone:
        alone.resume()
        wait_for(lambda: np.ptp(trade_stamps(alone)) > TRADED_NS, LIMIT_S, "some seconds of trades")
        alone.pause()
        last_ns = max(trade_stamps(alone))
        wait_for(lambda: time.time_ns() > last_ns + 10**9, LIMIT_S, "the end of the last second with a trade")
        yield alone


def trade_stamps(venue: Venue) -> list[int]:
    """Of all trades that were sent; one that is none before there are any."""
    truth = venue.truth["CON.F.US.MNQ.Z26"]
    stamps: list[int] = truth.trades_sent(0, truth.rows)["venue_ns"].tolist()
    return stamps or [0]


def environ(**changed: str) -> dict[str, str]:
    return os.environ | {"PROJECT_X_USERNAME": USER, "PROJECT_X_API_KEY": KEY} | changed


def command(url: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "engine.history_command", "MNQ", *arguments, "--url", url]


def history(url: str, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(url, *arguments),
        cwd=TOP,
        env=environ(**changed),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def asked_of_the_venue(venue: Venue, unit: int, days: float) -> dict[datetime, tuple[float, ...]]:
    """The bars as the venue itself gives them, one page a quarter of a day, each taken at its word."""
    token, found = venue.login(), {}
    now = datetime.now(UTC)
    end = now + timedelta(minutes=1)
    while end > now - timedelta(days=days):
        start = end - timedelta(hours=6)
        answer = venue.post(
            "History/retrieveBars",
            token,
            **{"contractId": "CON.F.US.MNQ.Z26", "live": False, "unit": unit, "unitNumber": 1, "limit": 20_000},
            **{"startTime": start.isoformat(), "endTime": end.isoformat(), "includePartialBar": False},
        )
        for bar in answer["bars"]:
            found[datetime.fromisoformat(bar["t"])] = tuple(float(bar[name]) for name in "ohlcv")
        end = start
    return found


@pytest.mark.parametrize("ending", ["arrow", "parquet"])
def test_days_of_seconds_in_pages_are_the_venues_truth(venue: Venue, tmp_path: Path, ending: str) -> None:
    """Each of the first requests goes wrong in another way; 20,000 bars of seconds are a third of a day."""
    file = tmp_path / f"mnq.{ending}"
    with Between(venue.url) as between:
        between.faults = {0: CUT, 1: BUSY, 2: BROKEN, 4: BUSY, 7: CUT}
        done = history(between.url, "1sec", "--days", "2", "--out", str(file))
        assert (done.returncode, done.stderr) == (0, "")
        assert between.asked >= 9 + len(between.faults)
    assert done.stdout.count("\n") == 1
    assert str(file) in done.stdout
    bars = pl.read_ipc(file) if ending == "arrow" else pl.read_parquet(file)
    assert bars["start"].is_sorted()
    assert bars["start"].n_unique() == len(bars)
    assert set(bars["flags"]) == {int(BarFlag.COMPLETE | BarFlag.REPAIRED)}
    assert bars["trades"].null_count() == len(bars)

    columns = ("open", "high", "low", "close", "volume")
    mine = {row["start"]: tuple(float(row[name]) for name in columns) for row in bars.iter_rows(named=True)}
    theirs = asked_of_the_venue(venue, 1, 2.5)
    first = min(mine)
    assert datetime.now(UTC) - first < timedelta(days=2, minutes=5)
    assert mine == {start: bar for start, bar in theirs.items() if start >= first}

    sent = venue.truth["CON.F.US.MNQ.Z26"].trades_sent(0, venue.truth["CON.F.US.MNQ.Z26"].rows)
    seconds = of_prints(sent["venue_ns"] // 10**9, sent["price"], sent["size"])
    assert len(seconds) >= 2
    for row in seconds.tolist():
        prices = tuple(row[column] * 0.25 for column in (OPEN, HIGH, LOW, CLOSE))
        assert mine[datetime.fromtimestamp(row[START], UTC)] == (*prices, row[VOLUME])


def test_the_bar_that_is_not_over_is_not_in_it(venue: Venue, tmp_path: Path) -> None:
    file = tmp_path / "mnq.parquet"
    assert history(venue.url, "4hr", "--days", "2", "--out", str(file)).returncode == 0
    bars = pl.read_parquet(file)
    assert max(bars["end"].to_list()) <= datetime.now(UTC)
    assert set(bars["end"] - bars["start"]) == {timedelta(hours=4)}
    assert 11 <= len(bars) <= 12


def test_what_the_venue_will_not_do_is_one_sentence_and_no_file(venue: Venue, tmp_path: Path) -> None:
    file = tmp_path / "mnq.arrow"
    out = ("--out", str(file))
    with Between(venue.url) as between:
        between.faults = dict.fromkeys(range(100), BROKEN)
        broken = history(between.url, "1sec", "--days", "3", *out)
    refused = history(venue.url, "1min", *out, PROJECT_X_API_KEY="wrong-key-0123")
    unknown = history(venue.url, "1min", "--contract", "CON.F.US.MNQ.H20", *out)
    empty = history(venue.url, "1sec", "--days", "0.0000001", *out)
    for done, said in (
        (broken, "retrieveBars was answered with status 502"),
        (refused, "refuses the login of trader1 (wrong user name or key)"),
        (unknown, "the venue has no contract CON.F.US.MNQ.H20: name another with --contract"),
        (empty, "the venue has no 1sec bars of CON.F.US.MNQ.Z26 in that time"),
    ):
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("scripts/history: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert "wrong-key" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_it_shows_how_far_it_is_and_ctrl_c_ends_it_cleanly(venue: Venue, tmp_path: Path) -> None:
    file = tmp_path / "mnq.arrow"
    with Between(venue.url) as between:
        between.faults = dict.fromkeys(range(8, 100), BUSY)  # it would wait for long
        mine, its = pty.openpty()
        running = subprocess.Popen(
            command(between.url, "1sec", "--days", "3", "--out", str(file)),
            cwd=TOP,
            env=environ(TERM="xterm", COLUMNS="100"),
            stdout=subprocess.PIPE,
            stderr=its,
            text=True,
        )
        os.close(its)
        shown = bytearray()
        with running:
            while b"pages" not in shown or b"MNQ 1sec" not in shown:
                shown += os.read(mine, 4096)
            wait_for(lambda: between.asked > 8, LIMIT_S, "the requests that are refused")
            running.send_signal(signal.SIGINT)
            while True:
                try:
                    shown += os.read(mine, 4096)
                except OSError:  # the other end is closed
                    break
            assert running.wait(LIMIT_S) == 130
            assert running.stdout is not None
            assert running.stdout.read() == ""
        os.close(mine)
    assert b"Traceback" not in shown
    assert b"scripts/history: ended before all was there: nothing was written" in shown
    assert list(tmp_path.iterdir()) == []
