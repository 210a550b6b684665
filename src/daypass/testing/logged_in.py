"""A logged-in user for an application's tests: their tokens, and events such as expiry, logout and theft."""

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import Any

from daypass.duration import SECOND, Duration, milliseconds
from daypass.errors import TokenReused
from daypass.issuer import AsyncDaypass, Daypass
from daypass.session import Session, Tokens
from daypass.testing.clock import Clock
from daypass.user import User
from daypass.watching import Connections
from daypass.web.application import Application
from daypass.web.cookies import ACCESS, write, write_session
from daypass.web.message import Request
from daypass.web.own_login import application_for

HOST = "testserver"
"""The host of the clients in tests; they use HTTPS, so the cookies are the same as in production."""

_BROWSER = Request("https", HOST, {})

Auth = Daypass | AsyncDaypass | Application[Daypass] | Application[AsyncDaypass]


class MovableClock(Clock):
    """The clock of one issuer; it only moves when a test moves it."""

    def move(self, span: Duration) -> None:
        """Let time pass: ``clock.move("16m")``, seconds, or a `timedelta`."""
        self.advance(milliseconds(span))

    def set_in(self, auth: Auth) -> None:
        """Make an issuer use this clock."""
        issuer = _issuer(auth)
        issuer._clock = self
        issuer._connections = Connections(issuer._upkeep.verifier, self)


@dataclass
class LoggedIn:
    """A user who is logged in.

    Attributes:
        auth: the application's issuer, or its `daypass.web.Application`.
        user: the user's subject.
        clock: the issuer's clock.
        tokens: the tokens of the user's client.
    """

    auth: Auth
    user: User
    clock: MovableClock
    tokens: Tokens = field(repr=False)

    @classmethod
    def start(cls, auth: Auth, user: User, clock: MovableClock, **options: Any) -> "LoggedIn":
        """Log a user in; ``options`` are those of `Daypass.start`, such as ``scope`` and ``claims``."""
        return cls(auth, user, clock, _done(_issuer(auth).start(user, **options)))

    @property
    def session(self) -> Session:
        """The session at the time these tokens were issued."""
        return self.tokens.session

    @property
    def headers(self) -> dict[str, str]:
        """The header with the access token."""
        return {"Authorization": f"Bearer {self.tokens.access_token}"}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that a browser has after this login, with both tokens."""
        policy, now = application_for(self.auth).cookie_policy, self.clock()
        until = now + self.tokens.expires_in * SECOND
        headers = (
            write_session(_BROWSER, policy, self.tokens, now, new=True),
            write(_BROWSER, policy, self.tokens.access_token, until, now, ACCESS, new=True),
        )
        return {name: cookie.value for _, text in headers for name, cookie in SimpleCookie(text).items()}

    def refresh(self) -> None:
        """Refresh the tokens, as a client does.

        Raises:
            TokenRejected: the session has ended.
        """
        tokens: Tokens = _done(_issuer(self.auth).refresh(self.tokens.refresh_token))
        self.tokens = tokens if tokens.replaces else replace(tokens, refresh_token=self.tokens.refresh_token)

    def expire_access_token(self) -> None:
        """Move the clock until the access token has expired; a refresh gets a new one."""
        self.clock.advance(self.tokens.expires_in * SECOND + _issuer(self.auth).policy.leeway)

    def expire(self) -> None:
        """Move the clock until the session has expired."""
        self.clock.now = max(self.clock.now, self.session.expires_at)

    def end(self) -> None:
        """End the session, as an operator does, or the user from another device."""
        _done(_issuer(self.auth).end_session(self.user.subject, self.session.id))

    def steal(self) -> "LoggedIn":
        """Return a thief with a copy of the tokens."""
        return replace(self)

    def be_found_out(self) -> None:
        """Let a thief use a copy of the refresh token, and then the user: the session is revoked for both."""
        thief, grace = self.steal(), _issuer(self.auth).policy.grace_period
        for _ in range(2):
            thief.refresh()
            self.clock.advance(grace + SECOND)
        try:
            self.refresh()
        except TokenReused:
            return
        raise AssertionError("the second use of a refresh token was not found out")


def _issuer(auth: Auth) -> Any:
    return auth.auth if isinstance(auth, Application) else auth


def _done(answer: Any) -> Any:
    """Return a result; await it if needed, on an event loop in a thread, as the caller may have a running loop."""
    if not inspect.iscoroutine(answer):
        return answer
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, answer).result()
