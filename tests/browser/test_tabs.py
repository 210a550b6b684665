"""daypass.js across tabs, reloads and sleep, in real browsers: one refresh for all, one login, one end."""

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
    """Return three tabs of one user, who logged in in the first when all were open."""
    tabs = [world.open(context) for _ in range(3)]
    for tab in tabs:
        assert tab.evaluate("session.ready") is None
    world.log_in(tabs[0])
    for tab in tabs:
        shows(tab, "in alice")
        tab.evaluate("sleepFor(1_050)")  # so that a 401 is no longer one to a token that came only moments ago
    return tabs


def test_a_login_reaches_every_tab(tabs: list[Page], world: World) -> None:
    """Who logs in in one tab is logged in in all, without another request."""
    assert [] == world.seen()
    for tab in tabs[1:]:
        (event,) = happened(tab, "loggedIn")
        assert (True, "alice") == (event["shared"], event["user"]["username"])
        assert READ == ask(tab)
    assert 2 * [Asked("GET", ITEMS, 200, 0)] == world.seen()


def test_one_refresh_for_all_tabs(tabs: list[Page], world: World) -> None:
    """Three tabs that meet the same expiry at once, thirty requests each, share one refresh."""
    world.expire()
    for tab in tabs:
        tab.evaluate("() => { window.pending = askMany(30, '/api/items') }")
    for tab in tabs:
        assert 30 * [READ] == tab.evaluate("window.pending")
    seen = world.seen()
    assert [200] == refreshes(seen)
    assert {1} == {each.token for each in seen if each.path == ITEMS and each.status == 200}
    assert [False, True, True] == sorted(event["shared"] for tab in tabs for event in happened(tab, "refreshed"))


def test_an_outage_is_asked_about_once(tabs: list[Page], world: World) -> None:
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


def test_the_end_reaches_every_tab(tabs: list[Page], world: World) -> None:
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
    world.delay = 0.5
    tabs[1].evaluate("() => { window.pending = ask('/api/items') }")
    tabs[1].wait_for_function("happened('unauthorized').length === 1")
    log_out(tabs[0])
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
    """Where another user logs in in another tab requests are that user's, and what belongs to the first login ends."""
    tabs[0].evaluate("() => { window.login = session.signal }")
    log_in(tabs[1], "ben")
    shows(tabs[0], "in ben")
    assert [True, "login_required"] == tabs[0].evaluate("[login.aborted, login.reason.code]")
    for tab in tabs[:2]:
        assert {"status": 200, "data": {"user": "ben"}} == ask(tab)


def test_a_new_tab_is_given_the_token(tabs: list[Page], context: BrowserContext, world: World) -> None:
    """A tab that is opened later gets the token from the others, without a refresh if they answer within 30 ms."""
    for _ in range(5):  # on a busy machine they may not
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
    """Where there are no Web Locks several tabs may refresh at once: the server's grace period keeps them all in."""
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
    """After a reload the session comes back by itself, before anything is asked for."""
    for other in tabs[1:]:
        other.close()
    tab = tabs[0]
    tab.reload()
    tab.wait_for_function("window.loaded")
    assert "alice" == tab.evaluate("session.ready")["username"]
    shows(tab, "in alice")
    assert READ == ask(tab)
    assert [REFRESHED, Asked("GET", ITEMS, 200, 1)] == world.seen()


def test_requests_before_the_session_is_back(tabs: list[Page], world: World) -> None:
    """What a page asks for as soon as it is loaded waits for the session to come back, and is asked once."""
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
    """A page that wakes after its token expired gets a new one at once, before anything is asked for."""
    world.expire()
    for tab in tabs:
        tab.evaluate("sleepFor(60_000)")
    tabs[0].evaluate("dispatchEvent(new Event('visibilitychange'))")
    tabs[2].wait_for_function("happened('refreshed').length === 1")
    assert [REFRESHED] == world.seen()
    assert READ == ask(tabs[2])
    assert [Asked("GET", ITEMS, 200, 1)] == world.seen()


def test_a_clock_that_is_set_back(tabs: list[Page], world: World) -> None:
    """A wall clock that is set back by a year changes nothing: a token's life counts from its receipt."""
    tabs[0].wait_for_timeout(1_050)
    tabs[0].evaluate("sleepFor(-365 * 86_400_000)")
    assert READ == ask(tabs[0])
    world.expire()
    assert READ == ask(tabs[0])
    assert [200] == refreshes(world.seen())


def test_a_reload_during_a_refresh(tabs: list[Page], world: World) -> None:
    """A page that goes away in the middle of a refresh loses nothing: the next one is logged in."""
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
def test_a_request_as_the_page_goes(tabs: list[Page], world: World) -> None:
    """A `keepalive` request that a page sends as it is left is sent, with the token."""
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


# ---- thieves and strangers


def cookie(tab: Page) -> str:
    """Return the refresh token, which no script can read, from the browser's own jar."""
    (found,) = tab.context.cookies()
    return str(found["value"])


def test_a_thief_is_caught(tabs: list[Page], world: World) -> None:
    """A stolen refresh token that both use ends the session for both; every tab asks for a login."""
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


def test_a_thief_who_is_first(tabs: list[Page], world: World) -> None:
    """A thief who uses the stolen token before its owner is found out by the owner's next refreshes."""
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


def test_out_of_reach(tabs: list[Page]) -> None:
    """No script finds a token anywhere: not in storage, cookies, the session object or its events."""
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


def test_a_login_that_makes_no_sense(context: BrowserContext, world: World) -> None:
    """A login that the server refuses for how it was asked says what the server called it."""
    tab = world.open(context)
    failed = tab.evaluate("client.login({})")
    assert ("login_refused", "invalid_request") == (failed["code"], failed["reason"])


def test_a_login_while_a_refresh_is_under_way(tabs: list[Page], context: BrowserContext, world: World) -> None:
    """A login waits for a refresh under way in any tab, so that no late answer puts the old cookie over the new."""
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
