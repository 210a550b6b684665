"""daypass.js across tabs, reloads and sleep, in real browsers: all tabs share one refresh, one login, one logout."""

import time

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page

from daypass import EventCode

from ..cookie_names import refresh_cookie
from .world import Asked, Instead, World, ask, happened, log_in, log_out, refreshes, shows

ITEMS = "/api/items"
READ = {"status": 200, "data": {"user": "alice"}}
REFRESHED = Asked("POST", "/auth/refresh", 200)


@pytest.fixture
def tabs(context: BrowserContext, world: World) -> list[Page]:
    """Return three tabs. The user logged in in the first one, when all were open."""
    tabs = [world.open(context) for _ in range(3)]
    for tab in tabs:
        assert tab.evaluate("session.ready") is None
    world.log_in(tabs[0])
    for tab in tabs:
        shows(tab, "in alice")
        tab.evaluate("sleepFor(1_050)")  # a 401 within a second after the token was issued is not retried
    return tabs


def test_a_login_reaches_every_tab(tabs: list[Page], world: World) -> None:
    """A login in one tab logs in all tabs, without another request."""
    assert [] == world.seen()
    for tab in tabs[1:]:
        (event,) = happened(tab, "loggedIn")
        assert (True, "alice") == (event["shared"], event["user"]["username"])
        assert READ == ask(tab)
    assert 2 * [Asked("GET", ITEMS, 200, 0)] == world.seen()


def test_one_refresh_for_all_tabs(tabs: list[Page], world: World) -> None:
    """Three tabs send thirty requests each when the token has expired: they share one refresh."""
    world.expire()
    for tab in tabs:
        tab.evaluate("() => { window.pending = askMany(30, '/api/items') }")
    for tab in tabs:
        assert 30 * [READ] == tab.evaluate("window.pending")
    seen = world.seen()
    assert [200] == refreshes(seen)
    assert {1} == {each.token for each in seen if each.path == ITEMS and each.status == 200}
    assert [False, True, True] == sorted(event["shared"] for tab in tabs for event in happened(tab, "refreshed"))


def test_one_tab_refreshes_during_an_outage(tabs: list[Page], world: World) -> None:
    """If a refresh fails, all tabs that wait for it fail too, without a request from each."""
    world.expire()
    world.delay = 0.3
    world.instead = 3 * [Instead(503)]
    for tab in tabs:
        tab.evaluate("() => { window.pending = ask('/api/items') }")
    assert {"RefreshUnavailable"} == {tab.evaluate("window.pending")["error"] for tab in tabs}
    assert [503, 503, 503] == refreshes(world.seen())


@pytest.mark.every_engine
def test_a_logout_reaches_every_tab(tabs: list[Page], world: World) -> None:
    """A logout in one tab logs out all tabs, and no request carries the revoked token."""
    log_out(tabs[0])
    for tab in tabs:
        shows(tab, "out nobody")
        assert ["logout"] == [event["reason"] for event in happened(tab, "loggedOut")]
        assert "LoginRequired" == ask(tab)["error"]
    assert [Asked("POST", "/auth/logout", 204), *3 * [Asked("GET", ITEMS, 401, None)]] == world.seen()


def test_end_of_the_session_reaches_every_tab(tabs: list[Page], world: World) -> None:
    """When the server ends the session, one tab finds out and all tabs get one event each."""
    httpx2.post(f"{world.address}/auth/logout", cookies={"daypass": cookie(tabs[0])})
    world.seen()
    assert "LoginRequired" == ask(tabs[1])["error"]
    for tab in tabs:
        tab.wait_for_function("happened('loggedOut').length === 1")
    assert [401] == refreshes(world.seen())


