"""Remember me, step-up and idle by input, in real browsers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daypass.duration import Duration
from daypass.web.starlette import bearer

from ..servers.application import serving
from .conftest import PASSWORD
from .marks import only
from .world import World, ask, log_in

READ = {"status": 200, "data": {"user": "alice"}}
LISTEN = """() => {
    window.told = [];
    for (const name of ["stepUp", "confirmed", "ending", "extended", "loggedOut"])
        session.on(name, (event) => told.push([name, event?.maxAge ?? event?.reason ?? null]));
}"""
CONFIRM = """(password) => session.confirm({ username: "alice", password }).then(
    ({ username }) => username, (error) => error.code)"""


class Bank(World):
    """The application, with a route that requires a login within the last ten seconds."""

    def __init__(self, store: str, axios: Path, **lifetimes: Duration) -> None:
        super().__init__(store, axios, **lifetimes)
        self._require_recent = bearer(self.auth, max_age="10s")
        assert isinstance(self._app, Starlette)
        self._app.routes.append(Route("/api/pay", self._pay, methods=["POST"]))

    async def _pay(self, request: Request) -> Response:
        token = await self._require_recent(request)
        self.bodies.append(await request.body())
        return JSONResponse({"user": token.username})


@pytest.fixture
def bank(tmp_path: Path, client: str, files: dict[str, Path], axios: Path, host: str) -> Iterator[Bank]:
    bank = Bank(f"sqlite:///{tmp_path / 'app.db'}", axios, access_ttl="50s", grace_period="30s")
    bank.client, bank.files = client, files
    with serving(bank, grace=1, host=host) as address:
        bank.address = address
        yield bank


@only("fetch", "axios", why="the request that waits is the same")
def test_step_up(context: BrowserContext, bank: Bank) -> None:
    """A payment waits until the password is confirmed, even after a wrong one. It is sent once, without a refresh."""
    tab = bank.open(context)
    bank.log_in(tab)
    bank.ahead += 20_000
    tab.evaluate(LISTEN)
    tab.evaluate("() => { window.paid = ask('/api/pay', { method: 'POST', body: 'ten' }) }")
    tab.wait_for_function("told.length")
    assert "credentials_rejected" == tab.evaluate(CONFIRM, "wrong password")
    assert "alice" == tab.evaluate(CONFIRM, PASSWORD)
    assert READ == tab.evaluate("paid")
    assert [["stepUp", 10_000], ["confirmed", None]] == tab.evaluate("told")
    assert [b"ten"] == bank.bodies
    assert [401, 401, 200, 200] == [each.status for each in bank.seen()]
    assert READ == ask(tab, "/api/items")


@only("React", "Vue", why="no components")
def test_hooks_of_what_the_user_is_asked(context: BrowserContext, bank: Bank) -> None:
    """`useStepUp` asks until the user has confirmed; `useEnding` warns until the session is extended."""
    tab = bank.open(context, "&idle&asking")
    tab.evaluate("begin({ idle: { after: 6000 }, warnBefore: 4500 })")
    bank.log_in(tab)
    bank.ahead += 20_000
    tab.evaluate("() => { window.paid = ask('/api/pay', { method: 'POST', body: 'ten' }) }")
    _asks(tab, "confirm 10000")
    assert "alice" == tab.evaluate(CONFIRM, PASSWORD)
    assert READ == tab.evaluate("paid")
    _asks(tab, "ending")
    tab.evaluate("session.extend()")
    _asks(tab, "nothing")


def _asks(page: Page, text: str) -> None:
    page.wait_for_function("(text) => document.getElementById('asking').textContent === text", arg=text)


@only("fetch", why="the session does this by itself")
def test_remember_me(context: BrowserContext, bank: Bank) -> None:
    """With `remember: false` the cookie ends with the browser, also after a refresh."""
    tab = bank.open(context)
    tab.evaluate("(password) => session.login({ username: 'alice', password, remember: false })", PASSWORD)
    for _ in range(2):
        assert [-1] == [_expiry(cookie) for cookie in context.cookies()]
        tab.evaluate("session.refresh()")
    log_in(tab)
    assert -1 not in [_expiry(cookie) for cookie in context.cookies()]


@only("fetch", why="the session does this by itself")
def test_idle_by_input(context: BrowserContext, bank: Bank) -> None:
    """Input in one tab keeps both tabs logged in. Without input both get `ending`, and are logged out."""
    tabs = [bank.open(context, "&idle") for _ in range(2)]
    for tab in tabs:
        tab.evaluate("begin({ idle: { after: 3000 }, warnBefore: 1000 })")
        tab.evaluate(LISTEN)
    bank.log_in(tabs[0])
    for _ in range(4):
        tabs[0].wait_for_timeout(1_100)
        _press(tabs[0])
    assert ["in", "in"] == [tab.evaluate("session.status") for tab in tabs]
    for tab in tabs:
        tab.wait_for_function("session.status === 'out'")
        told = [name for name, _ in tab.evaluate("told")]
        assert ["ending", "loggedOut"] == told[-2:]
        assert ["loggedOut", "idle"] == tab.evaluate("told.at(-1)")


def _expiry(cookie: Any) -> float:
    """Return when the cookie expires, -1 if it ends with the browser. Selenium has another name for it."""
    return float(cookie.get("expires", cookie.get("expiry", -1)))


def _press(tab: Page) -> None:
    tab.evaluate("() => { document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true })) }")
