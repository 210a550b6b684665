"""Pages without JavaScript, in Django: the middleware that keeps their users logged in.

pages = Pages(auth)                             # in project/auth.py
MIDDLEWARE = [..., "project.auth.pages", ...]   # in the settings

def login(request):
    request.daypass.log_in(auth.login(request.POST["username"], request.POST["password"]))
    return redirect("/")
"""

from collections.abc import Awaitable, Callable
from typing import Any, Unpack

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.signals import user_logged_out
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from daypass.issuer import AsyncDaypass, Daypass
from daypass.web.application import Application, application_of
from daypass.web.browser_login import BrowserLogin
from daypass.web.django.current import answering
from daypass.web.django.translate import put, returned, translated
from daypass.web.django.users import afind, find
from daypass.web.options import Options
from daypass.web.page_headers import Headers, merge_headers
from daypass.web.pages import Render

__all__ = [
    "Pages",
]

Handler = Callable[[HttpRequest], Any]
"""What a middleware hands requests on to; its answer is to be awaited where it is a coroutine function."""


class Pages:
    """A middleware, for ``MIDDLEWARE`` by its dotted path: ``request.daypass`` is the `daypass.web.pages.BrowserLogin`.

    A request whose access token has expired is refreshed on its way in, even a ``POST`` with an upload: the body is not
    read. The request gets the new access token as its ``Authorization``, so `daypass.web.django.bearer` and REST
    framework accept it, and the response sets the new cookies. ``request.daypass.log_in(tokens)`` and ``log_out()``
    take effect with the response.

    Place it below ``SecurityMiddleware`` and above everything that reads ``request.user``. With a `Daypass` it serves
    sync and async projects, with an `AsyncDaypass` async ones.

    Args:
        auth: the issuer.
        user: whether ``request.user`` (and ``await request.auser()``) is the Django user of the access token, read from
            the database on first use, so that ``@login_required`` and templates work. Without a Daypass login it stays
            as it was, or is an ``AnonymousUser``.
        render: called with a status, an error code and a sentence about it; returns the HTML page for a refusal.
        options: how cookies are set and used; ``same_site`` is ``Lax`` by default.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self,
        auth: Daypass | AsyncDaypass | Application[Daypass] | Application[AsyncDaypass],
        *,
        user: bool = False,
        render: Render | None = None,
        **options: Unpack[Options],
    ) -> None:
        application = application_of(auth, options)
        self._auth = application.auth
        self._user = user
        self._pages = application.pages(render)
        user_logged_out.connect(_log_out, dispatch_uid="daypass")
        self.sync_capable = isinstance(self._auth, Daypass)
        self.async_capable = True

    def __call__(self, get_response: Handler) -> Handler:
        """Return the middleware, as Django asks for it: async if ``get_response`` is."""
        if isinstance(self._auth, AsyncDaypass):
            return self._async(self._aenter_of(self._auth), self._aleave_of(self._auth), get_response)
        enter, leave = self._enter_of(self._auth), self._leave_of(self._auth)
        if iscoroutinefunction(get_response):
            return self._async(sync_to_async(enter), sync_to_async(leave), get_response)

        def serve(request: HttpRequest) -> HttpResponseBase:
            login = enter(request)
            if login.refusal is not None:
                return returned(login.refusal, request.method)
            self._hand_on(request, login)
            with answering(request):
                response: HttpResponseBase = get_response(request)
            return _finished(request, response, login, leave(login))

        return serve

    def _async(
        self,
        enter: Callable[[HttpRequest], Awaitable[BrowserLogin]],
        leave: Callable[[BrowserLogin], Awaitable[Headers]],
        get_response: Handler,
    ) -> Handler:
        async def serve(request: HttpRequest) -> HttpResponseBase:
            login = await enter(request)
            if login.refusal is not None:
                return returned(login.refusal, request.method)
            self._hand_on(request, login)
            with answering(request):
                response: HttpResponseBase = await get_response(request)
            return _finished(request, response, login, await leave(login))

        return serve

    def _enter_of(self, auth: Daypass) -> Callable[[HttpRequest], BrowserLogin]:
        return lambda request: auth.run(self._pages.process_request(translated(request), auth.new_call()))

    def _leave_of(self, auth: Daypass) -> Callable[[BrowserLogin], Headers]:
        return lambda login: auth.run(self._pages.process_response(login, auth.new_call()))

    def _aenter_of(self, auth: AsyncDaypass) -> Callable[[HttpRequest], Awaitable[BrowserLogin]]:
        return lambda request: auth.run(self._pages.process_request(translated(request), auth.new_call()))

    def _aleave_of(self, auth: AsyncDaypass) -> Callable[[BrowserLogin], Awaitable[Headers]]:
        return lambda login: auth.run(self._pages.process_response(login, auth.new_call()))

    def _hand_on(self, request: HttpRequest, login: BrowserLogin) -> None:
        noted: Any = request
        noted.daypass = login
        if login.authorization is not None:
            request.META["HTTP_AUTHORIZATION"] = login.authorization
            request.__dict__.pop("headers", None)  # another middleware may have read them already
        if self._user:
            person = _Person(request, login)
            noted.user = SimpleLazyObject(person.get)
            noted.auser = person.aget


def _log_out(request: HttpRequest | None, **_: Any) -> None:
    """End the browser's session when ``django.contrib.auth.logout`` is called, as by the admin's "Log out"."""
    login = getattr(request, "daypass", None)
    if isinstance(login, BrowserLogin):
        login.log_out()


class _Person:
    """The Django user of a login, looked up once, on first use."""

    def __init__(self, request: HttpRequest, login: BrowserLogin) -> None:
        self._visit = login
        self._before = getattr(request, "user", None)
        self._abefore = getattr(request, "auser", None)
        self._found: Any = None

    def get(self) -> Any:
        """Return the user."""
        if self._found is None:
            if self._visit.token is not None:
                self._found = _allowed(find(self._visit.token.subject))
            else:
                self._found = _anonymous() if self._before is None else self._before
        return self._found

    async def aget(self) -> Any:
        """Return the user, to be awaited."""
        if self._found is None:
            if self._visit.token is not None:
                self._found = _allowed(await afind(self._visit.token.subject))
            else:
                self._found = _anonymous() if self._abefore is None else await self._abefore()
        return self._found


def _allowed(person: Any) -> Any:
    return person if person is not None and person.is_active else _anonymous()


def _anonymous() -> Any:
    from django.contrib.auth.models import AnonymousUser  # here, because it needs a project that has users

    return AnonymousUser()


def _finished(request: HttpRequest, response: HttpResponseBase, login: BrowserLogin, ours: Headers) -> HttpResponseBase:
    """Return the response with our cookies and headers, or the refusal to send instead."""
    if login.refusal is not None:
        if response.streaming:
            response.close()
        return returned(login.refusal, request.method)
    merged = merge_headers(response.items(), ours)
    for name in ("cache-control", "vary"):
        response.headers.pop(name, None)
    theirs = {name.lower() for name in response.headers}
    put(response, tuple((name, value) for name, value in merged if name.lower() not in theirs))
    return response