def test_a_logout_in_one_tab_during_a_refresh_in_another(tabs: list[Page], world: World) -> None:
    """The token that a refresh brings after the user has logged out in another tab is not taken, in any tab."""
    world.expire()
    world.delay = 10
    tabs[1].evaluate("() => { window.pending = ask('/api/items') }")
    tabs[1].wait_for_function("happened('unauthorized').length === 1")
    log_out(tabs[0])
    world.delay = 0
    assert "LoginRequired" == tabs[1].evaluate("window.pending")["error"]
    tabs[0].wait_for_timeout(300)
    assert 3 * [None] == [tab.evaluate("session.user") for tab in tabs]
    assert [] == [event for tab in tabs for event in happened(tab, "refreshed")]


def test_login_again_in_another_tab(tabs: list[Page], world: World) -> None:
    """After a logout in one tab, a login in another is adopted by all."""
    log_out(tabs[0])
    shows(tabs[2], "out nobody")
    world.log_in(tabs[2])
    for tab in tabs:
        shows(tab, "in alice")
        assert READ == ask(tab)
    assert 3 * [Asked("GET", ITEMS, 200, 1)] == world.seen()


@pytest.mark.every_engine
def test_another_user_in_another_tab(tabs: list[Page], world: World) -> None:
    """After another user's login in another tab, requests are that user's, and the first login's signal is aborted."""
    tabs[0].evaluate("() => { window.login = session.signal }")
    log_in(tabs[1], "ben")
    shows(tabs[0], "in ben")
    assert [True, "login_required"] == tabs[0].evaluate("[login.aborted, login.reason.code]")
    for tab in tabs[:2]:
        assert {"status": 200, "data": {"user": "ben"}} == ask(tab)


def test_a_new_tab_is_given_the_token(tabs: list[Page], context: BrowserContext, world: World) -> None:
    """A tab that is opened later gets the token from the others, without a refresh if they answer within 30 ms."""
    for _ in range(5):  # a busy machine may need longer
        later = world.open(context)
        assert "alice" == later.evaluate("session.ready")["username"]
        assert READ == ask(later)
        if not refreshes(seen := world.seen()):
            break
    assert [ITEMS] == [each.path for each in seen]


def test_a_tab_that_hangs(tabs: list[Page], world: World) -> None:
    """A tab that hangs while it holds the lock delays the others by at most four seconds."""
    tabs[0].evaluate(
        """async () => {
            await new Promise((have) =>
                navigator.locks.request(`daypass ${location.origin}/auth`, () => (have(), new Promise(() => {}))));
        }"""
    )
    world.expire()
    started = time.monotonic()
    assert READ == ask(tabs[1])
    assert 3.5 < time.monotonic() - started < 7
    assert [200] == refreshes(world.seen())


def test_without_locks(context: BrowserContext, world: World) -> None:
    """Without Web Locks several tabs may refresh at once: the server's grace period keeps all of them logged in."""
    tabs = [world.open(context, "&without=locks") for _ in range(3)]
    world.log_in(tabs[0])
    shows(tabs[2], "in alice")
    for turn in (1, 2):
        world.expire()
        for tab in tabs:
            tab.evaluate("sleepFor(1_050)")
        for tab in tabs:
            tab.evaluate("() => { window.pending = askMany(10, '/api/items') }")
        for tab in tabs:
            assert 10 * [READ] == tab.evaluate("window.pending")
        assert {200} == set(refreshes(world.seen()))
        assert turn == world.counts()[EventCode.ROTATED]


# ---- reload, sleep, closing


@pytest.mark.every_engine
def test_a_reload(tabs: list[Page], world: World) -> None:
    """After a reload the session is restored by itself, before the page sends a request."""
    for other in tabs[1:]:
        other.close()
    tab = tabs[0]
    tab.reload()
    tab.wait_for_function("window.loaded")
    assert "alice" == tab.evaluate("session.ready")["username"]
    shows(tab, "in alice")
    assert READ == ask(tab)
    assert [REFRESHED, Asked("GET", ITEMS, 200, 1)] == world.seen()


