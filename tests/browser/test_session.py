"""daypass.js in real browsers, with `session.fetch`, axios, React and Vue: what the page and the server see."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from daypass import EventCode
from daypass.duration import Duration

from .marks import only
from .stranger import Stranger, standing_by
from .world import Asked, Instead, World, ask, happened, log_out, refreshes, shows

ITEMS = "/api/items"
READ = {"status": 200, "data": {"user": "alice"}}
FIRST = Asked("GET", ITEMS, 200, 0)
REFRESHED = Asked("POST", "/auth/refresh", 200)


of_axios = only("axios", why="about axios")


@pytest.fixture
def tab(context: BrowserContext, world: World) -> Page:
    """Return a tab whose user has logged in."""
    tab = world.open(context)
    world.log_in(tab)
    tab.evaluate("sleepFor(1_050)")  # a 401 within a second after the token was issued is not retried
    return tab


# ---- expiry


@pytest.mark.every_engine
def test_read_after_expiry(tab: Page, world: World) -> None:
    """After a 401 to an expired token, it is refreshed and the request sent again. The page gets 200."""
    for turn in range(2):
        world.expire()
        assert READ == ask(tab)
        assert [
            Asked("GET", ITEMS, 401, turn),
            REFRESHED,
            Asked("GET", ITEMS, 200, turn + 1),
        ] == world.seen()
        tab.evaluate("sleepFor(1_050)")
    assert 2 == len(happened(tab, "replayed"))


def test_expired_by_the_clock(tab: Page, world: World) -> None:
    """A token that expired while the machine slept is refreshed before a request is sent."""
    world.expire()
    tab.evaluate("sleepFor(60_000)")
    assert READ == ask(tab)
    assert [REFRESHED, Asked("GET", ITEMS, 200, 1)] == world.seen()
    assert [] == happened(tab, "unauthorized")


def test_ahead_of_expiry(tab: Page, world: World) -> None:
    """Shortly before expiry a request is sent with the current token, which is refreshed in the background."""
    world.delay = 1.5
    tab.evaluate("sleepFor(47_000)")
    assert READ == ask(tab)
    assert [FIRST] == world.seen()
    tab.wait_for_function("happened('refreshed').length === 1")
    assert READ == ask(tab)
    assert [REFRESHED, Asked("GET", ITEMS, 200, 1)] == world.seen()


@pytest.mark.every_engine
@pytest.mark.parametrize("ending", ["expiry", "early revocation"])
def test_a_hundred_at_once(tab: Page, world: World, ending: str) -> None:
    """A hundred requests at once with an expired or revoked token all succeed, after one refresh."""
    if ending == "expiry":
        world.expire()
    else:
        world.revoke()
    answers = tab.evaluate("askMany(100, '/api/items')")
    assert 100 * [READ] == answers
    seen = world.seen()
    assert [200] == refreshes(seen)
    asked = [each for each in seen if each.path == ITEMS]
    assert 100 == sum(each.status == 200 for each in asked)
    assert {(401, 0), (200, 1)} == {(each.status, each.token) for each in asked}


@pytest.mark.parametrize("kind", ["json", "params", "buffer", "blob", "form"])
def test_upload_after_expiry(tab: Page, world: World, kind: str) -> None:
    """A body of each kind arrives whole, and the retry sends the same bytes as the first attempt."""
    assert 200 == tab.evaluate("(kind) => upload(kind)", kind)["status"]
    world.expire()
    answer = tab.evaluate("(kind) => upload(kind)", kind)
    before, after = world.bodies
    if kind == "form":  # the boundary is new for each form
        before, after = (body.replace(body.split(b"\r\n")[0].strip(b"-"), b"") for body in (before, after))
        assert 300_000 * b"C" in after
        assert b'filename="cat.png"' in after
    assert (200, len(world.bodies[1])) == (answer["status"], answer["data"]["bytes"])
    assert hashlib.sha256(before).digest() == hashlib.sha256(after).digest()
    assert len(after) > 4_000
    upload = "/api/upload"
    first, *rest = world.seen()
    assert Asked("POST", upload, 200, 0) == first
    assert [Asked("POST", upload, 401, 0), REFRESHED, Asked("POST", upload, 200, 1)] == rest


@pytest.mark.not_for(axios="it reads the body after its interceptors")
@pytest.mark.parametrize("kind", ["bytes", "params", "form"])
def test_a_body_that_changes_meanwhile(tab: Page, world: World, kind: str) -> None:
    """If the caller changes a body after the call, the retry still sends the original."""
    world.expire()
    tab.evaluate(
        """async (kind) => {
            const body = { bytes: new TextEncoder().encode("before"), params: new URLSearchParams({ is: "before" }) };
            body.form = new FormData();
            body.form.set("is", "before");
            await client.perform(async (session) => {
                const sending = session.fetch("/api/upload", { method: "POST", body: body[kind] });
                if (kind === "bytes") body.bytes.fill(65);
                else body[kind].set("is", "after");
                await sending;
            });
        }""",
        kind,
    )
    (sent,) = world.bodies
    assert b"before" in sent


# ---- a 401 that is not about an expired token


def test_a_401_to_a_fresh_token(context: BrowserContext, world: World) -> None:
    """A 401 within a second after the token was issued is returned to the caller, without a refresh."""
    tab = world.open(context)
    world.log_in(tab)
    assert {"status": 401, "data": {"error": "never"}} == ask(tab, "/api/never")
    assert [Asked("GET", "/api/never", 401, 0)] == world.seen()


def test_a_401_that_stays(tab: Page, world: World) -> None:
    """A 401 to the retry is returned to the caller: a request is retried once, never in a loop."""
    assert {"status": 401, "data": {"error": "never"}} == ask(tab, "/api/never")
    never = "/api/never"
    assert [Asked("GET", never, 401, 0), REFRESHED, Asked("GET", never, 401, 1)] == world.seen()


@pytest.mark.parametrize("challenge", ['Session realm="x"', 'Bearer realm="x", error="insufficient_scope"'])
def test_a_401_about_something_else(tab: Page, world: World, challenge: str) -> None:
    """A 401 whose challenge is not about an invalid token is returned to the caller, without a refresh."""
    path = f"/api/never?challenge={challenge}"
    assert 401 == ask(tab, path)["status"]
    assert [Asked("GET", "/api/never", 401, 0)] == world.seen()


def test_the_callers_own_authorization(tab: Page, world: World) -> None:
    """A request with the caller's own ``Authorization`` is sent unchanged, and its response is returned unchanged."""
    answer = ask(tab, "/api/items", headers={"Authorization": "Bearer mine"})
    assert 401 == answer["status"]
    assert [Asked("GET", ITEMS, 401, None)] == world.seen()


