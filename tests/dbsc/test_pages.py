"""Bound sessions on pages without JavaScript, in applications' own logins, and behind a proxy that asks Daypass."""

import asyncio
from typing import Any

import httpx2
import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from flask import Flask
from flask import request as flask_request
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from daypass import AsyncDaypass, Daypass, Event, User
from daypass.duration import MINUTE, SECOND
from daypass.testing import Clock
from daypass.web import Application, django, flask, starlette
from daypass.web.asgi_pages import Pages
from daypass.web.django.pages import Pages as DjangoPages
from daypass.web.wsgi_pages import Pages as WsgiPages

from ..web.django.project import Wsgi, with_middleware
from .browser import DeviceBrowser

BASE = "https://shop.example.com"
ANN = User("7", username="ann")
COOKIE = "__Host-daypass"


class Site:
    """A site of pages, with the endpoints at /auth."""

    def __init__(self, kind: str) -> None:
        self.clock, self.events = Clock(), list[Event]()
        arguments: dict[str, Any] = {
            "issuer": BASE,
            "load_user": {"7": ANN}.get,
            "clock": self.clock,
            "on_event": self.events.append,
            "device_bound": True,
        }
        self.client = {"asgi": _asgi, "wsgi": _wsgi, "django": _django}[kind](arguments)
        self.browser = DeviceBrowser(self.client, clock=lambda: self.clock() / SECOND)

    @property
    def codes(self) -> list[str]:
        return [str(event.code) for event in self.events]


def _asgi(arguments: dict[str, Any]) -> httpx2.Client:
    auth = AsyncDaypass("memory:", **arguments)
    application = Application(auth)

    async def home(request: Request) -> PlainTextResponse:
        token = request.scope["daypass"].token
        return PlainTextResponse("nobody" if token is None else token.username)

    async def log_in(request: Request) -> Response:
        request.scope["daypass"].log_in(await auth.start(ANN))
        return Response(status_code=204)

    async def sign_up(request: Request) -> Response:
        response = Response(status_code=204)
        await starlette.log_in(application, request, response, ANN)
        return response

    async def log_out(request: Request) -> Response:
        request.scope["daypass"].log_out()
        return Response(status_code=204)

    routes = [
        Route("/", home),
        *(Route(f"/{each.__name__}", each, methods=["POST"]) for each in (log_in, sign_up, log_out)),
        Mount("/auth", routes=starlette.auth_routes(application)),
    ]
    return TestClient(Pages(Starlette(routes=routes), application), base_url=BASE)


def _wsgi(arguments: dict[str, Any]) -> httpx2.Client:
    auth = Daypass("memory:", **arguments)
    application = Application(auth)
    app = Flask("app")

    @app.get("/")
    def home() -> str:
        token = flask_request.environ["daypass.login"].token
        return "nobody" if token is None else str(token.username)

    @app.post("/log_in")
    def log_in() -> tuple[str, int]:
        flask_request.environ["daypass.login"].log_in(auth.start(ANN))
        return "", 204

    @app.post("/sign_up")
    def sign_up() -> Any:
        response = app.make_response(("", 204))
        flask.log_in(application, flask_request, response, ANN)
        return response

    @app.post("/log_out")
    def log_out() -> tuple[str, int]:
        flask_request.environ["daypass.login"].log_out()
        return "", 204

    app.register_blueprint(flask.auth_blueprint(application), url_prefix="/auth")
    app.wsgi_app = WsgiPages(app.wsgi_app, application)  # type: ignore[method-assign]  # as Flask says to do it
    return httpx2.Client(transport=httpx2.WSGITransport(app), base_url=BASE)


def _django(arguments: dict[str, Any]) -> httpx2.Client:
    auth = Daypass("memory:", **arguments)
    application = Application(auth)

    def home(request: Any) -> HttpResponse:
        token = request.daypass.token
        return HttpResponse("nobody" if token is None else token.username)

    @csrf_exempt
    def log_in(request: Any) -> HttpResponse:
        request.daypass.log_in(auth.start(ANN))
        return HttpResponse(status=204)

    @csrf_exempt
    def sign_up(request: HttpRequest) -> HttpResponse:
        response = HttpResponse(status=204)
        django.log_in(application, request, response, ANN)
        return response

    @csrf_exempt
    def log_out(request: Any) -> HttpResponse:
        request.daypass.log_out()
        return HttpResponse(status=204)

    views = [path(each.__name__, each) for each in (log_in, sign_up, log_out)]
    with with_middleware(DjangoPages(application)):
        project = Wsgi([path("", home), *views, path("auth/", include(django.auth_urls(application)))])
    return httpx2.Client(transport=httpx2.WSGITransport(project), base_url=BASE)


@pytest.fixture(params=["asgi", "wsgi", "django"])
def site(request: pytest.FixtureRequest) -> Site:
    return Site(request.param)


