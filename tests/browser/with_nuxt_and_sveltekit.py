"""The examples in Nuxt and SvelteKit, built and driven in a real browser: pages stay logged in, rendered and running.

``make frameworks`` runs this.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from daypass import EventCode

from ..cookie_names import without_port
from ..rendering.api import NAVIGATION, PASSWORD, Api, browsing
from ..servers.application import serving
from .built_example import Example

pytestmark = pytest.mark.engines("chromium")

PORT = 13714
"""Of SvelteKit's server: its origin is built in."""
EXAMPLES = [
    Example(
        name="nuxt_app",
        package="nuxt/package.json",
        sources=("*.ts", "package.json", "app/**/*", "server/**/*"),
        build=("nuxt/bin/nuxt.mjs", "build"),
        output=".output",
        start=(".output/server/index.mjs",),
        environment={"NUXT_TELEMETRY_DISABLED": "1"},
    ),
    Example(
        name="sveltekit_app",
        package="vite/package.json",
        sources=("*.ts", "package.json", "src/**/*"),
        build=("vite/bin/vite.js", "build"),
        output="build",
        start=("build",),
        environment={"ORIGIN": f"http://localhost:{PORT}"},
    ),
]
OWN = {"sec-fetch-site": "same-origin", "content-type": "application/json"}
NOTE = "alice: buy milk"
CLOCK = "const wall = Date.now.bind(Date); window.skipped = 0; Date.now = () => wall() + skipped"
"""JavaScript: the clock of a page that a test puts forward."""

Site = tuple[Api, str]


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda example: example.name)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return the API, and the address of an application in front of it."""
    example: Example = request.param.built(tmp_path_factory)
    api = Api()
    port = PORT if "ORIGIN" in example.environment else None
    with serving(api, grace=1) as behind, example.running(port, DAYPASS_URL=f"{behind}/auth") as address:
        yield api, address


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Iterator[Page]:
    """Return the page of the notes, logged in by the form. At the end it may not have seen an error."""
    context.add_init_script(CLOCK)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site[1]}/notes")
    log_in(page)
    yield page
    assert [] == errors


def log_in(page: Page, password: str = PASSWORD) -> None:
    """Log in by the form, once it works."""
    page.wait_for_load_state("networkidle")
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def shows_notes(page: Page) -> None:
    expect(page.get_by_text(NOTE)).to_be_visible()
    expect(page.locator("#email")).to_have_text("alice@example.com")
    expect(page.locator("#user")).to_have_text("alice")


def shows_login(page: Page, path: str = "/login?redirect=/notes") -> None:
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert path == page.evaluate("location.pathname + decodeURIComponent(location.search)")


def end_sessions(address: str) -> None:
    """End the sessions of the user on all devices, as from another one."""
    with browsing(address) as other:
        assert 204 == other.post("/auth/logout", json={"everywhere": True}, headers=OWN).status_code


def later(api: Api, page: Page, milliseconds: int) -> None:
    """Let time pass at the issuer, and two seconds in the page, so that its token is not from just now."""
    api.ahead += milliseconds
    page.evaluate("skipped += 2000")


def test_parallel_pages_share_one_refresh(site: Site) -> None:
    """Ten pages with two requests each, all at expiry, need one refresh; each brings the browser the new cookie."""
    api, address = site
    with browsing(address) as browser:
        api.expire()
        api.asked()
        api.delay = 0.3
        before = dict(browser.cookies)
        with ThreadPoolExecutor(10) as pool:
            get = lambda _: httpx2.get(f"{address}/notes", cookies=before, headers=NAVIGATION, timeout=30)  # noqa: E731
            answers = list(pool.map(get, range(10)))
        api.delay = 0.0
        assert [True] * 10 == [NOTE in answer.text and "alice@example.com" in answer.text for answer in answers]
        assert 1 == api.asked()
        (cookie,) = {cookie for answer in answers for cookie in answer.headers.get_list("set-cookie")}
        assert cookie.endswith("; HttpOnly; SameSite=Lax")
        assert cookie.partition(";")[0].partition("=")[2] not in before.values()
        assert {"no-store"} == {answer.headers["cache-control"] for answer in answers}
        assert NOTE in browser.get("/notes").text


def test_refused_token_is_renewed_once_for_a_page(site: Site) -> None:
    """A token that expires between two pages costs one refresh for both requests of the next page."""
    api, address = site
    with browsing(address) as browser:
        browser.get("/notes")
        api.expire()
        api.asked()
        assert NOTE in browser.get("/notes").text
        assert 1 == api.asked()
        assert NOTE in browser.get("/notes").text


def test_lost_cookie_logs_nobody_out(site: Site) -> None:
    """If a response's ``Set-Cookie`` never arrives, the user stays logged in, within the grace period and after it."""
    api, address = site
    with browsing(address) as browser:
        before = dict(browser.cookies)
        for lost in range(3):
            answer = httpx2.get(f"{address}/notes", cookies=before, headers=NAVIGATION)
            assert NOTE in answer.text, lost
            if lost:
                api.expire()
        assert NOTE in browser.get("/notes").text
    assert 0 == api.count(EventCode.REUSED)


