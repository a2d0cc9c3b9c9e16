"""engine/feeds/gateway.py: tokens, contracts, the newest bar, and what a venue may not make us believe."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Credentials, HttpSettings, SymbolSettings
from engine.feeds.gateway import (
    ASSUMED_LIFE_S,
    BARS_AROUND_S,
    NEWEST_BARS,
    NO_BAR,
    Bar,
    Gateway,
    ends_s,
    front_contract,
    price_increment,
    read_bar,
)
from engine.http import HttpPool, VenueError, VenueRefusal
from tests.engine.feeds.fake_venue import API_KEY, FakeVenue, token

Answer = TypeVar("Answer")
NOW_S = 1_795_357_954.0


def with_gateway(use: Callable[[FakeVenue, Gateway, list[float]], Awaitable[Answer]], key: str = API_KEY) -> Answer:
    """Run `use` with a fake venue, a gateway to it, and its clock: seconds after the true time."""

    async def go() -> Answer:
        async with FakeVenue() as venue, HttpPool(HttpSettings()) as pool:
            later = [0.0]
            gateway = Gateway(pool, venue.api_url, Credentials("me", key), lambda: NOW_S + later[0])
            venue.token = at_now(86_400)
            return await use(venue, gateway, later)

    return asyncio.run(go())


def at_now(life_s: float) -> str:
    """A token of the tests' own clock."""
    return token(life_s + NOW_S - time.time())


def names(venue: FakeVenue) -> list[str]:
    return [name for name, _ in venue.requests]


def test_one_login_for_many_requests() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        assert await gateway.token() == venue.token
        assert await gateway.accounts() == 1
        assert await gateway.token() == venue.token
        assert names(venue) == ["Auth/loginKey", "Account/search"]

    with_gateway(use)


def test_two_that_begin_at_once_log_in_once() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        tokens = await asyncio.gather(*(gateway.token() for _ in range(5)))
        assert set(tokens) == {venue.token}
        assert names(venue) == ["Auth/loginKey"]
        assert gateway.renewals == 1
        gateway.forget_token()
        await gateway.token()
        assert gateway.renewals == 2

    with_gateway(use)


@pytest.mark.parametrize("path", ["/Order/place", "/Order/modify", "/Order/cancel", "/Position/closeContract", "/x"])
def test_rows_are_asked_for_by_reads_alone(path: str) -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        assert await gateway.rows("/Account/search", {"onlyActiveAccounts": True}, "accounts") == [{"id": 704}]
        with pytest.raises(ValueError, match="not among the requests that only read"):
            await gateway.rows(path, {"accountId": 704}, "orders")
        with pytest.raises(VenueError, match="no list of orders"):
            await gateway.rows("/Account/search", {}, "orders")
        assert names(venue) == ["Auth/loginKey", "Account/search", "Account/search"]

    with_gateway(use)


def test_the_tick_of_any_contract_is_asked_for_once() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        for _ in range(2):
            assert await gateway.tick_e9("CON.F.US.MNQ.Z26") == 250_000_000
        assert names(venue) == ["Auth/loginKey", "Contract/searchById"]
        for wrong in ("front", "", "CON.F.US.XYZ.Z26"):
            with pytest.raises(VenueError):
                await gateway.tick_e9(wrong)

    with_gateway(use)


def test_a_wrong_key_is_one_sentence_without_the_key() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> str:
        with pytest.raises(VenueRefusal) as caught:
            await gateway.accounts()
        return str(caught.value)

    assert with_gateway(use, key="canary-wrong") == (
        "the venue refuses the login of me (wrong user name or key):"
        " correct PROJECT_X_USERNAME and PROJECT_X_API_KEY in the environment"
    )


def test_a_token_is_exchanged_five_minutes_before_its_end() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        first = await gateway.token()
        later[0] = 86_400 - 302
        assert await gateway.token() == first
        later[0] = 86_400 - 299
        assert gateway.must_renew
        assert await gateway.token() == venue.token != first
        assert names(venue) == ["Auth/loginKey", "Auth/validate"]

    with_gateway(use)


def test_a_token_that_cannot_be_exchanged_is_followed_by_a_login() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        await gateway.token()
        venue.token = at_now(2 * 86_400)
        later[0] = 86_400
        assert await gateway.token() == venue.token
        assert names(venue) == ["Auth/loginKey", "Auth/validate", "Auth/loginKey"]

    with_gateway(use)


