"""Sessions of pages that are bound to a key (DPoP): the option ``dpop`` of daypass.js."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page

from daypass import DPoP, EventCode

from ..servers.application import serving
from .conftest import PASSWORD
from .engines import Engines
from .test_open_connections import Live
from .world import World, ask, log_in, refreshes

ITEMS = "/api/items"
SEEN = {"status": 200, "data": {"user": "alice"}}

ITSELF = "the session does this by itself"
by_fetch = pytest.mark.not_for(axios=ITSELF, React=ITSELF, Vue=ITSELF)
pytestmark = [pytest.mark.engines("chromium"), pytest.mark.clients("fetch")]


@pytest.fixture
def lifetimes(request: pytest.FixtureRequest) -> dict[str, object]:
    """Return the arguments of the issuer: it binds sessions."""
    return {"access_ttl": "50s", "grace_period": "30s", "dpop": getattr(request, "param", DPoP(max_age="5m"))}


@pytest.fixture
def tab(context: BrowserContext, world: World) -> Page:
    """Return a page whose user has logged in to a bound session."""
    tab = begin(world, context)
    assert "alice" == log_in(tab)["username"]
    world.seen()
    return tab


def begin(world: World, context: BrowserContext) -> Page:
    tab = world.open(context, "&idle")
    tab.evaluate("begin({ dpop: true })")
    return tab


def expire(world: World, tab: Page) -> None:
    """Let the access token expire, a second after it was issued: an earlier 401 is not retried."""
    tab.wait_for_timeout(1_100)
    world.expire()


def post(url: str, **headers: str) -> int:
    """Send a POST as a thief would, without the key; return the status of the answer."""
    return httpx2.post(url, headers=headers).status_code


@pytest.mark.engines("chromium", "firefox", "webkit")
@pytest.mark.clients("fetch", "axios")
@pytest.mark.not_for(React=ITSELF, Vue=ITSELF)
def test_bound_session(context: BrowserContext, world: World, tab: Page) -> None:
    """A bound session is refreshed and restored like any other; a copied cookie or access token opens nothing."""
    assert SEEN == ask(tab, ITEMS)
    assert SEEN == ask(tab, ITEMS, method="POST", body="text")
    assert [b"", b"text"] == world.bodies[-2:]
    expire(world, tab)
    assert SEEN == ask(tab, ITEMS)
    tab.reload()
    tab.wait_for_function("window.loaded")
    tab.evaluate("begin({ dpop: true })")
    assert "alice" == tab.evaluate("session.ready")["username"]
    assert SEEN == ask(tab, ITEMS)
    assert [200, 200] == refreshes(world.seen())
    cookies = "; ".join(f"{each['name']}={each['value']}" for each in context.cookies())
    token = tab.evaluate("session.token()")
    assert 400 == post(f"{world.address}/auth/refresh", Cookie=cookies, Origin=world.address)
    assert 401 == post(f"{world.address}{ITEMS}", Authorization=f"Bearer {token}")
    expire(world, tab)
    assert SEEN == ask(tab, ITEMS)
    assert "in" == tab.evaluate("session.status")


@by_fetch
def test_refused_request_is_signed_again(world: World, tab: Page) -> None:
    """After a 401 in the middle of a token's life, the body is sent again whole, with a new token and a new proof."""
    tab.wait_for_timeout(1_100)
    world.revoke()
    assert SEEN == ask(tab, ITEMS, method="POST", body="text")
    assert [b"text"] == world.bodies[-1:]
    assert [200] == refreshes(world.seen())


@pytest.mark.parametrize("lifetimes", [DPoP(require_nonce=True)], indirect=True)
@pytest.mark.clients("fetch", "axios")
@pytest.mark.not_for(React=ITSELF, Vue=ITSELF)
def test_nonces_are_answered_once(world: World, tab: Page) -> None:
    """Where the server wants nonces, callers do not notice; each request is sent again only if its nonce is missing."""
    for path in (ITEMS, "/auth/me"):
        assert 200 == ask(tab, path)["status"]
    assert SEEN == ask(tab, ITEMS, method="POST", body="text")
    statuses = [(each.path, each.status) for each in world.seen()]
    assert [(ITEMS, 200), ("/auth/me", 200), (ITEMS, 200)] == statuses


