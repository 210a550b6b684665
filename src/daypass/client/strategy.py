"""The interface of a strategy: how to log in, refresh and log out on some kind of server.

A strategy is pure. Each of its methods is a generator that yields a `Message` to send or a `Call` to make, and is sent
the `Answer` or the return value of the call. So the same code works for sync and async, and for every HTTP library.

There are three: `daypass.client.endpoints.Endpoints` (Daypass's own, and any that answer ``{"accessToken"}``),
`daypass.client.oauth.OAuth` (any OAuth 2 token endpoint) and `daypass.client.function.FunctionStrategy` (your own
function).
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import field
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from daypass.client.messages import Answer, Cookie, Grant, Message, Outcome
from daypass.client.tokens import Tokens
from daypass.value import value

A = TypeVar("A")

StrategyFlow: TypeAlias = Generator[Any, Any, A]
"""Yields each `Message` or `Call`, is sent its answer, and returns an ``A``."""


@value(frozen=True, slots=True)
class Call:
    """Call this function of the user, sync or async, with the refresh token, or ``None``."""

    function: Callable[[str | None], Any]
    refresh_token: str | None = field(repr=False)


class Strategy(Protocol):
    """One kind of server."""

    @property
    def begins_by_refreshing(self) -> bool:
        """Whether a refresh can get the first tokens without a login."""

    def login(self, credentials: Mapping[str, str]) -> StrategyFlow[Grant]:
        """Log in; ``credentials`` has ``password``, and ``email`` or ``username``.

        Raises:
            CredentialsRejected: the server refused the credentials.
            RefreshUnavailable: the server could not decide now.
            ConfigurationError: there is no such login.
        """

    def refresh(self, tokens: Tokens) -> StrategyFlow[Outcome]:
        """Refresh ``tokens``.

        Raises:
            ConfigurationError: retrying will not help; the session is kept, and its callers get this error.
        """

    def logout(self, tokens: Tokens) -> StrategyFlow[bool]:
        """End the session on the server; return whether it is known to have ended there."""

    def server(self, url: str) -> str:
        """Return a name for the server of a refresh token: a URL without secrets, the same in each run.

        Args:
            url: the URL of the `DaypassAuth`.
        """

    def cookie_to_keep_back(self, message: Message, answer: Answer) -> Cookie | None:
        """Return the cookie of ``answer`` that must not go into the user's cookie jar, if any."""


@runtime_checkable
class EndsEverywhere(Protocol):
    """A strategy for a server that can end all sessions of a user at once."""

    def logout_everywhere(self, tokens: Tokens) -> StrategyFlow[bool]:
        """End the user's sessions on all devices; return whether the server did."""
