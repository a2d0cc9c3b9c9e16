"""What a reader makes of an instrument that comes, goes, or is made anew while the engine runs on."""

import asyncio
import time
from collections.abc import Callable

import pytest

from shm import Instrument, Market, Stale, UnknownSymbol, WriterGone, reader
from shm.layout import Reason, State
from tests.shm.plain_writer import ASKS, BIDS, PlainEngine, PlainWriter, boottime_ns
from tests.waiting import wait_for

ALL = ("MNQ", "MES", "MGC")


def close(writer: PlainWriter) -> None:
    """As a worker does with the last record of an instrument that is let go of."""
    writer.publish(BIDS, ASKS, state=State.CLOSED, reason=Reason.CLOSED)


def make_anew(engine: PlainEngine) -> PlainWriter:
    """MNQ, from the closed feed to a book that is live again."""
    close(engine.writers["MNQ"])
    made = engine.make("MNQ")
    engine.register(ALL)
    made.publish([(7, 1)], [(8, 1)])
    return made


def test_an_instrument_that_came_is_there_without_a_new_attach(engine: PlainEngine, market: Market) -> None:
    assert len(market) == len(ALL)
    engine.make("ES").publish([(7, 1)], [(8, 1)])
    with pytest.raises(UnknownSymbol):
        market["ES"]
    engine.register((*ALL, "ES"))
    assert market["ES"].quote().bid == 1.75
    assert market.symbols == (*ALL, "ES")
    assert "ES" in market


@pytest.mark.parametrize(
    "read",
    [
        lambda mnq: mnq.quote(),
        lambda mnq: mnq.top(1),
        lambda mnq: mnq.book(),
        lambda mnq: mnq.depth(),
        lambda mnq: mnq.session(),
        lambda mnq: mnq.status(),
        lambda mnq: mnq.quote(allow_stale=True),
        lambda mnq: mnq.tape().last(1),
        lambda mnq: mnq.tape().read(),
        lambda mnq: next(mnq.tape()),
        lambda mnq: next(mnq.quotes()),
        lambda mnq: [mnq.wait(20.0) for _ in range(3)],
        lambda mnq: asyncio.run(anext(mnq.tape())),
    ],
)
def test_one_that_was_removed_is_unknown_to_every_read(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument, read: Callable[[Instrument], object]
) -> None:
    writer.publish(BIDS, ASKS)
    close(writer)
    engine.register(("MES", "MGC"))
    with pytest.raises(UnknownSymbol, match="any more: it was removed; it carries MES, MGC"):
        read(mnq)


def test_one_that_is_being_removed_is_closed_and_never_live(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    assert mnq.quote().bid == 21600.0
    close(writer)
    with pytest.raises(Stale, match="the feed was closed"):
        mnq.quote()
    assert mnq.status().state == "closed"


def test_one_that_is_made_anew_is_gone_on_with_at_once(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument
) -> None:
    writer.publish(BIDS, ASKS)
    make_anew(engine)
    assert mnq.quote().bid == 1.75
    assert mnq.book().bid_ticks.tolist() == [(7, 1)]
    assert mnq.status().live


def test_a_wait_goes_on_with_what_is_made_anew(engine: PlainEngine, writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    assert mnq.wait(0.0)
    make_anew(engine)
    assert mnq.wait(20.0)  # that it was closed
    assert mnq.wait(20.0)
    assert mnq.quote().bid == 1.75


def test_a_tape_hands_out_what_the_old_one_had_and_goes_on_with_the_new(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument
) -> None:
    writer.publish(BIDS, ASKS)
    tape = mnq.tape()
    writer.trade((1, 1, 0), (2, 1, 0))
    made = make_anew(engine)
    made.trade((3, 1, 0))
    assert [next(tape).price_ticks for _ in range(3)] == [1, 2, 3]
    assert (tape.restarts, tape.lost, tape.made) == (1, 0, 2)


def test_a_tape_that_is_read_goes_on_too_and_skips_what_it_slept_through(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument
) -> None:
    writer.publish(BIDS, ASKS)
    tape = mnq.tape()
    writer.trade((1, 1, 0))
    for price in (2, 3):
        make_anew(engine).trade((price, 1, 0))
    assert [tape.read_ticks()["price"].tolist() for _ in range(3)] == [[1], [3], []]
    assert (tape.restarts, tape.made) == (1, 3)


def test_one_that_was_removed_may_come_back(engine: PlainEngine, writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    tape = mnq.tape()
    close(writer)
    engine.register(("MES", "MGC"))
    with pytest.raises(UnknownSymbol):
        mnq.quote()
    made = engine.make("MNQ")
    engine.register(ALL)
    made.publish([(7, 1)], [(8, 1)])
    made.trade((3, 1, 0))
    assert mnq.quote().bid == 1.75
    assert next(tape).price_ticks == 3


def test_what_the_registry_does_not_say_yet_is_not_mapped(
    engine: PlainEngine, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be taken for another making when the registry says so, and its rows be read twice."""
    engine.make("MNQ")
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(WriterGone):
        market["MNQ"]
    assert len(pauses) == reader._MAP_TRIES
    monkeypatch.setattr(time, "sleep", lambda seconds: engine.register(ALL))
    assert market["MNQ"]._follower.page.made == 2


def test_a_watch_follows_while_others_are_busy(engine: PlainEngine, writer: PlainWriter, market: Market) -> None:
    changes = market.watch(timeout_s=20.0)
    made = make_anew(engine)
    engine.make("ES").publish([(7, 1)], [(8, 1)])
    engine.register((*ALL, "ES"))
    seen: set[str] = set()

    def look() -> bool:
        engine.writers["MES"].publish(BIDS, ASKS)
        made.publish([(7, 1)], [(8, 1)])
        change = next(changes)
        seen.add(f"{change.symbol} {market[change.symbol]._follower.page.made}")
        return {"MNQ 2", "ES 1", "MES 1"} <= seen

    wait_for(look, 20.0, lambda: f"changes of all, not only of {seen}")


def test_a_watch_lets_go_of_who_was_removed(engine: PlainEngine, market: Market) -> None:
    everybody, named = market.watch(timeout_s=0.3), market.watch("MNQ")
    engine.register(("MES", "MGC"))
    engine.writers["MES"].publish(BIDS, ASKS)
    assert [change.symbol for change in everybody] == ["MES"]
    with pytest.raises(UnknownSymbol, match="MNQ"):
        next(named)


def test_a_removed_one_is_stale_by_its_age_if_nobody_could_close_it(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument
) -> None:
    """Its worker was dead when it was let go of."""
    writer.publish(BIDS, ASKS, through_ns=boottime_ns() - 2_000_000_000)
    engine.register(("MES", "MGC"))
    with pytest.raises(UnknownSymbol):
        mnq.quote()
