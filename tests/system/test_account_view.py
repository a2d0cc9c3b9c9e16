"""The account of a running engine is the venue's: while it trades, after its hub was lost, its engine killed, and
beside a hub that lies. Orders are placed over REST by a client of the test's own."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from shm import Market, NoAccount, Stale
from tests.engine.feeds.fake_account import FakeAccount, event, fill, order, position, standing
from tests.system.broker import ACCOUNT, BUY, LIMIT, MARKET, SELL, Broker
from tests.system.running import TOP, Running, running, wait_live
from tests.waiting import wait_for

USER, KEY = "trader-1", "k3y-abcdefghij"
LIMIT_S = 30.0
HOSTILE_FRAMES = 400
SYMBOLS = ("--symbols", "MNQ,GC", "--rate", "2000")


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT_X_USERNAME", USER)
    monkeypatch.setenv("PROJECT_X_API_KEY", KEY)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An account, and a back-off that is long enough for its stale moments to be seen."""
    file = tmp_path / "engine.toml"
    file.write_text("[venue]\naccount = true\n[feed]\nbackoff_first_ms = 1000\n")
    return file


def broker_of(engine: Running) -> Broker:
    url = engine.registry.simulator_url
    assert url is not None
    return Broker(url, USER, KEY)


def until_same(market: Market, broker: Broker, what: str) -> None:
    """Wait until the account is live and says what the venue says."""
    said = ["nothing yet"]

    def is_same() -> bool:
        market.wait_account(0.2)  # the venue takes 200 requests a minute
        try:
            said[0] = broker.difference(market.account())
        except Stale as stale:
            said[0] = str(stale)
        return not said[0]

    try:
        wait_for(is_same, LIMIT_S, what)
    except AssertionError as error:
        raise AssertionError(f"{error}: {said[0]}") from None


def trade(broker: Broker, market: Market, *, size: int = 2) -> None:
    """Orders that fill at once, one that waits, and one that is changed and cancelled."""
    mnq, gold = market["MNQ"].contract, market["GC"].contract
    bid = market["MNQ"].quote(allow_stale=True).bid
    broker.place(mnq, MARKET, BUY, size)
    broker.place(gold, MARKET, SELL, 1)
    waiting = broker.place(mnq, LIMIT, BUY, 3, limitPrice=bid - 500)
    gone = broker.place(mnq, LIMIT, BUY, 4, limitPrice=bid - 600)
    broker.ask("Order/modify", accountId=ACCOUNT, orderId=waiting, size=5, limitPrice=bid - 400)
    broker.ask("Order/cancel", accountId=ACCOUNT, orderId=gone)
    broker.place(mnq, MARKET, SELL, 1)


