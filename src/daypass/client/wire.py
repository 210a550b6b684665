"""What a client sends to the session endpoints, and what it makes of their answers.

No I/O, clock or randomness here: a request is a `Message`, an answer is a status, some headers and a body.

Only a definite rejection ends a session on the client. `judge_refresh` therefore tells four things apart:

- `Refreshed`: a new access token, and usually a new refresh token or cookie.
- `Rejected`: the issuer's own word, and nobody else's (`is_rejection`):
  400 with JSON whose ``error`` is ``invalid_grant`` (RFC 6749 §5.2) or ``invalid_token``;
  401, as first-party endpoints have it, whose body is empty or a JSON object, and which does not ask for other schemes
  than Bearer. Proxies, gateways, firewalls and captive portals answer with 400, 401 and 403 too, mostly in HTML. They
  know nothing about the token, and a session that is thrown away on their word cannot be got back.
- `Stale`: 409, "you have a newer one". Nothing is wrong with the session.
- `Unavailable`: everything else, a 200 that makes no sense included. Nothing was learned about the session.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias, TypeGuard

LONGEST_LIFETIME = 10 * 365 * 86_400_000
"""Milliseconds; what claims to live longer is taken to live this long."""

LONGEST_RETRY_AFTER = 300.0
"""Seconds; a server that asks for more than this is asked again after this long."""

OUR_COOKIES = ("__Host-daypass", "daypass")
"""The names that Daypass's own issuer gives the refresh cookie, over HTTPS and over plain HTTP."""

LONGEST_ANSWER = 1_048_576
"""Bytes of an answer that are read; what is longer is no answer of a token endpoint."""

LONGEST_QUOTE = 200
"""Characters of a server's own message that an error of ours repeats."""

_REJECTIONS = ("invalid_grant", "invalid_token")
_MISTAKES = ("insecure_transport", "cross_site_request", "invalid_request", "unsupported_media_type",
             "content_too_large")  # fmt: skip

