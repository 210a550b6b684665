"""Sessions with an application's own endpoints: Daypass's, and any that take JSON or a form and answer JSON. Pure.

The refresh token may come in the body or in a cookie. If the server only sets a cookie, the cookie is used
automatically.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, NoReturn

from daypass.client.dpop import NONCE_NEEDED, PROOF_REFUSED
from daypass.client.first_party import (
    cookie_to_keep_back,
    is_rejection,
    judge_refresh,
    login_message,
    read_grant,
    session_message,
)
from daypass.client.messages import Answer, Cookie, Grant, Message, Outcome, Rejected
from daypass.client.origin import plain_url
from daypass.client.parsing import seconds
from daypass.client.server_message import fields_of, said
from daypass.client.strategy import StrategyFlow
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError, CredentialsRejected, RefreshUnavailable

__all__ = [
    "Endpoints",
]

NOTHING_TO_PRESENT = Rejected("the access token has expired, and the server gave no refresh token")

_MISTAKES = ("insecure_transport", "cross_site_request", "invalid_request", "unsupported_media_type",
             "content_too_large", PROOF_REFUSED, NONCE_NEEDED)  # fmt: skip
"""Daypass's error codes for a login request that was sent wrongly."""

_ABOUT_CREDENTIALS = (400, 401, 403, 422)
_TEMPORARY = (408, 425, 429)
_LONGEST_LIST = 10


