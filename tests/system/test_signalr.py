"""Microsoft's own SignalR client against the simulator, with its JSON and with its MessagePack protocol.

It subscribes, keeps a book by the rules of the fact sheet (8.4), every trade and the merged quote; all of it is
exactly what the simulator says it has sent.
"""

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from engine.simulator.contracts import E9
from engine.simulator.flow import Field, Kind
from engine.simulator.truth import ContractTruth
from tests.system.clients.conversation import Client, conversation
from tests.system.clients.environments import HERE, Missing, node_with_signalr
from tests.system.venue import Venue, venue_alone
from tests.waiting import wait_for

SYMBOL = "MNQ"
RATE_ENTRIES_PER_S = 2000
LOOKS, RECORDS_A_LOOK = 100, 15  # a rule that is not known shows only until other rules have set the level right
ACCOUNT_ID = 704
LIMIT_S = 60.0
MARKET, BUY = 2, 0
QUOTED = {  # the names in the fact sheet (8.2) of what the flow's quotes tell in ticks
    Field.LAST_PRICE: "lastPrice",
    Field.BEST_BID: "bestBid",
    Field.BEST_ASK: "bestAsk",
    Field.HIGH: "high",
    Field.LOW: "low",
}


@pytest.fixture(scope="module")
def node() -> tuple[str, str]:
    try:
        command, modules = node_with_signalr()
    except Missing as missing:
        pytest.skip(f"@microsoft/signalr cannot run here: {missing}")
    return command, str(modules)


@pytest.fixture(scope="module")
def venue(node: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder = tmp_path_factory.mktemp("venue") / "temporary"
    with venue_alone(folder, "--rate", str(RATE_ENTRIES_PER_S), "--symbols", SYMBOL, "--deflate") as running:
        yield running


@pytest.fixture(params=["json", "messagepack"])
def client(request: pytest.FixtureRequest, node: tuple[str, str], venue: Venue) -> Iterator[Client]:
    command, modules = node
    log = request.getfixturevalue("tmp_path") / "log"
    contract_id = venue.truth.of_symbol(SYMBOL).contract_id
    arguments = (str(HERE / "signalr.mjs"), modules, venue.url, venue.login(), request.param, contract_id)
    environ = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    with conversation([command, *arguments], environ, log) as talking:
        yield talking


def test_its_book_its_tape_and_its_quote_are_the_truth(client: Client, venue: Venue) -> None:
    truth = venue.truth.of_symbol(SYMBOL)
    assert client.hello == {"market": "Connected", "user": "Connected"}
    assert client.do("invoke_wrongly", target="SubscribeContractWeather")  # an answer, and the connection lives on
    first_row = truth.rows
    for what in ("Quotes", "Trades", "MarketDepth"):
        assert client.do("subscribe", what=what), "the invocation is completed"
    for _ in range(LOOKS):
        _send(venue, truth, RECORDS_A_LOOK)
        _wait_for_all(client, truth, first_row)
        _compare_books(client, truth)

    records, sent = truth.records_sent(first_row, truth.rows), truth.trades_sent(first_row, truth.rows)
    tick = truth.tick_e9 / E9
    assert [(_ns(stamp), price, size, side) for price, size, side, stamp in client.do("trades")] == [
        (row["venue_ns"], row["price"] * tick, row["size"], row["side"]) for row in sent
    ]
    quote = client.do("quote")
    assert {name: quote[name] for name in QUOTED.values()} == _quote(truth, records, quote)

    # What is not wanted any more does not come.
    for what in ("Quotes", "Trades", "MarketDepth"):
        assert client.do("unsubscribe", what=what)
    before = client.do("counts")
    _send(venue, truth, RECORDS_A_LOOK)
    assert client.do("invoke_wrongly", target="SubscribeContractWeather"), "an answer behind all that was sent"
    assert client.do("counts") == before


def test_it_hears_of_orders_on_the_user_hub(client: Client, venue: Venue) -> None:
    assert client.do("subscribe_user", account_id=ACCOUNT_ID)
    terms = {"accountId": ACCOUNT_ID, "contractId": venue.truth.of_symbol(SYMBOL).contract_id}
    token = venue.login()
    placed = venue.post("Order/place", token, **terms, type=MARKET, side=BUY, size=1)["orderId"]
    venue.post("Position/closeContract", token, **terms)
    wait_for(lambda: client.do("counts")["user_events"] >= 10, LIMIT_S, "all events have come")
    events = client.do("user_events")
    each = ["Order", "Order", "Trade", "Position", "Account"]
    assert [what for what, _ in events] == each + each
    orders = [payload["data"] for what, payload in events if what == "Order"]
    assert [(order["id"] - placed, order["status"]) for order in orders] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [payload["data"]["size"] for what, payload in events if what == "Position"] == [1, 0]


def _send(venue: Venue, truth: ContractTruth, records: int) -> None:
    end = truth.sent_records + records
    venue.resume()
    wait_for(lambda: truth.sent_records >= end, LIMIT_S, f"{records} records are sent")
    venue.pause()


def _wait_for_all(client: Client, truth: ContractTruth, first_row: int) -> None:
    records = truth.records_sent(first_row, truth.rows)
    lists = sum(int(truth.records["kind"][record]) == Kind.DEPTH for record in records) + 1  # and the snapshot
    trades = len(truth.trades_sent(first_row, truth.rows))

    def has_all() -> bool:
        counts = client.do("counts")
        return bool(counts["depth_lists"] >= lists and counts["trades"] >= trades)

    wait_for(has_all, LIMIT_S, f"{lists} depth lists and {trades} trades have come")


def _compare_books(client: Client, truth: ContractTruth) -> None:
    """All levels of both sides."""
    seen = client.do("book")
    for levels, true in zip((seen["bids"], seen["asks"]), truth.book_after(truth.last_record), strict=True):
        assert levels == [[ticks * truth.tick_e9 / E9, size] for ticks, size in true.tolist()]


def _quote(truth: ContractTruth, records: list[int], quote: dict[str, Any]) -> dict[str, float]:
    """What the quotes of these records told last; what none of them told is as the subscription's first one had it."""
    told = {name: quote[name] for name in QUOTED.values()}
    for record in records:
        kind, first, count = truth.records[record].tolist()
        if kind == Kind.QUOTE:
            for what, ticks, _ in truth.entries[first : first + count].tolist():
                if what in QUOTED:
                    told[QUOTED[what]] = ticks * truth.tick_e9 / E9
    return told


def _ns(stamp: str) -> int:
    """Nanoseconds of a stamp with seven fractional digits."""
    whole, _, rest = stamp.partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * E9 + int(rest[:7]) * 100
