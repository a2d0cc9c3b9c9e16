"""A canary for an API key and one for a token: where they have to be they are, and they are nowhere else.

The key is in the environment of launch, supervisor and engine. The token is in the engine's memory and on its
socket; the venue here is a small one of the test's own, which hands it out, throws it back in every error, and then
serves. What is searched: environments, command lines and memory of every process, every byte of every file in shared
memory, data folder, temporary folder (the truth is in it), and all that was printed.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engine.simulator_control import ask
from tests.conftest import processes_of
from tests.engine.feeds.fake_venue import API_KEY, FakeVenue, token
from tests.system.running import TOP, Running, running, wait_beside, wait_live
from tests.system.searching import command_of, environ_of, files_with, memory_holds
from tests.waiting import wait_for

USER = "trader-canary-user"
JWT = re.compile(rb"eyJ[\w-]{10,}\.[\w-]{10,}")  # how a token begins, whoever made it


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where launch keeps what is not for long: a folder that the test can look through."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


class ServingVenue(FakeVenue):
    """The fake venue with a book that can be live."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshots = False

    async def _answer(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        await super()._answer(socket, message)
        if message["target"] == "SubscribeContractMarketDepth":
            entries = [
                {"timestamp": "2026-11-22T14:33:00Z", "type": kind, "price": price, "volume": 1, "currentVolume": 1}
                for kind, price in ((6, 0), (2, 100.25), (1, 100.5))
            ]
            record = {"type": 1, "target": "GatewayDepth", "arguments": [message["arguments"][0], entries]}
            await socket.send_str(json.dumps(record) + "\x1e")


class ThreadedVenue:
    """The venue in a loop of its own, beside the test."""

    def __init__(self) -> None:
        self.venue = ServingVenue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        self.do(self.venue.__aenter__())

    def do(self, coroutine: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def stop(self) -> None:
        self.do(self.venue.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def venue() -> Iterator[ThreadedVenue]:
    threaded = ThreadedVenue()
    threaded.start()
    threaded.venue.token = token(mark=f"canary-{uuid.uuid4().hex}")
    try:
        yield threaded
    finally:
        threaded.stop()


def test_key_is_in_three_environments_and_nowhere_else(
    left_nothing: Path, engine_name: str, temporary: Path, tmp_path: Path
) -> None:
    key = f"canary-key-{uuid.uuid4().hex}"
    data = tmp_path / "data"
    arguments = ("--symbols", "MNQ,MES")
    with (
        running(engine_name, *arguments, data=data, PROJECT_X_API_KEY=key, PROJECT_X_USERNAME=USER) as engine,
        engine.attach() as market,
    ):
        wait_live(market)
        wait_beside(engine)
        knows = {engine.process.pid, engine.registry.supervisor_pid, engine.registry.engine_pid}
        assert len(knows) == 3
        everyone = set(processes_of(left_nothing))
        assert len(everyone) == 10  # and the simulator, the fork server, two workers, keeper, recorder, historian
        assert {pid for pid in everyone if key.encode() in environ_of(pid)} == knows
        _check_command_lines(everyone, key)
        simulator = {pid for pid in everyone if b"engine.simulator" in command_of(pid)}
        assert len(simulator) == 1
        _check_memory(everyone - knows - simulator, key.encode())  # it is the venue: it is logged in at with the key
        # A worker and a fork server that come later get no more than the first ones.
        os.kill(engine.worker_pid("MNQ"), 9)
        wait_for(lambda: market["MNQ"].status().restarts == 1, 10, "a successor")
        wait_live(market)
        later = set(processes_of(left_nothing))
        assert {pid for pid in later if key.encode() in environ_of(pid)} == knows
        assert files_with(key.encode(), [left_nothing, data, temporary]) == []
        assert key not in _inspected(engine_name)
        assert key not in engine.registry.__repr__()
        assert engine.registry.simulator_url is not None
        assert key not in str(ask(engine.registry.simulator_url, "status"))
        summary = engine.stop()
    assert engine.status == 0, engine.errors
    assert key not in str(summary)
    assert key not in engine.errors
    assert files_with(key.encode(), [data, temporary]) == []
    # Of the simulator's own tokens the shape is known; its access log is in the engine's, a line when a request ends.
    log = _log(engine)
    assert b"/hubs/market" in log, "the simulator's access log is not where it is searched for"
    assert b"access_token" not in log
    assert JWT.search(log) is None


def test_token_is_in_the_engine_and_nowhere_else(
    left_nothing: Path, engine_name: str, temporary: Path, tmp_path: Path, venue: ThreadedVenue
) -> None:
    fake, data = venue.venue, tmp_path / "data"
    secret = fake.token.encode()
    claims = secret.split(b".")[1]  # a piece is as bad as the whole
    file = tmp_path / "engine.toml"
    file.write_text(
        f'[venue]\nname = "projectx"\napi_url = "{fake.api_url}"\nmarket_hub_url = "{fake.hub_url}"\n'
        "[feed]\nbackoff_max_ms = 100\nresync_timeout_ms = 500\nhandshake_timeout_ms = 1000\n"
    )
    fake.upgrade_status = 403
    arguments = ("--config", str(file), "--symbols", "MNQ,MES")
    with (
        running(engine_name, *arguments, data=data, PROJECT_X_API_KEY=API_KEY, PROJECT_X_USERNAME=USER) as engine,
        engine.attach() as market,
    ):
        _fail_in_every_way(venue, engine)
        wait_live(market)
        wait_beside(engine)
        everyone, knows = set(processes_of(left_nothing)), {engine.registry.engine_pid}
        assert len(everyone) == 9
        assert fake.sockets, "served, so the token came over the socket"
        assert _memory_known(engine.registry.engine_pid, claims) is not False, "the search finds nothing at all"
        _check_memory(everyone - knows, claims)
        for pid in everyone:
            assert claims not in environ_of(pid), command_of(pid)
            assert claims not in command_of(pid)
        assert files_with(claims, [left_nothing, data, temporary]) == []
        assert files_with(API_KEY.encode(), [left_nothing, data, temporary]) == []
        assert claims.decode() not in _inspected(engine_name)
        summary = engine.stop()
    log = _log(engine)
    print(log.decode())
    for status in (b"403", b"500", b"401"):
        assert b"status " + status in log, "the failures that throw the token back were not even met"
    for secret_text in (claims, API_KEY.encode(), b"access_token"):
        assert secret_text not in log
        assert secret_text not in engine.errors.encode()
        assert secret_text not in str(summary).encode()
    assert b"a text with a secret in it" in log, "a venue's text that held the token was not met"
    assert files_with(claims, [data, temporary]) == []
    assert engine.status == 0, engine.errors


def test_key_thrown_back_by_a_login_is_not_shown(
    left_nothing: Path, engine_name: str, tmp_path: Path, venue: ThreadedVenue
) -> None:
    """A refusal for good ends in a sentence on stderr: the key is not in it."""
    fake, key = venue.venue, f"wrong-{uuid.uuid4().hex}"
    file = tmp_path / "engine.toml"
    file.write_text(f'[venue]\nname = "projectx"\napi_url = "{fake.api_url}"\nmarket_hub_url = "{fake.hub_url}"\n')
    data = tmp_path / "data"
    arguments = ("--config", str(file), "--symbols", "MNQ")
    with running(engine_name, *arguments, data=data, PROJECT_X_API_KEY=key, PROJECT_X_USERNAME=USER) as engine:
        engine.wait(90)
    assert engine.status == 2
    assert engine.errors.count("\n") == 1
    assert key not in engine.errors
    assert files_with(key.encode(), [data]) == []


def _fail_in_every_way(threaded: ThreadedVenue, engine: Running) -> None:
    """Let the websocket fail in each way that has the token in reach, then serve."""
    fake = threaded.venue

    def met(what: str, since: int = 0) -> None:
        wait_for(lambda: fake.connections > since + 1, 90, f"the engine has met {what} and tried again")

    met("status 403")
    for status in (500, 401, 302):
        since, fake.upgrade_status = fake.connections, status
        met(f"status {status}", since)
    since, fake.upgrade_status = fake.connections, 0
    fake.handshake_reply = b'{"error":"no such client: ' + fake.token.encode() + b'"}\x1e'
    met("a handshake that is refused with the token in its text", since)
    fake.handshake_reply = b"{}\x1e"
    wait_for(lambda: fake.sockets, 30, "the engine is served")
    # The venue says goodbye with the token in its words, and the engine comes back.
    since = fake.connections
    threaded.do(fake.send(b'{"type":7,"error":"goodbye ' + fake.token.encode() + b'"}\x1e'))
    wait_for(lambda: fake.connections > since, 30, "the engine has come back after a goodbye")


def _check_command_lines(pids: set[int], secret: str) -> None:
    for pid in pids:
        assert secret.encode() not in command_of(pid)


def _check_memory(pids: set[int], secret: bytes) -> None:
    """None of these processes holds the secret; where memory may not be looked at, nothing is checked."""
    for pid in pids:
        assert _memory_known(pid, secret) is not True, f"in the memory of {command_of(pid)!r}"


def _memory_known(pid: int, secret: bytes) -> bool | None:
    try:
        return memory_holds(pid, secret)
    except PermissionError:
        return None


def _inspected(engine_name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "engine.inspection", "--name", engine_name],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=TOP,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _log(engine: Running) -> bytes:
    return (engine.data / f"{engine.name}.log").read_bytes()
