"""daypass.js with service workers, under strict policies, without cookies, in a background tab, from a file."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page
from starlette.responses import FileResponse, Response

from . import npm
from .conftest import HERE
from .engines import Engines
from .marks import only
from .world import Asked, World, ask, happened, log_in, log_out, refreshes, shows

ITEMS = "/api/items"
READ = {"status": 200, "data": {"user": "alice"}}
REFRESHED = Asked("POST", "/auth/refresh", 200)
LOADED = """async () => { while (!window.loaded) await new Promise((go) => setTimeout(go, 10)); }"""
"""JavaScript: wait for the page. Trusted Types refuse Playwright's own way to wait."""
JAVASCRIPT = "text/javascript"


def stays_logged_in(tab: Page, world: World) -> None:
    """Assert that the user stays logged in after an expiry and after a reload."""
    world.log_in(tab)
    tab.evaluate("sleepFor(1_050)")
    world.expire()
    assert READ == ask(tab)
    assert [Asked("GET", ITEMS, 401, 0), REFRESHED, Asked("GET", ITEMS, 200, 1)] == world.seen()
    tab.reload()
    tab.evaluate(LOADED)
    assert "alice" == tab.evaluate("session.ready")["username"]
    assert READ == ask(tab)
    assert [REFRESHED, Asked("GET", ITEMS, 200, 2)] == world.seen()


# ---- policies


POLICIES = {
    "strict CSP": {
        "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:"
    },
    "Trusted Types": {"content-security-policy": "require-trusted-types-for 'script'; trusted-types 'none'"},
    "COOP and COEP": {
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
    },
}


@pytest.mark.parametrize("policy", POLICIES)
def test_under_a_policy(context: BrowserContext, world: World, policy: str) -> None:
    """The session works under a strict CSP, Trusted Types, and COOP with COEP, without a violation."""
    headers = POLICIES[policy]
    if world.client in {"React", "Vue"}:  # their bundle contains Vue, which creates a policy called vue
        headers = {name: value.replace("trusted-types 'none'", "trusted-types vue") for name, value in headers.items()}
    world.pages = {"/strict": FileResponse(HERE / "session.html", headers=headers)}
    tab = context.new_page()
    tab.goto(f"{world.address}/strict?client={world.client}")
    tab.evaluate(LOADED)
    assert ("COOP" in policy) == tab.evaluate("crossOriginIsolated")
    stays_logged_in(tab, world)
    assert [] == tab.evaluate("violations")


# ---- service workers


TAKE_OVER = """
  self.addEventListener("install", () => self.skipWaiting());
  self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
"""
PLAIN = f"""{TAKE_OVER}
  self.addEventListener("fetch", (event) => {{
    if (event.request.method !== "GET") return;
    event.respondWith((async () => {{
      const cache = await caches.open("everything");
      try {{
        const answer = await fetch(event.request);
        if (answer.ok) await cache.put(event.request, answer.clone());
        return answer;
      }} catch {{
        return await cache.match(event.request) ?? Response.error();
      }}
    }})());
  }});
"""
WORKBOX = f"""
  importScripts("/workbox/workbox-sw.js");
  workbox.setConfig({{ modulePathPrefix: "/workbox/", debug: false }});
  {TAKE_OVER}
  const {{ routing, strategies }} = workbox;
  routing.registerRoute(({{ url }}) => url.pathname.startsWith("/api"), new strategies.NetworkFirst());
  routing.registerRoute(({{ request }}) => request.destination === "script", new strategies.StaleWhileRevalidate());
  routing.setDefaultHandler(new strategies.NetworkFirst());
"""
REGISTER = """async (options) => {
    await navigator.serviceWorker.register("/worker.js", options);
    await navigator.serviceWorker.ready;
    while (!navigator.serviceWorker.controller) await new Promise((go) => setTimeout(go, 20));
}"""


@pytest.fixture
def workbox(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Response]:
    """Return Workbox's files as responses, by path."""
    packages = npm.fetch(HERE, "workbox-sw/build/workbox-sw.js", tmp_path_factory).parents[2]
    return {
        f"/workbox/{path.name}": FileResponse(path, media_type=JAVASCRIPT)
        for path in packages.glob("workbox-*/build/*.js")
    }


@pytest.mark.parametrize("kind", ["plain", "Workbox"])
def test_behind_a_caching_service_worker(
    context: BrowserContext, world: World, workbox: dict[str, Response], kind: str
) -> None:
    """Behind a service worker that caches every response, the user stays logged in, and no cache contains a token."""
    worker = {"plain": PLAIN, "Workbox": WORKBOX}[kind]
    world.pages = workbox | {"/worker.js": Response(worker, media_type=JAVASCRIPT)}
    tab = world.open(context)
    tab.evaluate(REGISTER)
    world.log_in(tab)
    tab.evaluate("sleepFor(1_050)")
    world.expire()
    assert READ == ask(tab)
    assert [Asked("GET", ITEMS, 401, 0), REFRESHED, Asked("GET", ITEMS, 200, 1)] == world.seen()
    tab.reload()
    tab.wait_for_function("window.loaded")
    assert "alice" == tab.evaluate("session.ready")["username"]
    log_out(tab)
    assert "LoginRequired" == ask(tab)["error"]
    cached = tab.evaluate(
        """async () => {
            const found = [];
            for (const name of await caches.keys()) {
                const cache = await caches.open(name);
                for (const request of await cache.keys()) {
                    const text = await (await cache.match(request)).text();
                    found.push([new URL(request.url).pathname, /eyJ|dpr_/.test(text)]);
                }
            }
            return found;
        }"""
    )
    assert [ITEMS, False] in cached
    assert [] == [path for path, secret in cached if secret]