def test_a_refused_token_is_followed_by_one_login() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        await gateway.token()
        venue.token = at_now(10_000)
        assert await gateway.accounts() == 1
        assert names(venue) == ["Auth/loginKey", "Account/search", "Auth/loginKey", "Account/search"]

    with_gateway(use)


def test_a_short_token_is_not_exchanged_at_once() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        venue.token = at_now(60)
        await gateway.token()
        renewals = []
        for later[0] in (0, 29, 31):
            renewals.append(gateway.must_renew)
        assert renewals == [False, False, True]

    with_gateway(use)


def test_the_front_contract_and_a_named_one() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        front = await gateway.contract(SymbolSettings("MNQ"))
        assert (front.contract_id, front.name, front.price_increment) == ("CON.F.US.MNQ.Z26", "MNQZ6", 250_000_000)
        named = await gateway.contract(SymbolSettings("MNQ", contract="CON.F.US.MNQ.Z26"))
        assert named == front
        for wrong in (SymbolSettings("ZZ"), SymbolSettings("MNQ", contract="CON.F.US.MNQ.H20")):
            with pytest.raises(VenueRefusal, match=f"{wrong.symbol}.toml"):
                await gateway.contract(wrong)

    with_gateway(use)


def test_a_contract_that_the_search_cuts_off_is_found_in_the_whole_list() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        venue.contracts = [{"id": "CON.F.US.EP.Z26", "name": "ESZ6", "tickSize": 0.25, "activeContract": True}]
        venue.search_finds = False
        assert (await gateway.contract(SymbolSettings("ES"))).contract_id == "CON.F.US.EP.Z26"
        assert names(venue)[1:] == ["Contract/search", "Contract/available"]

    with_gateway(use)


def test_what_an_id_names_is_asked_for_once_and_a_search_each_time() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        mnq, mes = (
            SymbolSettings("MNQ", contract="CON.F.US.MNQ.Z26"),
            SymbolSettings("MES", contract="CON.F.US.MES.Z26"),
        )
        found = [await gateway.contract(mnq) for _ in range(3)]
        assert found == [found[0]] * 3
        front = await gateway.contract(SymbolSettings("MES"))
        assert await gateway.contract(mes) == front  # the search has told
        assert await gateway.contract(SymbolSettings("MES")) == front
        asked = ["Contract/searchById", "Contract/search", "Contract/search"]
        assert names(venue)[1:] == asked
        assert (gateway.caches.instruments.hits, gateway.caches.instruments.misses) == (3, 1)

    with_gateway(use)


def test_a_contract_that_is_not_there_is_asked_for_again() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        settings = SymbolSettings("MNQ", contract="CON.F.US.MNQ.H27")
        with pytest.raises(VenueRefusal):
            await gateway.contract(settings)
        venue.contracts.append({"id": "CON.F.US.MNQ.H27", "name": "MNQH7", "tickSize": 0.25, "activeContract": True})
        assert (await gateway.contract(settings)).name == "MNQH7"

    with_gateway(use)


def test_instruments_that_need_the_whole_list_share_one() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        venue.search_finds = False
        await gateway.token()
        found = await asyncio.gather(*(gateway.contract(SymbolSettings(symbol)) for symbol in ("MNQ", "MES", "MNQ")))
        assert [contract.name for contract in found] == ["MNQZ6", "MESZ6", "MNQZ6"]
        assert names(venue).count("Contract/available") == 1
        assert (await gateway.contract(SymbolSettings("MES"))).name == "MESZ6"
        assert names(venue).count("Contract/available") == 1
        assert gateway.caches.market_data.joined + gateway.caches.market_data.hits == 3

    with_gateway(use)


def test_no_secret_is_in_what_is_kept() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        venue.search_finds = False
        held = await gateway.token()
        await gateway.contract(SymbolSettings("MNQ"))
        await gateway.contract(SymbolSettings("MNQ", contract="CON.F.US.MNQ.Z26"))
        kept = [cache._store for cache in (gateway.caches.instruments, gateway.caches.market_data)]
        assert all(kept)
        text = repr([list(store.items()) for store in kept])
        assert "MNQ" in text
        assert not any(piece in text for piece in (held, *held.split("."), API_KEY))

    with_gateway(use)


