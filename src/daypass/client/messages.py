"""What a client sends about its session and what comes back. Values only: no I/O, clock or randomness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

LONGEST_ANSWER = 1_048_576
"""Bytes of an answer that are read; what is longer is no answer of a token endpoint."""

NOT_LOOKED_AT = (429, 503)
"""The statuses by which a server says that it did not look at a request."""


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
        form: the form that is the body instead (RFC 6749 Appendix B), if any; a list is a field with several values.
        authorization: the ``Authorization`` header, if any.
        method: the HTTP method.
    """

    path: str
    json: Mapping[str, str | bool] | None = field(default=None, repr=False)
    cookie: Cookie | None = None
    form: Mapping[str, str | list[str]] | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    method: str = "POST"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The form's fields, one for each value."""
        fields = (self.form or {}).items()
        return [(name, each) for name, value in fields for each in ([value] if isinstance(value, str) else value)]

    def url(self, base: str) -> str:
        """Return where it goes, ``base`` being the URL of the session endpoints."""
        return self.path if "://" in self.path else f"{base}/{self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status.
        body: the whole body, decoded from its transfer and content codings, up to `LONGEST_ANSWER`.
        retry_after: the ``Retry-After`` header as it came, if there was one.
        set_cookies: every ``Set-Cookie`` header as it came.
        challenges: every ``WWW-Authenticate`` header as it came.
        date: the ``Date`` header as it came: what time the server says it is.
        grace: the ``Daypass-Grace`` header as it came: for how many seconds a refresh may be repeated.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: str | None = None
    set_cookies: Sequence[str] = field(default=(), repr=False)
    challenges: Sequence[str] = ()
    date: str | None = None
    grace: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login or a refresh gave.

    Attributes:
        access_token: what opens the application.
        lifetime: milliseconds from the moment the request was sent, or ``None`` where the answer and the token do not
            say.
        refresh_token: from the body, or ``None``.
        cookie: the cookie that carries the refresh token, or ``None``.
        grace: for how many milliseconds the server answers the same refresh token again; 0 where it does not say.
        context: what a strategy needs to refresh these tokens and learned at login, such as a client id; it is kept
            with them.
    """

    access_token: str = field(repr=False)
    lifetime: int | None = None
    refresh_token: str | None = field(default=None, repr=False)
    cookie: Cookie | None = None
    grace: int = 0
    context: Mapping[str, str] | None = field(default=None, repr=False)


class Refreshed(NamedTuple):
    """The session goes on, with what was granted."""

    grant: Grant


class Rejected(NamedTuple):
    """The session has ended; refreshing cannot help any more."""

    reason: str


class Stale(NamedTuple):
    """The refresh token was replaced moments ago: another client that shares this session has a newer one."""

    reason: str = "the refresh token is stale: a newer one was given out"
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The refresh failed, and this says nothing about the session.

    Attributes:
        reason: why, for a person to read.
        retry_after: seconds to wait before the next attempt, where the server said so.
        permanent: whether waiting will not help: the client is set up wrongly, and callers get a `ConfigurationError`.
        unused: whether the refresh token certainly had no effect: nothing was sent, or the server said that it did not
            look (429, 503). Then even a strict server may be asked again.
        cause: the exception that it was, if any.
    """

    reason: str
    retry_after: float | None = None
    permanent: bool = False
    unused: bool = False
    cause: BaseException | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Adopted:
    """Nothing had to be sent: another client that shares the session refreshed it, and its tokens are used now."""


Outcome: TypeAlias = Refreshed | Adopted | Rejected | Stale | Unavailable
