"""The ProjectX REST endpoints that a market-data feed needs: a token, the accounts, the contracts, the newest bar.

Every answer has `success`, `errorCode` and `errorMessage`; a failure of business comes with HTTP 200 and `success`
false, and the codes mean something else at each endpoint (OpenAPI document of the gateway). A token is a JWT for
24 hours, good for REST and for the hubs; it is renewed five minutes before its end, as the official client does.
What the venue sends is bounded and checked before it is used.
"""

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import orjson

from ..cache import Caches
from ..config import Credentials, SymbolSettings
from ..http import HttpPool, Unauthorised, VenueError, VenueRefusal, said
from ..retry import is_read
from ..rules import CONTRACT_ID, FRONT

MAX_TOKEN_CHARACTERS: Final = 8192
MAX_CONTRACTS: Final = 10_000
RENEW_BEFORE_S: Final = 300
ASSUMED_LIFE_S: Final = 3600  # of a token whose end cannot be read
MAX_LIFE_S: Final = 30 * 86_400
PRICE_SCALE: Final = 9
MAX_INCREMENT: Final = 10**15  # a tick of a million: none is near
NEWEST_BARS: Final = 5  # a venue may send bars in which nothing was traded; they are passed over
BARS_AROUND_S: Final = 86_400  # the window of the newest bar, before and after our clock, which may be wrong
MAX_STAMP_CHARACTERS: Final = 40
MAX_VOLUME: Final = 10**15
_SECONDS_UNIT: Final = 1
_BARS_PATH: Final = "/History/retrieveBars"

# Of retrieveBars, where asking again cannot help.
_NO_BARS: Final = {1: "no such contract", 2: "no such unit", 3: "no such number of units", 4: "no such limit"}

# Of loginKey, as the OpenAPI document names them; the rest is told by number.
_WRONG_LOGIN: Final = {
    1: "no such user",
    2: "wrong key",
    3: "wrong user name or key",
    7: "the agreements are not signed",
    9: "no API subscription",
    10: "login by API key is switched off",
}

_NAME: Final = re.compile(r"(?P<root>.+?)[FGHJKMNQUVXZ][0-9]{1,2}")
_MONTHS: Final = "FGHJKMNQUVXZ"

_FRONT_KEYS: Final = ("id", "name", "tickSize", "activeContract")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contract:
    """A resolved instrument. `price_increment` is the tick size in units of 10^-PRICE_SCALE, exact."""

    contract_id: str
    name: str
    price_increment: int


class Bar(NamedTuple):
    """The newest one-second bar with a trade in it: its second since 1970 by the venue's clock, and its volume."""

    start_s: int
    volume: int


NO_BAR: Final = Bar(0, 0)  # nothing was traded in a day


