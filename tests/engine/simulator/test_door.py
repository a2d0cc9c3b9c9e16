"""Who is let in: 401, 404, 409 and 429, negotiation in both versions, and tokens that are renewed and expire."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from engine.simulator.tokens import Tokens
from tests.engine.simulator.venue import LIMIT_S, Venue, play


async def refused(venue: Venue, query: str) -> int:
    """The status with which a socket is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await venue.session.ws_connect(f"{venue.url}/hubs/market?{query}")
    return error.value.status


@pytest.mark.parametrize(("query", "key"), [("", "connectionId"), ("&negotiateVersion=1", "connectionToken")])
def test_an_id_is_good_for_one_socket(tmp_path: Path, query: str, key: str) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        status, answer = await venue.post(f"/hubs/market/negotiate?access_token={token}{query}")
        assert status == 200
        assert [row["transport"] for row in answer["availableTransports"]] == ["WebSockets"]
        given = f"access_token={token}&id={answer[key]}"
        async with venue.connected(query=f"&id={answer[key]}") as client:
            assert await refused(venue, given) == 409
            await client.call("Heartbeat", invocation_id="1")
            await client.hear_until(lambda record: record.get("invocationId") == "1")
        async with asyncio.timeout(LIMIT_S):
            while await refused(venue, given) == 409:  # until the server has seen the end of it too
                await asyncio.sleep(0.01)
        assert await refused(venue, given) == 404
        assert await refused(venue, f"access_token={token}&id=unknown") == 404

    play(tmp_path, story, symbols=["MNQ"])


def test_negotiate_takes_the_token_from_query_or_header(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        for hub in ("market", "user"):
            assert (await venue.post(f"/hubs/{hub}/negotiate", token=token))[0] == 200
            assert (await venue.post(f"/hubs/{hub}/negotiate"))[0] == 401
            assert (await venue.post(f"/hubs/{hub}/negotiate?access_token=a.b.c"))[0] == 401
        assert (await venue.post("/hubs/other/negotiate", token=token))[0] == 404
        _, answer = await venue.post("/hubs/market/negotiate?negotiateVersion=x", token=token)
        assert "invalid protocol version" in answer["error"]
        headers = {"Authorization": f"Bearer {token}"}
        async with venue.session.ws_connect(f"{venue.url}/hubs/market", headers=headers) as socket:
            assert not socket.closed
        async with venue.session.get(f"{venue.url}/hubs/market", headers=headers) as plain:
            assert plain.status == 400

    play(tmp_path, story, symbols=["MNQ"])


def test_over_the_budget_is_429_with_retry_after(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token, other = await venue.login(), await venue.login()
        for path, limit, window_s in (("/api/History/retrieveBars", 50, 30), ("/api/Account/search", 200, 60)):
            url, headers = venue.url + path, {"Authorization": f"Bearer {token}"}
            for _ in range(limit):
                async with venue.session.post(url, data=b"x", headers=headers) as answer:
                    assert answer.status == 400
            async with venue.session.post(url, data=b"x", headers=headers) as answer:
                assert answer.status == 429
                assert 1 <= int(answer.headers["Retry-After"]) <= window_s
            assert (await venue.post(path, {}, other))[0] != 429
        async with venue.session.get(venue.url + "/api/Status/ping") as answer:
            assert answer.status == 200

    play(tmp_path, story, symbols=["MNQ"])


def test_a_token_is_renewed_and_the_old_one_expires(tmp_path: Path) -> None:
    async def story(venue: Venue) -> None:
        token = await venue.login()
        begin_s = time.time()
        status, answer = await venue.post("/api/Auth/validate", token=token)
        assert (status, answer["success"]) == (200, True)
        async with asyncio.timeout(LIMIT_S):
            while (await venue.post("/api/Contract/available", {"live": False}, token))[0] == 200:
                await asyncio.sleep(0.05)
        assert time.time() - begin_s > 0.9
        assert (await venue.post("/api/Auth/validate", token=token))[0] == 401
        assert await refused(venue, f"access_token={token}") == 401

    play(tmp_path, story, symbols=["MNQ"], token_lifetime_s=2)


def test_tokens_know_when_they_expire() -> None:
    tokens = Tokens("me", "0" * 64, lifetime_s=10)
    first, later = tokens.issue(100), tokens.issue(105)
    assert (tokens.expires_s(first), tokens.expires_s(later)) == (110, 115)
    assert [tokens.is_good(first, at) for at in (100, 109.9, 110)] == [True, True, False]
    assert tokens.is_good(later, 110)
    assert tokens.expires_s("a.b.c") == 0
    assert not tokens.is_good("", 0)
