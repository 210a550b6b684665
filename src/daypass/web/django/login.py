"""Logs a browser in or out from one of the project's own views."""

from collections.abc import Awaitable
from typing import Any, Unpack, overload

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from daypass.issuer import AsyncDaypass, Daypass
from daypass.session import Tokens
from daypass.session_options import SessionOptions
from daypass.user import User
from daypass.web import own_login
from daypass.web.application import Application
from daypass.web.django.require import Refused
from daypass.web.django.translate import put, translated
from daypass.web.own_login import LoginRefused


@overload
def log_in(
    auth: Daypass | Application[Daypass],
    request: HttpRequest,
    response: HttpResponseBase,
    user: User,
    *,
    scope: str | None = None,
    device_name: str | None = None,
    cross_site: bool = False,
    **session: Unpack[SessionOptions],
) -> Tokens: ...
@overload
def log_in(
    auth: AsyncDaypass | Application[AsyncDaypass],
    request: HttpRequest,
    response: HttpResponseBase,
    user: User,
    *,
    scope: str | None = None,
    device_name: str | None = None,
    cross_site: bool = False,
    **session: Unpack[SessionOptions],
) -> Awaitable[Tokens]: ...
def log_in(
    auth: Any,
    request: HttpRequest,
    response: HttpResponseBase,
    user: User,
    *,
    scope: str | None = None,
    device_name: str | None = None,
    cross_site: bool = False,
    **session: Unpack[SessionOptions],
) -> Any:
    """Log the browser in from a view of your own, after you authenticated the user; ``response`` sets the cookie.

    With an `AsyncDaypass`, ``await`` it. Give the `Application` if your URLs have options. If
    `daypass.web.django.pages.Pages` is in ``MIDDLEWARE``, it sets the cookies.

    Args:
        auth: the application, or the issuer.
        request: the view's.
        response: what the view returns.
        user: who logs in; `daypass.web.django.users.as_user` makes one of a Django user.
        scope: what the session is granted; None grants everything that the user may do.
        device_name: for the list of devices.
        cross_site: whether a page of another site may send the request; see `daypass.web.own_login.log_in`.
        session: what the login says of its session, such as ``persistent=False``.

    Returns:
        The tokens of the new session.

    Raises:
        Refused: 401 if the user is disabled; 403 if a page of another site caused the request, or it came by plain
            HTTP; 503 if the store is down. Nothing was started.
    """
    app = own_login.application_for(auth)
    call, login = app.auth.new_call(), getattr(request, "daypass", None)
    options: dict[str, Any] = {"scope": scope, "device_name": device_name, "cross_site": cross_site, **session}
    return _run(app, own_login.log_in(app, translated(request), user, call, login, **options), response)


@overload
def log_out(
    auth: Daypass | Application[Daypass],
    request: HttpRequest,
    response: HttpResponseBase,
    *,
    everywhere: bool = False,
) -> None: ...
@overload
def log_out(
    auth: AsyncDaypass | Application[AsyncDaypass],
    request: HttpRequest,
    response: HttpResponseBase,
    *,
    everywhere: bool = False,
) -> Awaitable[None]: ...
def log_out(auth: Any, request: HttpRequest, response: HttpResponseBase, *, everywhere: bool = False) -> Any:
    """End the session of the browser's cookie from a view of your own, and remove the cookie by ``response``.

    With an `AsyncDaypass`, ``await`` it. ``everywhere`` ends all sessions of the user, on every device.

    Raises:
        Refused: 401 if ``everywhere`` was asked for without a live session; 403 if a page of another site caused the
            request, or it came by plain HTTP; 503 if the store is down. The session continues.
    """
    app = own_login.application_for(auth)
    call, login = app.auth.new_call(), getattr(request, "daypass", None)
    return _run(app, own_login.log_out(app, translated(request), call, login, everywhere=everywhere), response)


def _run(app: Application[Any], flow: Any, response: HttpResponseBase) -> Any:
    if isinstance(app.auth, AsyncDaypass):
        return _arun(app, flow, response)
    try:
        result, headers = app.auth.run(flow)
    except LoginRefused as error:
        raise Refused(error) from None
    put(response, headers)
    return result


async def _arun(app: Application[Any], flow: Any, response: HttpResponseBase) -> Any:
    try:
        result, headers = await app.auth.run(flow)
    except LoginRefused as error:
        raise Refused(error) from None
    put(response, headers)
    return result