# ---- failures of the server and the network


def test_a_lost_answer(tab: Page, world: World) -> None:
    """If the response to a refresh is lost, the refresh is sent again at once, and the page gets 200."""
    world.expire()
    world.lose_refreshes = 1
    assert READ == ask(tab)
    assert [502, 200] == refreshes(world.seen())
    assert (1, 1) == (world.counts()[EventCode.ROTATED], world.counts()[EventCode.REPEATED])


def test_a_stale_cookie(tab: Page, world: World) -> None:
    """A 409 `token_stale` does not log out: the refresh is sent again with the cookie that the browser has by then."""
    world.expire()
    world.instead = [Instead(409, b'{"message": "A newer refresh token was given out", "error": "token_stale"}')]
    assert READ == ask(tab)
    assert [409, 200] == refreshes(world.seen())


def test_503_that_passes(tab: Page, world: World) -> None:
    """A refresh that gets one 503 is sent again after `Retry-After`. The page gets 200."""
    world.expire()
    world.instead = [Instead(503, headers={"retry-after": "1"})]
    started = tab.evaluate("performance.now()")
    assert READ == ask(tab)
    assert tab.evaluate("performance.now()") - started >= 1_000
    assert [503, 200] == refreshes(world.seen())


@pytest.mark.every_engine
def test_503_that_stays(tab: Page, world: World) -> None:
    """An outage does not log out: after three attempts requests fail with `RefreshUnavailable`, until it ends."""
    world.expire()
    world.instead = 3 * [Instead(503)]
    five = (
        "async () => { const all = []; while (all.length < 5) all.push((await ask('/api/items')).error); return all; }"
    )
    assert 5 * ["RefreshUnavailable"] == tab.evaluate(five)
    seen = world.seen()
    assert [503, 503, 503] == refreshes(seen)
    assert [Asked("GET", ITEMS, 401, 0)] == [each for each in seen if each.path == ITEMS]  # expired, and not sent again
    assert [] == happened(tab, "loggedOut")
    shows(tab, "in alice")
    assert 1 == len(happened(tab, "refreshFailed"))
    tab.wait_for_function("happened('refreshed').length === 1")  # by itself, after a pause
    assert READ == ask(tab)
    assert [200] == refreshes(world.seen())


