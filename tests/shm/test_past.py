"""The past as a reader asks for it: the process that answers, and what becomes of the question without it."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shm import Hole, Incomplete, LayoutError, Market, NotRecorded, Past
from shm.errors import JournalDamaged
from shm.journal_entries import Lane
from shm.layout import State
from shm.past_rows import Part
from shm.stretches import Stream
from shm.values import PRICED_QUOTE, PRICED_TRADE
from tests import made_past
from tests.made_journal import BEGIN
from tests.made_past import of_lane, pieces, slow_replay
from tests.waiting import wait_for

START = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def seen(tmp_path: Path) -> list[made_past.Past]:
    made = pieces(np.random.default_rng(3), 120, Stream(7, 1), BEGIN.wall_ns)
    made_past.record(tmp_path / "journal", 7, of_lane(Lane(0, "MNQ", 7, 1, 1 << 20), made))
    return slow_replay(made)


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    with Past(tmp_path / "journal") as past:
        yield past


def test_a_book_of_the_past_has_all_that_a_book_has(past: Past, seen: list[made_past.Past]) -> None:
    one = [each for each in seen if each.state["state"] == State.LIVE][-1]
    found = past.book_at("MNQ", one.wall_ns)
    assert (found.symbol, found.state, found.reason) == ("MNQ", "live", "")
    assert (found.sequence, found.venue_ns) == (one.state["sequence"], one.venue_ns)
    assert found.bid_ticks[::-1].tobytes() == one.sides[0]
    assert found.ask_ticks[::-1].tobytes() == one.sides[1]
    assert found.best_bid == found.bid_ticks["price"][0] * 0.25
    assert found.bids_complete
    assert past.book_at("MNQ", one.venue_ns, by="venue").venue_ns == one.venue_ns


def test_what_was_silent_for_long_is_stale_by_receive_time(past: Past, seen: list[made_past.Past]) -> None:
    late = past.book_at("MNQ", START + timedelta(hours=1))
    assert late.state == "stale"
    assert "nothing heard" in late.reason
    assert "nothing heard" not in past.book_at("MNQ", START + timedelta(hours=1), max_lag_ns=10**13).reason
    assert past.book_at("MNQ", 2**62, by="venue").sequence == late.sequence == seen[-1].state["sequence"]


def test_a_question_without_an_answer_is_refused_and_the_next_is_answered(
    tmp_path: Path, past: Past, seen: list[made_past.Past]
) -> None:
    with pytest.raises(NotRecorded, match="no record of MNQ at or before"):
        past.book_at("MNQ", BEGIN.wall_ns - 1)
    with pytest.raises(NotRecorded, match="no record of GC"):
        past.book_at("GC", 2**62)
    with pytest.raises(ValueError, match="no stamp of a record"):
        past.book_at("MNQ", 2**62, by="exchange")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 to 32"):
        past.book_at("M" * 33, 2**62)
    for time in (datetime(9999, 1, 1), datetime(1, 1, 1), 2**63, 10**30):
        for by in ("receive", "venue"):
            with pytest.raises(ValueError, match="up to the year 2262"):
                past.book_at("MNQ", time, by=by)
        with pytest.raises(ValueError, match="up to the year 2262"):
            past.trades("MNQ", time)
    for extreme in (2**63 - 1, 1 - 2**63):  # these are some
        with pytest.raises(NotRecorded):
            past.book_at("GC", extreme)
    with pytest.raises(NotRecorded):
        past.book_at("MNQ", 1 - 2**63)
    assert past.book_at("MNQ", 2**63 - 1).sequence == seen[-1].state["sequence"]
    foreign = tmp_path / "journal" / "000000000009-00000000.sbj"
    foreign.write_bytes(b"not one of ours, but with the name of one")
    with pytest.raises(LayoutError, match="no journal"):
        past.book_at("MNQ", 2**62)
    foreign.unlink()
    foreign.symlink_to(tmp_path / "journal" / "000000000007-00000000.sbj")
    with pytest.raises(LayoutError, match="is a symbolic link"):
        past.book_at("MNQ", 2**62)
    foreign.unlink()
    foreign.touch()  # its recorder was killed as it began
    assert past.book_at("MNQ", 2**62).sequence == seen[-1].state["sequence"]
    (tmp_path / "journal" / "000000000007-00000000.sbj").rename(foreign)
    with pytest.raises(LayoutError, match=r"was 000000000007-00000000\.sbj when it was written"):
        past.book_at("MNQ", 2**62)
    foreign.rename(tmp_path / "journal" / "000000000007-00000000.sbj")
    assert past.book_at("MNQ", 2**62).sequence == seen[-1].state["sequence"]


def test_its_process_ends_with_it_and_may_be_killed(past: Past, seen: list[made_past.Past]) -> None:
    past.book_at("MNQ", 2**62)
    assert past._process is not None
    os.kill(past._process.pid, signal.SIGKILL)
    with pytest.raises(NotRecorded, match="ended with status -9"):
        past.book_at("MNQ", 2**62)
    assert past.book_at("MNQ", 2**62).sequence == seen[-1].state["sequence"]
    pid = past._process.pid
    past.close()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 10, "the end of the process that looked into the journal")


def test_a_question_on_which_two_processes_crash_has_an_answer_that_says_so(
    tmp_path: Path, seen: list[made_past.Past], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    deadly = tmp_path / "python"
    deadly.write_text(f"#!/bin/sh\necho >> {started}\nread -r line\nkill -SEGV $$\n")
    deadly.chmod(0o700)
    with Past(tmp_path / "journal") as past:
        with monkeypatch.context() as poisoned:
            poisoned.setattr("sys.executable", str(deadly))
            with pytest.raises(JournalDamaged, match=r"ended 2 processes that ran it \(SIGSEGV\)"):
                past.book_at("M\n", 2**62)
        assert started.read_text() == "\n\n"
        assert past.book_at("MNQ", 2**62).sequence == seen[-1].state["sequence"]


def test_a_market_asks_for_its_own_journal(
    market: Market, tmp_path: Path, seen: list[made_past.Past], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / market._presence.registry.data_folder).symlink_to(tmp_path)
    mnq = market["MNQ"]
    assert mnq.book_at(2**62).sequence == seen[-1].state["sequence"]
    with pytest.raises(NotRecorded):
        market["MES"].book_at(2**62)
    assert mnq._journal() is market["MES"]._journal()
    market._presence.registry = dataclasses.replace(market._presence.registry, venue="replay")
    with pytest.raises(NotRecorded, match=r"a replay records no journal: ask Past\(FOLDER\)"):
        mnq.book_at(2**62)
    market.close()
    with pytest.raises(ValueError, match="closed"):
        mnq.book_at(2**62)


@pytest.mark.parametrize("region", ["tape", "quotes"])
def test_rows_of_the_past_come_priced_each_once(past: Past, seen: list[made_past.Past], region: str) -> None:
    walls = [each.wall_ns for each in seen]
    ask = past.trades if region == "tape" else past.quotes
    frame = ask("MNQ", walls[0])
    assert frame.columns == ["wall_ns", *((PRICED_TRADE if region == "tape" else PRICED_QUOTE).names or ())]
    assert frame["wall_ns"].is_in(walls).all()
    keys = frame.select("sequence", "place") if region == "tape" else frame.select("sequence")
    assert keys.equals(keys.unique(maintain_order=True))
    if region == "tape":
        assert len(frame) == seen[-1].state["trades"] > 0
        assert (frame["price"] == frame["price_ticks"] * 0.25).all()
    else:
        assert frame["bid_ticks"][-1] == seen[-1].state["best_bid"]
    middle = datetime.fromtimestamp(walls[len(walls) // 2] // 1000 / 1e6, UTC)
    one, other = ask("MNQ", walls[0], middle), ask("MNQ", middle)
    assert pl.concat([one, other]).equals(frame)
    assert len(one)
    assert ask("MNQ", walls[-1] + 1).schema == frame.schema


def test_rows_that_may_be_missing_and_questions_that_are_none_are_refused(
    past: Past, seen: list[made_past.Past]
) -> None:
    with pytest.raises(Incomplete, match=r"from 2026-03-01 23:59:59\.000 to 2026-03-02 00:00:00") as raised:
        past.trades("MNQ", START - timedelta(seconds=1))
    assert raised.value.holes == (Hole(BEGIN.wall_ns - 10**9, seen[0].wall_ns),)
    assert len(past.trades("MNQ", 0, allow_holes=True)) == seen[-1].state["trades"]
    with pytest.raises(NotRecorded, match="nothing of GC"):
        past.trades("GC", START)
    with pytest.raises(ValueError, match="before its start"):
        past.quotes("MNQ", START, START - timedelta(seconds=1))
    with pytest.raises(ValueError, match="year 2262"):
        past.trades("MNQ", 2**64)
    with pytest.raises(ValueError, match="1 to 32"):
        past.trades("", START)
    with pytest.raises(TypeError, match="is a datetime"):
        past.quotes("MNQ", "noon")  # type: ignore[arg-type]
    assert past.book_at("MNQ", 2**62).sequence == seen[-1].state["sequence"]


def test_an_answer_that_was_not_taken_to_its_end_is_not_that_to_the_next_question(
    past: Past, seen: list[made_past.Past], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(body: bytes, region: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Part, "unpack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            past.trades("MNQ", seen[0].wall_ns)
    assert len(past.trades("MNQ", seen[0].wall_ns)) == seen[-1].state["trades"]
