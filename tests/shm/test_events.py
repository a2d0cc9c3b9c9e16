"""Events as a reader sees them: merged by time, whole, lost ones counted, and through a new generation."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import shm.events
from shm import Event, Market, UnknownSymbol, WriterGone, attach, presence
from shm.layout import EVENT_INTENT, EventKind, Reason
from tests.shm.plain_writer import EVENT_ROWS, PlainEngine

SECOND = 1_000_000_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[PlainEngine]:
    with PlainEngine(tmp_path) as engine:
        yield engine


def _gap(engine: PlainEngine, symbol: str, second: int, **fields: int) -> None:
    fields["reason"] = int(Reason.DISCONNECTED)
    engine.writers[symbol].event(EventKind.GAP, second * SECOND, **fields)


def test_an_event_says_when_why_and_from_where_to_where(engine: PlainEngine, market: Market) -> None:
    events = market.events()
    _gap(engine, "MNQ", 9, sequence=70, from_sequence=60, from_wall_ns=4 * SECOND, count=3)
    found = next(events)
    assert found == Event(
        "MNQ", "gap", "the venue's socket is down", 9 * SECOND, 70, 4 * SECOND, 60, 3, 0, 0, "", engine.generation
    )
    assert str(found) == "00:00:09 MNQ gap of 3 records after 5.0 s: the venue's socket is down"


def test_a_roll_names_both_contracts(engine: PlainEngine, market: Market) -> None:
    events = market.events()
    engine.writers["MNQ"].event(EventKind.ROLL, SECOND, reason=int(Reason.ROLL), subject=b"Z26", text=b"H27")
    found = next(events)
    assert (found.kind, found.detail) == ("roll", "Z26 → H27")
    assert str(found) == "00:00:01 MNQ roll (Z26 → H27): rolled to the next contract, waiting for a snapshot"


def test_the_supervisors_events_name_their_instrument_or_none(engine: PlainEngine, market: Market) -> None:
    events = market.events()
    engine.log.say(EventKind.RESTART, "MES", who="worker", why="ended by SIGKILL", pid=7, count=2, from_wall_ns=5)
    engine.log.say(EventKind.RESTART, who="engine", why="ended with status 1")
    engine.log.say(EventKind.QUARANTINE, "MNQ", who="worker", sequence=99)
    first, second, third = (next(events) for _ in range(3))
    assert (first.symbol, first.kind, first.detail, first.reason) == ("MES", "restart", "worker", "ended by SIGKILL")
    assert (first.pid, first.restarts, first.from_wall_ns, first.sequence) == (7, 2, 5, 0)
    assert str(second)[9:] == "engine restart: ended with status 1"
    assert (third.symbol, third.kind, third.sequence, third.from_sequence) == ("MNQ", "quarantine", 99, 99)


def test_rings_are_merged_by_time(engine: PlainEngine, market: Market) -> None:
    events = market.events()
    for symbol, second in (("MES", 3), ("MNQ", 1), ("MES", 4), ("MNQ", 2)):
        _gap(engine, symbol, second)
    engine.log.say(EventKind.PARKED, "MNQ")
    found = [next(events) for _ in range(5)]
    assert [event.wall_ns // SECOND for event in found[:4]] == [1, 2, 3, 4]
    assert found[4].kind == "parked"
    assert [event.symbol for event in events.last(3)] == ["MES", "MES", "MNQ"]
    assert events.last(0) == []
    with pytest.raises(ValueError, match="negative"):
        events.last(-1)


def test_what_was_there_before_is_for_last(engine: PlainEngine, market: Market) -> None:
    _gap(engine, "MNQ", 1)
    events = market.events()
    _gap(engine, "MNQ", 2)
    assert next(events).wall_ns == 2 * SECOND
    assert [event.wall_ns // SECOND for event in events.last(9)] == [1, 2]


def test_only_those_asked_for_and_the_engines_own_are_seen(engine: PlainEngine, market: Market) -> None:
    events = market.events(["MES"])
    _gap(engine, "MNQ", 1)
    engine.log.say(EventKind.RESTART, "MNQ")
    engine.log.say(EventKind.RESTART, who="engine")
    _gap(engine, "MES", 1)
    assert [next(events).symbol for _ in range(2)] == ["MES", ""]
    assert [event.symbol for event in events.last(9)] == ["MES", ""]
    with pytest.raises(UnknownSymbol, match="MES"):
        market.events(["MEX"])


def test_one_symbol_may_be_given_as_it_is(engine: PlainEngine, market: Market) -> None:
    events = market.events("MES")
    _gap(engine, "MNQ", 1)
    _gap(engine, "MES", 2)
    assert next(events).symbol == "MES"
    with pytest.raises(UnknownSymbol, match="MES"):
        market.events("MEX")


@pytest.mark.parametrize("extra", [0, 1, 7])
def test_a_lapped_reader_counts_what_it_lost(engine: PlainEngine, market: Market, extra: int) -> None:
    events = market.events()
    for n in range(EVENT_ROWS + extra):
        _gap(engine, "MNQ", n)
    assert [next(events).wall_ns // SECOND for _ in range(EVENT_ROWS)] == list(range(extra, EVENT_ROWS + extra))
    assert events.lost == extra


def test_a_row_that_is_being_overwritten_is_not_believed(engine: PlainEngine, market: Market) -> None:
    events = market.events()
    for n in range(EVENT_ROWS):
        _gap(engine, "MNQ", n)
    engine.writers["MNQ"].control[EVENT_INTENT] = EVENT_ROWS + 1
    assert next(events).wall_ns == SECOND
    assert events.lost == 1


def test_it_sleeps_until_there_is_one_of_either_writer(engine: PlainEngine, market: Market) -> None:
    events = market.events()
    got: list[str] = []
    asleep = threading.Thread(target=lambda: got.extend(next(events).kind for _ in range(2)))
    asleep.start()
    engine.log.say(EventKind.PARKED)
    _gap(engine, "MNQ", 1)
    asleep.join(20)
    assert sorted(got) == ["gap", "parked"]


def test_they_can_be_awaited(engine: PlainEngine, market: Market) -> None:
    async def two() -> list[str]:
        got = []
        async for event in market.events():
            got.append(event.kind)
            if len(got) == 2:
                break
            engine.log.say(EventKind.PARKED)
        return got

    async def scene() -> list[str]:
        waiting = asyncio.create_task(two())
        await asyncio.sleep(0)
        _gap(engine, "MNQ", 1)
        return await asyncio.wait_for(waiting, 20)

    assert asyncio.run(scene()) == ["gap", "parked"]


def test_a_closed_one_ends_also_while_it_waits(market: Market) -> None:
    events = market.events()
    asleep = threading.Thread(target=lambda: list(events))
    asleep.start()
    events.close()
    asleep.join(20)
    assert not asleep.is_alive()


def test_it_goes_on_with_a_new_generation(engine: PlainEngine, market: Market) -> None:
    """What the old one left comes first; the new one's events come from its first on, of an added instrument too."""
    events = market.events()
    old = engine.writers["MNQ"]
    old.event(EventKind.STALE, SECOND)
    engine.start(["MNQ", "MGC"])
    for second, symbol in enumerate(("MNQ", "MGC"), start=2):
        _gap(engine, symbol, second)
    engine.log.say(EventKind.RESTART, "MGC")
    found = [next(events) for _ in range(4)]
    assert [(event.symbol, event.kind, event.generation) for event in found] == [
        ("MNQ", "stale", 1),
        ("MNQ", "gap", 2),
        ("MGC", "gap", 2),
        ("MGC", "restart", 2),
    ]
    assert (events.restarts, events.lost) == (1, 0)


