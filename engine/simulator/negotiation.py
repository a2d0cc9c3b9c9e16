"""Connection ids: given out by negotiate, good for one socket at a time, and for one life (fact sheet 6.1).

Version 0 has one id for both purposes; in version 1 the public connectionId differs from the connectionToken, and the
token is what goes into `id=`. Pure: seconds in, answers out.
"""

import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

OFFER_S = 15.0  # an id that no socket was opened for is forgotten after this
MAX_OFFERS = 1_000  # the oldest go first
_VERSION = 1
_TRANSPORTS = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]


@dataclass(slots=True)
class Negotiations:
    """The ids of one venue, for all its hubs."""

    _offered: dict[str, float] = field(default_factory=dict, repr=False)  # id → until when, the oldest first
    _open: set[str] = field(default_factory=set, repr=False)

    def offer(self, version: str, now_s: float) -> dict[str, Any]:
        """The answer to a negotiate request; `version` is its negotiateVersion as sent, "0" if it has none."""
        if not version.isascii() or not version.isdigit():
            return {"error": f"The client requested an invalid protocol version '{version[:16]}'"}
        self._forget(now_s)
        agreed = min(int(version[:4]), _VERSION)
        given = secrets.token_urlsafe(16)
        self._offered[given] = now_s + OFFER_S
        answer: dict[str, Any] = {"negotiateVersion": agreed}
        if agreed:
            answer |= {"connectionId": secrets.token_urlsafe(16), "connectionToken": given}
        else:
            answer |= {"connectionId": given}
        return answer | {"availableTransports": _TRANSPORTS}

    def claim(self, given: str, now_s: float) -> HTTPStatus:
        """Open a socket for an id: OK, NOT_FOUND for one unknown or used up, CONFLICT while it has a socket."""
        self._forget(now_s)
        if given in self._open:
            return HTTPStatus.CONFLICT
        if self._offered.pop(given, None) is None:
            return HTTPStatus.NOT_FOUND
        self._open.add(given)
        return HTTPStatus.OK

    def release(self, given: str) -> None:
        """The socket of that id has ended, and the id with it."""
        self._open.discard(given)

    def _forget(self, now_s: float) -> None:
        while self._offered:
            oldest = next(iter(self._offered))
            if len(self._offered) < MAX_OFFERS and self._offered[oldest] > now_s:
                return
            del self._offered[oldest]