@by_fetch
def test_no_script_reads_the_key(tab: Page) -> None:
    """The key is in IndexedDB for all tabs, and cannot be exported."""
    caught = tab.evaluate(
        """async () => {
          const kept = await new Promise((go) => {
            indexedDB.open("daypass").onsuccess = ({ target: { result } }) =>
              (result.transaction("keys").objectStore("keys").getAll().onsuccess = ({ target }) => go(target.result));
          });
          const errors = await Promise.all(["jwk", "pkcs8"].map((format) =>
            crypto.subtle.exportKey(format, kept[0].privateKey).catch(({ name }) => name)));
          return [kept.length, kept[0].privateKey.extractable, Object.keys(kept[0].jwk).sort().join(), ...errors];
        }"""
    )
    assert [1, False, "crv,kty,x,y", "InvalidAccessError", "InvalidAccessError"] == caught


@by_fetch
def test_tabs_share_one_key(context: BrowserContext, world: World, tab: Page) -> None:
    """A second tab uses the session at once. Both can refresh it. A login in one tab logs in both."""
    other = begin(world, context)
    assert SEEN == ask(other, ITEMS)
    assert [] == refreshes(world.seen())
    expire(world, tab)
    assert [SEEN, SEEN] == [ask(other, ITEMS), ask(tab, ITEMS)]
    assert [200] == refreshes(world.seen())
    other.evaluate("session.logout()")
    tab.wait_for_function("session.status === 'out'")
    assert "alice" == log_in(other)["username"]  # by a new key
    tab.wait_for_function("session.status === 'in'")
    assert SEEN == ask(tab, ITEMS)
    expire(world, tab)
    assert SEEN == ask(tab, ITEMS)


@by_fetch
def test_lost_key_means_log_in(world: World, tab: Page) -> None:
    """When the browser's storage was cleared, the page says that the key is lost, and a new login works."""
    tab.goto(f"{world.address}/api/public")
    tab.evaluate("new Promise((go) => (indexedDB.deleteDatabase('daypass').onsuccess = () => go(null)))")
    tab.goto(f"{world.address}/session?client={world.client}&idle")
    tab.wait_for_function("window.loaded")
    tab.evaluate("begin({ dpop: true })")
    assert tab.evaluate("session.ready") is None
    seen = ask(tab, ITEMS)
    assert ("LoginRequired", "Login required: key lost") == (seen["error"], seen["message"])
    assert "alice" == log_in(tab)["username"]
    assert SEEN == ask(tab, ITEMS)


@pytest.mark.engines("firefox")
@by_fetch
def test_key_in_a_private_window(engines: Engines, engine: str, world: World) -> None:
    """A private window of Firefox keeps the key until it is closed: after a reload, and in a second tab."""
    with closing(engines.running(engine, "private").new_context()) as private:
        tab = begin(world, private)
        assert "alice" == log_in(tab)["username"]
        tab.reload()
        tab.wait_for_function("window.loaded")
        tab.evaluate("begin({ dpop: true })")
        other = begin(world, private)
        expire(world, tab)
        assert [SEEN, SEEN] == [ask(each, ITEMS) for each in (tab, other)]


