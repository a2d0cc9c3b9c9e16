"""engine/feeds/account.py against a tiny account in the same loop: what is asked, in which order, and what is shown."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from engine.config import Credentials, FeedSettings, HttpSettings
from engine.feeds import account as accounts
from engine.feeds.account import AccountFeed
from engine.feeds.gateway import Gateway
from engine.feeds.session import State as Life
from engine.http import HttpPool, VenueRefusal
from engine.retry import is_read
from shm import layout
from shm.account_rows import AccountWriter, Holdings
from shm.layout import NO_VALUE, Reason, State
from tests.engine.feeds.fake_account import FakeAccount, event, fill, order, position, standing
from tests.engine.feeds.fake_venue import API_KEY, until

QUICK = FeedSettings(backoff_first_ms=1, backoff_max_ms=5)
LIVE = (State.LIVE, Reason.NONE)
MUTATED = 300


class Recorder(AccountWriter):
    """An account's writer on private memory, which remembers the states that were published."""

    def __init__(self) -> None:
        regions = layout.account_regions()
        arrays: dict[str, Any] = {name: np.zeros(region.shape, region.dtype) for name, region in regions.items()}
        super().__init__(arrays.__getitem__, np.zeros(layout.WORDS_A_LINE, layout.WORDS))
        self.states: list[tuple[State, Reason]] = []
        self.answers: list[int] = []  # whole ones taken, when each of these states began
        self.stamps = 0

    def publish(self, holdings: Holdings, now_ns: int) -> None:
        super().publish(holdings, now_ns)
        state = State(int(holdings.account["state"])), Reason(int(holdings.account["reason"]))
        if not self.states or self.states[-1] != state:
            self.states.append(state)
            self.answers.append(int(holdings.account["syncs"]))

    def stamp(self, now_ns: int) -> None:
        super().stamp(now_ns)
        self.stamps += 1

    @property
    def shown(self) -> Holdings:
        found = self.newest()
        assert found is not None
        return found

    def ids(self, name: str) -> list[int]:
        return [row[0] for row in getattr(self.shown, name).tolist()]

    def said(self, name: str) -> int:
        return int(self.shown.account[name])


class Stage:
    """A view on a fake account, running."""

    def __init__(self, venue: FakeAccount, pool: HttpPool, settings: FeedSettings, name: str, writer: Recorder) -> None:
        self.venue = venue
        self.writer = writer
        self.late_ns = 0
        self.gateway = Gateway(pool, f"{venue.url}/api", Credentials("me", API_KEY), time.time)
        where = f"{venue.url}/hubs/user", name
        self.feed = AccountFeed(settings, *where, pool, self.gateway, writer, self._now_ns, time.time_ns)
        self.task = asyncio.create_task(self.feed.run())

    def _now_ns(self) -> int:
        return time.monotonic_ns() + self.late_ns

    async def until_live(self, syncs: int = 1) -> None:
        def is_live() -> bool:
            return self.writer.states[-1:] == [LIVE] and self.writer.said("syncs") >= syncs

        await until(is_live, f"live after {syncs} answers, {self.writer.states}")


Play = Callable[[FakeAccount, Stage], Awaitable[None]]


def play(
    scene: Play,
    settings: FeedSettings = QUICK,
    prepare: Callable[[FakeAccount], None] = lambda venue: None,
    name: str = "",
    writer: Recorder | None = None,
) -> Recorder:
    """Start the venue and the view, run the scene, stop both."""
    recorder = writer or Recorder()

    async def go() -> None:
        async with FakeAccount() as venue, HttpPool(HttpSettings()) as pool:
            prepare(venue)
            stage = Stage(venue, pool, settings, name, recorder)
            try:
                await scene(venue, stage)
            finally:
                stage.task.cancel()
                await asyncio.wait([stage.task])
            for path, _ in venue.requests:
                assert path == "Auth/loginKey" or is_read(f"/{path}"), path

    asyncio.run(go())
    return recorder


def filled(venue: FakeAccount) -> None:
    venue.orders, venue.positions = [order(1), order(2)], [position(7, -2)]
    venue.trades = [fill(4), fill(3)]


def test_a_whole_life() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        assert [target for target, _ in venue.heard] == [
            *("SubscribeAccounts", "SubscribeOrders", "SubscribePositions", "SubscribeTrades")
        ]
        assert [arguments for _, arguments in venue.heard] == [[], [704], [704], [704]]
        bodies = dict(venue.requests)
        assert bodies["Account/search"] == {"onlyActiveAccounts": True}
        assert bodies["Order/searchOpen"] == bodies["Position/searchOpen"] == {"accountId": 704}
        assert bodies["Trade/search"]["startTimestamp"].endswith("T22:00:00+00:00")
        assert (stage.writer.ids("orders"), stage.writer.ids("positions")) == ([1, 2], [7])
        assert stage.writer.ids("fills") == [3, 4]
        assert stage.writer.said("balance_e9") == 150_000 * layout.E9
        assert set(stage.writer.shown.orders["tick_e9"]) == {250_000_000}

    recorder = play(scene, prepare=filled)
    assert recorder.states == [(State.SYNCING, Reason.STARTING), LIVE, (State.CLOSED, Reason.CLOSED)]
    assert recorder.ids("orders") == [1, 2]  # what was known stays to be read