@pytest.fixture(params=["/log_in", "/sign_up"])
def browser(site: Site, request: pytest.FixtureRequest) -> DeviceBrowser:
    """Return a browser with a bound session, begun in a page or in an endpoint of the application."""
    assert 204 == site.browser.post(request.param).status_code
    site.clock.advance(16 * MINUTE)
    assert "ann" == site.browser.get("/").text
    assert "bound" in site.codes
    return site.browser


def test_pages_of_a_bound_session(site: Site, browser: DeviceBrowser) -> None:
    """The browser proves its key before it asks for a page with an expired access token; the page is served once."""
    for _ in range(3):
        site.clock.advance(16 * MINUTE)
        browser.log.clear()
        assert ["ann", "ann"] == [browser.get("/").text for _ in range(2)]
        assert [("/auth/device/refresh", 200), ("/", 200), ("/", 200)] == browser.log
    assert "proof_refused" not in site.codes
    assert browser.registered["credentials"][0]["attributes"].endswith("SameSite=Lax")


def test_a_copied_jar_opens_no_page_later(site: Site, browser: DeviceBrowser) -> None:
    """When the stolen access token has expired, its thief is nobody, and his requests change nothing."""
    thief = browser.copied()
    assert "ann" == thief.get("/").text
    site.clock.advance(16 * MINUTE)
    answer = thief.get("/", headers={"sec-fetch-mode": "navigate"})
    assert ("nobody", None) == (answer.text, answer.headers.get("set-cookie"))
    assert 204 == thief.post("/log_out").status_code
    assert "ann" == browser.get("/").text


def test_a_browser_that_cannot_prove_its_key_now(site: Site, browser: DeviceBrowser) -> None:
    """A page is answered with 503 while the browser says that it could not; its cookies stay."""
    site.clock.advance(16 * MINUTE)
    answer = browser._send("GET", "/", browser.skips)
    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
    assert "ann" == browser.get("/").text


@pytest.mark.parametrize("origin", ["cross-site", "same-site"])
def test_a_link_of_another_site_leads_to_a_bound_session(site: Site, browser: DeviceBrowser, origin: str) -> None:
    """Led by another site, a browser proves no key: the page is loaded again from here, by 503 with ``Refresh``."""
    site.clock.advance(16 * MINUTE)
    led = {"sec-fetch-mode": "navigate", "sec-fetch-site": origin}
    answer = browser._send("GET", "/", led)
    assert (503, "0") == (answer.status_code, answer.headers["refresh"])
    assert "set-cookie" not in answer.headers
    assert "nobody" == browser._send("GET", "/", led | {"sec-fetch-site": "same-origin"}).text
    assert "ann" == browser.get("/", headers=led | {"sec-fetch-site": "same-origin"}).text


def test_logout_of_a_page(site: Site, browser: DeviceBrowser) -> None:
    """The owner's logout ends the session and the registration."""
    assert 204 == browser.post("/log_out").status_code
    assert "logged_out" in site.codes
    assert "nobody" == browser.get("/").text
    assert browser.registered is None


def test_a_page_clears_no_cookie_of_a_session_that_its_client_can_prove() -> None:
    """A session bound by DPoP is nobody's on a page, and its cookie stays: the page's script has the key."""
    auth = AsyncDaypass("memory:", issuer=BASE, load_user={"7": ANN}.get, dpop=True)
    key = ECKey.generate_key("P-256").as_dict(private=False)

    async def home(request: Request) -> PlainTextResponse:
        return PlainTextResponse("nobody" if request.scope["daypass"].token is None else "somebody")

    async def sent() -> httpx2.Response:
        tokens = await auth.start(ANN, key=key)
        cookie = {"cookie": f"{COOKIE}={tokens.refresh_token}", "sec-fetch-mode": "navigate"}
        transport = httpx2.ASGITransport(Pages(Starlette(routes=[Route("/", home)]), auth))
        async with auth, httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.get("/", headers=cookie)

    answer = asyncio.run(sent())
    assert ("nobody", None) == (answer.text, answer.headers.get("set-cookie"))


def test_a_proxy_that_asks(site: Site, browser: DeviceBrowser) -> None:
    """Forward auth goes by the same cookie: 204 for the owner at any time, 401 for the thief later."""
    thief = browser.copied()

    def verify(who: DeviceBrowser) -> int:
        return who.get("/auth/verify").status_code

    for _ in range(2):
        site.clock.advance(16 * MINUTE)
        assert [204, 401] == [verify(browser), verify(thief)]
    site.clock.advance(16 * MINUTE)
    led = {"sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site", "x-forwarded-method": "GET"}
    answer = browser._send("GET", "/auth/verify", led)
    assert (503, "0") == (answer.status_code, answer.headers["refresh"])
