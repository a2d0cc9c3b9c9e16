"""Login and tokens: JWT-shaped, signed with a key that lives as long as this process.

Clients read `exp` from the token's middle part to know when to renew it, so it has to be a real one.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field

LIFETIME_S = 24 * 3600
MAX_TOKEN_CHARACTERS = 4096


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(slots=True)
class Tokens:
    """Gives out and checks tokens. Knows the API key only by its SHA-256."""

    user_name: str
    api_key_sha256: str
    lifetime_s: int = LIFETIME_S
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _revoked: set[str] = field(default_factory=set, repr=False)

    def login(self, user_name: str, api_key: str, now_s: int) -> str | None:
        """A token, or None for a wrong name or key."""
        right_key = hmac.compare_digest(hashlib.sha256(api_key.encode()).hexdigest(), self.api_key_sha256)
        right_name = hmac.compare_digest(user_name.encode(), self.user_name.encode())
        return self.issue(now_s) if right_key and right_name else None

    def issue(self, now_s: int) -> str:
        """A new token; older ones stay good."""
        head = _coded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        claims = {"sub": self.user_name, "jti": secrets.token_hex(8), "exp": now_s + self.lifetime_s}
        body = f"{head}.{_coded(json.dumps(claims).encode())}"
        return f"{body}.{self._signature(body)}"

    def is_good(self, token: str, now_s: float) -> bool:
        """Ours, not expired, not revoked."""
        return token not in self._revoked and self.expires_s(token) > now_s

    def expires_s(self, token: str) -> int:
        """When a token of ours expires, in seconds of the epoch; 0 if it is not ours."""
        body, _, signature = token.rpartition(".")
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return 0
        if not hmac.compare_digest(signature, self._signature(body)):
            return 0
        claims = json.loads(_decoded(body.partition(".")[2]))  # signed by us, so it is what we wrote
        return int(claims["exp"])

    def revoke(self, token: str) -> None:
        """End a token that `is_good` said yes to; a test venue's logouts are few enough to keep them all."""
        self._revoked.add(token)

    def revoke_all(self) -> None:
        """End every token that was ever given out."""
        self._secret = secrets.token_bytes(32)

    def _signature(self, body: str) -> str:
        return _coded(hmac.digest(self._secret, body.encode(), "sha256"))