@pytest.mark.parametrize("shape", [lambda row: row, lambda row: [{"action": 1, "data": row}]], ids=["bare", "wrapped"])
def test_events_change_the_table(shape: Callable[[Any], Any]) -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        writer = stage.writer
        await venue.send(event("Order", shape(order(1, status=2, at=9))) + event("Order", shape(order(8, at=9))))
        await venue.send(event("Trade", shape(fill(5))) + event("Trade", shape(fill(5))))
        await venue.send(event("Position", shape(position(7, 0))) + event("Position", shape(position(9, 3))))
        await venue.send(event("Account", shape(standing(balance=149_999.63))))
        await until(lambda: writer.said("balance_e9") == 149_999_630_000_000, "the balance")
        assert (writer.ids("orders"), writer.ids("positions"), writer.ids("fills")) == ([2, 8], [9], [3, 4, 5])
        assert writer.said("events") == 7
        assert (writer.said("refused"), writer.said("ignored")) == (0, 1)  # the fill that was told twice

    assert (State.STALE, Reason.REFUSED) not in play(scene, prepare=filled).states


def test_what_comes_between_question_and_answer_is_in_the_table() -> None:
    """Order 1 is filled, and 2 changed, after the venue looked and before its answer is here."""

    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await venue.asked.wait()
        await venue.send(event("Order", order(1, status=2, at=9)) + event("Order", order(2, at=9, size=9)))
        await venue.send(event("Order", order(2, at=0, size=5)) + event("Position", position(7, 0)))
        await venue.send(event("Trade", fill(5)) + event("Trade", fill(4)))
        await until(lambda: stage.feed._said["events"] == 6, "six events")
        assert stage.writer.states == [(State.SYNCING, Reason.STARTING)]
        venue.gate.set()
        await stage.until_live()
        assert stage.writer.ids("orders") == [2]
        assert stage.writer.shown.orders["size"].tolist() == [9]
        assert (stage.writer.ids("positions"), stage.writer.ids("fills")) == ([], [3, 4, 5])

    def prepare(venue: FakeAccount) -> None:
        filled(venue)
        venue.gate.clear()

    play(scene, prepare=prepare)


def test_what_came_before_the_question_is_older_than_the_answer() -> None:
    """The hub tells of an order that opens, right after it is subscribed; when the venue is asked it is filled."""

    def prepare(venue: FakeAccount) -> None:
        venue.on_subscribed = lambda: [event("Order", order(8)), event("Trade", fill(6))]

    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        assert stage.writer.ids("fills") in ([], [6])  # taken at once, if it came before the last confirmation was read
        await venue.send(event("Trade", fill(6)))
        await until(lambda: stage.writer.ids("fills") == [6], "the fill, once")

    play(scene, prepare=prepare)


def test_a_lost_hub_is_stale_and_comes_back_with_all_that_happened() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        venue.orders, venue.positions, venue.trades = [], [position(9, 5)], [fill(5), fill(4), fill(3)]
        await venue.drop()
        await stage.until_live(2)
        assert (stage.writer.ids("orders"), stage.writer.ids("positions")) == ([], [9])
        assert stage.writer.ids("fills") == [3, 4, 5]

    recorder = play(scene, prepare=filled)
    assert recorder.states[:4] == [
        (State.SYNCING, Reason.STARTING),
        LIVE,
        (State.STALE, Reason.DISCONNECTED),
        (State.SYNCING, Reason.RECONNECTED),
    ]
    assert recorder.said("connects") == 2


def test_an_event_that_cannot_be_read_makes_it_ask_again() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        venue.orders = [order(2)]
        await venue.send(event("Order", order(1, status=2) | {"size": "many"}))
        await stage.until_live(2)
        assert stage.writer.ids("orders") == [2]

    recorder = play(scene, prepare=filled)
    assert recorder.states[1:4] == [LIVE, (State.SYNCING, Reason.REFUSED), LIVE]
    assert (recorder.said("refused"), recorder.said("connects")) == (1, 1)


