"""What the keeper wishes for is asked of the venue and comes down its ring: whole, once, or with the reason why not."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from engine import errands
from engine.budget import Limit
from engine.errands import Errands
from engine.feeds.gateway import PRICE_SCALE, Contract
from engine.history.fetching import AT_ONCE, SETTLED_NS, History
from shm import layout, segment
from shm.layout import ANSWER, BAR, MAX_ANSWER_ROWS, Answered, Kind, Reason, Record, Rows
from shm.records import AFTER, AT, KIND, PEEK_WORDS, SIZE, peek
from shm.ring import release
from shm.timeframe import Unit
from tests.engine.feeds.fake_venue import until
from tests.engine.history.kept_bars import MNQ, SECOND_NS, TICK, KeptBars, sent

GENERATION = 3
START_S = 1_795_300_000
NOW_NS = (START_S + 500_000) * SECOND_NS


class Said(NamedTuple):
    """A record of the ring: an answer and its rows, or None and none for a gap."""

    answer: np.void | None
    rows: Rows


class Keeper:
    """The keeper's side, played: wishes put in, answers taken out. Also what instruments are fed, and to what."""

    def __init__(self, here: Path) -> None:
        segment.create(here / "keeper", Kind.KEEPER, layout.keeper_regions(), generation=GENERATION).close()
        regions = layout.ring_regions(layout.KEEPER_RING_BYTES)
        segment.create(here / "keeper.ring", Kind.RING, regions, generation=GENERATION).close()
        own = segment.attach(here / "keeper", Kind.KEEPER, writable=True, generation=GENERATION)
        ring = segment.attach(here / "keeper.ring", Kind.RING, writable=True, generation=GENERATION)
        self.here = here
        self.wishes = own.array("wishes")
        self.words = ring.array("words")
        self.said: list[Said] = []
        self.rings: dict[str, object] = {"MNQ": object()}
        self.contracts: dict[str, Contract] = {"MNQ": Contract(MNQ, "MNQZ6", TICK)}

    def contract_of(self, symbol: str) -> Contract | None:
        return self.contracts.get(symbol)

    def wish(
        self, number: int, seconds: tuple[int, int] = (0, 10), *, symbol: str = "MNQ", unit: int = Unit.SECOND
    ) -> None:
        """For bars of one second, between so many seconds after START_S."""
        place = int(np.flatnonzero(self.wishes["number"] == 0)[0])
        start, end = ((START_S + at) * SECOND_NS for at in seconds)
        self.wishes[place] = (number, unit, 1, start, end, symbol.encode(), (0,) * 7)

    def free(self, number: int) -> None:
        self.wishes["number"][self.wishes["number"] == number] = 0

    def take(self) -> None:
        """All that is in the ring by now."""
        row = np.zeros(PEEK_WORDS, np.int64)
        position, data = int(self.words[layout.HEAD]), self.words.view(np.uint8)
        while peek(self.words, position, int(self.words[layout.TAIL]), row):
            payload = data[row[AT] : row[AT] + row[SIZE]].tobytes()
            position = int(row[AFTER])
            if row[KIND] == Record.GAP:
                assert np.frombuffer(payload, layout.GAP)["reason"][0] == Reason.ENGINE_RESTART
                self.said.append(Said(None, np.empty(0, BAR)))
            else:
                assert row[KIND] == Record.DATA
                answer = np.frombuffer(payload, ANSWER, 1)[0]
                rows = np.frombuffer(payload, BAR, offset=ANSWER.itemsize)
                assert answer["rows"] == len(rows)
                self.said.append(Said(answer, rows))
        release(self.words, position)

    def heard(self, number: int) -> list[Said]:
        """All that was said of one wish."""
        self.take()
        return [each for each in self.said if each.answer is not None and each.answer["number"] == number]

    def is_answered(self, number: int) -> bool:
        return any(each.answer is not None and each.answer["answered"] for each in self.heard(number))

    def outcome(self, number: int) -> tuple[Answered, str]:
        """How a wish was answered at last, once and with nothing after it."""
        (*before, last) = self.heard(number)
        assert last.answer is not None
        assert all(each.answer is not None and each.answer["answered"] == Answered.MORE for each in before)
        return Answered(int(last.answer["answered"])), bytes(last.answer["text"]).decode()

    def seconds(self, number: int) -> list[int]:
        """The starts of the bars that were told, after START_S."""
        rows = np.concatenate([each.rows for each in self.heard(number)])
        return [int(at) // SECOND_NS - START_S for at in rows["start_ns"]]


@pytest.fixture
def keeper(shm_root: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    monkeypatch.setattr(errands, "LOOK_EVERY_S", 0.01)
    return Keeper(shm_root)


def history_of(venue: KeptBars, page_bars: int = 20_000) -> History:
    return History(venue, Limit(10**6, 1.0), page_bars=page_bars, now_ns=lambda: NOW_NS)


def while_running(keeper: Keeper, venue: KeptBars, story: Callable[[], Awaitable[None]]) -> None:
    """An engine that does errands, for as long as `story` takes."""

    async def go() -> None:
        running = asyncio.create_task(Errands(keeper.here, GENERATION, keeper, history_of(venue)).run())
        try:
            await asyncio.wait_for(story(), 60)
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(go())


def test_bars_come_whole_and_once_and_say_what_they_are(keeper: Keeper) -> None:
    off_the_grid = sent(START_S + 5, close=100.1)
    venue = KeptBars({MNQ: [off_the_grid if at == 5 else sent(START_S + at) for at in range(20)]})
    keeper.wish(7, (3, 8))

    async def story() -> None:
        await until(lambda: keeper.is_answered(7), "an answer")
        keeper.wish(8, (100, 200))
        await until(lambda: keeper.is_answered(8), "that there are none")

    while_running(keeper, venue, story)
    assert keeper.seconds(7) == [3, 4, 6, 7]
    assert (keeper.outcome(7), keeper.outcome(8)) == ((Answered.DONE, ""), (Answered.DONE, ""))
    assert keeper.seconds(8) == []
    (_, (answer, _)) = keeper.heard(7)  # a wish that still stands is not answered again
    assert answer is not None
    assert answer["refused"] == 1
    assert (answer["price_scale"], answer["price_increment"]) == (PRICE_SCALE, TICK)
    assert answer["settled_ns"] == NOW_NS - SETTLED_NS


def test_a_long_stretch_comes_in_records_that_the_ring_has_room_for(keeper: Keeper) -> None:
    count = 60_000  # more than the ring holds
    venue = KeptBars({MNQ: [sent(START_S + at) for at in range(count)]})
    keeper.wish(1, (0, count))

    async def story() -> None:
        await until(lambda: keeper.words[layout.TAIL] > layout.KEEPER_RING_BYTES // 2, "a ring that is half full", 60)
        backlog = int(keeper.words[layout.TAIL])
        await asyncio.sleep(0)  # nobody reads, so nothing more goes in
        assert backlog < layout.KEEPER_RING_BYTES
        await until(lambda: keeper.is_answered(1), "all of it", 60)

    while_running(keeper, venue, story)
    assert keeper.seconds(1) == list(range(count))
    assert max(len(each.rows) for each in keeper.heard(1)) == MAX_ANSWER_ROWS
    assert keeper.words[layout.DROPPED] == 0
    assert len(venue.asked) >= AT_ONCE - 1


def test_what_cannot_be_asked_is_said_with_its_reason(keeper: Keeper) -> None:
    venue = KeptBars({MNQ: [sent(START_S)]})
    venue.failing = {0}
    keeper.rings["GC"], keeper.contracts["GC"] = object(), Contract("CON.F.US.GC.Z26", "GCZ6", TICK)
    keeper.wish(1)
    keeper.wish(2, symbol="NQ")
    keeper.wish(3, symbol="GC")
    keeper.wish(4, unit=Unit.DAY)
    keeper.wish(5, unit=99)
    keeper.wish(6, (-10_000_000_000, 10))
    keeper.wish(7, (10, 0))
    keeper.wish(8)

    async def story() -> None:
        await until(lambda: keeper.is_answered(8), "the last")

    while_running(keeper, venue, story)
    assert keeper.outcome(1) == (Answered.LATER, "request 0 failed")
    assert keeper.outcome(2) == (Answered.LATER, "there is no instrument NQ now")
    assert keeper.outcome(3) == (Answered.NEVER, "no such contract")
    for number, part in ((4, "1day bars"), (5, "99"), (6, "more history")):
        how, why = keeper.outcome(number)
        assert how is Answered.NEVER
        assert part in why
        assert len(why) <= 72
    assert keeper.outcome(7) == keeper.outcome(8) == (Answered.DONE, "")
    assert keeper.seconds(8) == [0]


def test_a_wish_waits_for_its_contract_and_holds_up_no_other(keeper: Keeper) -> None:
    venue = KeptBars({MNQ: [sent(START_S)], "CON.F.US.GC.Z26": [sent(START_S + 1)]})
    keeper.rings["GC"] = object()
    keeper.wish(1, symbol="GC")
    keeper.wish(2)

    async def story() -> None:
        await until(lambda: keeper.is_answered(2), "the other")
        assert not keeper.heard(1)
        keeper.contracts["GC"] = Contract("CON.F.US.GC.Z26", "GCZ6", TICK)
        await until(lambda: keeper.is_answered(1), "the one whose contract is known by now")

    while_running(keeper, venue, story)
    assert keeper.seconds(1) == [1]


def test_what_is_wished_for_no_more_is_asked_for_no_more(keeper: Keeper) -> None:
    """A keeper that was killed left its wishes; its successor frees them and begins with others."""
    venue = KeptBars({MNQ: [sent(START_S + at) for at in range(10)]})
    keeper.wish(1, (0, 10 * 19_000))
    venue.gate = asyncio.Event()

    async def story() -> None:
        assert venue.gate is not None
        await until(lambda: len(venue.asked) == AT_ONCE, "as many pages as are asked for at once")
        keeper.free(1)
        keeper.wish(2)
        venue.gate.set()
        await until(lambda: keeper.is_answered(2), "the next one")

    while_running(keeper, venue, story)
    assert keeper.heard(1) == []
    assert len(venue.asked) == AT_ONCE + 1


def test_an_engine_that_takes_the_place_of_another_answers_anew(keeper: Keeper) -> None:
    venue = KeptBars({MNQ: [sent(START_S + at) for at in range(10)]})
    keeper.wish(1)

    async def story() -> None:
        keeper.said.clear()
        await until(lambda: keeper.is_answered(1), "an answer")

    while_running(keeper, venue, story)
    assert [each.answer is None for each in keeper.said] == [False, False]
    while_running(keeper, venue, story)
    assert [each.answer is None for each in keeper.said] == [True, False, False], "a gap, and then all of it"


def test_a_table_of_nonsense_is_survived(keeper: Keeper, seed: int) -> None:
    chance = np.random.default_rng(seed)
    keeper.wishes.view(np.uint8)[:] = chance.integers(0, 256, keeper.wishes.nbytes, np.uint8)
    keeper.wishes["symbol"][::2] = b"MNQ"
    numbers = keeper.wishes["number"].tolist()

    async def story() -> None:
        await until(lambda: all(keeper.is_answered(number) for number in numbers), "an answer to each")

    while_running(keeper, KeptBars({MNQ: []}), story)