class Gateway:
    """A REST client with one user's token. The token is in no message and no repr."""

    def __init__(self, pool: HttpPool, api_url: str, user: Credentials, now_s: Callable[[], float]) -> None:
        self._pool = pool
        self._url = api_url.rstrip("/")
        self._user = user
        self._now_s = now_s
        self.caches = Caches()
        self._token = ""
        self._renew_s = 0.0
        self._turn = asyncio.Lock()  # two feeds that begin at once log in once
        self.renewals = 0  # tokens taken so far: who opened a socket with one sees by it that it is an old one

    def __repr__(self) -> str:
        return f"Gateway({self._url}, {self._user.user_name})"

    @property
    def must_renew(self) -> bool:
        """Whether the token, if there is one, is about to end."""
        return bool(self._token) and self._now_s() >= self._renew_s

    def forget_token(self) -> None:
        """The venue did not take it: the next one is fetched by a login."""
        self._token = ""

    def shown(self, text: object) -> str:
        """A venue's own text as one short line; nothing of it if a piece of our secrets is in it."""
        if isinstance(text, str) and any(
            part and part in text for part in (*self._token.split("."), self._user.api_key)
        ):
            return "(a text with a secret in it)"
        return said(text)

    async def token(self) -> str:
        """A token that is good for five more minutes. Raises VenueError, VenueRefusal for a wrong name or key."""
        async with self._turn:
            if self.must_renew:
                await self._validate()
            if not self._token:
                await self._login()
            return self._token

    async def accounts(self) -> int:
        """How many accounts this user can see."""
        answer = await self._ask("/Account/search", {"onlyActiveAccounts": True})
        return len(_list_of(answer, "accounts"))

    async def rows(self, path: str, body: dict[str, object], key: str) -> list[Any]:
        """The list `key` of the answer to a read, its rows unchecked. Raises VenueError; ValueError for no read.

        This is the only way from the account view to the venue, so it can place, change or cancel nothing.
        """
        if not is_read(path):
            raise ValueError(f"{path} is not among the requests that only read")
        return _list_of(await self._ask(path, body), key)

    async def tick_e9(self, contract_id: str) -> int:
        """The tick size of any contract, in 10^-PRICE_SCALE; kept as all contracts are. Raises VenueError."""
        if not CONTRACT_ID.fullmatch(contract_id):
            raise VenueError("that is no contract")
        return (await self.contract(SymbolSettings(contract_id, contract_id))).price_increment

    async def contract(self, settings: SymbolSettings) -> Contract:
        """The contract of an instrument. Raises VenueRefusal if the venue has none.

        What an id names never changes, so that is kept as long as there is room. Which contract is the front one
        does: the search is made each time, so that a roll is seen at once. Only the list of all that can be traded,
        the same for every instrument, is kept as market data is.
        """
        kept = self.caches.instruments
        if settings.contract != FRONT:
            return Contract(*await kept.fetch(("contract", settings.contract), lambda: self._named(settings)))
        # A search gives 20 contracts at most, and a short name is part of many: the whole list is the second try.
        found = await self._ask("/Contract/search", {"searchText": settings.symbol, "live": False})
        front = front_contract(settings.symbol, _list_of(found, "contracts"))
        if front is None:
            front = front_contract(settings.symbol, await self.caches.market_data.fetch("contracts", self._available))
        if front is not None:
            kept.put(("contract", front.contract_id), _values(front))
            return front
        raise VenueRefusal(
            f"the venue has no active contract of {settings.symbol}: set contract in {settings.symbol}.toml to an id"
        )

    async def newest_bar(self, contract_id: str) -> Bar:
        """The newest bar of a contract, of one second and as far as it goes by now (fact sheet 4.3).

        NO_BAR if nothing was traded in the last day. Raises VenueError, also where the venue has no such bars.
        """
        now_s = self._now_s()
        start, end = (
            datetime.fromtimestamp(at_s, UTC).isoformat() for at_s in (now_s - BARS_AROUND_S, now_s + BARS_AROUND_S)
        )
        window = {"contractId": contract_id, "live": False, "startTime": start, "endTime": end}
        bars = {"unit": _SECONDS_UNIT, "unitNumber": 1, "limit": NEWEST_BARS, "includePartialBar": True}
        rows = _list_of(await self._ask(_BARS_PATH, window | bars), "bars")
        if len(rows) > NEWEST_BARS:
            raise VenueError(f"the venue sent {len(rows)} bars where {NEWEST_BARS} were asked for")
        return max((bar for bar in map(read_bar, rows) if bar.volume > 0), default=NO_BAR)

    async def bars(self, body: dict[str, object], limit: int) -> list[Any]:
        """The rows of one answer of retrieveBars (fact sheet 4.3), unchecked, at most `limit`: history/page.py reads
        them. Raises VenueRefusal if the venue has no such contract or bars; VenueError."""
        answer = await self._ask(_BARS_PATH, body)
        code = answer.get("errorCode")
        if answer.get("success") is False and type(code) is int and code in _NO_BARS:
            raise VenueRefusal(f"the venue has no such bars of {said(body['contractId'])}: {_NO_BARS[code]}")
        return _list_of(answer, "bars", limit)

    async def _named(self, settings: SymbolSettings) -> list[object]:
        """The values of a contract that the settings name. Raises VenueRefusal: it may be listed later."""
        row = (await self._ask("/Contract/searchById", {"contractId": settings.contract})).get("contract")
        if not isinstance(row, Mapping) or row.get("id") != settings.contract:
            raise VenueRefusal(f"the venue has no contract {settings.contract}: correct {settings.symbol}.toml")
        return _values(read_contract(row))

    async def _available(self) -> list[dict[str, object]]:
        """Of all contracts that can be traded, what `front_contract` looks at: small, and plain enough to be kept."""
        rows = _list_of(await self._ask("/Contract/available", {"live": False}), "contracts")
        return [
            {key: value for key in _FRONT_KEYS if isinstance(value := row.get(key), (str, int, float))}
            for row in rows
            if isinstance(row, Mapping)
        ]

    async def _ask(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        """An authorised request; one that is refused with 401 is made again after one login."""
        token = await self.token()
        try:
            return await self._pool.post(self._url + path, body, token)
        except Unauthorised:
            self.forget_token()
            return await self._pool.post(self._url + path, body, await self.token())

    async def _login(self) -> None:
        body: dict[str, object] = {"userName": self._user.user_name, "apiKey": self._user.api_key}
        answer = await self._pool.post(f"{self._url}/Auth/loginKey", body)
        if answer.get("success") is not True:
            code = answer.get("errorCode")
            why = _WRONG_LOGIN.get(code) if isinstance(code, int) else None
            if why is None:
                text = self.shown(answer.get("errorMessage"))
                raise VenueError(f"the login failed with code {_number(code)} {text}".rstrip())
            raise VenueRefusal(
                f"the venue refuses the login of {self._user.user_name} ({why}): correct PROJECT_X_USERNAME and"
                " PROJECT_X_API_KEY in the environment"
            )
        self._take(answer.get("token"))
        _log.info("logged in as %s", self._user.user_name)

    async def _validate(self) -> None:
        """Exchange a token that is about to end for a new one; if the venue will not, a login does it."""
        try:
            answer = await self._pool.post(f"{self._url}/Auth/validate", None, self._token)
        except Unauthorised:
            self.forget_token()
            return
        if answer.get("success") is True and isinstance(answer.get("newToken"), str):
            self._take(answer["newToken"])
        if self.must_renew:  # an old one again, or none
            self.forget_token()

    def _take(self, token: object) -> None:
        if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARACTERS:
            raise VenueError("the venue sent a token that is none, or too long")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise VenueError("the venue sent a token with letters that no token has")
        self._token = token
        self.renewals += 1
        now_s = self._now_s()
        life_s = ends_s(token, now_s) - now_s
        self._renew_s = now_s + max(life_s - RENEW_BEFORE_S, life_s / 2)  # a short-lived one is not renewed at once


def ends_s(token: str, now_s: float) -> float:
    """When a JWT ends, in seconds since 1970, from its claim `exp`; an hour from now if that cannot be read."""
    parts = token.split(".")
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        end = claims["exp"]
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return now_s + ASSUMED_LIFE_S
    if type(end) not in (int, float) or not 0 < end - now_s <= MAX_LIFE_S:
        return now_s + ASSUMED_LIFE_S
    return float(end)


def _values(contract: Contract) -> list[object]:
    return [contract.contract_id, contract.name, contract.price_increment]


def front_contract(symbol: str, rows: list[Any]) -> Contract | None:
    """Of the active contracts named `symbol`, month letter and year digits, the one that expires first."""
    fitting = []
    for row in rows:
        if not isinstance(row, Mapping) or row.get("activeContract") is not True:
            continue
        name = row.get("name")
        parts = _NAME.fullmatch(name) if isinstance(name, str) and len(name) <= 64 else None
        if parts and parts["root"] == symbol:
            fitting.append(read_contract(row))
    return min(fitting, key=_expiry, default=None)


def read_contract(row: Mapping[str, Any]) -> Contract:
    """A contract of the venue's, checked. Raises VenueError."""
    contract_id, name = row.get("id"), row.get("name")
    if not isinstance(contract_id, str) or not CONTRACT_ID.fullmatch(contract_id):
        raise VenueError(f"the venue sent a contract with the id {said(contract_id)!r}, which is none")
    return Contract(contract_id, said(name), price_increment(row.get("tickSize"), contract_id))


def price_increment(tick_size: object, contract_id: str) -> int:
    """A tick size as a whole number of 10^-PRICE_SCALE. Raises VenueError if it is not one, or not above 0.

    The wire's 0.1 arrives as the float next to it; its shortest text is the number that was meant.
    """
    try:
        scaled = Decimal(str(tick_size)).scaleb(PRICE_SCALE) if type(tick_size) in (int, float) else Decimal(0)
    except InvalidOperation:
        scaled = Decimal(0)
    if not scaled.is_finite() or not 0 < scaled <= MAX_INCREMENT or scaled != scaled.to_integral_value():
        raise VenueError(f"the venue sent {said(str(tick_size))!r} as the tick size of {contract_id}")
    return int(scaled)


def read_bar(row: object) -> Bar:
    """A bar of the venue's, checked. Raises VenueError."""
    stamp, volume = (row.get("t"), row.get("v")) if isinstance(row, Mapping) else (None, None)
    if isinstance(stamp, str) and len(stamp) <= MAX_STAMP_CHARACTERS:
        try:
            began = datetime.fromisoformat(stamp)
            start_s = int((began if began.tzinfo else began.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            start_s = 0
        if start_s > 0 and type(volume) is int and 0 <= volume <= MAX_VOLUME:
            return Bar(start_s, volume)
    raise VenueError(f"the venue sent a bar that is none, of {said(stamp)!r}")


def _expiry(contract: Contract) -> tuple[int, int]:
    code = contract.contract_id.rpartition(".")[2]
    return int(code[1:]), _MONTHS.index(code[0])


def _list_of(answer: Mapping[str, Any], key: str, max_rows: int = MAX_CONTRACTS) -> list[Any]:
    rows = answer.get(key)
    if answer.get("success") is True and isinstance(rows, list) and len(rows) > max_rows:
        raise VenueError(f"the venue sent {len(rows)} {key}, where at most {max_rows} may come")
    if answer.get("success") is not True or not isinstance(rows, list):
        raise VenueError(f"the venue sent no list of {key} (code {_number(answer.get('errorCode'))})")
    return rows


def _number(value: object) -> str:
    return str(value) if type(value) is int and abs(value) < 10**9 else "?"