def test_one_that_cannot_be_read_while_it_is_asked_keeps_it_from_going_live() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await venue.asked.wait()
        await venue.send(event("Order", None))
        await until(lambda: stage.feed._said["refused"] == 1, "the refusal")
        venue.gate.set()
        await stage.until_live(2)

    def prepare(venue: FakeAccount) -> None:
        venue.gate.clear()

    recorder = play(scene, prepare=prepare)
    assert recorder.states[:3] == [(State.SYNCING, Reason.STARTING), (State.SYNCING, Reason.REFUSED), LIVE]
    assert recorder.answers[2] == 2, "the answer to the question that was under way is not enough"


def test_an_answer_that_cannot_be_read_is_not_believed() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await until(lambda: stage.writer.states and stage.writer.said("refused") >= 2, "two refusals")
        assert LIVE not in stage.writer.states
        venue.trades = []
        await stage.until_live()

    def prepare(venue: FakeAccount) -> None:
        venue.trades = [fill(1) | {"price": "dear"}]

    assert (State.SYNCING, Reason.REFUSED) in play(scene, prepare=prepare).states


def test_a_venue_that_fails_is_asked_again() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        venue.status = 400  # which a request is not repeated for by the pool itself
        await venue.send(event("Order", None))
        failing = len(venue.requests)
        await until(lambda: len(venue.requests) >= failing + 8, "two tries")
        assert stage.writer.states[-1] == (State.SYNCING, Reason.REFUSED)
        venue.status = 200
        await stage.until_live(2)

    play(scene)


def test_a_quiet_hub_is_live_as_long_as_it_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "LEAST_SILENCE_MS", 200)

    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        for _ in range(20):
            await venue.send(b'{"type":6}\x1e')
            await asyncio.sleep(0.02)
        assert stage.writer.states[-1] == LIVE
        await until(lambda: (State.STALE, Reason.SILENCE) in stage.writer.states, "silence is noticed")
        await stage.until_live(2)
        assert venue.pings > 0

    settings = FeedSettings(backoff_first_ms=1, backoff_max_ms=5, socket_silence_ms=100, ping_interval_ms=50)
    assert play(scene, settings).states[:4] == [
        (State.SYNCING, Reason.STARTING),
        LIVE,
        (State.STALE, Reason.SILENCE),
        (State.SYNCING, Reason.RECONNECTED),
    ]


def test_after_a_pause_of_the_engine_it_asks_again() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        stage.late_ns = 2_000_000_000
        await stage.until_live(2)

    assert (State.SYNCING, Reason.ENGINE_PAUSED) in play(scene).states


def test_it_says_that_it_lives() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await until(lambda: stage.writer.stamps >= 3, "three stamps")

    play(scene)