class Endpoints:
    """The endpoints below the URL of a `DaypassAuth`: the strategy unless another is given.

    Args:
        delivery: how the refresh token comes. ``"body"`` asks for it in the response body, and uses the cookie if the
            server sets only that; ``"cookie"`` does not ask.
        field: the access token's field in responses, such as ``"access_token"``.
        refresh_field: the refresh token's field in requests and responses; ``None`` for a server without refresh
            tokens: the session then ends when the access token expires.
        cookie_name: the refresh cookie's name, if the server is not Daypass and sets several cookies.
        form: send the login as a form with ``username`` and ``password``, as FastAPI's ``OAuth2PasswordRequestForm``
            expects, and not as JSON.
        login: path of the login below the URL, or a whole URL.
        refresh: path of the refresh, or a whole URL.
        logout: path of the logout, or a whole URL.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    begins_by_refreshing = False

    def __init__(
        self,
        *,
        delivery: Literal["body", "cookie"] = "body",
        field: str = "accessToken",
        refresh_field: str | None = "refreshToken",
        cookie_name: str | None = None,
        form: bool = False,
        login: str = "login",
        refresh: str = "refresh",
        logout: str = "logout",
    ) -> None:
        if delivery not in ("body", "cookie"):
            raise ConfigurationError(f'invalid delivery {delivery!r}: expected "body" or "cookie"')
        _check_text("field", field, 'the name of a field, such as "accessToken"')
        if refresh_field is not None:
            _check_text("refresh_field", refresh_field, 'the name of a field, such as "refreshToken", or None')
        if cookie_name is not None:
            _check_text("cookie_name", cookie_name, 'the name of a cookie, such as "refresh", or None')
        for name, path in (("login", login), ("refresh", refresh), ("logout", logout)):
            _check_text(name, path, "a path below the URL, or a whole URL")
        self._asks_for_body = delivery == "body" and refresh_field == "refreshToken" and not form
        self._field = field
        self._refresh_field = refresh_field
        self._cookie = cookie_name
        self._form = form
        self._login, self._refresh, self._logout = (path.lstrip("/") for path in (login, refresh, logout))

    def login(self, credentials: Mapping[str, str]) -> StrategyFlow[Grant]:
        """Log in; see `daypass.client.strategy.Strategy.login`."""
        answer: Answer = yield self._login_message(dict(credentials))
        return self._granted(answer, credentials.values())

    def refresh(self, tokens: Tokens) -> StrategyFlow[Outcome]:
        """Refresh with the refresh token or the cookie of ``tokens``."""
        if tokens.refresh_token is None and tokens.cookie is None:
            return NOTHING_TO_PRESENT
        answer: Answer = yield self._present(self._refresh, tokens)
        # If the client has a refresh cookie, a cookie with another name is not the refresh cookie.
        return judge_refresh(
            answer, tokens.cookie.name if tokens.cookie else self._cookie, self._field, self._token_field
        )

    def logout(self, tokens: Tokens) -> StrategyFlow[bool]:
        """Log out with the refresh token or the cookie."""
        answer: Answer = yield self._present(self._logout, tokens)
        return 200 <= answer.status <= 299 or is_rejection(answer)

    def logout_everywhere(self, tokens: Tokens) -> StrategyFlow[bool]:
        """End all sessions of the user, with the refresh token or the cookie."""
        message = self._present(self._logout, tokens)
        answer: Answer = yield replace(message, json={**(message.json or {}), "everywhere": True})
        return 200 <= answer.status <= 299

    def server(self, url: str) -> str:
        """Return the URL of the refresh endpoint."""
        return plain_url(Message(self._refresh).url(url))

    def cookie_to_keep_back(self, message: Message, answer: Answer) -> Cookie | None:
        """Return the refresh cookie; never the cookie of a proxy."""
        return cookie_to_keep_back(message, answer, self._cookie, self._token_field)

    @property
    def _token_field(self) -> str:
        return self._refresh_field or ""

    def _login_message(self, credentials: dict[str, str]) -> Message:
        if self._form:
            name = credentials.pop("email", None)
            named = {"grant_type": "password"} | ({"username": name} if name is not None else {})
            return Message(self._login, form=named | credentials)
        return Message(self._login, login_message(credentials, in_body=self._asks_for_body).json)

    def _present(self, path: str, tokens: Tokens) -> Message:
        return session_message(path, tokens.refresh_token, tokens.cookie, self._token_field)

    def _granted(self, answer: Answer, secrets: Iterable[str]) -> Grant:
        if not 200 <= answer.status <= 299:
            _refuse(answer, tuple(secrets))
        grant = read_grant(answer, self._cookie, self._field, self._token_field)
        if grant is None and not fields_of(answer):
            raise RefreshUnavailable("the answer to the login had no access token")
        if grant is None:
            _missing(answer, f"access token: no field {self._field!r}", "field")
        if self._refresh_field is not None and grant.refresh_token is None and grant.cookie is None:
            wanted = f"refresh token: no field {self._refresh_field!r}, and no cookie that is known to be one"
            _missing(answer, wanted, "refresh_field", "; write refresh_field=None if the server has no refresh token")
        return grant


def _missing(answer: Answer, what: str, argument: str, more: str = "") -> NoReturn:
    """Raise for a login response without a token in the expected field; name the fields, never their values."""
    fields = ", ".join(sorted(name for name in fields_of(answer) if name.isidentifier())[:_LONGEST_LIST])
    raise ConfigurationError(
        f"the answer to the login has no {what}; its fields are: {fields or 'none'}. "
        f"Name the right one: Endpoints({argument}=…){more}"
    )


def _refuse(answer: Answer, secrets: tuple[str, ...]) -> NoReturn:
    """Raise for a refused login: wrong credentials, a request that was sent wrongly, or an outage."""
    status, code, text = answer.status, fields_of(answer).get("error"), said(answer, secrets)
    words = f": {text}" if text and text != code else ""
    if code in _MISTAKES and 400 <= status <= 499:
        raise ConfigurationError(f"the server refused the login request: {code} ({status}){words}")
    if status == 422 and _is_validation_error(answer):
        raise ConfigurationError(f"the server could not read the login request ({status}){words}; try form=True")
    if status in _ABOUT_CREDENTIALS:
        raise CredentialsRejected(f"the login was rejected ({status}){words}")
    if status in (404, 405) or 300 <= status <= 399:
        raise ConfigurationError(
            f"no login there ({status}): check the URL. Give the one above /login, such as https://api.example.com/auth"
        )
    if 400 <= status <= 499 and status not in _TEMPORARY:
        raise ConfigurationError(f"the server refused the login request ({status}){words}")
    retry_after = seconds(answer.retry_after, answer.date)
    raise RefreshUnavailable(f"the login was answered with {status}{words}", retry_after=retry_after)


def _is_validation_error(answer: Answer) -> bool:
    """Return whether a 422 is FastAPI's complaint about the format of the request."""
    detail: Any = fields_of(answer).get("detail")
    return isinstance(detail, list) and all(isinstance(each, dict) and "loc" in each for each in detail)


def _check_text(name: str, value: object, wanted: str) -> None:
    if not (isinstance(value, str) and value):
        raise ConfigurationError(f"invalid {name} {value!r}: expected {wanted}")
