"""A recent or strong login, in each framework: what guards require, and pages that ask for the password again."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import parse_qs, quote

import httpx2
import pytest
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from flask import Flask, jsonify, redirect
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

from daypass import AsyncDaypass, ConfigurationError, Confirmed, Daypass, EventCode
from daypass.duration import MINUTE
from daypass.testing import Clock
from daypass.web import asgi, asgi_pages, flask, wsgi_pages
from daypass.web.browser_login import BrowserLogin
from daypass.web.django import bearer as django_bearer
from daypass.web.django import pages as django_pages
from daypass.web.message import answer
from daypass.web.return_path import local_path

from ..cookie_names import without_port
from ..servers import application as asgi_server
from ..servers import wsgi as wsgi_server
from .django.project import Asgi, Wsgi, with_middleware
from .world import ALICE, ISSUER, PASSWORD, SECRET

NEEDED = 'Bearer realm="daypass", error="insufficient_user_authentication", error_description="a {} is required", {}'
RECENT: dict[str, Any] = {"max_age": "5m"}
STRONG: dict[str, Any] = {"acr": "mfa phr"}
CROSS = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
FORM = '<form method="post"><input type="password" name="password"><input type="hidden" name="next" value="{}"></form>'


class World:
    """An issuer whose clock a test moves."""

    def __init__(self, kind: type[Any]) -> None:
        self.clock = Clock()
        self.events: list[EventCode] = []
        self.auth = kind(
            "memory:",
            issuer=ISSUER,
            secret=SECRET,
            load_user=lambda _: ALICE,
            clock=self.clock,
            on_event=lambda event: self.events.append(event.code),
        )


def done(result: Any) -> Any:
    return asyncio.run(result) if inspect.iscoroutine(result) else result


# ---- what guards require


def flask_guards(auth: Any) -> Any:
    app = Flask(__name__)
    for name, needed in (("recent", RECENT), ("strong", STRONG)):
        require = flask.bearer(auth, **needed)
        app.add_url_rule(f"/{name}", name, require(lambda: jsonify()))
    return app


def django_guards(auth: Any) -> Any:
    def view(_: Any) -> HttpResponse:
        return HttpResponse("there")

    guarded = {name: django_bearer(auth, **needed)(view) for name, needed in (("recent", RECENT), ("strong", STRONG))}
    return Wsgi([path(name, each) for name, each in guarded.items()])


def async_django_guards(auth: Any) -> Any:
    async def view(_: Any) -> HttpResponse:
        return HttpResponse("there")

    guarded = {name: django_bearer(auth, **needed)(view) for name, needed in (("recent", RECENT), ("strong", STRONG))}
    return Asgi([path(name, each) for name, each in guarded.items()])


def asgi_guards(auth: Any) -> Any:
    guards = {"/recent": asgi.bearer(auth, **RECENT), "/strong": asgi.bearer(auth, **STRONG)}

    async def app(scope: Any, _: Any, send: Any) -> None:
        try:
            await guards[scope["path"]](scope)
            await asgi.send_response(answer(200, {}), scope, send)
        except asgi.Refused as refused:
            await refused.send(scope, send)

    return app


Site = tuple[type[Any], Callable[[Any], Any], Callable[[Any], AbstractContextManager[str]]]
GUARDS: dict[str, Site] = {
    "Flask": (Daypass, flask_guards, wsgi_server.serving),
    "Django": (Daypass, django_guards, wsgi_server.serving),
    "async Django": (AsyncDaypass, async_django_guards, asgi_server.serving),
    "ASGI": (AsyncDaypass, asgi_guards, asgi_server.serving),
}


@pytest.mark.parametrize("framework", GUARDS)
def test_a_guard_requires_a_recent_or_strong_login(framework: str) -> None:
    """A login that is too old or too weak is a 401 that says what is needed (RFC 9470), until it is confirmed."""
    kind, build, serving = GUARDS[framework]
    world = World(kind)

    def ask(name: str) -> tuple[int, str]:
        found = client.get(f"/{name}", headers={"authorization": f"Bearer {tokens.access_token}"})
        return found.status_code, found.headers.get("www-authenticate", "")

    with serving(build(world.auth)) as address, httpx2.Client(base_url=address) as client:
        tokens = done(world.auth.start(ALICE))
        assert (200, "") == ask("recent")
        assert (401, NEEDED.format("different authentication level", 'acr_values="mfa phr"')) == ask("strong")
        world.clock.advance(6 * MINUTE)
        tokens = done(world.auth.refresh(tokens.refresh_token))
        assert (401, NEEDED.format("more recent authentication", 'max_age="300"')) == ask("recent")
        tokens = done(world.auth.confirm(tokens.session.id, amr=["hwk"], acr="phr"))
        assert [(200, ""), (200, "")] == [ask("recent"), ask("strong")]


# ---- pages that ask for the password


def required(login: BrowserLogin, here: str) -> str | None:
    """Return where a browser is sent before it may see a page; None if it may see it."""
    return None if login.satisfies(max_age="5m") else f"/confirm?next={quote(here)}"


def starlette_site(auth: Any) -> Any:
    async def delete(request: Request) -> Any:
        elsewhere = required(request.scope["daypass"], request.url.path)
        return RedirectResponse(elsewhere, 303) if elsewhere else PlainTextResponse("deleted")

    async def login(request: Request) -> Any:
        request.scope["daypass"].log_in(await auth.start(ALICE, persistent=False))
        return PlainTextResponse("")

    async def confirm(request: Request) -> Any:
        login: BrowserLogin = request.scope["daypass"]
        if request.method == "GET":
            return PlainTextResponse(FORM.format(request.query_params["next"]))
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if login.token is None or form["password"] != PASSWORD:
            return PlainTextResponse("wrong", 403)
        login.confirm(await auth.confirm(login.token.session_id, amr=["pwd"]))
        return RedirectResponse(local_path(form["next"]), 303)

    routes = [Route("/delete", delete), Route("/login", login, methods=["POST"])]
    app = Starlette(routes=[*routes, Route("/confirm", confirm, methods=["GET", "POST"])])
    return asgi_pages.Pages(app, auth)


def flask_site(auth: Any) -> Any:
    app = Flask(__name__)
    login = flask.current_login

    @app.get("/delete")
    def delete() -> Any:
        elsewhere = required(login, flask_request.path)
        return redirect(elsewhere, 303) if elsewhere else "deleted"

    @app.post("/login")
    def log_in() -> str:
        login.log_in(auth.start(ALICE, persistent=False))
        return ""

    @app.route("/confirm", methods=["GET", "POST"])
    def confirm() -> Any:
        if flask_request.method == "GET":
            return FORM.format(flask_request.args["next"])
        if login.token is None or flask_request.form["password"] != PASSWORD:
            return "wrong", 403
        login.confirm(auth.confirm(login.token.session_id, amr=["pwd"]))
        return redirect(local_path(flask_request.form["next"]), 303)

    app.wsgi_app = wsgi_pages.Pages(app.wsgi_app, auth)  # type: ignore[method-assign]  # as Flask has it
    return app


def django_site(auth: Any) -> Any:
    def delete(request: Any) -> HttpResponse:
        elsewhere = required(request.daypass, request.path)
        return HttpResponseRedirect(elsewhere) if elsewhere else HttpResponse("deleted")

    @csrf_exempt
    def log_in(request: Any) -> HttpResponse:
        request.daypass.log_in(auth.start(ALICE, persistent=False))
        return HttpResponse()

    @csrf_exempt
    def confirm(request: Any) -> HttpResponse:
        login = request.daypass
        if request.method == "GET":
            return HttpResponse(FORM.format(request.GET["next"]))
        if login.token is None or request.POST["password"] != PASSWORD:
            return HttpResponse("wrong", status=403)
        login.confirm(auth.confirm(login.token.session_id, amr=["pwd"]))
        return HttpResponseRedirect(local_path(request.POST["next"]))

    with with_middleware(django_pages.Pages(auth)):
        return Wsgi([path("delete", delete), path("login", log_in), path("confirm", confirm)])


SITES: dict[str, Site] = {
    "Starlette": (AsyncDaypass, starlette_site, asgi_server.serving),
    "Flask": (Daypass, flask_site, wsgi_server.serving),
    "Django": (Daypass, django_site, wsgi_server.serving),
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> Iterator[tuple[World, httpx2.Client]]:
    with site_of(request.param) as found:
        yield found


@contextmanager
def site_of(framework: str) -> Iterator[tuple[World, httpx2.Client]]:
    kind, build, serving = SITES[framework]
    world = World(kind)
    with serving(build(world.auth)) as address, httpx2.Client(base_url=address) as browser:
        assert 200 == browser.post("/login").status_code
        yield world, browser


def confirm(browser: httpx2.Client, password: str = PASSWORD, **asked: Any) -> httpx2.Response:
    return browser.post("/confirm", data={"password": password, "next": "/delete"} | asked)


def test_a_page_asks_for_the_password_once_more(site: tuple[World, httpx2.Client]) -> None:
    """A page that needs a recent login sends the browser to a form, and the password brings it back.

    The session stays the same, and stays one that goes with the browser.
    """
    world, browser = site
    assert "deleted" == browser.get("/delete").text
    world.clock.advance(6 * MINUTE)
    answer = browser.get("/delete")
    assert "/confirm?next=/delete" == answer.headers["location"]
    assert 'value="/delete"' in browser.get(answer.headers["location"]).text
    assert (403, {}) == ((wrong := confirm(browser, "wrong")).status_code, dict(wrong.cookies))
    right = confirm(browser)
    assert ("/delete", ["daypass-access"]) == (right.headers["location"], without_port(right.cookies))
    assert "max-age" not in right.headers["set-cookie"].lower()
    assert "deleted" == browser.get("/delete").text
    assert (1, 1) == (world.events.count(EventCode.STARTED), world.events.count(EventCode.CONFIRMED))


def test_the_request_that_confirms_may_meet_the_expiry(site: tuple[World, httpx2.Client]) -> None:
    """A password that is sent after the access token has expired confirms the login, and both cookies move on."""
    world, browser = site
    world.clock.advance(16 * MINUTE)
    answer = confirm(browser)
    assert (["daypass", "daypass-access"], 1) == (without_port(answer.cookies), world.events.count(EventCode.ROTATED))
    assert "deleted" == browser.get("/delete").text
    world.clock.advance(16 * MINUTE)
    assert "/confirm?next=/delete" == browser.get("/delete").headers["location"]


def test_a_form_of_another_site_confirms_nothing(site: tuple[World, httpx2.Client]) -> None:
    """A page of another site cannot post a password, nor send the browser elsewhere after a right one."""
    world, browser = site
    assert 403 == browser.post("/confirm", data={"password": PASSWORD, "next": "/"}, headers=CROSS).status_code
    assert EventCode.CONFIRMED not in world.events
    assert "/" == confirm(browser, next="//evil.example").headers["location"]


def test_nobody_is_recently_logged_in() -> None:
    """Without a login nothing is satisfied or can be confirmed; a wrong requirement is named."""
    world = World(Daypass)
    nobody = BrowserLogin(_request(), ISSUER)
    assert not nobody.satisfies()
    tokens = world.auth.start(ALICE)
    confirmed: Confirmed = world.auth.confirm(tokens.session.id, amr=["pwd"])
    with pytest.raises(ConfigurationError, match="needs the browser's own session"):
        nobody.confirm(confirmed)
    with pytest.raises(ConfigurationError, match="did you mean 'max_age'"):
        nobody.satisfies(maxage="5m")  # type: ignore[call-arg]  # the mistake


def _request() -> Any:
    from daypass.web.message import Request as DaypassRequest

    return DaypassRequest("https", "example.com", {})


@pytest.mark.parametrize("text", ["/", "/orders?page=2#last", "/a//b", "/%E2%82%AC", "/@evil.example"])
def test_a_path_on_this_site_is_gone_back_to(text: str) -> None:
    """A path with its query is local."""
    assert text == local_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "https://evil.example",
        "evil",
        "",
        None,
        "/a\r\nb",
        "/é",
    ],
)
def test_an_address_elsewhere_is_replaced(text: str | None) -> None:
    """What a browser could read as another site's address, or that fits no header, is replaced."""
    assert "/home" == local_path(text, "/home")