@pytest.mark.every_engine
def test_page_loaded_while_the_server_is_down(tab: Page, world: World) -> None:
    """A page loaded while the server is down has the status `unknown`, and later becomes `in` by itself."""
    world.instead = 3 * [Instead(503)]
    tab.reload()
    tab.wait_for_function("window.loaded")
    assert [None, "unknown"] == tab.evaluate("session.ready.then((user) => [user, session.status])")
    shows(tab, "unknown nobody")
    shows(tab, "in alice")
    assert READ == ask(tab)
    assert [503, 503, 503, 200] == refreshes(world.seen())


def test_503_while_the_token_is_good(tab: Page, world: World) -> None:
    """While the token is valid, an outage of the issuer has no effect."""
    world.instead = 30 * [Instead(503)]
    tab.evaluate("sleepFor(47_000)")
    assert 3 * [READ] == [ask(tab) for _ in range(3)]
    tab.wait_for_function("happened('refreshFailed').length === 1")
    assert READ == ask(tab)


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b"<h1>Log in to the Wi-Fi</h1>"), (403, b'{"error": "blocked"}'), (400, b"{}"), (200, b"<html>")],
)
def test_a_proxys_answer_ends_no_session(tab: Page, world: World, status: int, body: bytes) -> None:
    """The error page of a proxy or captive portal does not end the session."""
    world.expire()
    world.instead = [Instead(status, body)]
    assert READ == ask(tab)
    assert [status, 200] == refreshes(world.seen())


def test_offline(tab: Page, context: BrowserContext, world: World) -> None:
    """While the browser is offline, the session is kept. When it is online again, the token is refreshed by itself."""
    world.expire()
    tab.evaluate("sleepFor(60_000)")
    world.set_offline(tab, offline=True)
    assert "RefreshUnavailable" == ask(tab)["error"]
    assert [] == world.seen()
    world.set_offline(tab, offline=False)
    tab.wait_for_function("happened('refreshed').length === 1")
    assert READ == ask(tab)
    assert [REFRESHED, Asked("GET", ITEMS, 200, 1)] == world.seen()
    assert [] == happened(tab, "loggedOut")


# ---- the end of a session


@pytest.mark.every_engine
def test_session_ended_by_the_server(tab: Page, world: World) -> None:
    """When the server ends the session, all waiting requests fail, and the page gets one event."""
    world.expire()
    world.instead = [Instead(401, b'{"message": "Authentication failed", "error": "invalid_grant"}')]
    answers = tab.evaluate("askMany(10, '/api/items')")
    assert {"LoginRequired"} == {answer.get("error") for answer in answers}
    assert [401] == refreshes(world.seen())
    assert 1 == len(happened(tab, "loggedOut"))
    shows(tab, "out nobody")


def test_logged_out_means_no_token(tab: Page, world: World) -> None:
    """After a logout requests have no token: a public resource is returned, and a 401 throws `LoginRequired`."""
    log_out(tab)
    assert "LoginRequired" == ask(tab)["error"]
    assert {"status": 200, "data": {"public": True}} == ask(tab, "/api/public")
    assert [
        Asked("POST", "/auth/logout", 204),
        Asked("GET", ITEMS, 401, None),
        Asked("GET", "/api/public", 200, None),
    ] == world.seen()
    assert ["logout"] == [event["reason"] for event in happened(tab, "loggedOut")]


def test_logout_during_a_refresh(tab: Page, world: World) -> None:
    """A logout during a refresh wins: the new token is dropped."""
    world.expire()
    world.delay = 0.5
    tab.evaluate("() => { window.pending = ask('/api/items') }")
    tab.wait_for_function("happened('unauthorized').length === 1")
    log_out(tab)
    assert "LoginRequired" == tab.evaluate("window.pending")["error"]
    shows(tab, "out nobody")
    assert [] == happened(tab, "refreshed")
    world.delay = 0
    tab.reload()
    tab.wait_for_function("window.loaded")
    assert tab.evaluate("session.ready") is None
    shows(tab, "out nobody")


