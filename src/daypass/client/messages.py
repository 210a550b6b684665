"""The messages about a session that a client sends, and their responses. Values only: no I/O, clock or randomness."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import NamedTuple, TypeAlias

from daypass.value import value

LONGEST_ANSWER = 1_048_576
"""Maximum bytes to read of a response; a token endpoint sends less."""

NOT_LOOKED_AT = (429, 503)
"""The statuses that mean the server did not process a request."""


@value(frozen=True, slots=True)
class Cookie:
    """The cookie that carries a refresh token."""

    name: str
    value: str = field(repr=False)


@value(frozen=True, slots=True)
class Message:
    """One request about a session.

    Attributes:
        path: appended to the URL of the session endpoints, or a whole URL.
        json: the JSON body, if any.
        cookie: the cookie that carries the refresh token, if any.
        form: a form as the body instead (RFC 6749 Appendix B), if any; a list is a field with several values.
        authorization: the ``Authorization`` header, if any.
        method: the HTTP method.
        proof: the ``DPoP`` header (RFC 9449), if any; Daypass adds it when it sends the message.
    """

    path: str
    json: Mapping[str, str | bool] | None = field(default=None, repr=False)
    cookie: Cookie | None = None
    form: Mapping[str, str | list[str]] | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    method: str = "POST"
    proof: str | None = field(default=None, repr=False)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The form's fields, one for each value."""
        fields = (self.form or {}).items()
        return [(name, each) for name, value in fields for each in ([value] if isinstance(value, str) else value)]

    def url(self, base: str) -> str:
        """Return the URL to send it to; ``base`` is the URL of the session endpoints."""
        return self.path if "://" in self.path else f"{base}/{self.path}"


@value(frozen=True, slots=True)
class Answer:
    """The response to a `Message`; headers are as received.

    Attributes:
        status: the HTTP status.
        body: the whole body, decoded from its transfer and content codings, up to `LONGEST_ANSWER`.
        retry_after: the ``Retry-After`` header, if there was one.
        set_cookies: every ``Set-Cookie`` header.
        challenges: every ``WWW-Authenticate`` header.
        date: the ``Date`` header: the server's time.
        grace: the ``Daypass-Grace`` header: for how many seconds a refresh may be repeated.
        nonce: the ``DPoP-Nonce`` header (RFC 9449 §8).
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: str | None = None
    set_cookies: Sequence[str] = field(default=(), repr=False)
    challenges: Sequence[str] = ()
    date: str | None = None
    grace: str | None = None
    nonce: str | None = None


@value(frozen=True, slots=True)
class Grant:
    """The tokens from a login or a refresh.

    Attributes:
        access_token: the token for requests to the application.
        lifetime: milliseconds from the moment the request was sent; ``None`` if neither the response nor the token
            says.
        refresh_token: from the body, or ``None``.
        cookie: the cookie that carries the refresh token, or ``None``.
        grace: for how many milliseconds the server accepts the same refresh token again; 0 if it does not say.
        context: what the strategy learned at login and needs to refresh these tokens, such as a client id; it is kept
            with them.
        bound: whether the access token is sent with a DPoP proof: its type is ``DPoP`` (RFC 9449 §5).
        key: the private key of the proofs, as JSON (RFC 7517); ``None`` without one.
    """

    access_token: str = field(repr=False)
    lifetime: int | None = None
    refresh_token: str | None = field(default=None, repr=False)
    cookie: Cookie | None = None
    grace: int = 0
    context: Mapping[str, str] | None = field(default=None, repr=False)
    bound: bool = False
    key: str | None = field(default=None, repr=False)


class Refreshed(NamedTuple):
    """The refresh succeeded and gave these tokens."""

    grant: Grant


class Rejected(NamedTuple):
    """The session has ended; only a new login helps."""

    reason: str


class Stale(NamedTuple):
    """The refresh token was replaced just now: another client that shares this session has a newer one."""

    reason: str = "the refresh token is stale: a newer one was given out"
    retry_after: float | None = None


@value(frozen=True, slots=True)
class Unavailable:
    """The refresh failed, but the session may still be valid.

    Attributes:
        reason: why, for people to read.
        retry_after: seconds to wait before the next attempt, if the server said so.
        permanent: whether retrying will not help: the client is set up wrongly, and callers get a `ConfigurationError`.
        unused: whether it is certain that the refresh token was not used: nothing was sent, or the server did not
            process the request (429, 503). Then a retry is safe even with a strict server.
        cause: the exception, if there was one.
    """

    reason: str
    retry_after: float | None = None
    permanent: bool = False
    unused: bool = False
    cause: BaseException | None = field(default=None, repr=False, compare=False)


@value(frozen=True, slots=True)
class Adopted:
    """No refresh was sent: another client that shares the session has refreshed it, and its tokens are used now."""


Outcome: TypeAlias = Refreshed | Adopted | Rejected | Stale | Unavailable
