"""A client of the simulator's account over REST, as any: it logs in and places orders, which shardbook never does."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from shm import Account

ACCOUNT = 704
LIMIT, MARKET = 1, 2
BUY, SELL = 0, 1
LIMIT_S = 20.0


class Broker:
    """One user, logged in."""

    def __init__(self, url: str, user: str, key: str) -> None:
        self._url = url
        self._token = ""
        self._token = self.ask("Auth/loginKey", userName=user, apiKey=key)["token"]

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        """An answer, which has to be a success."""
        answer = self.post(f"/api/{path}", body)
        assert answer["success"], (path, answer)
        return answer

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        parts = urlsplit(self._url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=LIMIT_S)
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, (path, answer.status, text)
        finally:
            connection.close()
        found: dict[str, Any] = json.loads(text)
        return found

    def place(self, contract: str, kind: int, side: int, size: int, **more: Any) -> int:
        """An order's id."""
        placed = self.ask(
            "Order/place", accountId=ACCOUNT, contractId=contract, type=kind, side=side, size=size, **more
        )
        return int(placed["orderId"])

    def difference(self, account: Account) -> str:
        """How an account that was read is not the venue's; empty if it is."""
        all_time = {"startTimestamp": "2020-01-01T00:00:00Z"}
        [standing] = self.ask("Account/search", onlyActiveAccounts=True)["accounts"]
        orders = self.ask("Order/searchOpen", accountId=ACCOUNT)["orders"]
        positions = self.ask("Position/searchOpen", accountId=ACCOUNT)["positions"]
        trades = self.ask("Trade/search", accountId=ACCOUNT, **all_time)["trades"]
        wanted = {
            "account": (standing["id"], standing["name"], standing["balance"], standing["canTrade"]),
            "orders": sorted(
                (row["id"], row["contractId"], row["side"], row["size"], row["fillVolume"], row["limitPrice"])
                for row in orders
            ),
            "tags": sorted(row["customTag"] or "" for row in orders),
            "positions": sorted(
                (row["contractId"], row["size"] if row["type"] == 1 else -row["size"], row["averagePrice"])
                for row in positions
            ),
            "fills": sorted(
                (row["id"], row["orderId"], row["contractId"], row["side"], row["size"], row["price"], row["fees"])
                for row in trades
            ),
            "profits": sorted((row["id"], row["profitAndLoss"]) for row in trades),
        }
        read = {
            "account": (account.account_id, account.name, account.balance, account.can_trade),
            "orders": sorted(
                (one.order_id, one.contract, one.side, one.size, one.filled, one.limit_price) for one in account.orders
            ),
            "tags": sorted(one.tag for one in account.orders),
            "positions": sorted((one.contract, one.size, one.average_price) for one in account.positions),
            "fills": sorted(
                (one.fill_id, one.order_id, one.contract, one.side, one.size, one.price, one.fees)
                for one in account.fills
            ),
            "profits": sorted((one.fill_id, None if one.profit != one.profit else one.profit) for one in account.fills),
        }
        return "; ".join(f"{key}: read {read[key]}, true {wanted[key]}" for key in wanted if read[key] != wanted[key])
