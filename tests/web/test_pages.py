"""What happens before and after a page, without a network: a request in, headers out."""

import json
from collections.abc import Callable, Mapping
from http.cookies import SimpleCookie

import pytest

from daypass import ConfigurationError, EventCode, Tokens
from daypass.duration import DAY, MINUTE, SECOND
from daypass.errors import CredentialsRejected
from daypass.web import Application
from daypass.web.browser_login import BrowserLogin
from daypass.web.message import Request, Response
from daypass.web.options import Options
from daypass.web.page_headers import Headers, merge_headers
from daypass.web.pages import Render

from .failing import Failing
from .world import ALICE, BOB, HOST, PASSWORD, SECRET, Asked

Act = Callable[[BrowserLogin], object]

ACCESS, REFRESH, TRIED = "__Host-daypass-access", "__Host-daypass", "__Host-daypass-tried"
CROSS = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}


class Browser:
    """A browser, its cookies, and the pages that it requests."""

    def __init__(
        self,
        asked: Asked,
        *,
        scheme: str = "https",
        host: str = HOST,
        render: Render | None = None,
        options: Options | None = None,
    ) -> None:
        self.asked = asked
        self.pages = Application(asked.auth, **(options or {})).pages(render)
        self.scheme, self.host = scheme, host
        self.jar: dict[str, str] = {}
        self.set: list[str] = []
        """What the last response has set."""

    def ask(
        self,
        method: str = "GET",
        *,
        act: Act = lambda _: None,
        query: str = "",
        jar: dict[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[BrowserLogin, Headers]:
        """Request a page whose application does ``act``; return the login, and the headers of the response."""
        cookies = self.jar if jar is None else jar
        sent = dict(headers or {})
        if cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        request = Request(self.scheme, self.host, sent, method=method, query=query)
        auth = self.asked.auth
        login = auth.run(self.pages.process_request(request, auth.new_call()))
        if login.refusal is not None:
            return login, self._keep(login.refusal.headers)
        act(login)
        ours = auth.run(self.pages.process_response(login, auth.new_call()))
        return login, self._keep(sent_in_the_end(login, ours))

    def _keep(self, headers: Headers) -> Headers:
        self.set = [value for name, value in headers if name == "set-cookie"]
        for header in self.set:
            for name, morsel in SimpleCookie(header).items():
                if header.partition("; Path=/; ")[2].startswith("Max-Age=0;"):
                    self.jar.pop(name, None)
                else:
                    self.jar[name] = morsel.value
        return headers

    def log_in(self, user: str = "alice") -> Tokens:
        tokens = self.asked.auth.login(user, PASSWORD)
        self.ask("POST", act=lambda login: login.log_in(tokens))
        return tokens

    def expire(self) -> None:
        """Let the access token expire; the browser has forgotten it by then."""
        self.asked.clock.advance(self.asked.auth.policy.access_ttl)
        self.jar.pop(ACCESS, None)

    @property
    def names(self) -> list[str]:
        """The names of the cookies that the last response has set or cleared."""
        return [header.partition("=")[0] for header in self.set]


def sent_in_the_end(login: BrowserLogin, ours: Headers) -> Headers:
    return login.refusal.headers if login.refusal else ours


@pytest.fixture
def store() -> Failing:
    return Failing()


@pytest.fixture
def asked(store: Failing) -> Asked:
    return Asked(store)


@pytest.fixture
def browser(asked: Asked) -> Browser:
    return Browser(asked)


def lives(asked: Asked, tokens: Tokens) -> bool:
    return any(session.id == tokens.session.id for session in asked.auth.sessions(tokens.session.subject))


# ---- who comes


def test_a_login(browser: Browser) -> None:
    """A login sets both cookies, out of scripts' reach; the access token's lives no longer than the token."""
    browser.asked.clock.advance(700)
    tokens = browser.log_in()
    attributes = "; Path=/; Max-Age={}; HttpOnly; Secure; SameSite=Lax"
    assert [
        f"{ACCESS}={tokens.access_token}{attributes.format(899)}",
        f"{REFRESH}={tokens.refresh_token}{attributes.format(30 * DAY // SECOND)}",
    ] == browser.set


def test_login_that_is_not_remembered(browser: Browser) -> None:
    """Both cookies go with the browser, after a refresh too."""
    tokens = browser.asked.auth.login("alice", PASSWORD, persistent=False)
    browser.ask("POST", act=lambda login: login.log_in(tokens))
    for _ in range(2):
        assert [ACCESS, REFRESH] == browser.names
        assert not any("max-age" in header.lower() for header in browser.set)
        browser.expire()
        browser.ask()
    browser.ask("POST", act=lambda login: login.log_out())
    assert {} == browser.jar


def test_a_good_access_token(browser: Browser, store: Failing) -> None:
    """A good access token is the user's, costs no store, sets no cookie, and reaches the application as a header."""
    tokens = browser.log_in()
    browser.ask()
    before = store.asked
    login, headers = browser.ask()
    assert login.token is not None
    assert ("user-1", f"Bearer {tokens.access_token}") == (login.token.subject, login.authorization)
    assert (before, (("cache-control", "no-store"), ("vary", "Cookie"))) == (store.asked, headers)
    assert "user-1" in repr(login)
    assert tokens.access_token not in repr(login) + repr(login.state)


def test_a_request_without_cookies_costs_nothing(browser: Browser, store: Failing) -> None:
    """A request without cookies causes no query, and its response says only that it varies by cookies."""
    login, headers = browser.ask("POST", headers={"sec-fetch-site": "cross-site"})
    assert (None, None, None) == (login.token, login.authorization, login.refusal)
    assert (0, (("vary", "Cookie"),)) == (store.asked, headers)


@pytest.mark.parametrize("access", [None, "", "garbage", "eyJ.eyJ.x", "é"])
def test_the_request_is_the_refresh(browser: Browser, access: str | None) -> None:
    """Whatever has become of the access token, a good refresh token is refreshed by the request that brings it."""
    browser.log_in()
    browser.expire()
    old = browser.jar[REFRESH]
    if access is not None:
        browser.jar[ACCESS] = access
    login, headers = browser.ask()
    assert login.token is not None
    assert [ACCESS, REFRESH] == browser.names
    assert f"Bearer {browser.jar[ACCESS]}" == login.authorization
    assert old != browser.jar[REFRESH]
    assert (("cache-control", "no-store"), ("vary", "Cookie")) == headers[-2:]
    browser.ask()
    assert [] == browser.set


def test_an_access_token_that_has_expired(browser: Browser) -> None:
    """At the very moment of its expiry, and not before, an access token that the browser still has is replaced."""
    browser.log_in()
    browser.asked.clock.advance(15 * MINUTE - 1)
    assert browser.ask()[0].token is not None
    assert [] == browser.names
    browser.asked.clock.advance(1)
    assert browser.ask()[0].token is not None
    assert [ACCESS, REFRESH] == browser.names


def test_an_expired_access_token_alone(browser: Browser) -> None:
    """Without a refresh token, an expired access token is no login, and no cookie is changed."""
    browser.log_in()
    del browser.jar[REFRESH]
    browser.asked.clock.advance(15 * MINUTE)
    login, _ = browser.ask()
    assert (None, [], None) == (login.token, browser.set, login.refusal)


def test_ten_at_once(browser: Browser) -> None:
    """Ten requests of one page, with the same old cookies, are all the user's, and all get the same successor."""
    browser.log_in()
    browser.expire()
    old = dict(browser.jar)
    successors = set()
    for _ in range(10):
        assert browser.ask(jar=old)[0].token is not None
        successors.add(browser.jar[REFRESH])
    assert 1 == len(successors)
    codes = [event.code for event in browser.asked.events]
    assert (1, 9) == (codes.count(EventCode.ROTATED), codes.count(EventCode.REPEATED))


def test_a_lost_answer(browser: Browser) -> None:
    """When the answer that brought new cookies is lost, the old ones go on, within the grace period and after it."""
    browser.log_in()
    for wait in (1 * SECOND, 31 * SECOND):
        browser.expire()
        old = dict(browser.jar)
        browser.ask()
        browser.jar = old
        browser.asked.clock.advance(wait)
        assert browser.ask()[0].token is not None
        browser.asked.end_grace()
        browser.jar.pop(ACCESS)
        assert browser.ask()[0].token is not None


def test_held_back(browser: Browser) -> None:
    """If the refresh token is held back, only the access token's cookie is set."""
    browser.log_in()
    browser.expire()
    first = dict(browser.jar)
    browser.ask()  # rotated; this answer is late
    late = {REFRESH: browser.jar[REFRESH]}
    browser.asked.end_grace()
    browser.ask(jar=first)  # branched: another successor
    kept = browser.jar[REFRESH]
    assert browser.ask(jar=late)[0].token is not None
    assert ([ACCESS], kept) == (browser.names, browser.jar[REFRESH])


def test_an_authorization_of_its_own(browser: Browser) -> None:
    """A request with a token in its header is not touched, whatever its cookies; with ``Basic`` the cookies count."""
    browser.log_in()
    browser.expire()
    for value in ("Bearer x", "DPoP x", "bearer"):
        login, headers = browser.ask("POST", headers={"authorization": value, "sec-fetch-site": "cross-site"})
        assert (None, None, None, ()) == (login.token, login.authorization, login.refusal, headers)
    login, headers = browser.ask(headers={"authorization": "Basic eDp5"})
    assert login.token is not None
    assert (None, [ACCESS, REFRESH]) == (login.authorization, browser.names)


# ---- ended sessions


def test_a_definite_rejection(browser: Browser) -> None:
    """A user whose session has ended is logged out, and both cookies are cleared."""
    tokens = browser.log_in()
    browser.asked.auth.logout(tokens.refresh_token)
    login, _ = browser.ask()
    assert (None, None, {}) == (login.token, login.refusal, browser.jar)
    assert [ACCESS, REFRESH] == browser.names


def test_theft(browser: Browser) -> None:
    """When a thief has used a stolen cookie and its owner comes, the session ends, for both of them."""
    browser.log_in()
    thief = Browser(browser.asked)
    thief.jar = {REFRESH: browser.jar[REFRESH]}
    for who in (thief, thief, browser):
        browser.asked.end_grace()
        who.jar.pop(ACCESS, None)
        login, _ = who.ask()
    assert (None, {}) == (login.token, browser.jar)
    assert thief.ask()[0].token is None
    assert EventCode.REUSED in [event.code for event in browser.asked.events]


def test_a_late_answer_clears_nothing(browser: Browser) -> None:
    """Only a navigation clears cookies: other responses may arrive after a new login."""
    tokens = browser.log_in()
    browser.asked.auth.logout(tokens.refresh_token)
    for mode in ("no-cors", "cors", "same-origin", "websocket"):
        login, _ = browser.ask(headers={"sec-fetch-mode": mode})
        assert (None, []) == (login.token, browser.set)
    browser.ask(headers={"sec-fetch-mode": "navigate"})
    assert {} == browser.jar


def test_a_slow_rejected_request_clears_nothing(browser: Browser) -> None:
    """An answer to a navigation that took longer than a second clears nothing: another tab may have logged in."""
    tokens = browser.log_in()
    browser.asked.auth.logout(tokens.refresh_token)
    login, _ = browser.ask(act=lambda _: browser.asked.clock.advance(SECOND))
    assert (None, []) == (login.token, browser.set)
    browser.ask(act=lambda _: browser.asked.clock.advance(SECOND - 1))
    assert {} == browser.jar


def test_a_slow_refresh_does_not_replace_a_new_login(browser: Browser) -> None:
    """While a slow page runs that refreshed, another tab logs in; the slow page's response sets no old cookie."""
    browser.log_in()
    browser.expire()

    def act(_: BrowserLogin) -> None:
        other_tab = Browser(browser.asked)
        other_tab.jar = dict(browser.jar)
        other_tab.log_in("bob@example.com")
        browser.jar.update(other_tab.jar)

    login, headers = browser.ask(act=act)
    assert (ALICE.subject, []) == (login.token and login.token.subject, browser.set)
    assert ("cache-control", "no-store") in headers
    login, _ = browser.ask()
    assert BOB.subject == (login.token and login.token.subject)


def test_a_slow_login_that_was_revoked_sets_nothing(browser: Browser) -> None:
    """A session that is ended before its login's response begins is in no cookie."""
    tokens = browser.asked.auth.login("alice", PASSWORD)

    def act(login: BrowserLogin) -> None:
        login.log_in(tokens)
        browser.asked.auth.end_all(ALICE.subject)

    browser.ask("POST", act=act)
    assert ([], {}) == (browser.set, browser.jar)


@pytest.mark.parametrize("ended", [False, True])
def test_a_request_longer_than_the_access_token_lives(browser: Browser, *, ended: bool) -> None:
    """An upload of twenty minutes that refreshed sets its cookies at the end, unless its session has ended."""
    tokens = browser.log_in()
    browser.expire()

    def act(_: BrowserLogin) -> None:
        if ended:
            browser.asked.auth.logout(tokens.refresh_token)
        browser.asked.clock.advance(20 * MINUTE)

    browser.ask("POST", act=act)
    assert ([] if ended else [ACCESS, REFRESH]) == browser.names


def test_a_store_that_is_down_after_a_long_request(browser: Browser, store: Failing) -> None:
    """If it is unknown whether the session still lives, the response sets no cookie, and the page is served."""
    browser.log_in()
    browser.expire()

    def act(_: BrowserLogin) -> None:
        browser.asked.clock.advance(20 * MINUTE)
        store.down = True

    login, _ = browser.ask("POST", act=act)
    assert (None, []) == (login.refusal, browser.set)


def test_a_rejected_cookie_of_another_application_stays(asked: Asked) -> None:
    """On loopback a cookie without a port that is not ours is not cleared: it may be another application's."""
    near = Browser(asked, scheme="http", host="localhost:8000")
    near.jar = {"daypass": Asked(secret=f"other {SECRET}").login()[1]}
    assert (None, []) == (near.ask()[0].token, near.set)
    mine = asked.login()[1]
    asked.auth.logout(mine)
    near.jar = {"daypass": mine}
    near.ask()
    assert "daypass" in near.names


def stale(browser: Browser) -> dict[str, str]:
    """Return cookies that the browser had before those that it has now."""
    browser.log_in()
    browser.expire()
    old = dict(browser.jar)
    for _ in range(2):
        browser.asked.end_grace()
        browser.jar.pop(ACCESS, None)
        browser.ask()
    return old


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_stale(browser: Browser, method: str) -> None:
    """A stale request is sent to the same URL once more, where it comes with the newer cookies: none was changed."""
    old, kept = stale(browser), dict(browser.jar)
    login, headers = browser.ask(method, jar=old, query="page=2&name=a%20b")
    assert login.refusal is not None
    assert (307, [TRIED]) == (login.refusal.status, browser.names)
    assert ("location", "?page=2&name=a%20b") in headers
    assert kept.items() <= browser.jar.items()
    assert browser.ask(method)[0].token is not None


def test_stale_and_nothing_newer(browser: Browser) -> None:
    """A browser that comes back with the same token is not logged in this once: no loop, and its cookies are kept."""
    old = stale(browser)
    browser.ask(jar=old)
    login, _ = browser.ask(jar=old | {TRIED: browser.jar[TRIED]})
    assert (None, None, []) == (login.token, login.refusal, browser.set)
    assert browser.ask()[0].token is not None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_stale_and_it_writes(browser: Browser, method: str) -> None:
    """A request that writes is not sent again; it is not logged in, and no cookie is changed."""
    login, _ = browser.ask(method, jar=stale(browser))
    assert (None, None, []) == (login.token, login.refusal, browser.set)


def test_stale_at_a_strange_url(browser: Browser) -> None:
    """A redirect stays on this origin and this path, whatever the query contains."""
    old = stale(browser)
    _, headers = browser.ask(jar=old, query="//evil.example/\r\nset-cookie: x#\\")
    assert ("location", "?//evil.example/%0D%0Aset-cookie:%20x%23%5C") in headers


def test_the_store_is_down(browser: Browser, store: Failing) -> None:
    """While the store is down, the answer is 503 with ``Retry-After``, no cookie change; the session continues."""
    browser.log_in()
    browser.ask()
    store.down = True
    assert browser.ask()[0].token is not None
    browser.expire()
    login, headers = browser.ask()
    assert login.refusal is not None
    assert (503, [], None) == (login.refusal.status, browser.set, login.token)
    assert ("retry-after", "1") in headers
    assert EventCode.UNAVAILABLE is browser.asked.events[-1].code
    store.down = False
    assert browser.ask()[0].token is not None


def test_how_a_refusal_looks(asked: Asked, store: Failing) -> None:
    """A browser gets a page, the application's own if it has one; other clients get JSON."""
    own = Browser(asked, render=lambda status, error, message: f"<h1>{status} {error} {message}</h1>")
    plain = Browser(asked)
    plain.log_in()
    own.jar = dict(plain.jar)
    store.down = True
    plain.expire()
    own.expire()

    def refusal(browser: Browser, accept: str) -> Response:
        refused = browser.ask(headers={"accept": accept})[0].refusal
        assert refused is not None
        return refused

    page = refusal(plain, "text/html,*/*")
    assert page.body.startswith(b"<!doctype html>")
    assert {"content-type": "text/html; charset=utf-8", "cache-control": "no-store"}.items() <= dict(
        page.headers
    ).items()
    assert b"<h1>503 temporarily_unavailable Try again in a moment</h1>" == refusal(own, "text/html").body
    for browser in (own, plain):
        assert "temporarily_unavailable" == json.loads(refusal(browser, "*/*").body)["error"]


# ---- from elsewhere


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_page_of_another_site(browser: Browser, method: str) -> None:
    """What writes by our cookies and is caused by a page of another site is refused, and nothing is changed."""
    browser.log_in()
    browser.expire()
    for headers in (CROSS, {"sec-fetch-site": "same-site"}, {"origin": "null"}, {"origin": "http://api.example.com"}):
        login, _ = browser.ask(method, headers=headers)
        assert login.refusal is not None
        assert (403, []) == (login.refusal.status, browser.set)
    assert EventCode.ROTATED not in [event.code for event in browser.asked.events]
    for headers in ({"sec-fetch-site": "same-origin"}, {"origin": "https://api.example.com"}, {"accept": "*/*"}):
        assert browser.ask(method, headers=headers)[0].token is not None


def test_a_link_from_another_site(browser: Browser) -> None:
    """A link from another site leads to a user who is logged in; a websocket that it opens does not."""
    browser.log_in()
    assert browser.ask(headers=CROSS)[0].token is not None
    login, _ = browser.ask(headers=CROSS | {"upgrade": "websocket"})
    assert login.refusal is not None
    assert 403 == login.refusal.status


def test_an_origin_that_is_allowed(asked: Asked) -> None:
    """Pages of an origin that is allowed may write."""
    browser = Browser(asked, options={"allowed_origins": ["https://app.example.com"]})
    browser.log_in()
    assert browser.ask("POST", headers={"origin": "https://app.example.com", "sec-fetch-site": "same-site"})[0].token


def test_plain_http(asked: Asked) -> None:
    """Over plain HTTP cookies are refused and none is set; on loopback they have names of their own."""
    far = Browser(asked, scheme="http")
    assert far.ask()[0].refusal is None
    tokens = asked.auth.login("alice", PASSWORD)
    login, _ = far.ask("POST", act=lambda login: login.log_in(tokens))
    assert login.refusal is not None
    assert (403, [], False) == (login.refusal.status, far.set, lives(asked, tokens))
    far.jar = {"daypass": asked.auth.login("alice", PASSWORD).refresh_token}
    login, _ = far.ask()
    assert login.refusal is not None
    assert 403 == login.refusal.status
    near = Browser(asked, scheme="http", host="localhost:8000")
    near.log_in()
    assert ["daypass-8000-access", "daypass-8000"] == near.names
    assert "Secure" not in "".join(near.set)
    assert near.ask()[0].token is not None


# ---- login and logout


def test_a_login_over_a_session(browser: Browser) -> None:
    """A login over another session ends that one, whichever user had it."""
    first = browser.log_in()
    second = browser.log_in("bob@example.com")
    assert (False, True) == (lives(browser.asked, first), lives(browser.asked, second))
    login, _ = browser.ask()
    assert login.token is not None
    assert BOB.subject == login.token.subject


def test_a_login_over_an_expired_access_token(browser: Browser) -> None:
    """A session that this very request has refreshed is ended by its login, too."""
    first = browser.log_in()
    browser.expire()
    browser.log_in()
    assert not lives(browser.asked, first)
    assert browser.ask()[0].token is not None


def test_a_login_with_a_session_that_it_has(browser: Browser) -> None:
    """To log in with new tokens of the same session ends nothing."""
    browser.log_in()
    browser.asked.end_grace()
    tokens = browser.asked.auth.refresh(browser.jar[REFRESH])
    browser.ask(act=lambda login: login.log_in(tokens))
    assert lives(browser.asked, tokens)
    assert tokens.refresh_token == browser.jar[REFRESH]


def test_a_login_that_another_site_causes(browser: Browser) -> None:
    """A form on another site's page does not log in, unless the application allows it; the session is ended."""
    tokens = browser.asked.auth.login("alice", PASSWORD)
    login, _ = browser.ask("POST", act=lambda login: login.log_in(tokens), headers=CROSS)
    assert login.refusal is not None
    assert (403, {}, False) == (login.refusal.status, browser.jar, lives(browser.asked, tokens))
    tokens = browser.asked.auth.login("alice", PASSWORD)
    login, _ = browser.ask("POST", act=lambda login: login.log_in(tokens, cross_site=True), headers=CROSS)
    assert (None, [ACCESS, REFRESH]) == (login.refusal, browser.names)


def test_a_login_whose_old_session_cannot_be_ended(browser: Browser, store: Failing) -> None:
    """When the store goes down after a login has begun, the login succeeds."""
    browser.log_in()
    tokens = browser.asked.auth.login("alice", PASSWORD)

    def act(login: BrowserLogin) -> None:
        login.log_in(tokens)
        store.down = True

    login, _ = browser.ask("POST", act=act)
    assert (None, tokens.refresh_token) == (login.refusal, browser.jar[REFRESH])


def test_a_login_for_another_client(browser: Browser) -> None:
    """Tokens of a client other than the issuer's own are refused: no page could refresh them."""
    tokens = browser.asked.auth.start(ALICE, client_id="app")
    with pytest.raises(ConfigurationError, match="call start without client_id"):
        browser.ask("POST", act=lambda login: login.log_in(tokens))


def test_a_wrong_password(browser: Browser) -> None:
    """A login that fails changes nothing for the user who is logged in."""
    browser.log_in()

    def act(_: BrowserLogin) -> None:
        with pytest.raises(CredentialsRejected):
            browser.asked.auth.login("alice", "wrong")

    login, _ = browser.ask("POST", act=act)
    assert ([], True) == (browser.set, login.token is not None)


@pytest.mark.parametrize("state", ["good", "expired", "access alone", "refresh broken"])
def test_a_logout(browser: Browser, state: str) -> None:
    """A logout ends the session and clears both cookies, however much of them there is."""
    tokens = browser.log_in()
    if state == "expired":
        browser.expire()
    elif state == "access alone":
        del browser.jar[REFRESH]
    elif state == "refresh broken":
        browser.jar[REFRESH] = "dpr_broken"
    login, headers = browser.ask("POST", act=lambda login: login.log_out())
    assert (None, {}, False) == (login.token, browser.jar, lives(browser.asked, tokens))
    assert [ACCESS, REFRESH] == browser.names
    assert ("cache-control", "no-store") in headers


def test_a_logout_ends_an_older_login_too(asked: Asked) -> None:
    """Cookies of 0.1 beside those with a port are removed and their session ended; other issuers' cookies stay."""
    browser = Browser(asked, scheme="http", host="localhost:8000")
    tokens, older = browser.log_in(), asked.auth.login("bob@example.com", PASSWORD)
    browser.jar |= {"daypass": older.refresh_token, "daypass-access": older.access_token}
    browser.ask("POST", act=lambda login: login.log_out())
    assert {} == browser.jar
    assert (False, False) == (lives(asked, tokens), lives(asked, older))
    browser.log_in()
    browser.jar["daypass"] = Asked(secret=f"other {SECRET}").login()[1]
    browser.ask("POST", act=lambda login: login.log_out())
    assert {"daypass"} == browser.jar.keys()


@pytest.mark.parametrize("state", ["good", "expired", "access alone", "stale"])
def test_a_logout_everywhere(browser: Browser, state: str) -> None:
    """``log_out(everywhere=True)`` ends the user's sessions on all devices, and no other user's."""
    asked = browser.asked
    others = [asked.auth.login("alice", PASSWORD) for _ in range(2)]
    bob = asked.auth.login("bob@example.com", PASSWORD)
    if state == "stale":
        browser.jar = stale(browser)
    else:
        browser.log_in()
    if state == "expired":
        browser.expire()
    elif state == "access alone":
        del browser.jar[REFRESH]
    browser.ask("POST", act=lambda login: login.log_out(everywhere=True))
    assert ({}, ()) == (browser.jar, asked.auth.sessions(ALICE.subject))
    assert [False, False, True] == [lives(asked, tokens) for tokens in (*others, bob)]


def test_a_logout_everywhere_while_the_store_is_down(browser: Browser, store: Failing) -> None:
    """If the store is down, no session ends and the cookies are kept: the user may try again."""
    other = browser.asked.auth.login("alice", PASSWORD)
    browser.log_in()
    store.down = True
    login, _ = browser.ask("POST", act=lambda login: login.log_out(everywhere=True))
    assert login.refusal is not None
    assert (503, []) == (login.refusal.status, browser.set)
    store.down = False
    browser.ask("POST", act=lambda login: login.log_out(everywhere=True))
    assert ({}, False) == (browser.jar, lives(browser.asked, other))


def test_nobody_logs_out_everywhere(browser: Browser) -> None:
    """Without a login, a logout everywhere ends nothing."""
    other = browser.asked.auth.login("alice", PASSWORD)
    for browser.jar in ({}, {REFRESH: "garbage"}):
        browser.ask("POST", act=lambda login: login.log_out(everywhere=True))
        assert lives(browser.asked, other)


def test_a_logout_while_the_store_is_down(browser: Browser, store: Failing) -> None:
    """A logout that cannot be done is not pretended: 503, and the browser keeps its cookies until it is."""
    tokens = browser.log_in()
    store.down = True
    login, _ = browser.ask("POST", act=lambda login: login.log_out())
    assert login.refusal is not None
    assert (503, []) == (login.refusal.status, browser.set)
    store.down = False
    browser.ask("POST", act=lambda login: login.log_out())
    assert ({}, False) == (browser.jar, lives(browser.asked, tokens))


def test_login_and_logout_in_one_request(browser: Browser) -> None:
    """The last call counts, and every session that was left is ended."""
    first, second, third = (browser.asked.auth.login("alice", PASSWORD) for _ in range(3))

    def in_and_out(login: BrowserLogin) -> None:
        login.log_in(first)
        login.log_in(second)
        login.log_out()

    browser.ask("POST", act=in_and_out)
    assert ({}, False, False) == (browser.jar, lives(browser.asked, first), lives(browser.asked, second))

    def out_and_in(login: BrowserLogin) -> None:
        login.log_out()
        login.log_in(third)

    browser.ask("POST", act=out_and_in)
    assert (third.refresh_token, True) == (browser.jar[REFRESH], lives(browser.asked, third))


def test_a_token_that_no_browser_keeps(store: Failing) -> None:
    """An access token too long for a cookie is not set as one: each request refreshes, and the user is logged in."""
    asked = Asked(store)
    asked.people["user-1"] = type(ALICE)("user-1", claims={"long": 4096 * "x"})
    browser = Browser(asked)
    tokens = asked.auth.start(asked.people["user-1"])
    browser.ask(act=lambda login: login.log_in(tokens))
    for _ in range(5):
        assert [REFRESH] == list(browser.jar)
        assert browser.ask()[0].token is not None
        asked.clock.advance(MINUTE)


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (None, "no-store"),
        *((each, "no-store") for each in ("document", "iframe", "empty", "embed", "object")),
        *((each, "private") for each in ("image", "script", "style", "font", "video")),
    ],
)
def test_what_is_personal_is_not_stored(browser: Browser, destination: str | None, expected: str) -> None:
    """A personal page is not stored, so Back does not show it after a logout; its images and scripts may be kept."""
    browser.log_in()
    _, headers = browser.ask(headers={} if destination is None else {"sec-fetch-dest": destination})
    assert (("cache-control", expected), ("vary", "Cookie")) == headers
    browser.jar.clear()
    _, headers = browser.ask()
    assert (("vary", "Cookie"),) == headers


