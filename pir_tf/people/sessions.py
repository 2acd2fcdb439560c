"""Links, cookies and signatures: who a request comes from, and how often it may come.

A link holds a random token. The first visit trades it for a signed cookie, so that the token leaves the address bar; the cookie
names the study, and the rater by an outside id or a random one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field

RATER_COOKIE = "pir_rater"
OWNER_COOKIE = "pir_owner"
LONGEST_ID = 128
"""Characters of an outside id."""


def sign(secret: str, *parts: str) -> str:
    """128 bits that nobody can make without the secret, as text."""
    message = json.dumps(parts).encode()
    return _text(hmac.new(bytes.fromhex(secret), message, hashlib.sha256).digest()[:16])


def rater_cookie(study: str, secret: str, outside: str = "") -> str:
    """A cookie for a rater with this outside id, or for a new one without."""
    key = f"o:{outside}" if outside else f"n:{secrets.token_urlsafe(16)}"
    return ".".join((study, _text(key.encode()), sign(secret, "rater", study, key)))


def rater_key(cookie: str, study: str, secret: str) -> str | None:
    """The rater's key in a cookie of this study, None where it is forged or another's."""
    parts = cookie.split(".")
    if len(parts) != 3 or parts[0] != study:
        return None
    try:
        key = _bytes(parts[1]).decode()
    except ValueError:
        return None
    return key if hmac.compare_digest(parts[2], sign(secret, "rater", study, key)) else None


def owner_cookie(study: str, secret: str) -> str:
    """A cookie for the owner of a study."""
    return f"{study}.{sign(secret, 'owner', study)}"


def is_owner(cookie: str, study: str, secret: str) -> bool:
    """Whether a cookie is the owner's."""
    return hmac.compare_digest(cookie.encode(), owner_cookie(study, secret).encode())


def signed_impression(impression: str, secret: str) -> str:
    """An impression's name that a team's page sends back with its events."""
    return f"{impression}.{sign(secret, 'impression', impression)}"


def impression_of(signed: object, secret: str) -> str | None:
    """The impression of a signed name, None where it is forged."""
    if not isinstance(signed, str) or signed.count(".") != 1:
        return None
    name, signature = signed.split(".")
    return name if hmac.compare_digest(signature.encode(), sign(secret, "impression", name).encode()) else None


@dataclass
class Limit:
    """So many a second, and so many at once, for each name. Source: the token bucket."""

    rate: float
    most: float
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait(self, name: str, cost: float = 1.0) -> float:
        """Takes `cost` from a name's bucket; 0, or the seconds until there is enough."""
        now = time.monotonic()
        left, at = self._left.get(name, (self.most, now))
        left = min(self.most, left + (now - at) * self.rate)
        if left < min(cost, self.most):
            self._left[name] = (left, now)
            return (min(cost, self.most) - left) / self.rate
        if len(self._left) > 10_000:
            self._left = {key: kept for key, kept in self._left.items() if now - kept[1] < self.most / self.rate}
        self._left[name] = (left - cost, now)
        return 0.0


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
