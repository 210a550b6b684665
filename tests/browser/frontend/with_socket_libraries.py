"""Socket.IO and SignalR: their own clients in a real browser, by the recipes of ``docs/frontend.md``.

``make frameworks`` runs this.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio
from playwright.sync_api import BrowserContext, Page
from starlette.applications import Starlette
from starlette.routing import Mount

from ...docs.test_examples import blocks
from ...servers.application import serving
from .conftest import log_in
from .hub import Hub
from .project import ROOT
from .site import Site, refreshes

pytestmark = pytest.mark.engines("chromium")  # what is tested here is the libraries

SOCKET_IO = """async () => {
    const socket = connectSocketIO();
    Object.assign(window, { socket, said: [] });
    for (const name of ["connect", "disconnect"]) socket.on(name, () => said.push(name));
    window.ask = async () => (await socket.timeout(5000).emitWithAck("note", "hello"));
    await new Promise((go) => socket.once("connect", go));
}"""
HUB = """async () => {
    const hub = await connectHub("/hub");
    Object.assign(window, { hub, said: ["connect"] });
    hub.onreconnecting(() => said.push("disconnect"));
    hub.onreconnected(() => said.push("connect"));
    hub.onclose(() => said.push("disconnect"));
    window.ask = () => hub.invoke("Whoami");
}"""

KEPT = """window.sockets = [];
window.WebSocket = class extends WebSocket {
    constructor(...rest) {
        super(...rest);
        sockets.push(this);
    }
};"""
"""JavaScript: `sockets` are the page's WebSockets, so that a test can cut them."""


class Sockets(Site):
    """The site, with the server of ``docs/connection-recipes.md`` for Socket.IO, and a hub."""

    def __init__(self, store: str, built: Path) -> None:
        super().__init__(store, built)
        (program,) = (each for each in blocks(ROOT / "docs/connection-recipes.md") if "def notes_server" in each)
        names: dict[str, Any] = {"__name__": "recipe"}
        exec(compile("import asyncio\n" + program, "socket_io", "exec"), names)  # noqa: S102 - the test is about this
        self.hub = Hub(self.auth)
        inner = self._app
        app = Starlette(routes=[*self.hub.routes, Mount("/", app=inner)], lifespan=inner.router.lifespan_context)
        self._app = socketio.ASGIApp(names["notes_server"](self.auth), app)


@pytest.fixture
def site(tmp_path: Path, built: Path) -> Iterator[Sockets]:
    site = Sockets(f"sqlite:///{tmp_path / 'site.db'}", built / "built")
    with serving(site, grace=1, websockets=True) as address:
        site.address = address
        yield site


@pytest.fixture(params=[SOCKET_IO, HUB], ids=["socket.io", "SignalR"])
def page(request: pytest.FixtureRequest, context: BrowserContext, site: Sockets) -> Page:
    """Return a page whose user is logged in, and whose connection works."""
    site.page, site.script = "sockets", KEPT
    page = context.new_page()
    page.goto(site.address)
    page.wait_for_function("window.ready")
    log_in(page)
    page.evaluate(request.param)
    assert "alice" in page.evaluate("ask()")
    return page


def connections(page: Page, count: int) -> None:
    """Wait until there was a connection so many times, and it is open."""
    page.wait_for_function(
        "(count) => said.filter((each) => each === 'connect').length >= count && said.at(-1) === 'connect'", arg=count
    )


def stays_closed(page: Page) -> None:
    """Wait until the connection is closed; it is not opened again within the time that a retry would take."""
    page.wait_for_function("said.at(-1) === 'disconnect'")
    page.wait_for_timeout(3000)
    assert (["connect"], "disconnect") == (
        page.evaluate("said.filter((each) => each === 'connect')"),
        page.evaluate("said.at(-1)"),
    )


def test_reconnect_after_expiry_has_a_new_token(page: Page, site: Sockets) -> None:
    """When the token expires the server disconnects; the client connects again with a new one, each time."""
    for count in (2, 3):
        site.take()
        site.expire(page)
        connections(page, count)
        assert "alice" in page.evaluate("ask()")
        assert [200] == refreshes(site.take())


def test_lost_connection(page: Page) -> None:
    """A lost connection is opened again."""
    page.context.set_offline(True)
    page.evaluate("sockets.forEach((each) => each.close())")
    page.wait_for_function("said.at(-1) === 'disconnect'")
    page.context.set_offline(False)
    connections(page, 2)
    assert "alice" in page.evaluate("ask()")


def test_logout_closes_the_connection(page: Page) -> None:
    """After a logout the connection is closed, and is not opened again."""
    page.evaluate("session.logout()")
    stays_closed(page)
    assert [] == page.evaluate("seen.errors")


def test_session_ended_elsewhere_closes_the_connection(page: Page) -> None:
    """When the session is ended elsewhere the connection is closed, the page knows, and connects no more."""
    page.evaluate("""async () => {
        const headers = { authorization: `Bearer ${await session.token()}` };
        await fetch("/auth/logout", { method: "POST", headers });
    }""")
    page.wait_for_function("session.status === 'out'")
    stays_closed(page)


def test_another_user(page: Page) -> None:
    """When another user logs in, the connection of the first one is closed."""
    log_in(page, "ben")
    stays_closed(page)
