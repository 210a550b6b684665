"""The application object: options are given once, unknown ones are refused, and everything counts together."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpRequest
from fastapi import Depends, FastAPI

from daypass import AsyncDaypass, ConfigurationError, Daypass
from daypass.testing import Clock
from daypass.web import Application, asgi_pages, django, fastapi, flask, starlette, wsgi, wsgi_pages
from daypass.web.clients import Client
from daypass.web.django import pages as django_pages
from daypass.web.guard import Guard
from daypass.web.limits import Limiter, RateLimits
from daypass.web.message import Request, Response
from daypass.web.routes import Route

from .django import project  # noqa: F401 - makes the settings that Django's modules need
from .world import ALICE, ISSUER, PASSWORD, PEOPLE, SECRET

REPORTS, REPORTS_SECRET = Client.register("Reports", client_id="reports")


def issuer(kind: type[Any] = Daypass, clock: Clock | None = None) -> Any:
    return kind(
        "memory:",
        issuer=ISSUER,
        secret=SECRET,
        load_user={user.subject: user for user in PEOPLE.values()}.get,
        authenticate=lambda name, password: PEOPLE.get(name) if password == PASSWORD else None,
        clock=clock or Clock(),
    )


ASYNC_MOUNTS: list[Callable[..., Any]] = [
    Application,
    starlette.auth_routes,
    starlette.oauth_routes,
    starlette.well_known_routes,
    fastapi.auth_router,
    fastapi.oauth_router,
    fastapi.well_known_router,
    lambda auth, **options: asgi_pages.Pages(None, auth, **options),  # type: ignore[arg-type]  # it is not called
    django.auth_urls,
]
SYNC_MOUNTS: list[Callable[..., Any]] = [
    Application,
    wsgi.auth_app,
    wsgi.oauth_app,
    lambda auth, **options: wsgi.well_known_app(None, auth, **options),  # type: ignore[arg-type]  # it is not called
    lambda auth, **options: wsgi_pages.Pages(None, auth, **options),  # type: ignore[arg-type]  # it is not called
    flask.auth_blueprint,
    flask.oauth_blueprint,
    flask.well_known_blueprint,
    django.auth_urls,
    django.oauth_urls,
    django.well_known_urls,
    django_pages.Pages,
]
MOUNTS = [*((AsyncDaypass, mount) for mount in ASYNC_MOUNTS), *((Daypass, mount) for mount in SYNC_MOUNTS)]


@pytest.mark.parametrize(("kind", "mount"), MOUNTS)
@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ({"rate_limit": RateLimits()}, "rate_limits"),
        ({"trusted_proxy": ["10.0.0.0/8"]}, "trusted_proxies"),
        ({"allowed_origin": ["https://app.example.com"]}, "allowed_origins"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_misspelt_option_is_refused_everywhere(
    kind: type[Any], mount: Callable[..., Any], given: dict[str, Any], nearest: str
) -> None:
    """No mount, router, page middleware or URL list takes an option that it does not know; it names the nearest."""
    with pytest.raises(ConfigurationError, match=f"unknown option '{next(iter(given))}': did you mean '{nearest}'"):
        mount(issuer(kind), **given)


@pytest.mark.parametrize("mount", [starlette.auth_routes, fastapi.auth_router])
def test_a_misspelt_argument_is_refused(mount: Callable[..., Any]) -> None:
    """A misspelt argument of a mount is refused in the same way, and so is one that belongs to another mount."""
    with pytest.raises(ConfigurationError, match="unknown option 'authentcate': did you mean 'authenticate'"):
        mount(issuer(AsyncDaypass), authentcate=None)
    with pytest.raises(ConfigurationError, match="unknown option 'clients'"):
        mount(issuer(AsyncDaypass), clients=[REPORTS])


@pytest.mark.parametrize(("kind", "mount"), [pair for pair in MOUNTS if pair[1] is not Application])
def test_every_mount_takes_the_application(kind: type[Any], mount: Callable[..., Any]) -> None:
    """Each mount takes the application instead of the issuer, and then no other option."""
    application = Application(issuer(kind), clients=[REPORTS])
    assert mount(application) is not None
    with pytest.raises(ConfigurationError, match="same_site cannot be given here"):
        mount(application, same_site="Lax")


@pytest.mark.parametrize(("kind", "mount"), [pair for pair in MOUNTS if "oauth" in pair[1].__name__])
def test_oauth_endpoints_need_clients(kind: type[Any], mount: Callable[..., Any]) -> None:
    """Mounting the OAuth endpoints without clients is refused, because it would mount nothing."""
    for auth in (issuer(kind), Application(issuer(kind))):
        with pytest.raises(ConfigurationError, match="there are no OAuth clients"):
            mount(auth)


@pytest.mark.parametrize("clients", [REPORTS, 3, {"reports": REPORTS}, ["reports"]])
def test_clients_that_are_not_a_list_of_clients(clients: Any) -> None:
    """A single client, a mapping or ids are refused; the message says what is expected."""
    with pytest.raises(ConfigurationError, match="expected a list of Client"):
        Application(issuer(Daypass), clients=clients)


def test_an_application_of_no_issuer() -> None:
    """Something that is no issuer is refused by its type."""
    with pytest.raises(ConfigurationError, match="needs a Daypass or an AsyncDaypass, not a str"):
        Application("memory:")  # type: ignore[type-var]  # the test is about this


# ---- one limiter


class Asker:
    """Sends requests to the routes of an application, without a network."""

    def __init__(self, auth: Daypass, routes: tuple[Route, ...]) -> None:
        self.auth = auth
        self.routes = {route.path: route for route in routes}

    def post(self, path: str, body: bytes, content_type: str, **headers: str) -> Response:
        request = Request(
            "https",
            "api.example.com",
            {"content-type": content_type, **headers},
            body=body,
            address="192.0.2.7",
            method="POST",
        )
        return self.auth.run(self.routes[path].answer(request, self.auth.new_call()))

    def refresh(self, token: str) -> int:
        return self.post("/refresh", f'{{"refreshToken": "{token}"}}'.encode(), "application/json").status

    def oauth_refresh(self, token: str) -> int:
        form = urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
        basic = base64.b64encode(f"reports:{REPORTS_SECRET}".encode()).decode()
        return self.post("/token", form, "application/x-www-form-urlencoded", authorization=f"Basic {basic}").status


def together(auth: Daypass, limits: RateLimits) -> Asker:
    application = Application(auth, clients=[REPORTS], rate_limits=limits)
    return Asker(auth, (*application.auth_routes, *application.oauth_routes))


def apart(auth: Daypass, limits: RateLimits) -> Asker:
    """Mount by the short form, as two separate mounts."""
    first = Application(auth, rate_limits=limits).auth_routes
    equal = replace(limits)
    return Asker(auth, (*first, *Application(auth, clients=[REPORTS], rate_limits=equal).oauth_routes))


@pytest.mark.parametrize("mounted", [together, apart])
def test_mounts_count_together(mounted: Callable[[Daypass, RateLimits], Asker]) -> None:
    """Rejected refreshes at /auth and at /oauth use up one limit, also where both are mounted in the short form."""
    asker = mounted(issuer(), RateLimits(rejected_refresh_per_address="4/minute"))
    assert [401, 401] == [asker.refresh("garbage") for _ in range(2)]
    assert [400, 400, 429] == [asker.oauth_refresh("garbage") for _ in range(3)]
    assert 429 == asker.refresh("garbage")


def test_a_session_is_counted_once_for_endpoints_and_pages() -> None:
    """Refreshes of one session count together, whether an endpoint or a page does them."""
    auth = issuer()
    application = Application(auth, rate_limits=RateLimits(refresh_per_session="2/minute"))
    asker = Asker(auth, application.auth_routes)
    token = auth.start(ALICE).refresh_token
    assert [200, 200] == [asker.refresh(token) for _ in range(2)]
    page = Request("https", "api.example.com", {"cookie": f"__Host-daypass={token}"})
    visit = auth.run(application.pages().process_request(page, auth.new_call()))
    assert 429 == (visit.refusal and visit.refusal.status)


def test_other_issuers_count_apart() -> None:
    """Two issuers with equal limits do not share them, unless they are given one `Limiter`."""
    limits = RateLimits(rejected_refresh_per_address="1/minute")
    first, second = together(issuer(), limits), together(issuer(), limits)
    assert [401, 429, 401] == [first.refresh("x"), first.refresh("x"), second.refresh("x")]
    limiter = Limiter(limits)
    auths = [issuer(), issuer()]
    shared = [Asker(auth, Application(auth, rate_limits=limiter).auth_routes) for auth in auths]
    assert [401, 429] == [asker.refresh("x") for asker in shared]


# ---- guards


def view() -> None:
    """Act as a view that is decorated."""


def test_fastapi_without_the_issuer() -> None:
    """``Depends(bearer)`` is refused where the route is declared, and the message says what to write."""
    for name in ("bearer", "current_user"):
        guard: Any = getattr(fastapi, name)
        with pytest.raises(ConfigurationError, match=rf"write Depends\({name}\(auth\)\), .* and not Depends\({name}\)"):
            FastAPI().get("/", dependencies=[Depends(guard)])(view)
        with pytest.raises(ConfigurationError, match=rf"write Depends\({name}\(auth\)\)"):
            FastAPI(dependencies=[Depends(guard)]).get("/")(view)


@pytest.mark.parametrize("module", [flask, django, starlette, fastapi])
@pytest.mark.parametrize("name", ["bearer", "current_user"])
def test_a_guard_without_the_issuer(module: Any, name: str) -> None:
    """``@bearer`` in front of a view, without ``(auth)``, is refused at start, and the message says what to write."""
    with pytest.raises(
        ConfigurationError, match=rf"{name} needs (Async)?Daypass, not the view 'view': write {name}\(auth\)"
    ):
        getattr(module, name)(view)


@pytest.mark.parametrize("module", [flask, django, starlette, fastapi])
@pytest.mark.parametrize("name", ["bearer", "current_user"])
def test_guards_have_one_name(module: Any, name: str) -> None:
    """In every framework `bearer` and `current_user` take an issuer or an application, and return a ``Guard``."""
    auth = issuer(AsyncDaypass if module in (starlette, fastapi) else Daypass)
    for given in (auth, Application(auth)):
        guard = getattr(module, name)(given, "read", optional=True)
        assert ("Guard", True) == (type(guard).__name__, isinstance(guard, Guard))
    with pytest.raises(ConfigurationError, match="scope"):
        getattr(module, name)(auth, '"')


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("daypass", "add your Pages.auth. to MIDDLEWARE"),
        ("daypass_token", "write @bearer.auth. above it"),
        ("daypass_user", "write @current_user.auth. above it"),
    ],
)
def test_django_says_what_is_missing(name: str, advice: str) -> None:
    """A request without the middleware or the guard says what to write; asked politely it only has no such thing."""
    request = HttpRequest()
    with pytest.raises(AttributeError, match=advice):
        getattr(request, name)
    assert (False, None) == (hasattr(request, name), getattr(request, name, None))
    setattr(request, name, "there")
    assert "there" == getattr(request, name)


async def authenticate_async(name: str, password: str) -> None:
    return None


@pytest.mark.parametrize(
    ("authenticate", "message"),
    [(authenticate_async, "authenticate is async; use AsyncDaypass"), ("users", "authenticate has to be a function")],
)
def test_authenticate_is_checked_when_it_is_given(authenticate: Any, message: str) -> None:
    """At start, as the issuer's own is, and not with a 500 at the first login."""
    with pytest.raises(ConfigurationError, match=message):
        flask.auth_blueprint(issuer(), authenticate=authenticate)


def test_an_async_authenticate_is_taken_by_an_async_issuer() -> None:
    Application(issuer(AsyncDaypass), authenticate=authenticate_async)