_TOKEN = re.compile(r"[\x21-\x7e]+")
_COOKIE_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][\w!#$%&*+.^`|~-]*)(?=\s+[^\s=,]|\s*(?:,|$))")
_INSUFFICIENT_SCOPE = re.compile(r'\berror\s*=\s*"?insufficient_scope\b')


@dataclass(frozen=True, slots=True)
class Cookie:
    """The cookie that carries a refresh token."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One request about a session.

    Attributes:
        path: what is added to the URL of the session endpoints, or a whole URL.
        json: the JSON body, if any.
        cookie: the cookie that carries the refresh token, if any.
        form: the form that is the body instead (RFC 6749 Appendix B), if any.
        authorization: the ``Authorization`` header, if any.
        method: the HTTP method.
    """

    path: str
    json: dict[str, str] | None = field(default=None, repr=False)
    cookie: Cookie | None = None
    form: dict[str, str] | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    method: str = "POST"

    def url(self, base: str) -> str:
        """Return where it goes, ``base`` being the URL of the session endpoints."""
        return self.path if "://" in self.path else f"{base}/{self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status.
        body: the whole body, decoded from its transfer and content codings, up to `LONGEST_ANSWER`.
        retry_after: the ``Retry-After`` header as it stands, if there was one.
        set_cookies: every ``Set-Cookie`` header as it stands.
        challenges: every ``WWW-Authenticate`` header as it stands.
        date: the ``Date`` header as it stands: what time the server says it is.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: str | None = None
    set_cookies: Sequence[str] = field(default=(), repr=False)
    challenges: Sequence[str] = ()
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login or a refresh gave.

    Attributes:
        access_token: what opens the application.
        lifetime: milliseconds from receipt, or ``None`` where the answer and the token do not say.
        refresh_token: from the body, or ``None``.
        cookie: the cookie that carries the refresh token, or ``None``.
    """

    access_token: str = field(repr=False)
    lifetime: int | None = None
    refresh_token: str | None = field(default=None, repr=False)
    cookie: Cookie | None = None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The session goes on, with what was granted."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Rejected:
    """The session is over; refreshing cannot help any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stale:
    """The refresh token was replaced moments ago: somebody who shares this session has a newer one."""

    reason: str = "the refresh token is stale: a newer one was given out"


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing was learned about the session; ``retry_after`` is in seconds."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """Nothing had to be sent: somebody who shares the session had refreshed it, and what they have is held now."""


Outcome: TypeAlias = Refreshed | Adopted | Rejected | Stale | Unavailable


def login_message(credentials: dict[str, str], *, in_body: bool) -> Message:
    """Return the login request; with ``in_body`` it asks for the refresh token in the answer's body."""
    return Message("login", credentials | ({"tokenDelivery": "body"} if in_body else {}))


def session_message(path: str, refresh_token: str | None, cookie: Cookie | None) -> Message:
    """Return the request to ``refresh`` or ``logout`` that presents what the client holds."""
    return Message(path, None if refresh_token is None else {"refreshToken": refresh_token}, cookie)


def read_grant(answer: Answer, cookie_name: str | None = None, field: str = "accessToken") -> Grant | None:
    """Read the successful answer of login or refresh; ``None`` where it makes no sense.

    Args:
        answer: its JSON body has ``accessToken``, perhaps ``expiresIn`` (seconds) and ``refreshToken``.
        cookie_name: the refresh cookie's name, where it is known.
        field: what the access token's field is called.
    """
    body = json_object(answer.body) or {}
    access_token = body.get(field)
    if not is_token(access_token):
        return None
    refresh_token = body.get("refreshToken")
    return Grant(
        access_token,
        lifetime_in_milliseconds(body.get("expiresIn")) or jwt_lifetime(access_token, answer.date),
        refresh_token if is_token(refresh_token) else None,
        refresh_cookie(answer.set_cookies, cookie_name),
    )


def judge_refresh(answer: Answer, cookie_name: str | None = None, field: str = "accessToken") -> Outcome:
    """Return what an answer to a refresh means; the module's docstring has the rule."""
    if 200 <= answer.status <= 299:
        grant = read_grant(answer, cookie_name, field)
        return Refreshed(grant) if grant else Unavailable("the answer to the refresh held no access token")
    if is_rejection(answer):
        return Rejected(f"the refresh was rejected ({answer.status})")
    if answer.status == 409:
        return Stale()
    return Unavailable(f"the refresh was answered with {answer.status}", seconds(answer.retry_after, answer.date))


def is_rejection(answer: Answer) -> bool:
    """Tell whether the issuer itself says that the refresh token gets nothing any more; the module has the rule."""
    body = json_object(answer.body)
    if answer.status == 400:
        return body is not None and body.get("error") in _REJECTIONS
    return answer.status == 401 and (body is not None or not answer.body.strip()) and _is_bearers(answer.challenges)


def mistake(answer: Answer, sent: Iterable[str]) -> str | None:
    """Return what a refused login says about how it was sent; ``None`` where it may be about the credentials.

    Args:
        answer: its JSON body has ``error``, and ``message`` for a person to read.
        sent: what must not be repeated: a message that has any of it is left out.
    """
    body = json_object(answer.body) or {}
    error, message = body.get("error"), body.get("message")
    if not 400 <= answer.status <= 499 or error not in _MISTAKES:
        return None
    text = _printable(message) if isinstance(message, str) else ""
    told = any(_printable(secret).casefold() in text.casefold() for secret in sent if secret)
    return f"{error} ({answer.status})" + (f": {text[:LONGEST_QUOTE]}" if text and not told else "")


def seconds(retry_after: str | None, date: str | None = None) -> float | None:
    """Read a ``Retry-After`` header (RFC 9110 §10.2.3), in seconds.

    Args:
        retry_after: a number of seconds, or an HTTP date.
        date: the ``Date`` of the same answer. A date is counted from there, so this machine's wall clock, which may be
            wrong, plays no part.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER)
    until, now = _epoch(text), _epoch(date)
    return None if until is None or now is None else min(max(0.0, until - now), LONGEST_RETRY_AFTER)


def refresh_cookie(set_cookies: Sequence[str], name: str | None = None, *, guess: bool = True) -> Cookie | None:
    """Find the cookie that carries the refresh token among ``Set-Cookie`` headers.

    It is the one called ``name``; with no name given, the one with a name of Daypass's own, else, to ``guess``, the
    only ``HttpOnly`` cookie there is. A cookie that is being deleted is none.
    """
    cookies = [(cookie, http_only) for cookie, http_only in map(_read_cookie, set_cookies) if cookie]
    names = OUR_COOKIES if name is None else (name,)
    named = [cookie for cookie, _ in cookies if cookie.name in names]
    if named or name is not None or not guess:
        return named[-1] if named else None
    hidden = [cookie for cookie, http_only in cookies if http_only]
    return hidden[0] if len(hidden) == 1 else None


def cookie_to_keep_back(message: Message, answer: Answer, cookie_name: str | None) -> Cookie | None:
    """Return the cookie of ``answer`` that the user's jar must not have: the refresh cookie, and no proxy's.

    Its name is known from what was sent or from the user. To guess it is for the one answer that can be the first to
    bring it: that of a login which gave no refresh token in its body.
    """
    name = message.cookie.name if message.cookie else cookie_name
    brings_first = message.json is not None and "password" in message.json and 200 <= answer.status <= 299
    guess = brings_first and not is_token((json_object(answer.body) or {}).get("refreshToken"))
    return refresh_cookie(answer.set_cookies, name, guess=guess)


def refreshing_can_help(challenges: Sequence[str]) -> bool:
    """Tell from its ``WWW-Authenticate`` headers whether a 401 may be about an expired or revoked access token.

    It is not where other schemes than Bearer are asked for, nor where the token's scope is too narrow (RFC 6750 §3.1).
    A 401 without a challenge is taken to be about the token.
    """
    return _is_bearers(challenges) and not _INSUFFICIENT_SCOPE.search(", ".join(challenges))


def _is_bearers(challenges: Sequence[str]) -> bool:
    """Tell whether ``WWW-Authenticate`` headers ask for Bearer, among others or by asking for nothing."""
    schemes = {scheme.lower() for scheme in _SCHEME.findall(_QUOTED.sub('""', ", ".join(challenges)))}
    return not schemes or "bearer" in schemes


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def is_token(value: object) -> TypeGuard[str]:
    """Tell whether ``value`` can be sent in a header: visible ASCII, or an HTTP library would quote it in an error."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def json_object(text: bytes) -> dict[str, Any] | None:
    """Read a JSON object; ``None`` where ``text`` is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def lifetime_in_milliseconds(value: object) -> int | None:
    """Read a lifetime in seconds, a number; ``None`` where it makes no sense."""
    # JSON has integers too large for a float, and Python's has NaN, for which nothing is greater.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        return None
    return int(min(value, LONGEST_LIFETIME // 1000) * 1000)


def jwt_lifetime(token: str, date: str | None = None) -> int | None:
    """Return how long a JWT lives, in milliseconds; ``None`` where it is none, or does not say.

    It is ``exp`` less ``iat``, or else less the ``date`` of the answer that brought it: both are the server's clock, so
    the lifetime holds whatever this machine's wall clock says.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json_object(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))) or {}
        return lifetime_in_milliseconds(claims["exp"] - claims.get("iat", _epoch(date)))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _epoch(date: str | None) -> float | None:
    """Read an HTTP date, in seconds since the epoch."""
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _read_cookie(header: str) -> tuple[Cookie | None, bool]:
    pair, *attributes = header.split(";")
    name, _, value = (part.strip() for part in pair.partition("="))
    flags = {attribute.strip().lower() for attribute in attributes}
    if not name or not _COOKIE_VALUE.fullmatch(value) or "max-age=0" in flags:
        return None, False
    return Cookie(name, value), "httponly" in flags
