"""The example in Next.js, built and driven in browsers: its users stay logged in, on the server and in the page."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page

from .built_example import ROOT, Example, running

NEXT = Example(
    name="next_app",
    package="next/package.json",
    sources=("*.ts", "app/**/*.ts*"),
    build=("next/dist/bin/next", "build"),
    output=".next",
    start=("node_modules/next/dist/bin/next", "start", "--hostname", "127.0.0.1"),
    environment={"NEXT_TELEMETRY_DISABLED": "1"},
)
ACCESS_TTL, EXPIRED = "3s", 3.2
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none"}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return NEXT.built(tmp_path_factory)


@pytest.fixture(scope="module")
def address(built: Example, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of the application, with its API behind it."""
    code = ROOT / "examples" / "pages_api"
    folder = tmp_path_factory.mktemp("api")
    api: list[str | Path] = [sys.executable, "-m", "uvicorn", "--app-dir", code, "api:app", "--log-level", "error"]
    with running(api, folder, {"ACCESS_TTL": ACCESS_TTL, "GRACE_PERIOD": "2s"}, by_option=True) as behind:
        url = f"{behind.replace('localhost', '127.0.0.1')}/auth"
        with built.running(DAYPASS_URL=url) as address:
            yield address


@pytest.fixture
def page(context: BrowserContext, address: str) -> Page:
    """Return the application's page, logged in."""
    page = context.new_page()
    page.goto(address)
    assert "Hello, stranger." == page.inner_text("#stranger")
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("#email")
    return page


def test_a_login_renders_the_page_again(page: Page) -> None:
    """After a login, and after reloads, the server renders the user's page, also when the token has expired."""
    assert "Hello, ann" == page.inner_text("h1")
    for wait in (0, EXPIRED):
        time.sleep(wait)
        page.reload()
        assert ("Hello, ann", "ann") == (page.inner_text("h1"), page.inner_text("#user"))
        assert "ann@example.com" == page.inner_text("#email")


@pytest.mark.engines("chromium")
def test_a_client_component_asks_a_route_handler(page: Page) -> None:
    """The page's session and the server's share one cookie: each refreshes, and neither logs the other out."""
    for wait in (0, EXPIRED, EXPIRED):
        time.sleep(wait)
        page.evaluate("document.getElementById('whoami').textContent = ''")
        page.get_by_role("button", name="Who am I?").click()
        page.wait_for_function("document.getElementById('whoami').textContent === 'ann'")
        page.reload()
        page.wait_for_timeout(300)


@pytest.mark.engines("chromium")
def test_a_logout_ends_the_rendered_session(page: Page, address: str) -> None:
    """After a logout the server renders the page of a visitor, also after a reload."""
    page.get_by_role("button", name="Log out").click()
    page.wait_for_selector("#stranger")
    page.reload()
    assert "Hello, stranger." == page.inner_text("#stranger")


def test_no_token_in_the_page(address: str) -> None:
    """The HTML and the data for hydration contain no token; the response is `no-store`."""
    with httpx2.Client(base_url=address, headers=NAVIGATION) as browser:
        login = browser.post("/auth/login", json={"username": "ann", "password": "correct horse battery"})
        answer = browser.get("/")
        assert "ann@example.com" in answer.text
        assert login.json()["accessToken"][:20] not in answer.text
        assert not re.search("dpr_|Bearer", answer.text)
        assert "no-store" in answer.headers["cache-control"]


def test_a_stale_cookie(address: str) -> None:
    """A browser with an older cookie is redirected once to the same page, with an address that Next.js accepts."""
    with httpx2.Client(base_url=address, headers=NAVIGATION) as browser:
        browser.post("/auth/login", json={"username": "ann", "password": "correct horse battery"})
        old = dict(browser.cookies)
        browser.get("/")
        time.sleep(EXPIRED)
        browser.get("/")
        answer = httpx2.get(f"{address}/?a=1", cookies=old, headers=NAVIGATION)
        assert (307, "/?a=1") == (answer.status_code, answer.headers["location"].removeprefix(address))


def test_session_ended_elsewhere(address: str) -> None:
    """A page of a session that was just ended elsewhere is rendered for a stranger; a route handler answers 401."""
    login = {"username": "ann", "password": "correct horse battery"}
    with (
        httpx2.Client(base_url=address, headers=NAVIGATION, follow_redirects=True) as browser,
        httpx2.Client(base_url=address) as other,
    ):
        for each in (browser, other):
            each.post("/auth/login", json=login)
        browser.get("/")
        assert 204 == other.post("/auth/logout", json={"everywhere": True}).status_code
        assert 401 == browser.get("/api/whoami").status_code
        assert "Hello, stranger." in browser.get("/").text


def test_while_the_api_is_down(built: Example) -> None:
    """While the API cannot be reached, a page for a browser with a cookie is 503, and the cookie is kept."""
    with (
        built.running(DAYPASS_URL="http://127.0.0.1:9/auth") as address,
        httpx2.Client(base_url=address, headers=NAVIGATION) as browser,
    ):
        assert 200 == browser.get("/").status_code
        answer = browser.get("/", headers={"cookie": "daypass=dpr_x"})
        assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
        assert "set-cookie" not in answer.headers
        assert 503 == browser.post("/auth/login", json={}).status_code
