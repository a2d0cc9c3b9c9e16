"""The unmodified project-x-py against the simulator: its bars, its book and its orders are right.

`--single-prints` is what the package needs (fact sheet, section 10.6). On a busy machine it is late, and leaves out
what newer messages overtake; it counts that. A window in which it did so is run again from a new snapshot: what it
left out is no word about the simulator.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.simulator.contracts import E9
from engine.simulator.flow import Field, Kind
from engine.simulator.truth import ContractTruth
from tests.system.alone import KEY, USER
from tests.system.clients.conversation import Client, conversation
from tests.system.clients.environments import HERE, Missing, python_with_project_x
from tests.system.venue import Venue, venue_alone
from tests.waiting import wait_for

SYMBOL = "MNQ"  # its symbol is its root: the package's book finds no other
RATE_ENTRIES_PER_S = 50
TIMEFRAMES = ("1sec", "5sec", "1min")  # the shortest makes it look for new bars three times a second
WIDTH_S = 5
WINDOWS, MAX_WINDOWS = 3, 12
MARGIN_S = 0.7  # nothing is sent so shortly before a bar's end: the package goes by when it receives a trade
LIMIT_S = 30.0
LIMIT, MARKET, BUY = 1, 2, 0
OPEN, FILLED, CANCELLED = 1, 2, 3
LONG = 1

Bar = list[Any]  # the second it begins, open, high, low, close, volume
Tick = tuple[float, int]  # price and volume


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder = tmp_path_factory.mktemp("venue") / "temporary"
    with venue_alone(folder, "--single-prints", "--rate", str(RATE_ENTRIES_PER_S), "--symbols", SYMBOL) as running:
        yield running


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Client]:
    try:
        python = python_with_project_x()
    except Missing as missing:
        pytest.skip(f"project-x-py cannot run here: {missing}")
    url = request.getfixturevalue("venue").url  # not before it is known that somebody will ask it
    environ = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ} | {
        "PROJECT_X_USERNAME": USER,
        "PROJECT_X_API_KEY": KEY,
        "PROJECTX_API_URL": f"{url}/api",
        "PROJECTX_USER_HUB_URL": f"{url}/hubs/user",
        "PROJECTX_MARKET_HUB_URL": f"{url}/hubs/market",
    }
    log = tmp_path_factory.mktemp("client") / "log"
    with conversation([str(python), "-I", str(HERE / "project_x.py"), SYMBOL, *TIMEFRAMES], environ, log) as talking:
        yield talking


@pytest.fixture
def truth(client: Client, venue: Venue) -> ContractTruth:
    return venue.truth.of_symbol(SYMBOL)


def test_it_logs_in_and_loads_the_bars_that_the_venue_has(client: Client, venue: Venue, truth: ContractTruth) -> None:
    assert client.hello == {"contract_id": truth.contract_id, "account_id": 704}
    token = venue.login()
    for unit, number, width_s in ((1, 5, 5), (2, 1, 60)):
        loaded = client.do("history", unit=unit, number=number)
        assert len(loaded) > 1000
        window = {"startTime": _stamp(loaded[0][0]), "endTime": _stamp(loaded[-1][0] + width_s)}
        terms = {"unit": unit, "unitNumber": number, "limit": 20_000, "includePartialBar": True, "live": False}
        said = venue.post("History/retrieveBars", token, contractId=truth.contract_id, **window, **terms)["bars"]
        assert [[_stamp(begins), *rest] for begins, *rest in loaded] == [
            [bar[key] for key in "tohlcv"] for bar in reversed(said)
        ]


def test_its_book_and_its_bars_are_the_truth(client: Client, venue: Venue, truth: ContractTruth) -> None:
    """In windows of one bar: the venue is silent around a bar's end, so nobody can argue whose a trade is."""
    windows = 0
    _begin_from_a_snapshot(client)
    for _ in range(MAX_WINDOWS):
        before, first_row, begins_s = client.do("counts"), truth.rows, _new_bar(client)
        venue.resume()
        wait_for(lambda: time.time() % WIDTH_S > WIDTH_S - MARGIN_S, 2 * WIDTH_S, "the end of the bar")
        venue.pause()
        ticks = _ticks(truth, first_row)
        after = _after(client, before, _sent(truth, first_row))
        in_time = time.time() < begins_s + WIDTH_S
        if not in_time or after["ticks"] - before["ticks"] < len(ticks) or after["left_out"] > before["left_out"]:
            _begin_from_a_snapshot(client)
            continue
        _compare_books(client, truth)
        bars = client.do("bars", timeframe=f"{WIDTH_S}sec", last=5)  # by now a next one may have begun
        place = [bar[0] for bar in bars].index(begins_s)
        assert bars[place] == _bar_of(ticks, bars[place - 1], begins_s)
        assert sum(volume for _, volume in ticks) > 0
        windows += 1
        if windows == WINDOWS:
            return
    pytest.fail(f"the machine is too busy for the client: it left something out in {MAX_WINDOWS - windows} windows")