def test_a_logout_clears_pages_loaded_ahead(browser: Browser) -> None:
    """After a logout no page that the browser has loaded before the click shows the user; its files stay cached."""
    browser.log_in()
    _, headers = browser.ask("POST", act=lambda login: login.log_out())
    assert {"clear-site-data": '"prefetchCache", "prerenderCache"'}.items() <= dict(headers).items()


# ---- what becomes of the application's headers

PRIVATE = (("cache-control", "private"), ("vary", "Cookie"))
UNSTORED = (("cache-control", "no-store"), ("vary", "Cookie"))
CLEARS = ("clear-site-data", '"prefetchCache", "prerenderCache"')
SETS = (("set-cookie", "a=b"), *PRIVATE)
NOBODY = (("vary", "Cookie"),)


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ([], (), []),
        ([("Cache-Control", "public")], (), [("Cache-Control", "public")]),
        ([], NOBODY, [("vary", "Cookie")]),
        ([("Cache-Control", "max-age=60")], NOBODY, [("cache-control", "max-age=60"), ("vary", "Cookie")]),
        ([], PRIVATE, [*PRIVATE]),
        ([("Cache-Control", "max-age=60")], PRIVATE, [("cache-control", "max-age=60, private"), ("vary", "Cookie")]),
        ([("cache-control", "no-store")], PRIVATE, [("cache-control", "no-store"), ("vary", "Cookie")]),
        ([("cache-control", "Private, max-age=1")], PRIVATE, [("cache-control", "Private, max-age=1"), PRIVATE[1]]),
        ([("Cache-Control", "Public, max-age=60")], PRIVATE, [("cache-control", "Public, max-age=60")]),
        ([("Cache-Control", "s-maxage=60")], PRIVATE, [("cache-control", "s-maxage=60")]),
        ([("Cache-Control", "public, max-age=60")], NOBODY, [("cache-control", "public, max-age=60")]),
        (
            [("Cache-Control", "public, max-age=60"), ("cache-control", "s-maxage=9")],
            SETS,
            [("cache-control", "max-age=60, private"), ("vary", "Cookie"), ("set-cookie", "a=b")],
        ),
        ([], UNSTORED, [*UNSTORED]),
        ([("Cache-Control", "private")], UNSTORED, [("cache-control", "private, no-store"), ("vary", "Cookie")]),
        ([("Cache-Control", "max-age=60")], UNSTORED, [("cache-control", "max-age=60, private"), ("vary", "Cookie")]),
        ([("Cache-Control", "private, max-age=0")], UNSTORED, [("cache-control", "private, max-age=0"), PRIVATE[1]]),
        ([("Cache-Control", "public")], UNSTORED, [("cache-control", "public")]),
        ([("Cache-Control", "public")], (SETS[0], *UNSTORED), [*UNSTORED, SETS[0]]),
        ([], (CLEARS, *UNSTORED), [*UNSTORED, CLEARS]),
        ([("Clear-Site-Data", '"cache"')], (CLEARS, *UNSTORED), [("Clear-Site-Data", '"cache"'), *UNSTORED]),
        ([("Vary", "Accept")], PRIVATE, [PRIVATE[0], ("vary", "Accept, Cookie")]),
        ([("Vary", "Accept"), ("vary", "cookie")], PRIVATE, [PRIVATE[0], ("vary", "Accept, cookie")]),
        ([("Vary", "*")], PRIVATE, [PRIVATE[0], ("vary", "*")]),
        (
            [("Set-Cookie", "c=d"), ("X-Own", "1")],
            SETS,
            [("Set-Cookie", "c=d"), ("X-Own", "1"), *PRIVATE, ("set-cookie", "a=b")],
        ),
    ],
)
def test_merged_headers(theirs: list[tuple[str, str]], ours: Headers, expected: list[tuple[str, str]]) -> None:
    """Personal pages are not stored, cookies make a response private, ``public`` stays, all else varies by cookie."""
    assert expected == merge_headers(theirs, ours)
