"""engine/__main__.py as a process: real rings, a fake venue, SIGTERM; and its refusals, one sentence each."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import hours
from engine.__main__ import boottime_ns, keep_time, read_job
from engine.cache import Caches
from engine.clock import Clock
from engine.config import HttpSettings, Settings, load
from engine.http import HttpPool
from engine.page import Page
from engine.rules import ConfigError
from engine.tables import KEY_VARIABLE, USER_VARIABLE
from shm import layout, segment
from shm.layout import Kind, Reason, Record
from shm.life import LifeLock, is_held
from shm.records import KIND, PEEK_WORDS, SEQUENCE, peek
from shm.registry import engine_folder, generation_folder, make_folder
from shm.timeframe import Unit
from tests.engine.feeds.fake_account import FakeAccount
from tests.engine.feeds.fake_venue import API_KEY, CONTRACTS, FakeVenue, until
from tests.engine.test_hours import rows_of

TOP = Path(__file__).parents[2]
GENERATION = 3
SYMBOLS = ("MNQ", "MES")


def settings_at(venue: FakeVenue) -> Settings:
    return load(symbols=SYMBOLS).at_simulator(venue.url, "me")


def make_segments(name: str) -> Path:
    """An engine's folder as a supervisor makes it."""
    folder = engine_folder(name)
    make_folder(folder)
    here = generation_folder(folder, GENERATION)
    here.mkdir(mode=0o700)
    for symbol in SYMBOLS:
        regions = layout.ring_regions(1 << 20)
        ring = segment.create(here / f"{symbol}.ring", Kind.RING, regions, generation=GENERATION, symbol=symbol)
        ring.array("words")[layout.CAPACITY] = 1 << 20
        ring.close()
    common = {
        "engine": (Kind.ENGINE, layout.engine_regions()),
        "keeper": (Kind.KEEPER, layout.keeper_regions()),
        "keeper.ring": (Kind.RING, layout.ring_regions(layout.KEEPER_RING_BYTES)),
        "recorder.ring": (Kind.RING, layout.ring_regions(1 << 20)),
    }
    for name, (kind, common_regions) in common.items():
        segment.create(here / name, kind, common_regions, generation=GENERATION).close()
    return folder


