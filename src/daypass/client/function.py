"""Sessions with a function of the user that fetches access tokens."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from daypass.client.messages import Answer, Cookie, Grant, Message, Outcome, Refreshed, Rejected, Unavailable
from daypass.client.origin import plain_url
from daypass.client.parsing import is_token, jwt_lifetime
from daypass.client.strategy import Call, StrategyFlow
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError, LoginRequired


class FunctionStrategy:
    """A function that fetches access tokens; ``DaypassAuth(url, strategy=function)`` creates this strategy.

    Args:
        function: called with the refresh token, or ``None``; sync or async. It returns the new access token as text, or
            a `daypass.client.messages.Grant`. If it raises `LoginRequired`, the session ends; any other exception
            counts as an outage. It runs in a thread, or on the event loop of the bound client if it is async.

    Raises:
        ConfigurationError: it cannot be called.
    """

    begins_by_refreshing = True
    proves = False

    def __init__(self, function: Callable[[str | None], Any]) -> None:
        if not callable(function):
            raise ConfigurationError(f"strategy is a Strategy, or a function to call; not {type(function).__name__}")
        self._function = function

    def login(self, credentials: Mapping[str, str]) -> StrategyFlow[Grant]:
        """Refuse: this strategy has no login.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError("a refresh function has no login: call start() with a token, or send the request")

    def refresh(self, tokens: Tokens) -> StrategyFlow[Outcome]:
        """Call the function."""
        try:
            given = yield Call(self._function, tokens.refresh_token)
        except LoginRequired:
            return Rejected("the function that refreshes says that the session is over")
        grant = given if isinstance(given, Grant) else Grant(given, jwt_lifetime(str(given)))
        if not is_token(grant.access_token):
            kind = type(grant.access_token).__name__
            return Unavailable(
                f"the function that refreshes returned no access token (a {kind}): return the token as text, or a "
                "daypass.client.messages.Grant"
            )
        return Refreshed(grant)

    def logout(self, tokens: Tokens) -> StrategyFlow[bool]:
        """Do nothing: there is no server to send a logout to."""
        yield from ()
        return False

    def server(self, url: str) -> str:
        """Return the origin of the application; where the function gets its tokens is unknown."""
        return plain_url(urlsplit(url)._replace(path="").geturl())

    def cookie_to_keep_back(self, message: Message, answer: Answer) -> Cookie | None:
        """Return ``None``: this strategy uses no cookies."""
        return None