# ---- aborted requests


@pytest.mark.every_engine
def test_an_aborted_request(tab: Page, world: World, client: str) -> None:
    """Aborting during a refresh rejects at once. The refresh goes on, and the next request uses its token."""
    world.expire()
    world.delay = 1.0
    took, seen = tab.evaluate(
        """async () => {
            const controller = new AbortController();
            const asked = ask("/api/items", { signal: controller.signal });
            while (!happened("unauthorized").length) await new Promise((go) => setTimeout(go, 5));
            const started = performance.now();
            controller.abort(new Error("no longer wanted"));
            const seen = await asked;
            return [performance.now() - started, seen];
        }"""
    )
    assert took < 300
    assert (("CanceledError", "canceled") if client == "axios" else ("Error", "no longer wanted")) == (
        seen["error"],
        seen["message"],
    )
    tab.wait_for_function("happened('refreshed').length === 1")
    assert READ == ask(tab)
    seen = world.seen()
    assert [200] == refreshes(seen)
    assert Asked("GET", ITEMS, 200, 1) == seen[-1]


# ---- where the token goes


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """Return the address of a server of another origin, and the headers of its requests."""
    with standing_by() as found:
        yield found


def test_redirect_to_another_origin(tab: Page, world: World, stranger: Stranger) -> None:
    """After a redirect to another origin no token is sent there, and a 401 from there causes no refresh."""
    elsewhere, requests = stranger
    answer = ask(tab, f"/api/redirect?to={elsewhere}/401")
    assert 401 == answer["status"]
    assert [None] == [request.get("authorization") for request in requests if request[":method"] == "GET"]
    assert [Asked("GET", "/api/redirect", 307, 0)] == world.seen()


def test_another_origin(tab: Page, world: World, stranger: Stranger) -> None:
    """Another origin gets no token, unless `origins` names it."""
    elsewhere, requests = stranger
    assert 401 == ask(tab, f"{elsewhere}/401")["status"]
    assert [None] == [request.get("authorization") for request in requests if request[":method"] == "GET"]
    tab.evaluate("(origin) => { session.close(); begin({ origins: [origin] }) }", elsewhere)
    tab.evaluate("session.ready")
    assert 200 == ask(tab, f"{elsewhere}/200")["status"]
    assert requests[-1]["authorization"].startswith("Bearer ")


def test_a_redirected_post_is_not_repeated(tab: Page, world: World) -> None:
    """A POST that was redirected and then got 401 is not retried, but the token is refreshed for the next request."""
    world.expire()
    redirect = "/api/redirect?to=/api/items"
    assert 401 == ask(tab, redirect, method="POST", body="once")["status"]
    assert [
        Asked("POST", "/api/redirect", 307, 0),
        Asked("POST", ITEMS, 401, 0),
        REFRESHED,
    ] == world.seen()
    assert READ == ask(tab)
    assert [Asked("GET", ITEMS, 200, 1)] == world.seen()


# ---- real time


class TestRealTime:
    """With the real clock, and tokens that live three seconds."""

    @pytest.fixture
    def lifetimes(self) -> dict[str, Duration]:
        return {"access_ttl": "3s", "grace_period": "1s"}

    def test_nobody_sees_an_expiry(self, tab: Page, world: World) -> None:
        """For eight seconds no request fails: each token is refreshed before or at its expiry."""
        statuses = tab.evaluate(
            """async () => {
                const statuses = [];
                const end = performance.now() + 8000;
                while (performance.now() < end) {
                    statuses.push((await ask("/api/items")).status);
                    await new Promise((go) => setTimeout(go, 50));
                }
                return statuses;
            }"""
        )
        assert {200} == set(statuses)
        seen = world.seen()
        assert 2 <= len(refreshes(seen)) <= 6
        assert len(statuses) == sum(each.path == ITEMS and each.status == 200 for each in seen)


