"""Workers, frames without an origin, the Back button; requests that wait while their session ends."""

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page

from daypass import EventCode

from .conftest import ALICE, PASSWORD
from .marks import only
from .world import World, ask, happened, log_out, refreshes, shows

WORKER = """
  import { createSession } from "%s/auth/daypass.js";
  const session = createSession();
  onmessage = async ({ data }) => {
    try {
      postMessage([session.status, (await session.fetch(data)).status, session.user.username]);
    } catch (error) {
      postMessage(String(error));
    }
  };
"""


@pytest.fixture
def tab(context: BrowserContext, world: World) -> Page:
    """Return a tab whose user has logged in."""
    tab = world.open(context)
    world.log_in(tab)
    return tab


@pytest.mark.not_for(axios="the worker imports the session alone", React="no components", Vue="no components")
def test_a_worker_shares_the_session(tab: Page, world: World) -> None:
    """A worker sends nothing until it is used. Then it gets the token from a tab, without a refresh."""
    answer = tab.evaluate(
        """async (source) => {
            const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
            const worker = new Worker(url, { type: "module" });
            const answered = new Promise((go) => (worker.onmessage = ({ data }) => go(data)));
            await new Promise((go) => setTimeout(go, 300));
            worker.postMessage(location.origin + "/api/items");
            return answered;
        }""",
        WORKER.replace("createSession()", f'createSession({{ url: "{world.address}/auth" }})') % world.address,
    )
    assert ["unknown", 200, "alice"] == answer
    assert [] == refreshes(world.seen())


@only("fetch", why="sends nothing")
@pytest.mark.parametrize("sandbox", ["allow-scripts", "allow-scripts allow-same-origin"])
def test_a_sandboxed_frame(tab: Page, world: World, sandbox: str) -> None:
    """In a sandboxed frame, with or without the page's origin, a session can be created, and `ready` settles."""
    source = f"""<script type="module">
        import {{ createSession }} from "{world.address}/auth/daypass.js";
        try {{
          const session = createSession({{ url: "{world.address}/auth" }});
          await session.ready;
          parent.postMessage([session.status, session.user && session.user.username], "*");
        }} catch (error) {{
          parent.postMessage(String(error), "*");
        }}
    </script>"""
    seen = tab.evaluate(
        """([source, sandbox]) => new Promise((go) => {
            addEventListener("message", ({ data }) => go(data));
            const frame = document.createElement("iframe");
            frame.sandbox = sandbox;
            frame.srcdoc = source;
            document.body.append(frame);
        })""",
        [source, sandbox],
    )
    assert (["in", "alice"] if "origin" in sandbox else ["unknown", None]) == seen


def test_back_after_a_logout_by_a_form(tab: Page, context: BrowserContext, world: World) -> None:
    """A page from the back/forward cache finds out at once that the user has logged out meanwhile."""
    tab.evaluate("native('/auth/logout', { method: 'POST' })")  # like a form: the page's session does not see it
    assert "alice" == tab.evaluate("session.user.username")
    tab.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    tab.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    shows(tab, "out nobody")
    assert [401] == refreshes(world.seen())
    # and that the user has logged in again
    world.log_in(world.open(context))
    shows(tab, "in alice")  # the channel between tabs is open again


def test_back_after_a_login_by_a_form(context: BrowserContext, world: World) -> None:
    """A page from the back/forward cache finds out at once that a user has logged in by a form meanwhile."""
    tab = world.open(context)
    shows(tab, "out nobody")
    tab.evaluate(
        """(credentials) => native('/auth/login', {
            method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(credentials),
        }).then((answer) => answer.status)""",
        {"username": ALICE.username, "password": PASSWORD},
    )
    tab.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    shows(tab, "in alice")


def test_logging_out_everywhere(tab: Page, world: World) -> None:
    """`logout({ everywhere: true })` ends the sessions of all devices of the user."""
    credentials = {"username": ALICE.username, "password": PASSWORD, "tokenDelivery": "body"}
    phone = httpx2.post(f"{world.address}/auth/login", json=credentials).json()["refreshToken"]
    log_out(tab, everywhere=True)
    shows(tab, "out nobody")
    assert 401 == httpx2.post(f"{world.address}/auth/refresh", json={"refreshToken": phone}).status_code
    assert "unknown option 'everwhere'" in log_out(tab, everwhere=True)["message"]


def test_closing_while_a_request_waits(tab: Page, world: World) -> None:
    """After `close`, waiting requests and later calls throw `SessionClosed`. Nobody is logged out."""
    world.expire()
    world.delay = 1
    tab.evaluate("sleepFor(60_000)")
    tab.evaluate("() => { window.pending = ask('/api/items') }")
    tab.evaluate("() => { session.close(); session.close(); }")
    assert "SessionClosed" == tab.evaluate("window.pending")["error"]
    assert "SessionClosed" == ask(tab)["error"]
    assert "SessionClosed" == log_out(tab)["error"]
    assert [] == happened(tab, "loggedOut")
    assert EventCode.LOGGED_OUT not in world.counts()


@pytest.mark.not_for(axios="it reads no streams")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stream_ends_with_its_login(tab: Page, context: BrowserContext, world: World, method: str) -> None:
    """A stream ends when the user who opened it logs out in another tab."""
    tab.evaluate(
        """async (method) => {
            let opened;
            await client.perform(async (session) => { opened = await session.fetch("/api/stream", { method }); });
            const reader = opened.body.getReader();
            const login = session.signal;
            // WebKit throws its own error, not the signal's reason
            const ended = ({ name, code }) => (name === "AbortError" ? login.reason.code : code);
            const read = () => reader.read().then(read, ended);
            await reader.read();
            window.pending = read();
        }""",
        method,
    )
    log_out(world.open(context))
    assert "login_required" == tab.evaluate("window.pending")


def test_waiting_request_ends_with_its_login(tab: Page, world: World) -> None:
    """A logout ends a request that waits for a refresh with `LoginRequired`, and aborts the signal."""
    world.expire()
    world.delay = 1
    tab.evaluate("sleepFor(60_000)")
    tab.evaluate("() => { window.login = session.signal; window.pending = ask('/api/items') }")
    log_out(tab)
    assert "LoginRequired" == tab.evaluate("window.pending")["error"]
    assert [True, "login_required"] == tab.evaluate("[login.aborted, login.reason.code]")
    assert not tab.evaluate("session.signal.aborted")


def test_code_behind_installed_fetch_sees_401(context: BrowserContext, world: World) -> None:
    """When the session has ended, existing code behind `installFetch` gets a 401, not an exception."""
    tab = world.open(context, "&installed")
    world.log_in(tab)
    assert 200 == ask(tab)["status"]
    tab.evaluate("native('/auth/logout', { method: 'POST' })")
    world.expire()
    tab.evaluate("sleepFor(60_000)")
    for _ in range(2):
        assert 401 == ask(tab)["status"]