def records(folder: Path, symbol: str) -> list[tuple[Record, int]]:
    """Kind, and the reason of a gap, of every record that is published in a ring, clock frames left out."""
    path = generation_folder(folder, GENERATION) / f"{symbol}.ring"
    ring = segment.attach(path, Kind.RING, generation=GENERATION, symbol=symbol)
    words: Any = ring.array("words").view(np.int64)
    row: Any = np.zeros(PEEK_WORDS, np.int64)
    found: list[tuple[Record, int]] = []
    position, tail = 0, int(words[layout.TAIL])
    while peek(words, position, tail, row):
        kind = Record(int(row[KIND]))
        assert int(row[SEQUENCE]) >> layout.GENERATION_SHIFT == GENERATION
        if kind is not Record.CLOCK:
            found.append((kind, int(words[int(row[0]) // 8]) if kind is Record.GAP else 0))
        position = int(row[9])
    del words
    ring.close()
    return found


class Running:
    """A `python -m engine`, what it says on stdout, and its log."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.log = ""

    async def read(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async for line in self.process.stdout:
            self.events.append(json.loads(line))
        self.log = (await self.process.stderr.read()).decode()


async def start(job: object, key: str = API_KEY, *, ended: bool = True) -> tuple[Running, asyncio.Task[None]]:
    """`ended`: nothing follows the job."""
    environ = os.environ | {USER_VARIABLE: "me", KEY_VARIABLE: key}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine", cwd=TOP, env=environ, stdin=-1, stdout=-1, stderr=-1
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job).encode() + b"\n")
    if ended:
        process.stdin.write_eof()
    running = Running(process)
    return running, asyncio.create_task(running.read())


def job(venue: FakeVenue, folder: Path) -> dict[str, object]:
    return {
        "settings": settings_at(venue).to_json(),
        "generation": GENERATION,
        "folder": str(folder),
        "supervisor_pid": os.getpid(),
    }


def with_venue(play: Callable[[FakeVenue], Awaitable[None]]) -> None:
    async def go() -> None:
        async with FakeVenue() as venue:
            await play(venue)

    asyncio.run(go())


async def refused(job: object, key: str = API_KEY, *, final: bool = False) -> str:
    """The sentence that an engine ends with, after the checks that all such endings share.

    `final`: the venue has refused it, and would do so again.
    """
    running, reading = await start(job, key)
    await asyncio.wait_for(reading, 60)
    assert await running.process.wait() == 1
    (event,) = running.events
    assert (event["event"], event["final"]) == ("fatal", final)
    assert running.log.endswith(f"engine: {event['message']}\n")
    assert "Traceback" not in running.log
    return str(event["message"])


def test_a_life_and_a_successor(shm_root: Path, engine_name: str) -> None:
    folder = make_segments(engine_name)
    after_life = [
        (Record.CONFIG, 0),
        (Record.GAP, Reason.STARTING),
        (Record.DATA, 0),
        (Record.GAP, Reason.CLOSED),
    ]
    after_successor = [
        (Record.GAP, Reason.ENGINE_RESTART),
        (Record.CONFIG, 0),
        (Record.GAP, Reason.RECONNECTED),
        (Record.DATA, 0),
        (Record.GAP, Reason.CLOSED),
    ]

    async def play(venue: FakeVenue) -> None:
        for expected in (after_life, after_life + after_successor):
            running, reading = await start(job(venue, folder))
            await until(lambda running=running: running.events, "the first event", 60)  # type: ignore[misc]
            assert running.events == [{"event": "streaming"}]
            assert is_held(folder / "engine.lock")
            data = [kind for kind, _ in expected].count(Record.DATA)

            def has_data(data: int = data) -> bool:
                return all([kind for kind, _ in records(folder, each)].count(Record.DATA) == data for each in SYMBOLS)

            await until(has_data, "a snapshot of each")
            running.process.send_signal(signal.SIGINT)  # a terminal's; it is the supervisor that ends us
            running.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(reading, 30)
            assert await running.process.wait() == 0
            assert not is_held(folder / "engine.lock")
            assert [records(folder, each) for each in SYMBOLS] == [expected, expected]
            for secret in (API_KEY, venue.token, venue.token.split(".")[1]):
                assert secret not in running.log
            assert "Traceback" not in running.log

    with_venue(play)


def test_it_hands_on_trading_hours_and_does_what_the_keeper_wishes(shm_root: Path, engine_name: str) -> None:
    folder = make_segments(engine_name)
    here = generation_folder(folder, GENERATION)
    keeper = segment.attach(here / "keeper", Kind.KEEPER, writable=True, generation=GENERATION)
    keeper.array("wishes")[0] = (1, Unit.MINUTE, 1, 0, 3600 * 10**9, b"MNQ", (0,) * 7)
    answers = segment.attach(here / "keeper.ring", Kind.RING, generation=GENERATION).array("words")

    async def play(venue: FakeVenue) -> None:
        running, reading = await start(job(venue, folder))
        await until(lambda: (Record.DATA, 0) in records(folder, "MNQ"), "a snapshot", 60)
        hours.write(hours.path_of(here, "MNQ"), rows_of(3))
        await until(lambda: (Record.SESSIONS, 0) in records(folder, "MNQ"), "the hours in its ring")
        assert (Record.SESSIONS, 0) not in records(folder, "MES")
        await until(lambda: answers[layout.TAIL], "an answer")
        (asked,) = [body for name, body in venue.requests if name == "History/retrieveBars" and body["unit"] == 2]
        assert asked["contractId"] == CONTRACTS["MNQ"][0]
        running.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(reading, 30)
        assert await running.process.wait() == 0
        assert "Traceback" not in running.log

    with_venue(play)


def test_a_successor_goes_on_without_what_the_venue_refuses_by_now(shm_root: Path, engine_name: str) -> None:
    folder = make_segments(engine_name)

    async def play(venue: FakeVenue) -> None:
        running, reading = await start(job(venue, folder))
        await until(lambda: all((Record.DATA, 0) in records(folder, each) for each in SYMBOLS), "both", 60)
        running.process.send_signal(signal.SIGKILL)
        await asyncio.wait_for(reading, 30)
        assert await running.process.wait() == -signal.SIGKILL
        before = records(folder, "MES")
        venue.contracts = [row for row in venue.contracts if row["id"] == CONTRACTS["MNQ"][0]]
        running, reading = await start(job(venue, folder))
        await until(lambda: records(folder, "MNQ").count((Record.DATA, 0)) == 2, "a snapshot of the other", 60)
        sentence = "the venue has no active contract of MES: set contract in MES.toml to an id"
        said = [{"event": "let_go", "symbol": "MES", "message": sentence}, {"event": "streaming"}]
        await until(lambda: running.events == said, f"{said}", 60)
        assert records(folder, "MES") == [*before, (Record.GAP, Reason.ENGINE_RESTART), (Record.GAP, Reason.CLOSED)]
        running.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(reading, 30)
        assert await running.process.wait() == 0
        assert f"MES is fed no more: {sentence}" in running.log
        assert records(folder, "MES")[-1] == (Record.GAP, Reason.CLOSED)
        assert "Traceback" not in running.log

    with_venue(play)


def test_an_account_is_viewed_beside_the_feed_and_ends_with_it(shm_root: Path, engine_name: str) -> None:
    """The market data of one fake venue, the account of another, and a REST side that has both."""
    folder = make_segments(engine_name)
    here = generation_folder(folder, GENERATION)
    made = {"changed": (Kind.CHANGED, layout.changed_regions()), "account": (Kind.ACCOUNT, layout.account_regions())}
    for name, (kind, regions) in made.items():
        segment.create(here / name, kind, regions, generation=GENERATION).close()
    view = segment.attach(here / "account", Kind.ACCOUNT, generation=GENERATION)
    states: list[tuple[int, int]] = []

    def newest() -> tuple[int, int]:
        cell = view.array("cells")[int(view.array("control")[layout.PUBLISHED]) % layout.ACCOUNT_CELLS]
        return int(cell["state"]), int(cell["account_id"])

    async def play(venue: FakeVenue) -> None:
        async with FakeAccount() as broker:
            broker.contracts = venue.contracts
            whole = job(venue, folder)
            told: Any = whole["settings"]
            told["venue"] |= {
                "account": True,
                "api_url": f"{broker.url}/api",
                "user_hub_url": f"{broker.url}/hubs/user",
            }
            venue.token = broker.token
            running, reading = await start(whole)
            await until(lambda: newest() == (layout.State.LIVE, 704), "the account is live", 60)
            assert view.writer()[0] == running.process.pid
            before_ns = int(view.array("control")[layout.THROUGH_NS])
            await until(lambda: int(view.array("control")[layout.THROUGH_NS]) > before_ns, "a stamp")
            assert running.process.returncode is None
            running.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(reading, 30)
            assert await running.process.wait() == 0, running.log
            states.append(newest())
            assert "canary" not in running.log
            # A wrong name ends the next one, with a sentence: nothing was known when it began.
            segment.create(here / "account", Kind.ACCOUNT, layout.account_regions(), generation=GENERATION).close()
            told["venue"] |= {"account_name": "nobody"}
            assert "no active account 'nobody': there are PRAC-canary-1" in await refused(whole, final=True)

    with_venue(play)
    assert states == [(layout.State.CLOSED, 704)]


def test_instruments_come_and_go_while_it_runs(shm_root: Path, engine_name: str) -> None:
    folder = make_segments(engine_name)

    async def play(venue: FakeVenue) -> None:
        settings = settings_at(venue)
        only = {**job(venue, folder), "settings": replace(settings, symbols=settings.symbols[:1]).to_json()}
        running, reading = await start(only, ended=False)
        stdin = running.process.stdin
        assert stdin is not None

        async def says(do: str, symbol: object, **answer: object) -> None:
            stdin.write(json.dumps({"do": do, "symbol": symbol}).encode() + b"\n")
            wanted = {"symbol": symbol if isinstance(symbol, str) else symbol["symbol"], **answer}  # type: ignore[index]
            await until(lambda: wanted.items() <= running.events[-1].items(), f"{wanted}", 60)

        await until(lambda: running.events, "the first event", 60)
        mes = asdict(settings.symbols[1])
        twice = mes | {"contract": CONTRACTS["MNQ"][0]}
        await says("check", twice, event="refused", final=True)
        assert "which MNQ has already" in running.events[-1]["message"]
        await says("check", mes | {"symbol": "ES"}, event="refused", final=True)
        await says("check", mes, event="checked")
        await says("add", mes, event="added")
        await until(lambda: (Record.DATA, 0) in records(folder, "MES"), "a snapshot of it")
        await says("remove", "MES", event="removed")
        await says("remove", "MES", event="removed")
        closed = [(Record.CONFIG, 0), (Record.GAP, Reason.STARTING), (Record.DATA, 0), (Record.GAP, Reason.CLOSED)]
        assert records(folder, "MES") == closed
        (generation_folder(folder, GENERATION) / "MES.ring").unlink()
        await says("add", mes, event="refused", final=True)
        running.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(reading, 30)
        assert await running.process.wait() == 0
        assert records(folder, "MNQ") == closed

    with_venue(play)


def test_a_front_contract_is_followed(shm_root: Path, engine_name: str) -> None:
    folder = make_segments(engine_name)

    async def play(venue: FakeVenue) -> None:
        settings = settings_at(venue)
        settings = replace(settings, feed=replace(settings.feed, roll_check_s=1))
        running, reading = await start({**job(venue, folder), "settings": settings.to_json()})
        await until(lambda: (Record.DATA, 0) in records(folder, "MNQ"), "a snapshot of it", 60)
        venue.contracts[0] = {"id": "CON.F.US.MNQ.H27", "name": "MNQH7", "tickSize": 0.25, "activeContract": True}
        await until(lambda: (Record.GAP, Reason.ROLL) in records(folder, "MNQ"), "the roll", 60)
        await until(lambda: records(folder, "MNQ")[-1] == (Record.DATA, 0), "the next contract's snapshot", 60)
        assert records(folder, "MNQ")[3:] == [(Record.CONFIG, 0), (Record.GAP, Reason.ROLL), (Record.DATA, 0)]
        assert records(folder, "MES") == [(Record.CONFIG, 0), (Record.GAP, Reason.STARTING), (Record.DATA, 0)]
        running.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(reading, 30)
        assert await running.process.wait() == 0
        assert "MNQ rolls from CON.F.US.MNQ.Z26 to CON.F.US.MNQ.H27" in running.log

    with_venue(play)


def test_a_front_contract_that_falls_silent_is_asked_for_at_once(shm_root: Path, engine_name: str) -> None:
    """The regular question would come in a day."""
    folder = make_segments(engine_name)
    trade = b'{"type":1,"target":"GatewayTrade","arguments":["%s",[]]}\x1e'

    async def play(venue: FakeVenue) -> None:
        settings = settings_at(venue)
        settings = replace(settings, feed=replace(settings.feed, roll_check_s=86_400, probe_after_ms=100))
        running, reading = await start({**job(venue, folder), "settings": settings.to_json()})
        await until(lambda: (Record.DATA, 0) in records(folder, "MES"), "snapshots", 60)
        old, mes = (trade % str(each["id"]).encode() for each in venue.contracts[:2])
        for _ in range(60):
            await venue.send(old + mes)
            await asyncio.sleep(0.025)
        next_one = {"id": "CON.F.US.MNQ.H27", "name": "MNQH7", "tickSize": 0.25, "activeContract": True}
        venue.contracts = [venue.contracts[0] | {"activeContract": False}, next_one, *venue.contracts[1:]]
        for _ in range(800):
            if (Record.GAP, Reason.ROLL) in records(folder, "MNQ"):
                break
            await venue.send(mes)
            await asyncio.sleep(0.025)
        assert (Record.GAP, Reason.ROLL) in records(folder, "MNQ")
        running.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(reading, 30)
        assert await running.process.wait() == 0

    with_venue(play)


def test_refusals(shm_root: Path, engine_name: str) -> None:
    folder = make_segments(engine_name)

    async def play(venue: FakeVenue) -> None:
        whole = job(venue, folder)
        lock = LifeLock.take(folder / "engine.lock")
        sentences = await asyncio.gather(refused({}), refused(whole), refused(whole | {"supervisor_pid": 1}))
        assert "is not the JSON object it must be" in sentences[0]
        assert "an engine runs there already" in sentences[1]
        assert "an engine does not run without its supervisor" in sentences[2]
        lock.release()
        wrong = await refused(whole, key="canary-wrong", final=True)
        assert "the venue refuses the login of me (wrong user name or key)" in wrong
        assert "canary-wrong" not in wrong
        assert f"{KEY_VARIABLE} is not set" in await refused(whole, key="")
        (generation_folder(folder, GENERATION) / "MES.ring").write_bytes(b"x" * 8192)
        assert "MES.ring" in await refused(whole)
        (generation_folder(folder, GENERATION) / "MES.ring").unlink()
        assert "MES.ring is not there" in await refused(whole)

    with_venue(play)


def test_what_is_kept_and_asked_is_counted_on_the_page() -> None:
    async def go() -> None:
        page, caches, pool = Page(np.zeros(layout.ENGINE_BYTES // 8, layout.WORDS)), Caches(), HttpPool(HttpSettings())
        caches.market_data.get("nothing")
        caches.instruments.put("k", 1)
        assert caches.instruments.get("k") == 1
        pool.retries, pool.delayed = 7, 8
        ticking = asyncio.ensure_future(keep_time(Clock([], page, boottime_ns), pool, caches, page))
        await until(lambda: page.read("heartbeat"), "a tick")
        ticking.cancel()
        counted = [
            page.read(name) for name in ("market_data_misses", "instrument_hits", "http_retries", "http_delayed")
        ]
        assert counted == [1, 1, 7, 8]

    asyncio.run(go())


@pytest.mark.parametrize("key", ["settings", "generation", "folder", "supervisor_pid"])
def test_a_job_with_a_wrong_value_is_refused_by_name(key: str) -> None:
    whole = {"settings": load().to_json(), "generation": 1, "folder": "/x", "supervisor_pid": 1}
    with pytest.raises(ConfigError, match="the job of the engine: "):
        read_job(json.dumps(whole | {key: None}).encode())
    with pytest.raises(ConfigError, match="the venue has no address"):
        read_job(json.dumps(whole).encode())