class TestHidden:
    """In a hidden tab, with tokens that live three seconds."""

    HIDE = """(state) => {
        Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
        document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    }"""

    @pytest.fixture
    def lifetimes(self) -> dict[str, Duration]:
        return {"access_ttl": "3s", "grace_period": "1s"}

    def test_a_forgotten_tab(self, context: BrowserContext, world: World) -> None:
        """An unused token in a hidden tab expires; when the tab becomes visible, it is refreshed."""
        tab = world.open(context)
        world.log_in(tab)
        tab.evaluate(self.HIDE, "hidden")
        tab.wait_for_timeout(4_000)
        assert [] == world.seen()
        tab.evaluate(self.HIDE, "visible")
        tab.wait_for_function("happened('refreshed').length === 1")
        assert [REFRESHED] == world.seen()

    def test_a_busy_tab(self, tab: Page, world: World) -> None:
        """A hidden tab that sends requests refreshes ahead of expiry, like any other."""
        tab.evaluate(self.HIDE, "hidden")
        assert READ == ask(tab)
        tab.wait_for_function("happened('refreshed').length === 1")
        assert [200] == refreshes(world.seen())


@pytest.mark.every_engine
@of_axios
def test_axios_hooks_see_one_answer(tab: Page, world: World) -> None:
    """Interceptors and transformations of axios run once, and see only the last response, with the original config."""
    world.expire()
    seen: Any = tab.evaluate(
        """async () => {
            const seen = [];
            api.interceptors.request.use((config) => (seen.push("request"), config));
            api.interceptors.response.use(
                (answer) => (seen.push(answer.status), answer),
                (error) => (seen.push("error"), Promise.reject(error)),
            );
            const answer = await api.post("/api/items", { a: 1 });
            return [seen, answer.config.url, answer.config.transformResponse.length, answer.data];
        }"""
    )
    assert [["request", 200], "/api/items", 1, {"user": "alice"}] == seen
    assert [json.dumps({"a": 1}, separators=(",", ":")).encode()] == world.bodies


@pytest.mark.clients("fetch")
@pytest.mark.not_for(
    axios="left out: 15 seconds long", React="left out: 15 seconds long", Vue="left out: 15 seconds long"
)
@pytest.mark.engines("chromium")
def test_refresh_without_a_response(tab: Page, world: World) -> None:
    """A refresh without a response ends at its own deadline, after two attempts, not at the caller's timeout."""
    world.expire()
    world.silent = True
    started = tab.evaluate("performance.now()")
    assert "RefreshUnavailable" == ask(tab)["error"]
    assert 9_000 < tab.evaluate("performance.now()") - started < 17_000
    world.silent = False
    tab.wait_for_function("happened('refreshed').length === 1")
    assert READ == ask(tab)


@pytest.mark.every_engine
@of_axios
def test_axios_config_stays_the_callers(tab: Page, world: World) -> None:
    """The config of a response contains no token. So a retry plugin that sends it again gets a valid one."""
    seen: Any = tab.evaluate(
        """async () => {
            const first = await api.post("/api/items", { a: 1 }).catch((error) => error);
            return [first.config.headers.has("Authorization"), JSON.stringify(first.config).includes("Bearer")];
        }"""
    )
    assert [False, False] == seen
    world.expire()
    again = "api.get('/api/never').catch((error) => api.request({ ...error.config, url: '/api/items' }))"
    assert 200 == tab.evaluate(f"{again}.then((answer) => answer.status)")
    assert Asked("GET", ITEMS, 200, 1) == world.seen()[-1]


@pytest.mark.every_engine
@of_axios
def test_axios_defaults_are_not_put_back(tab: Page) -> None:
    """A default header that the caller's interceptor removed is not sent, and one that it added is."""
    with standing_by() as (address, requests):
        tab.evaluate(
            """(url) => {
                session.close();
                begin({ origins: [url] });
                api.defaults.headers.common["X-Default"] = "1";
                api.interceptors.request.use((config) => {
                    config.headers.delete("X-Default");
                    config.headers.set("Content-Language", "de");
                    return config;
                });
                return session.ready.then(() => api.get(`${url}/200`));
            }""",
            address,
        )
    (sent,) = [each for each in requests if each[":method"] == "GET"]
    assert ("x-default" in sent, sent["content-language"]) == (False, "de")
    assert sent["authorization"].startswith("Bearer ")
