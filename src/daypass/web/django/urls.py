"""The URLs of the endpoints, for ``include`` in a project's ``urlpatterns``."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Unpack

from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from daypass.issuer import AsyncCheck, AsyncDaypass, Check, Daypass
from daypass.web.application import Application, application_of
from daypass.web.clients import Registry
from daypass.web.django.current import answering
from daypass.web.django.translate import Unfit, read, returned, translated
from daypass.web.options import Options
from daypass.web.routes import Route

View = Callable[..., Any]
Issuer = Daypass | AsyncDaypass | Application[Daypass] | Application[AsyncDaypass]

_PARAMETER = re.compile(r"{(\w+)}")


def auth_urls(
    auth: Issuer,
    authenticate: Check | AsyncCheck | None = None,
    **options: Unpack[Options],
) -> list[URLPattern]:
    """Return the URLs of the first-party endpoints: ``path("auth/", include(auth_urls(auth)))``.

    Their names are ``daypass-login``, ``daypass-refresh`` and so on, for ``reverse``. The views are async for an
    `AsyncDaypass`, sync for a `Daypass`.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        authenticate: returns the `daypass.User` with a name (or address) and a password, None if they are wrong. For an
            `AsyncDaypass` it may be async; otherwise it is called in a thread. The issuer's own by default.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid.
    """
    application = application_of(auth, options, authenticate=authenticate)
    return _mounted(application.auth, application.auth_routes)


def oauth_urls(
    auth: Issuer,
    *,
    clients: Registry = (),
    **options: Unpack[Options],
) -> list[URLPattern]:
    """Return the URLs of the OAuth endpoints: ``path("oauth/", include(oauth_urls(auth, clients=…)))``.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        clients: the `daypass.web.clients.Client` objects, or a function that returns the one with an id, or None. For
            an `AsyncDaypass` it may be async; otherwise it is called in a thread.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid.
    """
    application = application_of(auth, options, clients=clients)
    return _mounted(application.auth, application.mounted_oauth_routes())


def well_known_urls(
    auth: Issuer,
    *,
    clients: Registry = (),
    **options: Unpack[Options],
) -> list[URLPattern]:
    """Return the URLs at the root of the host: the public signing keys, and the metadata for clients.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        clients: the same as for `oauth_urls`, if you mount that.
        options: how they are served; ``oauth_path`` is where the OAuth endpoints are mounted, ``/oauth`` by default.

    Raises:
        ConfigurationError: an argument is invalid.
    """
    application = application_of(auth, options, clients=clients)
    return _mounted(application.auth, application.well_known_routes)


def _mounted(auth: Daypass | AsyncDaypass, routes: Iterable[Route]) -> list[URLPattern]:
    return [path(_pattern(route), served(auth, route), name=_name(route)) for route in routes]


def served(auth: Daypass | AsyncDaypass, route: Route) -> View:
    """Return the view of a route; for authors of adapters.

    It is exempt from Django's CSRF check, because the endpoints have their own, which needs no token
    (``Sec-Fetch-Site``, otherwise ``Origin``; see `daypass.web.cookies.require_same_site`). It is exempt from
    ``LoginRequiredMiddleware``, because someone who logs in is not logged in yet. It is exempt from
    ``ATOMIC_REQUESTS``, because what the session store has done stays done even if the project's own transaction is
    rolled back.
    """
    if isinstance(auth, AsyncDaypass):
        return _exempt(_served_async(auth, route))
    return _exempt(_served(auth, route))


def _served(auth: Daypass, route: Route) -> View:
    def serve(request: HttpRequest, session_id: str | None = None) -> HttpResponse:
        try:
            asked = translated(request, read(request), session_id)
        except Unfit as unfit:
            return _refused(route, request, unfit)
        with answering(request):
            return returned(auth.run(route.answer(asked, auth.new_call())), request.method)

    return serve


def _served_async(auth: AsyncDaypass, route: Route) -> View:
    async def serve(request: HttpRequest, session_id: str | None = None) -> HttpResponse:
        try:
            asked = translated(request, read(request), session_id)
        except Unfit as unfit:
            return _refused(route, request, unfit)
        with answering(request):
            return returned(await auth.run(route.answer(asked, auth.new_call())), request.method)

    return serve


def _refused(route: Route, request: HttpRequest, unfit: Unfit) -> HttpResponse:
    return unfit.answer(route.refuse(translated(request), unfit.response), request.method)


def _exempt(view: View) -> View:
    exempt: View = csrf_exempt(view)
    exempt.login_required = False  # type: ignore[attr-defined]  # as django.contrib.auth.decorators.login_not_required
    for alias in connections:
        exempt = transaction.non_atomic_requests(using=alias)(exempt)
    return exempt


def _pattern(route: Route) -> str:
    return _PARAMETER.sub(r"<str:\1>", route.path.removeprefix("/"))


def _name(route: Route) -> str:
    last = route.path.replace("/device/", "/device-").rpartition("/")[2]  # there are two called refresh
    return f"daypass-{_PARAMETER.sub(lambda found: found[1].removesuffix('_id'), last)}"