@pytest.mark.not_for(axios="the worker imports the session alone", React="no components", Vue="no components")
def test_in_a_service_worker(context: BrowserContext, world: World) -> None:
    """A service worker that imports the module sends requests with the tabs' token, and retries after a 401.

    It cannot load parts of the module. A login, which needs one, throws `RefreshUnavailable`; the session is kept.
    """
    source = f"""{TAKE_OVER}
      import {{ createSession }} from "/auth/daypass.js";
      const session = createSession();
      self.addEventListener("message", (event) => event.waitUntil(
        Promise.all([
          session.fetch("{ITEMS}").then((answer) => answer.status, String),
          event.data && session.login({{ username: "alice" }}).catch((error) => error.code),
        ]).then((seen) => event.source.postMessage(seen)),
      ));
    """
    world.pages = {"/worker.js": Response(source, media_type=JAVASCRIPT)}
    tab = world.open(context)
    world.log_in(tab)
    tab.evaluate(REGISTER, {"type": "module"})
    ask = """(login) => new Promise((go) => {
        navigator.serviceWorker.onmessage = ({ data }) => go(data);
        navigator.serviceWorker.controller.postMessage(login);
    })"""
    assert [200, False] == tab.evaluate(ask, arg=False)
    world.revoke()
    tab.wait_for_timeout(1_100)  # a 401 within a second after the token was issued is not retried
    assert [200, "refresh_unavailable"] == tab.evaluate(ask, arg=True)


# ---- windows


def test_in_a_private_window(engines: Engines, engine: str, world: World) -> None:
    """In a private window the user stays logged in after a reload. Other windows are not logged in."""
    with engines.profile(engine, "private") as private, engines.profile(engine, "private") as other:
        tab = world.open(private)
        world.log_in(tab)
        tab.reload()
        tab.wait_for_function("window.loaded")
        assert "alice" == tab.evaluate("session.ready")["username"]
        assert world.open(other).evaluate("session.ready") is None


@pytest.fixture
def no_cookies(engines: Engines, engine: str, tmp_path: Path) -> Iterator[BrowserContext]:
    """Return a profile that accepts no cookies, and therefore has no storage."""
    context = engines.without_cookies(engine, tmp_path)
    yield context
    context.close()


def test_without_cookies(no_cookies: BrowserContext, world: World) -> None:
    """If cookies are blocked, the page works for visitors, and a login throws `CookieRejected`."""
    tab = world.open(no_cookies)
    assert tab.evaluate("session.ready") is None
    assert {"status": 200, "data": {"public": True}} == ask(tab, "/api/public")
    assert "cookie_rejected" == log_in(tab)["code"]
    shows(tab, "out nobody")


# ---- Back, and the background


@pytest.fixture
def everyday(engines: Engines, engine: str) -> Iterator[BrowserContext]:
    """Return a new profile of a browser with a back/forward cache and with throttled hidden tabs."""
    with engines.profile(engine, "everyday", again=True) as context:
        yield context


def test_back_after_a_logout(everyday: BrowserContext, world: World) -> None:
    """After a logout on a page without daypass.js, Back shows no user, and no request has a token."""
    world.pages = {
        "/leave": Response("<form method=post action=/auth/logout><button>Go</button></form>", media_type="text/html")
    }
    tab = world.open(everyday)
    world.log_in(tab)
    tab.evaluate("() => { window.kept = true }")
    tab.goto(f"{world.address}/leave")
    tab.evaluate("fetch('/auth/logout', { method: 'POST' }).then((answer) => answer.status)")
    tab.evaluate("() => { setTimeout(() => history.back()) }")
    tab.wait_for_function("window.loaded")
    shows(tab, "out nobody")
    assert "LoginRequired" == ask(tab)["error"]
    assert {None} == {each.token for each in world.seen()}


def test_a_throttled_tab(everyday: BrowserContext, world: World) -> None:
    """In a tab behind another one, whose timers are throttled, no request fails."""
    tab = world.open(everyday)
    world.log_in(tab)
    tab.evaluate(
        """() => {
            window.statuses = [];
            setInterval(() => ask("/api/items").then((seen) => statuses.push(seen.status ?? seen.error)), 100);
        }"""
    )
    front = everyday.new_page()
    front.goto(f"{world.address}/session?idle")
    front.bring_to_front()
    for turn in range(1, 4):
        tab.evaluate("sleepFor(1_050)")
        world.expire()
        until = time.monotonic() + 20
        while len(happened(tab, "refreshed")) < turn and time.monotonic() < until:
            time.sleep(0.05)  # Playwright waits by animation frames; a hidden tab has none
    seen = world.seen()
    assert {200} == set(tab.evaluate("statuses")), seen
    assert 3 * [200] == refreshes(seen)


@only("fetch", why="sends nothing")
def test_from_a_file(context: BrowserContext, world: World, tmp_path: Path) -> None:
    """A page from a file can create a session: nobody is logged in, `ready` settles, and nothing is thrown."""
    (tmp_path / "page.html").write_text(
        f"""<!doctype html><script>
          window.errors = [];
          onunhandledrejection = ({{ reason }}) => errors.push(String(reason));
        </script><script type="module">
          import {{ createSession }} from "{world.address}/auth/daypass.js";
          window.session = createSession({{ url: "{world.address}/auth" }});
          window.loaded = true;
        </script>"""
    )
    tab = context.new_page()
    tab.goto((tmp_path / "page.html").as_uri())
    tab.wait_for_function("window.loaded")
    assert tab.evaluate("session.ready") is None
    assert "alice" != tab.evaluate("session.login({ username: 'alice', password: 'x' }).catch((error) => error.name)")
    assert [] == tab.evaluate("errors")