def test_a_successor_shows_what_was_known_until_it_knows_more() -> None:
    async def nothing(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()

    first = play(nothing, prepare=filled)
    second = Recorder()
    second.publish(first.shown, 1)
    second.states.clear()

    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await venue.asked.wait()
        assert stage.writer.states == [(State.SYNCING, Reason.ENGINE_RESTART)]
        assert (stage.writer.ids("orders"), stage.writer.ids("fills")) == ([1, 2], [3, 4])
        venue.gate.set()
        await stage.until_live(2)
        assert (stage.writer.ids("orders"), stage.writer.ids("fills")) == ([1], [3, 4, 5])

    def prepare(venue: FakeAccount) -> None:
        venue.gate.clear()
        venue.orders, venue.trades = [order(1)], [fill(5), fill(4)]

    play(scene, prepare=prepare, writer=second)
    assert second.said("connects") == 2


def test_an_account_is_chosen_by_name_or_is_the_first() -> None:
    def prepare(venue: FakeAccount) -> None:
        venue.accounts = [standing(), standing(705, "Combine-2", 7.0)]

    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        venue.accounts[0]["balance"] = 9.0
        await venue.send(event("Account", standing(balance=1.0)) + event("Order", order(1)))  # of another account
        await until(lambda: stage.feed._said["ignored"] == 2, "both are ignored")

    assert play(scene, prepare=prepare, name="combine-2").said("balance_e9") == 7 * layout.E9
    first = play(lambda venue, stage: stage.until_live(), prepare=prepare)
    assert first.said("account_id") == 704


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await asyncio.wait([stage.task], timeout=10)
        with pytest.raises(VenueRefusal, match=r"no active account 'nobody': there are PRAC-canary-1: correct venue"):
            stage.task.result()
        assert stage.feed.life is Life.CLOSED

    play(scene, name="nobody")


def test_an_account_that_is_gone_later_ends_nothing() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        venue.accounts = [standing(705, "another")]
        await venue.drop()
        await until(lambda: [name for name, _ in venue.requests].count("Account/search") > 4, "it is looked for again")
        assert not stage.task.done()
        assert stage.writer.states[-1] == (State.STALE, Reason.DISCONNECTED)
        venue.accounts = [standing()]
        await stage.until_live(2)

    play(scene, name="PRAC-canary-1")


def test_without_any_account_it_waits_for_one() -> None:
    def prepare(venue: FakeAccount) -> None:
        venue.accounts = []

    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await until(lambda: len(venue.requests) > 3, "three looks")
        venue.accounts = [standing()]
        await stage.until_live()

    play(scene, prepare=prepare)


@pytest.mark.parametrize("confirms", [True, False], ids=["refused", "unanswered"])
def test_subscriptions_that_are_not_confirmed_are_made_again(confirms: bool) -> None:
    def prepare(venue: FakeAccount) -> None:
        venue.completion_error, venue.confirms = "no", confirms

    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await until(lambda: venue.connections >= 3, "three tries")
        assert LIVE not in stage.writer.states
        venue.completion_error, venue.confirms = "", True
        await stage.until_live()

    play(scene, FeedSettings(backoff_first_ms=1, backoff_max_ms=5, handshake_timeout_ms=100), prepare=prepare)


def test_a_renewed_token_makes_a_new_connection() -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        stage.gateway.forget_token()
        await stage.gateway.token()  # as the market feed does
        await stage.until_live(2)
        assert venue.connections == 2

    play(scene)


@pytest.mark.parametrize(
    "end",
    [
        b'{"type":7,"error":"over"}\x1e',
        b'{"type":6}\x1e' * (accounts.MAX_MESSAGES_A_SECOND + 1),
        b"x" * (accounts.MAX_FRAME_BYTES + 1),
    ],
    ids=["goodbye", "flood", "huge"],
)
def test_what_ends_a_connection(end: bytes) -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        await venue.send(end)
        await stage.until_live(2)
        assert venue.connections == 2

    play(scene)


def test_prices_of_a_contract_that_nobody_knows_have_no_ticks() -> None:
    def prepare(venue: FakeAccount) -> None:
        venue.orders = [order(1, contractId="CON.F.US.XYZ.Z26"), order(2, contractId="front"), order(3)]

    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        assert stage.writer.shown.orders["tick_e9"].tolist() == [0, 0, 250_000_000]
        await venue.send(event("Order", order(4, contractId="CON.F.US.MES.Z26", stopPrice=None)))
        await until(lambda: stage.writer.ids("orders")[-1:] == [4], "the order")
        await until(lambda: stage.writer.shown.orders["tick_e9"][-1] == 250_000_000, "its tick")
        assert stage.writer.shown.orders["stop_e9"][-1] == NO_VALUE
        looked_up = [body["contractId"] for name, body in venue.requests if name == "Contract/searchById"]
        assert len(looked_up) == len(set(looked_up))
        assert "front" not in looked_up

    play(scene, prepare=prepare)


def test_nothing_private_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        await venue.send(event("Order", {"id": "tag-1"}) + event("Order", order(1)))
        await stage.until_live(2)
        await venue.send(b'{"type":7,"error":"' + venue.token.encode() + b'"}\x1e')
        await stage.until_live(3)
        assert venue.token not in caplog.text

    caplog.set_level(logging.INFO)
    play(scene, prepare=filled)
    for private in ("canary", "704", "tag-1", "150000", API_KEY):
        assert private not in caplog.text, private


def test_a_hub_that_sends_anything_ends_nothing(seed: int) -> None:
    """Real events with bytes and values changed, cut and joined at random: at the end the table is the venue's."""
    chance = random.Random(seed)
    samples = [
        event("Order", order(1)),
        event("Order", {"action": 1, "data": order(9, status=2)}),
        event("Position", position(7, 0)),
        event("Trade", [fill(4, voided=True), fill(3)]),
        event("Account", standing(balance=1.0)),
        b'{"type":6}\x1e',
        b'{"type":3,"invocationId":"1","error":"x"}\x1e',
        b"{}\x1e\x1e\x1e",
    ]

    def mutated() -> bytes:
        data = bytearray(b"".join(chance.choice(samples) for _ in range(chance.randint(1, 3))))
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randint(1, 40)]
                case _:
                    data[at:at] = data[at : at + chance.randint(1, 40)]
            if not data:
                data += b"\x1e"
        return bytes(data)

    async def scene(venue: FakeAccount, stage: Stage) -> None:
        await stage.until_live()
        for _ in range(MUTATED):
            await until(lambda: venue.sockets, "a connection")
            await venue.send(mutated())
            await asyncio.sleep(0)
        assert not stage.task.done()
        await venue.drop()
        syncs = stage.feed._said["syncs"]
        await stage.until_live(syncs + 1)
        assert set(stage.writer.ids("orders")) == {1, 2}
        assert stage.writer.ids("positions") == [7]
        assert {3, 4} <= set(stage.writer.ids("fills"))

    recorder = play(scene, prepare=filled)
    assert recorder.said("refused") > 10