def test_requests_before_the_session_is_restored(tabs: list[Page], world: World) -> None:
    """Requests of a page that has just been loaded wait until the session is restored, and are sent once."""
    for other in tabs[1:]:
        other.close()
    world.delay = 0.3
    tabs[0].reload(wait_until="commit")
    tabs[0].wait_for_function("!!window.askMany")
    assert 10 * [READ] == tabs[0].evaluate("askMany(10, '/api/items')")
    assert [REFRESHED, *10 * [Asked("GET", ITEMS, 200, 1)]] == world.seen()


def test_nobody_is_logged_in(context: BrowserContext, world: World) -> None:
    """For a visitor who never logged in there is one refresh, no error and no event, and requests are sent."""
    tab = world.open(context)
    assert tab.evaluate("session.ready") is None
    assert {"status": 200, "data": {"public": True}} == ask(tab, "/api/public")
    assert "LoginRequired" == ask(tab)["error"]
    assert [401] == refreshes(world.seen())
    assert [] == tab.evaluate("events")


def test_waking_up(tabs: list[Page], world: World) -> None:
    """A page that wakes up after its token has expired refreshes it at once, before it sends a request."""
    world.expire()
    for tab in tabs:
        tab.evaluate("sleepFor(60_000)")
    tabs[0].evaluate("dispatchEvent(new Event('visibilitychange'))")
    tabs[2].wait_for_function("happened('refreshed').length === 1")
    assert [REFRESHED] == world.seen()
    assert READ == ask(tabs[2])
    assert [Asked("GET", ITEMS, 200, 1)] == world.seen()


def test_a_clock_that_is_set_back(tabs: list[Page], world: World) -> None:
    """Setting the wall clock back by a year changes nothing: a token's lifetime is measured from its receipt."""
    tabs[0].wait_for_timeout(1_050)
    tabs[0].evaluate("sleepFor(-365 * 86_400_000)")
    assert READ == ask(tabs[0])
    world.expire()
    assert READ == ask(tabs[0])
    assert [200] == refreshes(world.seen())


def test_a_reload_during_a_refresh(tabs: list[Page], world: World) -> None:
    """A page that is reloaded during a refresh is still logged in."""
    for other in tabs[1:]:
        other.close()
    world.expire()
    world.delay = 0.4
    for _ in range(3):
        tabs[0].evaluate("() => { session.refresh() }")
        tabs[0].wait_for_timeout(200)
        tabs[0].reload()
        tabs[0].wait_for_function("window.loaded")
    assert "alice" == tabs[0].evaluate("session.ready")["username"]
    assert READ == ask(tabs[0])
    assert {200} == set(refreshes(world.seen()))


@pytest.mark.not_for(axios="it has no `keepalive`")
def test_keepalive_request_of_a_closed_page(tabs: list[Page], world: World) -> None:
    """A `keepalive` request that a page sends while it is closed arrives, with the token."""
    tabs[0].evaluate(
        """() => addEventListener("pagehide", () => {
            client.perform((session) => session.fetch("/api/items", { method: "POST", body: "bye", keepalive: true }));
        })"""
    )
    tabs[0].goto("about:blank")
    deadline = time.monotonic() + 5
    while not world.log and time.monotonic() < deadline:
        tabs[1].wait_for_timeout(20)
    assert [Asked("POST", ITEMS, 200, 0)] == world.seen()
    assert [b"bye"] == world.bodies


def test_logging_out_offline(tabs: list[Page], context: BrowserContext, world: World) -> None:
    """A user who logs out offline stays logged out after a reload: the logout is sent before a session is restored."""
    world.set_offline(tabs[0], offline=True)
    assert "RefreshUnavailable" == log_out(tabs[0])["error"]
    for tab in tabs:
        shows(tab, "out nobody")
    world.set_offline(tabs[0], offline=False)
    tabs[0].wait_for_function("navigator.onLine")
    tabs[0].reload()
    tabs[0].wait_for_function("window.loaded")
    assert tabs[0].evaluate("session.ready") is None
    assert ("POST", "/auth/logout", 204) == (lambda each: (each.method, each.path, each.status))(world.seen()[0])
    assert 1 == world.counts()[EventCode.LOGGED_OUT]
    assert [] == context.cookies()