BAR: dict[str, Any] = {"t": "2026-11-22T14:32:00+00:00", "o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0, "v": 87}
BAR_S = 1_795_357_920


@pytest.mark.parametrize(
    ("bars", "newest"),
    [
        pytest.param([], NO_BAR, id="none"),
        pytest.param([BAR], Bar(BAR_S, 87), id="one"),
        pytest.param([BAR | {"t": "2026-11-22T14:32:00.5"}], Bar(BAR_S, 87), id="no zone"),
        pytest.param([BAR | {"t": "2026-11-22T14:32:00Z"}], Bar(BAR_S, 87), id="Z"),
        pytest.param([BAR | {"t": "2026-11-22T14:32:07Z", "v": 0}, BAR], Bar(BAR_S, 87), id="an empty one is newer"),
        pytest.param([BAR | {"v": 0}], NO_BAR, id="only empty ones"),
        pytest.param([BAR | {"t": "2026-11-22T14:31:59Z"}, BAR], Bar(BAR_S, 87), id="oldest first"),
    ],
)
def test_the_newest_bar_is_the_last_second_in_which_something_traded(bars: list[Any], newest: Bar) -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        venue.bars = bars
        assert await gateway.newest_bar("CON.F.US.MNQ.Z26") == newest
        name, asked = venue.requests[-1]
        assert name == "History/retrieveBars"
        assert (asked["contractId"], asked["live"], asked["includePartialBar"]) == ("CON.F.US.MNQ.Z26", False, True)
        assert (asked["unit"], asked["unitNumber"], asked["limit"]) == (1, 1, NEWEST_BARS)
        start, end = (datetime.fromisoformat(asked[key]).timestamp() for key in ("startTime", "endTime"))
        assert (start, end) == (NOW_S - BARS_AROUND_S, NOW_S + BARS_AROUND_S)

    with_gateway(use)


@pytest.mark.parametrize(
    "bars",
    [
        pytest.param(None, id="null"),
        pytest.param({}, id="an object"),
        pytest.param("x", id="text"),
        pytest.param([None], id="a null"),
        pytest.param([BAR] * (NEWEST_BARS + 1), id="more than asked for"),
        pytest.param([BAR | {"t": "yesterday"}], id="a word for a time"),
        pytest.param([BAR | {"t": 7}], id="a number for a time"),
        pytest.param([BAR | {"t": "2026-11-22T14:32:00+00:00" + " " * 100}], id="a long time"),
        pytest.param([BAR | {"t": "0001-01-01T00:00:00+00:00"}], id="the year 1"),
        pytest.param([BAR | {"t": "1960-01-01T00:00:00Z"}], id="before 1970"),
        pytest.param([BAR | {"v": -1}], id="less than nothing"),
        pytest.param([BAR | {"v": 1.5}], id="half a contract"),
        pytest.param([BAR | {"v": True}], id="true"),
        pytest.param([BAR | {"v": 10**18}], id="more than there is"),
        pytest.param([BAR, {}], id="the second one"),
    ],
)
def test_bars_that_are_none(bars: Any) -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        venue.bars = bars
        with pytest.raises(VenueError, match="bar"):
            await gateway.newest_bar("CON.F.US.MNQ.Z26")

    with_gateway(use)


@given(
    st.none()
    | st.text(max_size=50)
    | st.dictionaries(st.sampled_from(["t", "v"]), st.none() | st.integers() | st.floats() | st.text(max_size=50))
)
def test_any_bar_is_one_or_is_refused(row: Any) -> None:
    try:
        bar = read_bar(row)
    except VenueError:
        return
    assert bar.start_s > 0 <= bar.volume


def row(contract_id: str, name: str, active: object = True) -> dict[str, Any]:
    return {"id": contract_id, "name": name, "tickSize": 0.25, "activeContract": active}


def test_the_front_is_the_active_one_of_exactly_that_name_that_expires_first() -> None:
    rows: list[Any] = [
        row("CON.F.US.EMD.Z26", "EMDESZ6"),
        row("CON.F.US.EP.H27", "ESH7"),
        row("CON.F.US.EP.Z26", "ESZ6"),
        row("CON.F.US.EP.U26", "ESU6", active=False),
        row("CON.F.US.EP.M26", "ESM6", active="yes"),
        row("CON.F.US.MES.F26", "MESF6"),
        None,
        {"activeContract": True, "name": 7},
    ]
    found = front_contract("ES", rows)
    assert found is not None
    assert found.contract_id == "CON.F.US.EP.Z26"
    assert front_contract("MYM", rows) is None


def test_a_contract_id_that_is_none_is_refused() -> None:
    for contract_id in ('CON.F.US.ES.Z26","x', "", None, "x" * 100):
        with pytest.raises(VenueError, match="which is none"):
            front_contract("ES", [{"id": contract_id, "name": "ESZ6", "tickSize": 1, "activeContract": True}])


@pytest.mark.parametrize(
    ("tick", "increment"),
    [
        (0.25, 250_000_000),
        (0.1, 100_000_000),
        (0.01, 10_000_000),
        (1, 1_000_000_000),
        (5e-07, 500),
        (0.0078125, 7_812_500),
    ],
)
def test_a_tick_size_is_exact(tick: float, increment: int) -> None:
    assert price_increment(tick, "X") == increment


@pytest.mark.parametrize("tick", [0, -0.25, float("nan"), float("inf"), 1e-10, 0.1234567891, 1e300, None, "0.25", True])
def test_tick_sizes_that_are_none(tick: object) -> None:
    with pytest.raises(VenueError, match="tick size of X"):
        price_increment(tick, "X")


@given(st.text(max_size=200) | st.text(alphabet="abc.=-_eyJ", max_size=100))
def test_any_token_has_an_end(text: str) -> None:
    assert ends_s(text, NOW_S) >= NOW_S


def test_the_end_of_a_token_is_its_claim_or_an_hour() -> None:
    assert ends_s(at_now(1000), NOW_S) == pytest.approx(NOW_S + 1000, abs=2)
    for life_s in (-5, 10**9):
        assert ends_s(at_now(life_s), NOW_S) == NOW_S + ASSUMED_LIFE_S


def test_a_text_with_a_secret_in_it_is_not_shown() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        held = await gateway.token()
        for piece in (API_KEY, held, held.split(".")[1]):
            assert gateway.shown(f"error: {piece}!") == "(a text with a secret in it)"
        assert gateway.shown("plain\nwords") == "plain?words"
        assert held not in repr(gateway)
        assert API_KEY not in repr(gateway)

    with_gateway(use)


@pytest.mark.parametrize("sent", ["", "a b", "x" * 9000, "ü.ü.ü", "a\nb", None, 7])
def test_tokens_that_are_none(sent: Any) -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        venue.token = sent
        with pytest.raises(VenueError, match="sent a token"):
            await gateway.token()

    with_gateway(use)


def test_a_page_of_bars_comes_unchecked_and_bounded() -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        body: dict[str, object] = {"contractId": "CON.F.US.MNQ.Z26", "unit": 2}
        venue.bars = [{"t": "?"}] * 20_000
        assert await gateway.bars(body, 20_000) == venue.bars
        assert venue.requests[-1] == ("History/retrieveBars", body)
        with pytest.raises(VenueError, match="sent 20000 bars, where at most 19999 may come"):
            await gateway.bars(body, 19_999)
        venue.bars = {"t": "?"}
        with pytest.raises(VenueError, match="no list of bars"):
            await gateway.bars(body, 5)

    with_gateway(use)


@pytest.mark.parametrize(("code", "why"), [(1, "no such contract"), (2, "no such unit"), (4, "no such limit")])
def test_bars_that_the_venue_does_not_have_are_a_refusal(code: int, why: str) -> None:
    async def use(venue: FakeVenue, gateway: Gateway, later: list[float]) -> None:
        venue.bars_code = code
        with pytest.raises(VenueRefusal, match=rf"no such bars of CON\.F\.US\.MNQ\.Z26: {why}"):
            await gateway.bars({"contractId": "CON.F.US.MNQ.Z26"}, 5)
        venue.bars_code = 99
        with pytest.raises(VenueError, match=r"no list of bars \(code 99\)") as caught:
            await gateway.bars({"contractId": "CON.F.US.MNQ.Z26"}, 5)
        assert not isinstance(caught.value, VenueRefusal)

    with_gateway(use)