def test_orders_are_heard_of_on_the_user_hub_and_move_no_book(
    client: Client, venue: Venue, truth: ContractTruth
) -> None:
    """Fact sheet, section 7; of the market hub it says nothing, and so nothing is said there."""
    _begin_from_a_snapshot(client)
    bids, asks = (levels.tolist() for levels in truth.book_after(truth.last_record))
    tick = truth.tick_e9 / E9
    far, farther, best_ask, best_bid = bids[5][0] * tick, bids[6][0] * tick, asks[0][0] * tick, bids[0][0] * tick
    before = client.do("counts")
    assert client.do("heard") == []

    placed = client.do("place", order_type=LIMIT, side=BUY, size=2, limit_price=far, custom_tag="a-tag")
    assert placed["success"]
    resting = placed["order_id"]
    assert client.do("open_orders") == [resting]
    assert client.do("modify", order_id=resting, limit_price=farther)
    assert client.do("cancel", order_id=resting)
    assert client.do("open_orders") == []
    bought = client.do("place", order_type=MARKET, side=BUY, size=1)["order_id"]
    assert client.do("positions") == [[LONG, 1, best_ask]]
    assert client.do("close")
    assert client.do("positions") == []
    sold = bought + 1

    wait_for(lambda: len(client.do("heard")) >= 13, LIMIT_S, "all events have come")
    heard = client.do("heard")
    orders = [data["data"] for name, data in heard if name == "order_update"]
    assert [(order["id"], order["status"], order["limitPrice"], order["fillVolume"]) for order in orders] == [
        (resting, OPEN, far, 0),
        (resting, OPEN, farther, 0),
        (resting, CANCELLED, farther, 0),
        (bought, OPEN, None, 0),
        (bought, FILLED, None, 1),
        (sold, OPEN, None, 0),
        (sold, FILLED, None, 1),
    ]
    assert [order["filledPrice"] for order in orders if order["status"] == FILLED] == [best_ask, best_bid]
    assert {order["customTag"] for order in orders if order["id"] == resting} == {"a-tag"}
    trades = [trade for name, data in heard if name == "trade_execution" for trade in data]
    assert [(trade["orderId"], trade["price"], trade["side"]) for trade in trades] == [
        (bought, best_ask, 0),
        (sold, best_bid, 1),
    ]
    lost = (bids[0][0] - asks[0][0]) * 0.5  # a tick of MNQ is 0.50
    assert [trade["profitAndLoss"] for trade in trades] == [None, lost]
    held = [data["data"] for name, data in heard if name == "position_update"]
    assert [(position["type"], position["size"]) for position in held] == [(LONG, 1), (0, 0)]
    balances = [data["balance"] for name, data in heard if name == "account_update"]
    fees = sum(trade["fees"] for trade in trades)
    assert balances[-1] == pytest.approx(150_000 + lost - fees)

    _compare_books(client, truth)
    after = client.do("counts")
    assert after == before, "the market hub has said something"


def _begin_from_a_snapshot(client: Client) -> None:
    """The venue is paused, so that nothing comes right behind it: the package would take that in its place."""
    before = client.do("counts")["market_depth"]
    assert client.do("resubscribe")
    wait_for(lambda: client.do("counts")["market_depth"] > before, LIMIT_S, "a snapshot")


def _new_bar(client: Client) -> int:
    """Wait until the package has begun the bar of now, with no trade in it. Returns the second it begins."""
    now_s = 0

    def is_there() -> bool:
        nonlocal now_s
        now_s = int(time.time()) // WIDTH_S * WIDTH_S
        ((newest_s, *_),) = client.do("bars", timeframe=f"{WIDTH_S}sec", last=1)
        return bool(newest_s == now_s and time.time() - now_s < WIDTH_S / 2)

    wait_for(is_there, LIMIT_S, "a new bar")
    return now_s


def _sent(truth: ContractTruth, first_row: int) -> dict[str, int]:
    """How many messages of each kind were sent, by the package's names."""
    kinds = [int(truth.records["kind"][record]) for record in truth.records_sent(first_row, truth.rows)]
    names = {Kind.TRADES: "market_trade", Kind.QUOTE: "quote_update", Kind.DEPTH: "market_depth"}
    return {name: kinds.count(kind) for kind, name in names.items()}


def _after(client: Client, before: dict[str, int], sent: dict[str, int]) -> dict[str, int]:
    """Its counts once it has passed on or left out each message that was sent."""
    now = dict(before)

    def has_all() -> bool:
        now.update(client.do("counts"))
        missing = sum(before[name] + count - now[name] for name, count in sent.items())
        return missing == now["left_out"] - before["left_out"]

    wait_for(has_all, LIMIT_S, f"the client has had {sent}")
    return now


def _ticks(truth: ContractTruth, first_row: int) -> list[Tick]:
    """What the package makes bars of: trades, and the prices of quotes, without volume: the last price if it is
    told, else the middle of bid and ask, or the one that is told; on the grid of ticks, halves rounded up."""
    ticks = []
    for record in truth.records_sent(first_row, truth.rows):
        kind, first, count = truth.records[record].tolist()
        told = {what: price for what, price, _ in truth.entries[first : first + count].tolist()}
        sides = [told[side] for side in (Field.BEST_BID, Field.BEST_ASK) if side in told]
        if kind == Kind.TRADES:
            ((_, price, volume),) = truth.entries[first : first + count].tolist()
            ticks.append((price, volume))
        elif kind == Kind.QUOTE and Field.LAST_PRICE in told:
            ticks.append((told[Field.LAST_PRICE], 0))
        elif kind == Kind.QUOTE and sides:
            ticks.append(((2 * sum(sides) // len(sides) + 1) // 2, 0))
    return [(price * truth.tick_e9 / E9, volume) for price, volume in ticks]


def _bar_of(ticks: list[Tick], before: Bar, begins_s: int) -> Bar:
    """A bar that the package began by itself at the close of the one before, as nothing came in time."""
    prices = [before[4], *(price for price, _ in ticks)]
    return [begins_s, prices[0], max(prices), min(prices), prices[-1], sum(volume for _, volume in ticks)]


def _compare_books(client: Client, truth: ContractTruth) -> None:
    """All levels of both sides."""
    seen = client.do("book")
    for levels, true in zip((seen["bids"], seen["asks"]), truth.book_after(truth.last_record), strict=True):
        assert [[price, size] for price, size in levels] == [
            [ticks * truth.tick_e9 / E9, size] for ticks, size in true.tolist()
        ]


def _stamp(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()
