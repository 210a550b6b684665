"""How a session is begun, refreshed and ended on some kind of server: what a client needs to know about it.

A strategy is pure. Each of its methods is a generator that yields what is to be asked, a `Message` or a `Call`, and is
sent the `Answer` or what was called returned; so one text serves sync and async, and every HTTP library.

There are three: `daypass.client.endpoints.Endpoints` (Daypass's own, and any that answer ``{"accessToken"}``),
`daypass.client.oauth.OAuth` (any OAuth 2 token endpoint) and `daypass.client.function.FunctionStrategy` (your own
function).
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from daypass.client.messages import Answer, Cookie, Grant, Message, Outcome
from daypass.client.tokens import Tokens

A = TypeVar("A")

StrategyFlow: TypeAlias = Generator[Any, Any, A]
"""Yields each `Message` or `Call`, is sent its answer, and returns an ``A``."""


@dataclass(frozen=True, slots=True)
class Call:
    """Call this function of the user's, sync or async, with the refresh token there is, or ``None``."""

    function: Callable[[str | None], Any]
    refresh_token: str | None = field(repr=False)


class Strategy(Protocol):
    """One kind of server."""

    @property
    def begins_by_refreshing(self) -> bool:
        """Whether there is something to refresh before anybody has logged in."""

    def login(self, credentials: Mapping[str, str]) -> StrategyFlow[Grant]:
        """Log in; ``credentials`` has ``password``, and ``email`` or ``username``.

        Raises:
            CredentialsRejected: the server refused them.
            RefreshUnavailable: it could not decide now.
            ConfigurationError: there is no such login.
        """

    def refresh(self, tokens: Tokens) -> StrategyFlow[Outcome]:
        """Ask for what follows ``tokens``.

        Raises:
            ConfigurationError: waiting will not help; the session is kept, and its callers get this error.
        """

    def logout(self, tokens: Tokens) -> StrategyFlow[bool]:
        """End the session on the server; return whether it is known to be over there."""

    def server(self, url: str) -> str:
        """Return what names the server that a refresh token belongs to: a URL without secrets, the same in each run.

        Args:
            url: of the `DaypassAuth`.
        """

    def cookie_to_keep_back(self, message: Message, answer: Answer) -> Cookie | None:
        """Return the cookie of ``answer`` that the user's own jar must not have, if any."""


@runtime_checkable
class EndsEverywhere(Protocol):
    """A kind of server that can end all sessions of a user at once."""

    def logout_everywhere(self, tokens: Tokens) -> StrategyFlow[bool]:
        """End the user's sessions on all devices; return whether the server did."""
