"""The session endpoints that answer ``{"accessToken"}``: what to send, and what a response means. Pure.

Only a definite rejection ends a session on the client. `judge_refresh` returns one of four results:

- `Refreshed`: a new access token, and usually a new refresh token or cookie.
- `Rejected`: the issuer itself rejected the refresh token (`is_rejection`):
  400, or 2xx, with JSON whose ``error`` is ``invalid_grant`` (RFC 6749 §5.2) or ``invalid_token``;
  401 whose body is empty or a JSON object, and whose challenges, if any, include Bearer. Proxies, gateways, firewalls
  and captive portals also answer 400, 401 and 403, mostly in HTML. They know nothing about the token, so they do not
  end a session.
- `Stale`: 409. The client has a newer refresh token already. Nothing is wrong with the session.
- `Unavailable`: everything else, including a 200 without a token. The session may still be valid.
"""

from collections.abc import Sequence

from daypass.client.dpop import is_dpop
from daypass.client.messages import (
    NOT_LOOKED_AT,
    Answer,
    Cookie,
    Grant,
    Message,
    Outcome,
    Refreshed,
    Rejected,
    Stale,
    Unavailable,
)
from daypass.client.parsing import (
    asks_for_bearer,
    grace_in_milliseconds,
    is_token,
    json_object,
    jwt_lifetime,
    lifetime_in_milliseconds,
    read_cookie,
    seconds,
)
from daypass.cookie_names import is_default

_REJECTIONS = ("invalid_grant", "invalid_token")


def login_message(credentials: dict[str, str], *, in_body: bool) -> Message:
    """Return the login request; with ``in_body`` it asks for the refresh token in the response body."""
    return Message("login", credentials | ({"tokenDelivery": "body"} if in_body else {}))


def session_message(
    path: str, refresh_token: str | None, cookie: Cookie | None, refresh_field: str = "refreshToken"
) -> Message:
    """Return the request to ``refresh`` or ``logout``, with the client's refresh token or cookie."""
    return Message(path, None if refresh_token is None else {refresh_field: refresh_token}, cookie)


def read_grant(
    answer: Answer,
    cookie_name: str | None = None,
    field: str = "accessToken",
    refresh_field: str = "refreshToken",
) -> Grant | None:
    """Read the successful response of a login or refresh; return ``None`` if it is invalid.

    Args:
        answer: its JSON body has ``accessToken``, perhaps ``expiresIn`` or ``expires_in`` (seconds), ``refreshToken``,
            ``tokenType``.
        cookie_name: the refresh cookie's name, if known.
        field: the access token's field.
        refresh_field: the refresh token's field.
    """
    body = json_object(answer.body) or {}
    access_token = body.get(field)
    if not is_token(access_token):
        return None
    refresh_token = body.get(refresh_field)
    expires_in = body.get("expiresIn", body.get("expires_in"))
    return Grant(
        access_token,
        lifetime_in_milliseconds(expires_in) or jwt_lifetime(access_token, answer.date),
        refresh_token if is_token(refresh_token) else None,
        refresh_cookie(answer.set_cookies, cookie_name),
        grace_in_milliseconds(answer.grace),
        bound=is_dpop(body.get("tokenType", body.get("token_type"))),
    )


def judge_refresh(
    answer: Answer,
    cookie_name: str | None = None,
    field: str = "accessToken",
    refresh_field: str = "refreshToken",
) -> Outcome:
    """Return what the response to a refresh means; see the module's docstring for the rule."""
    if 200 <= answer.status <= 299 and not is_rejection(answer):
        grant = read_grant(answer, cookie_name, field, refresh_field)
        return Refreshed(grant) if grant else Unavailable("the answer to the refresh had no access token")
    if is_rejection(answer):
        return Rejected(f"the refresh was rejected ({answer.status})")
    if answer.status == 409:
        return Stale()
    return Unavailable(
        f"the refresh was answered with {answer.status}",
        seconds(answer.retry_after, answer.date),
        unused=answer.status in NOT_LOOKED_AT,
    )


def is_rejection(answer: Answer) -> bool:
    """Return whether the issuer itself rejected the refresh token; see the module's docstring for the rule."""
    body = json_object(answer.body)
    if answer.status == 400 or 200 <= answer.status <= 299:
        return body is not None and body.get("error") in _REJECTIONS
    return answer.status == 401 and (body is not None or not answer.body.strip()) and asks_for_bearer(answer.challenges)


def refresh_cookie(set_cookies: Sequence[str], name: str | None = None, *, guess: bool = True) -> Cookie | None:
    """Find the cookie that carries the refresh token among ``Set-Cookie`` headers.

    It is the cookie called ``name``. Without a name, it is the one with a name that Daypass uses; or else, with
    ``guess``, the only ``HttpOnly`` cookie. A cookie that is being deleted does not count.
    """
    cookies = [(cookie, http_only) for cookie, http_only in map(read_cookie, set_cookies) if cookie]
    named = [cookie for cookie, _ in cookies if (cookie.name == name if name else is_default(cookie.name))]
    if named or name is not None or not guess:
        return named[-1] if named else None
    hidden = [cookie for cookie, http_only in cookies if http_only]
    return hidden[0] if len(hidden) == 1 else None


def cookie_to_keep_back(
    message: Message, answer: Answer, cookie_name: str | None, refresh_field: str = "refreshToken"
) -> Cookie | None:
    """Return the cookie of ``answer`` that must not go into the user's cookie jar: the refresh cookie.

    Its name is known from the request or from the user. It is guessed only for the response that can be the first to
    set it: that of a login without a refresh token in its body.
    """
    name = message.cookie.name if message.cookie else cookie_name
    brings_first = "password" in (message.json or message.form or {}) and 200 <= answer.status <= 299
    guess = brings_first and not is_token((json_object(answer.body) or {}).get(refresh_field))
    return refresh_cookie(answer.set_cookies, name, guess=guess)