def test_what_is_traded_is_seen_as_the_venue_says_it(
    left_nothing: Path, engine_name: str, environ: None, config: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with running(engine_name, *SYMBOLS, "--config", str(config), data=data) as engine, engine.attach() as market:
        wait_live(market)
        broker = broker_of(engine)
        until_same(market, broker, "the account before anything was traded")
        market.wait_account(0)
        broker.place(market["MNQ"].contract, LIMIT, BUY, 1, limitPrice=1.0, customTag="strategy-1")
        assert market.wait_account(LIMIT_S)
        until_same(market, broker, "an order that waits")
        for wrapped in (True, False):
            broker.post("/simulator/user-events", {"wrapped": wrapped})
            trade(broker, market)
            until_same(market, broker, f"orders, positions, fills and balance, wrapped {wrapped}")
        account = market.account()
        assert [one.tag for one in account.orders if one.limit_price == 1.0] == ["strategy-1"]
        assert len(account.fills) >= 6
        assert all(one.price_ticks is not None for one in account.fills)
        assert (account.refused, account.connects, account.syncs) == (0, 1, 1), "all of it came as events"
        inspected = subprocess.run(
            [sys.executable, "-m", "engine.inspection", "--name", engine_name],
            capture_output=True,
            text=True,
            cwd=TOP,
            check=True,
        ).stdout
        assert "PRAC-V2-1" in inspected
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    assert all(row["wrong_levels"] == 0 for row in summary["instruments"])
    log = (data / f"{engine_name}.log").read_text()
    assert "PRAC-V2-1" not in log
    assert KEY not in log + inspected
    assert "strategy-1" not in log


def test_hub_lost_then_engine_killed_the_view_says_so_and_is_the_venues_again(
    left_nothing: Path, engine_name: str, environ: None, config: Path
) -> None:
    with running(engine_name, *SYMBOLS, "--config", str(config)) as engine, engine.attach() as market:
        wait_live(market)
        broker = broker_of(engine)
        trade(broker, market)
        until_same(market, broker, "before anything goes wrong")

        broker.post("/simulator/end", {"record": False})
        wait_for(lambda: not market.account(allow_stale=True).live, LIMIT_S, "the lost hub is seen")
        known = market.account(allow_stale=True)
        assert len(known.fills) >= 3, "what was known can still be read"
        with pytest.raises(Stale):
            market.account()
        trade(broker, market)  # nobody hears of it
        until_same(market, broker, "after the hub was lost")

        killed = engine.registry.engine_pid
        os.kill(killed, signal.SIGKILL)
        trade(broker, market)
        wait_for(lambda: not market.account(allow_stale=True).live, LIMIT_S, "the dead engine is seen")
        assert len(market.account(allow_stale=True).fills) >= 6
        until_same(market, broker, "after the engine was killed")
        assert engine.registry.engine_pid != killed
        trade(broker, market)
        until_same(market, broker, "its successor hears of what is traded")

        ids = [one.fill_id for one in market.account().fills]
        assert ids == sorted(set(ids)), "no fill is there twice"
        wait_live(market)
        summary = engine.stop()
    assert all(row["wrong_levels"] == 0 for row in summary["instruments"])


def test_without_the_setting_there_is_no_account(left_nothing: Path, engine_name: str, environ: None) -> None:
    with (
        running(engine_name, "--symbols", "MNQ", "--rate", "500") as engine,
        engine.attach() as market,
        pytest.raises(NoAccount, match="set account = true"),
    ):
        market.account()


def test_a_wrong_account_name_is_one_sentence_with_the_right_ones(
    left_nothing: Path, engine_name: str, environ: None, config: Path
) -> None:
    config.write_text('[venue]\naccount = true\naccount_name = "nobody"\n')
    with running(engine_name, "--symbols", "MNQ", "--config", str(config)) as engine:
        engine.wait(LIMIT_S * 3)
    assert engine.status == 2
    assert "no active account 'nobody': there are PRAC-V2-1: correct venue.account_name" in engine.errors


class Liar(FakeAccount):
    """A user hub that confirms and then sends mutated events, floods and deep frames; `honest` ends that."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self.honest = False
        self.lies = 0

    async def _hub(self, request: web.Request) -> web.StreamResponse:
        self.token = request.query.get("access_token", "")  # the simulator's
        return await super()._hub(request)

    async def lie(self) -> None:
        while not self.honest:
            if self.sockets:
                self.lies += 1
                await self.send(self._lie())
            await asyncio.sleep(0.005)

    def _lie(self) -> bytes:
        chance = self._chance
        if self.lies % 97 == 0:
            return b'{"type":6}\x1e' * 50_000
        if self.lies % 89 == 0:
            return b'{"a":' * 100_000
        samples = [
            event("Order", order(1)),
            event("Trade", [fill(4) | {"price": "dear"}]),
            event("Account", standing(balance=1.0)),
        ]
        data = bytearray(chance.choice([*samples, event("Position", {"action": 1, "data": position(7, -9)})]))
        for _ in range(chance.randint(0, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data)


@contextmanager
def lying(seed: int) -> Iterator[tuple[Liar, Callable[[], None]]]:
    """A liar in a loop of its own, beside the test; and what ends its lies, and the connection they came over."""
    liar = Liar(seed)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(coroutine: Coroutine[object, object, object]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

    do(liar.__aenter__())
    telling = asyncio.run_coroutine_threadsafe(liar.lie(), loop)

    def until_honest() -> None:
        liar.honest = True
        telling.result(20)
        do(liar.drop())

    try:
        yield liar, until_honest
    finally:
        until_honest()
        do(liar.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@contextmanager
def simulator_only(folder: Path) -> Iterator[str]:
    """A venue for another launch; its address."""
    command = [sys.executable, "-m", "engine.launch", "--simulator-only", *SYMBOLS, "--data", str(folder)]
    venue = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP)
    try:
        assert venue.stdout is not None
        yield venue.stdout.readline().strip()
    finally:
        venue.send_signal(signal.SIGINT)
        venue.communicate(timeout=LIMIT_S)


def test_hub_that_lies_touches_neither_engine_nor_market_data(
    left_nothing: Path, engine_name: str, environ: None, tmp_path: Path, seed: int
) -> None:
    with simulator_only(tmp_path / "venue") as url, lying(seed) as (liar, until_honest):
        config = tmp_path / "engine.toml"
        config.write_text(
            f'[venue]\nname = "projectx"\naccount = true\napi_url = "{url}/api"\n'
            f'market_hub_url = "{url}/hubs/market"\nuser_hub_url = "{liar.url}/hubs/user"\n'
            "[feed]\nbackoff_first_ms = 50\nbackoff_max_ms = 200\n"
        )
        with (
            running(engine_name, "--symbols", "MNQ,GC", "--config", str(config)) as engine,
            engine.attach() as market,
        ):
            wait_live(market)
            before = {symbol: market[symbol].status() for symbol in market.symbols}
            pid = engine.registry.engine_pid
            told = liar.lies
            wait_for(lambda: liar.lies >= told + HOSTILE_FRAMES, LIMIT_S * 3, "lies")
            account = market.account(allow_stale=True)
            assert account.refused > 0
            assert account.connects > 1
            for symbol, status in before.items():
                now = market[symbol].status()
                assert now.live, now
                assert now.applied > status.applied
                assert (now.dropped, now.refused, now.resyncs, now.last_gap) == (
                    *(status.dropped, status.refused, status.resyncs),
                    status.last_gap,
                ), now
            until_honest()
            until_same(market, Broker(url, USER, KEY), "the truth, once the hub tells it no lies")
            assert engine.registry.engine_pid == pid
            engine.stop()
        assert engine.status == 0, engine.errors