def test_an_instrument_that_is_added_is_followed_at_once(engine: PlainEngine, market: Market) -> None:
    """The supervisor says so after the registry does; no silence is needed to see it."""
    engine.register(["MNQ"])
    with attach(root=engine.root) as fresh:
        events = fresh.events()
        _gap(engine, "MES", 1)
        engine.register(["MNQ", "MES"])
        engine.log.say(EventKind.ADDED, "MES")
        assert next(events).kind == "added"
        assert (next(events).symbol, events.lost) == ("MES", 0)
        engine.register(["MNQ"])
        engine.log.say(EventKind.REMOVED, "MES")
        assert next(events).kind == "removed"
        assert [event.symbol for event in events.last(9)] == ["MES", "MES"]  # both of the supervisor's


def test_one_of_those_named_that_is_removed_says_so_and_the_others_go_on(engine: PlainEngine, market: Market) -> None:
    """And it is followed again, from the first event on, when the engine carries it again."""
    events = market.events(["MNQ", "MES"])
    _gap(engine, "MES", 1)
    engine.register(["MNQ"])
    engine.log.say(EventKind.REMOVED, "MES")
    _gap(engine, "MNQ", 2)
    found = [next(events) for _ in range(3)]
    assert [(event.symbol, event.kind) for event in found] == [("MES", "gap"), ("MNQ", "gap"), ("MES", "removed")]
    _gap(engine, "MNQ", 3)
    assert next(events).wall_ns == 3 * SECOND
    assert [event.kind for event in events.last(2)] == ["gap", "removed"]
    engine.make("MES")
    _gap(engine, "MES", 4)
    engine.register(["MNQ", "MES"])
    engine.log.say(EventKind.ADDED, "MES")
    assert next(events).kind == "added"
    again = next(events)
    assert (again.symbol, again.wall_ns, events.lost) == ("MES", 4 * SECOND, 0)


def test_one_that_a_new_generation_leaves_out_does_not_end_the_others(engine: PlainEngine, market: Market) -> None:
    events = market.events(["MNQ", "MES"])
    engine.start(["MES"])
    _gap(engine, "MES", 1)
    assert (next(events).symbol, events.restarts) == ("MES", 1)


@pytest.mark.parametrize("way", ["removed", "made anew", "a new generation"])
def test_all_that_is_there_is_read_before_a_ring_is_left(
    engine: PlainEngine, market: Market, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than is taken in one turn; what can still be read is not counted lost."""
    monkeypatch.setattr(shm.events, "_ROWS_A_TURN", 4)
    events = market.events(["MNQ", "MES"] if way == "removed" else None)
    count = EVENT_ROWS
    for n in range(count):
        _gap(engine, "MES", n)
    if way == "removed":
        engine.register(["MNQ"])
        engine.log.say(EventKind.REMOVED, "MES")
    elif way == "made anew":
        engine.make("MES")
        engine.register(["MNQ", "MES"])
        engine.log.say(EventKind.CHANGED, "MES")
    else:
        engine.start(["MNQ", "MES"])
        engine.log.say(EventKind.PARKED, "MES")
    found = [next(events) for _ in range(count + 1)]
    assert [event.wall_ns // SECOND for event in found[:count]] == list(range(count))
    assert events.lost == 0


def test_it_raises_when_the_engine_is_gone_for_good(
    engine: PlainEngine, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "PATIENCE_NS", 1)
    events = market.events()
    engine.end()
    with pytest.raises(WriterGone, match="default"):
        next(events)


def test_what_a_newer_program_wrote_is_shown_as_unknown(engine: PlainEngine, market: Market) -> None:
    events = market.events()
    engine.writers["MNQ"].event(77, SECOND, reason=9999)  # type: ignore[arg-type]
    found = next(events)
    assert "77" in found.kind
    assert "9999" in found.reason
