"""A login that a browser has begun at the provider. The browser keeps it in a cookie; the server keeps nothing. Pure.

``state``, ``nonce`` and the PKCE verifier are MACs of the cookie's text. So a callback whose ``state`` fits shows that
the cookie is ours, unchanged, and that this browser has begun this login.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from daypass import cookie_names
from daypass.duration import MINUTE, SECOND
from daypass.web.cookies import CookiePolicy
from daypass.web.message import Request

LIFETIME = 10 * MINUTE
"""How long a user may take to log in at the provider."""

AT_ONCE = 4
"""How many logins one browser may have begun: one for each tab. One more makes it forget the others."""

_MARK = "-oidc-"
_STATE = 43
_NAME = 16
_SEED = 16


@dataclass(frozen=True, slots=True)
class LoginState:
    """A login that was begun.

    Attributes:
        text: what the cookie holds.
        key: the key of the MACs.
        until: when it expires.
        return_to: where the browser goes afterwards.
        remember: whether the session survives closing the browser.
    """

    text: str = field(repr=False)
    key: bytes = field(repr=False)
    until: int
    return_to: str
    remember: bool

    @classmethod
    def begin(cls, key: bytes, seed: bytes, now: int, return_to: str, *, remember: bool) -> "LoginState":
        """Return a new login; ``seed`` is random."""
        members = [base64.urlsafe_b64encode(seed[:_SEED]).decode(), now + LIFETIME, return_to, remember]
        text = base64.urlsafe_b64encode(json.dumps(members, separators=(",", ":")).encode()).rstrip(b"=").decode()
        return cls(text, key, now + LIFETIME, return_to, remember)

    @property
    def state(self) -> str:
        """The ``state`` of the request to the provider."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """The ``nonce`` that the ID token must have."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """The PKCE code verifier (RFC 7636 §4.1)."""
        return self._derived("verifier")

    def _derived(self, purpose: str) -> str:
        return _mac(self.key, purpose, self.text)

    def set_cookie(self, request: Request, policy: CookiePolicy) -> tuple[str, str]:
        """Return the header that sets the cookie; the provider's redirect comes from another site, so it is ``Lax``."""
        return _header(request, _prefix(request, policy) + self.state[:_NAME], self.text, LIFETIME // SECOND)


def find(request: Request, policy: CookiePolicy, state: str, keys: Iterable[bytes], now: int) -> LoginState | None:
    """Return the login with this ``state`` that the request's browser has begun; None without one, or if it expired."""
    text = dict(pairs(request)).get(_prefix(request, policy) + state[:_NAME])
    if text is None or len(state) != _STATE or not state.isascii():
        return None
    key = next((key for key in keys if hmac.compare_digest(_mac(key, "state", text), state)), None)
    if key is None:
        return None
    _, until, return_to, remember = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return LoginState(text, key, until, return_to, remember) if now < until else None


def forget(request: Request, policy: CookiePolicy, state: str) -> tuple[str, str]:
    """Return the header that removes the cookie of a login."""
    return _header(request, _prefix(request, policy) + state[:_NAME], "", 0)


def forget_many(request: Request, policy: CookiePolicy) -> tuple[tuple[str, str], ...]:
    """Return the headers that remove the cookies of all logins, if there are too many for one more."""
    prefix = _prefix(request, policy)
    names = [name for name, _ in pairs(request) if name.startswith(prefix)]
    return tuple(_header(request, name, "", 0) for name in names) if len(names) >= AT_ONCE else ()


def base_name(policy: CookiePolicy) -> str:
    """Return what the names of all cookies of the service begin with, without a prefix."""
    return policy.name or cookie_names.DEFAULT


def key_of(mac_key: bytes) -> bytes:
    """Return the key of the MACs; all nodes have it, because they share the keys of refresh tokens."""
    return hmac.digest(mac_key, b"daypass oidc login", hashlib.sha256)


def _mac(key: bytes, purpose: str, text: str) -> str:
    mac = hmac.digest(key, f"{purpose}\0{text}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def _prefix(request: Request, policy: CookiePolicy) -> str:
    secure = cookie_names.SECURE_PREFIX if request.is_https else ""
    return f"{secure}{base_name(policy)}{_MARK}"


def pairs(request: Request) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a request's cookies."""
    for pair in request.headers.get("cookie", "").split(";"):
        name, _, value = pair.strip(" \t").partition("=")
        yield name, value


def _header(request: Request, name: str, value: str, age: int) -> tuple[str, str]:
    secure = "; Secure" if request.is_https else ""
    return "set-cookie", f"{name}={value}; Path=/; Max-Age={age}; HttpOnly{secure}; SameSite=Lax"