@by_fetch
def test_where_keys_cannot_be_kept(context: BrowserContext, world: World) -> None:
    """A browser that keeps no keys, as older private windows: the session is bound while its page lives.

    After a reload the page says that the key is lost, and a new login works.
    """
    context.add_init_script("IDBObjectStore.prototype.add = () => { throw new DOMException('', 'DataCloneError') }")
    context.add_init_script("IDBObjectStore.prototype.put = IDBObjectStore.prototype.add")
    tab = begin(world, context)
    assert "alice" == log_in(tab)["username"]
    expire(world, tab)
    assert SEEN == ask(tab, ITEMS)
    tab.reload()
    tab.wait_for_function("window.loaded")
    tab.evaluate("begin({ dpop: true })")
    seen = ask(tab, ITEMS)
    assert ("LoginRequired", "Login required: key lost") == (seen["error"], seen["message"])
    assert "alice" == log_in(tab)["username"]
    assert SEEN == ask(tab, ITEMS)


@pytest.mark.parametrize("lifetimes", [False], indirect=True)
@by_fetch
def test_server_that_binds_no_sessions(context: BrowserContext, world: World) -> None:
    """Against a server without DPoP the login is refused, with what to write there; nobody is logged in."""
    tab = begin(world, context)
    seen = log_in(tab)
    assert ("LoginRefused", "dpop_unavailable") == (seen["error"], seen["reason"])
    assert "dpop=True" in seen["message"]
    assert "out" == tab.evaluate("session.status")
    assert 1 == world.counts()[EventCode.LOGGED_OUT]


@pytest.fixture
def live(tmp_path: Path, client: str, files: dict[str, Path], axios: Path, host: str) -> Iterator[Live]:
    live = Live(f"sqlite:///{tmp_path / 'app.db'}", axios, access_ttl="4s", grace_period="30s", dpop=True)
    live.client, live.files = client, files
    with serving(live, grace=1, websockets=True, host=host) as address:
        live.address = address
        yield live


@by_fetch
def test_socket_of_a_bound_session(context: BrowserContext, live: Live) -> None:
    """A WebSocket sends a proof in its first message, and stays open with newer tokens. Event streams work too."""
    tab = begin(live, context)
    log_in(tab)
    tab.evaluate(
        """async () => {
          window.told = [];
          const socket = await session.socket("/api/feed");
          socket.onopen = () => told.push("open");
          socket.addEventListener("reconnecting", ({ code, reason }) => told.push(`${code} ${reason}`));
          socket.onerror = ({ error }) => told.push(`${error}`);
          const stream = await session.events("/api/events");
          stream.onmessage = ({ data }) => data === "é2" && told.push(data);
        }"""
    )
    tab.wait_for_function("told.length > 1")
    while len(live.tokens) < 2:
        tab.wait_for_timeout(100)
    assert ["open", "é2"] == sorted(tab.evaluate("told"))


@by_fetch
def test_requests_by_other_means(tab: Page) -> None:
    """`headersFor` gives an `XMLHttpRequest` the access token and a proof, good for one request."""
    seen = tab.evaluate(
        """async (path) => {
          const { headersFor } = await import("/auth/daypass-dpop.js");
          const headers = await headersFor(session, "GET", path);
          const send = () => new Promise((go) => {
            const request = new XMLHttpRequest();
            request.open("GET", path);
            for (const name in headers) request.setRequestHeader(name, headers[name]);
            request.onload = () => go(request.status);
            request.send();
          });
          return [await send(), await send()];
        }""",
        ITEMS,
    )
    assert [200, 401] == seen


@by_fetch
def test_login_of_existing_code(context: BrowserContext, world: World) -> None:
    """A login that the page sends itself is bound too, behind `installFetch`."""
    tab = world.open(context, "&idle")
    status = tab.evaluate(
        """async (body) => {
          const { installFetch } = await import("/auth/daypass-install.js");
          window.session = installFetch({ dpop: true });
          const headers = { "content-type": "application/json" };
          return (await fetch("/auth/login", { method: "POST", body, headers })).status;
        }""",
        json.dumps({"username": "alice", "password": PASSWORD}),
    )
    assert 200 == status
    expire(world, tab)
    assert 200 == tab.evaluate("(path) => fetch(path).then(({ status }) => status)", ITEMS)