# ---- thieves


def cookie(tab: Page) -> str:
    """Return the refresh token from the browser's cookies. No script can read it."""
    (found,) = tab.context.cookies()
    return str(found["value"])


def test_a_thief_is_caught(tabs: list[Page], world: World) -> None:
    """If a thief and the owner both use a refresh token, the session ends for both. All tabs are logged out."""
    stolen = cookie(tabs[0])
    world.expire()
    assert READ == ask(tabs[0])  # the owner uses it
    for _ in range(2):  # and goes on
        for tab in tabs:
            tab.evaluate("sleepFor(1_050)")
        world.expire()
        assert READ == ask(tabs[1])
    world.expire()
    for tab in tabs:
        tab.evaluate("sleepFor(1_050)")
    world.seen()
    thief = httpx2.post(f"{world.address}/auth/refresh", cookies={"daypass": stolen})
    assert 401 == thief.status_code
    assert 1 == world.counts()[EventCode.REUSED]
    world.seen()
    assert "LoginRequired" == ask(tabs[0])["error"]
    for tab in tabs:
        tab.wait_for_function("happened('loggedOut').length === 1")
    assert [401] == refreshes(world.seen())


def test_a_thief_who_refreshes_first(tabs: list[Page], world: World) -> None:
    """If a thief uses the stolen token before its owner, the owner's next refresh ends the session."""
    stolen = cookie(tabs[0])
    world.expire()
    for _ in range(2):
        answer = httpx2.post(f"{world.address}/auth/refresh", cookies={"daypass": stolen})
        assert 200 == answer.status_code
        stolen = refresh_cookie(answer.cookies)
        world.expire()
    assert "LoginRequired" == ask(tabs[0])["error"]
    assert 1 == world.counts()[EventCode.REUSED]
    assert 401 == httpx2.post(f"{world.address}/auth/refresh", cookies={"daypass": stolen}).status_code


def test_scripts_find_no_token(tabs: list[Page]) -> None:
    """A script finds no token in storage, cookies, the session object or its events."""
    text = tabs[0].evaluate(
        """() => JSON.stringify([
            document.cookie, { ...localStorage }, { ...sessionStorage }, { ...session }, events,
        ])"""
    )
    assert "eyJ" not in text
    assert "dpr_" not in text


# ---- logging in


def test_a_wrong_password(context: BrowserContext, world: World) -> None:
    """A wrong password is `CredentialsRejected`; nobody is logged in."""
    tab = world.open(context)
    tab.evaluate("session.ready")
    failed = log_in(tab, password="x")
    assert ("CredentialsRejected", "credentials_rejected") == (failed["error"], failed["code"])
    shows(tab, "out nobody")


def test_invalid_login_request(context: BrowserContext, world: World) -> None:
    """A login request that is invalid is rejected with the server's error code as `reason`."""
    tab = world.open(context)
    failed = tab.evaluate("client.login({})")
    assert ("login_refused", "invalid_request") == (failed["code"], failed["reason"])


def test_a_login_while_a_refresh_is_under_way(tabs: list[Page], context: BrowserContext, world: World) -> None:
    """A login waits for a running refresh in any tab: otherwise its late response would replace the new cookie."""
    world.expire()
    world.delay = 0.5
    tabs[1].evaluate("() => { window.pending = ask('/api/items') }")
    tabs[1].wait_for_function("happened('unauthorized').length === 1")
    log_in(tabs[0])
    assert [("/auth/refresh", 200), ("/auth/login", 200)] == [
        (each.path, each.status) for each in world.seen() if each.path.startswith("/auth")
    ]
    world.delay = 0
    tabs[0].reload()
    tabs[0].wait_for_function("window.loaded")
    assert "alice" == tabs[0].evaluate("session.ready")["username"]
    started = [event.session_id for event in world.events if event.code is EventCode.STARTED]
    answer = tabs[0].evaluate("session.fetch('/auth/me').then((answer) => answer.json())")
    assert started[-1] == answer["sessionId"]
