"""Sessions by endpoints of the application's own: Daypass's, and any that answer ``{"accessToken"}``.

The refresh token is asked for in the body. A server that does not know of that and only sets a cookie is gone by the
cookie: nothing needs to be said about it.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from daypass.client.first_party import (
    cookie_to_keep_back,
    is_rejection,
    judge_refresh,
    login_message,
    mistake,
    read_grant,
    session_message,
)
from daypass.client.messages import Answer, Cookie, Grant, Message, Outcome, Rejected
from daypass.client.parsing import seconds
from daypass.client.strategy import StrategyFlow
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError, CredentialsRejected, RefreshUnavailable

NOTHING_TO_PRESENT = Rejected("the access token has expired, and the server gave no refresh token")


class Endpoints:
    """The endpoints below the URL of a `DaypassAuth`: the strategy unless another is given.

    Args:
        delivery: how the refresh token comes. ``"body"`` asks for it in the answer, and goes by the cookie all the
            same where the server sets only that; ``"cookie"`` does not ask.
        field: what the access token's field is called in answers.
        cookie_name: the refresh cookie's name, where the server is not Daypass's own and sets several cookies.
        login: the login's path below the URL, or a whole URL.
        refresh: the refresh's.
        logout: the logout's.

    Raises:
        ConfigurationError: an argument is none that could work later.
    """

    begins_by_refreshing = False

    def __init__(
        self,
        *,
        delivery: Literal["body", "cookie"] = "body",
        field: str = "accessToken",
        cookie_name: str | None = None,
        login: str = "login",
        refresh: str = "refresh",
        logout: str = "logout",
    ) -> None:
        if delivery not in ("body", "cookie"):
            raise ConfigurationError(f'delivery is "body" or "cookie", not {delivery!r}')
        _check_text("field", field, 'the name of a field, such as "accessToken"')
        if cookie_name is not None:
            _check_text("cookie_name", cookie_name, 'the name of a cookie, such as "refresh", or None')
        for name, path in (("login", login), ("refresh", refresh), ("logout", logout)):
            _check_text(name, path, "a path below the URL, or a whole URL")
        self._in_body = delivery == "body"
        self._field = field
        self._cookie = cookie_name
        self._login, self._refresh, self._logout = (path.lstrip("/") for path in (login, refresh, logout))

    def login(self, credentials: Mapping[str, str]) -> StrategyFlow[Grant]:
        """Log in, as `daypass.client.strategy.Strategy.login` has it."""
        message = Message(self._login, login_message(dict(credentials), in_body=self._in_body).json)
        answer: Answer = yield message
        return self._granted(answer, credentials.values())

    def refresh(self, tokens: Tokens) -> StrategyFlow[Outcome]:
        """Present the refresh token or the cookie that is tokens."""
        if tokens.refresh_token is None and tokens.cookie is None:
            return NOTHING_TO_PRESENT
        answer: Answer = yield session_message(self._refresh, tokens.refresh_token, tokens.cookie)
        # Once a cookie is tokens, one of another name is somebody else's.
        return judge_refresh(answer, tokens.cookie.name if tokens.cookie else self._cookie, self._field)

    def logout(self, tokens: Tokens) -> StrategyFlow[bool]:
        """Present the refresh token or the cookie to be ended."""
        answer: Answer = yield session_message(self._logout, tokens.refresh_token, tokens.cookie)
        return 200 <= answer.status <= 299 or is_rejection(answer)

    def cookie_to_keep_back(self, message: Message, answer: Answer) -> Cookie | None:
        """Return the refresh cookie, and no proxy's."""
        return cookie_to_keep_back(message, answer, self._cookie)

    def _granted(self, answer: Answer, secrets: Iterable[str]) -> Grant:
        status = answer.status
        if 200 <= status <= 299:
            grant = read_grant(answer, self._cookie, self._field)
            if grant is None:
                raise RefreshUnavailable("the answer to the login held no access token")
            return grant
        if reason := mistake(answer, secrets):
            raise ConfigurationError(f"the server did not look at the login: {reason}")
        if status in (400, 401, 403, 422):
            raise CredentialsRejected(f"the login was rejected ({status})")
        if status in (404, 405) or 300 <= status <= 399:
            raise ConfigurationError(
                f"there is no login there ({status}): give DaypassAuth the URL that /login is below"
            )
        retry_after = seconds(answer.retry_after, answer.date)
        raise RefreshUnavailable(f"the login was answered with {status}", retry_after=retry_after)


def _check_text(name: str, value: object, wanted: str) -> None:
    if not (isinstance(value, str) and value):
        wrong = "empty text" if value == "" else type(value).__name__
        raise ConfigurationError(f"{name} is {wanted}; not {wrong}")