def test_session_endpoints_are_passed_on(site: Site) -> None:
    """A refresh by the browser is one refresh at the issuer, at expiry too, and sets one cookie."""
    api, address = site
    with browsing(address) as browser:
        browser.get("/notes")
        api.expire()
        api.asked()
        answer = browser.post("/auth/refresh", headers={"sec-fetch-site": "same-origin", "origin": address})
        assert (200, 1) == (answer.status_code, len(answer.headers.get_list("set-cookie")))
        assert 1 == api.asked()


def test_ended_session_gets_the_login(site: Site) -> None:
    """A page of a session that was ended elsewhere redirects to the login; the next page clears the cookie."""
    api, address = site
    with browsing(address) as browser:
        browser.get("/notes")
        end_sessions(address)
        api.ahead += 1100  # by then every node has heard of it
        answer = browser.get("/notes")
        assert (True, "/login?redirect=/notes") == (
            answer.is_redirect,
            answer.headers["location"].replace("%2F", "/").removeprefix(address),
        )
        assert "stranger" in browser.get("/").text.replace("<!---->", "")
        assert [] == without_port(browser.cookies)


def test_no_token_in_the_page(site: Site) -> None:
    """Neither token is in the HTML or in what the page is hydrated from."""
    _, address = site
    with browsing(address, None) as browser:
        login = browser.post("/auth/login", json={"username": "alice", "password": PASSWORD})
        text = browser.get("/notes").text
        assert NOTE in text
        assert login.json()["accessToken"][:20] not in text
        assert "dpr_" not in text
        assert "Bearer" not in text


def test_older_cookie(site: Site) -> None:
    """A browser with an older cookie is sent to the same page once more."""
    api, address = site
    with browsing(address) as browser:
        api.instead = [409, 409]
        answer = browser.get("/notes?a=1")
        assert (307, f"{address}/notes?a=1") == (answer.status_code, answer.headers["location"])


def test_while_the_api_is_down(site: Site) -> None:
    """While the issuer is down, a page of somebody with a cookie is 503, and the cookie is kept."""
    api, address = site
    with browsing(address) as browser:
        api.instead = [503, 503]
        answer = browser.get("/notes")
        assert (503, "1", []) == (
            answer.status_code,
            answer.headers["retry-after"],
            answer.headers.get_list("set-cookie"),
        )


def test_another_sites_form(site: Site) -> None:
    """A form of another site's page that relies on the cookie is refused."""
    _, address = site
    with browsing(address) as browser:
        cross = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
        assert 403 == browser.post("/notes", data={"a": "1"}, headers=cross).status_code
        assert 403 == browser.post("/auth/logout", headers=cross).status_code


def test_login_and_back(page: Page, site: Site) -> None:
    """A stranger gets the login, and then the page that was wanted, which a reload shows again, at expiry too."""
    shows_notes(page)
    assert "/notes" == page.evaluate("location.pathname")
    for _ in range(3):
        page.reload()
        shows_notes(page)
        site[0].expire()


def test_wrong_password(context: BrowserContext, site: Site) -> None:
    """A wrong password is said to be wrong; the login is still there."""
    page = context.new_page()
    page.goto(f"{site[1]}/login")
    log_in(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("Wrong name or password.")


def test_links_and_requests_of_the_page(page: Page, site: Site) -> None:
    """Links that load no document, and requests that the page sends by itself, survive each expiry."""
    shows_notes(page)
    page.evaluate("window.same = true")
    for _ in range(3):
        page.get_by_role("link", name="Home").click()
        expect(page.get_by_role("heading")).to_have_text("Hello, alice")
        later(site[0], page, 60_000)
        page.get_by_role("link", name="Notes").click()
        shows_notes(page)
        later(site[0], page, 60_000)
        with page.expect_response(lambda answer: answer.url.endswith("/api/notes") and answer.status == 200):
            page.get_by_role("button", name="Load again").click()
        shows_notes(page)
    assert page.evaluate("window.same")


def test_logout(page: Page, site: Site, context: BrowserContext) -> None:
    """A logout shows the login, in all tabs, and after a reload."""
    shows_notes(page)
    other = context.new_page()
    other.goto(f"{site[1]}/notes")
    shows_notes(other)
    other.wait_for_load_state("networkidle")
    page.get_by_role("button", name="Log out").click()
    for each in (page, other):
        shows_login(each)
    page.goto(f"{site[1]}/notes")
    shows_login(page)
    log_in(page)
    for each in (page, other):
        expect(each.locator("#user")).to_have_text("alice")


def test_session_ended_elsewhere(page: Page, site: Site) -> None:
    """If the session was ended elsewhere, the next request, link or page leads to the login; a new login works."""
    api, address = site
    link = page.get_by_role("link", name="Notes")
    button = page.get_by_role("button", name="Load again")
    for go in (button.click, link.click, page.reload):
        shows_notes(page)
        if go == link.click:
            page.get_by_role("link", name="Home").click()
            expect(page.get_by_role("heading")).to_have_text("Hello, alice")
        end_sessions(address)
        later(api, page, 1100)
        go()
        shows_login(page)
        log_in(page)
    shows_notes(page)
