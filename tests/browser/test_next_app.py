"""The example in Next.js, built and driven in real browsers: its users stay logged in, on the server and in the page.

It is built in its own folder, once for each state of its source. If it is built already, the tests start at once.
"""

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import create_server

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page

from ..servers.reaching import wait_for
from . import npm

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "next_app"
NEXT = EXAMPLE / "node_modules" / "next" / "dist" / "bin" / "next"
BUILT = EXAMPLE / ".next" / "built-from"
ACCESS_TTL, EXPIRED = "3s", 3.2
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none"}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Build the example, unless it has been built from this source already."""
    npm.fetch(EXAMPLE, "next/package.json", tmp_path_factory)
    sources = [*EXAMPLE.glob("*.ts"), *EXAMPLE.rglob("app/**/*.ts*"), *(ROOT / "js" / "dist").glob("*.js")]
    state = hashlib.sha256(b"".join(each.read_bytes() for each in sorted(sources))).hexdigest()
    with (EXAMPLE / "node_modules" / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker builds, the others wait
        if not BUILT.exists() or BUILT.read_text() != state:
            done = npm.run(npm.NODE, NEXT, "build", folder=EXAMPLE, timeout=400, NEXT_TELEMETRY_DISABLED="1")
            assert 0 == done.returncode, done.stdout + done.stderr
            BUILT.write_text(state)


@contextmanager
def running(command: list[str | Path], folder: Path, **environment: str) -> Iterator[str]:
    """Start a server with an option ``--port``, and yield its address. At the end its child processes end too."""
    with closing(create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    started = [*command, "--port", str(port)]
    server = subprocess.Popen(started, cwd=folder, env=os.environ | environment, start_new_session=True)
    try:
        wait_for(port, server)
        yield f"http://localhost:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def address(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of the application, with its API behind it."""
    api: list[str | Path] = [sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLE, "api:app", "--log-level", "error"]
    start: list[str | Path] = [npm.NODE, NEXT, "start", "--hostname", "127.0.0.1"]
    with running(api, tmp_path_factory.mktemp("api"), ACCESS_TTL=ACCESS_TTL, GRACE_PERIOD="2s") as behind:
        url = f"{behind.replace('localhost', '127.0.0.1')}/auth"
        with running(start, EXAMPLE, DAYPASS_URL=url, NEXT_TELEMETRY_DISABLED="1") as address:
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


def test_while_the_api_is_down(built: None) -> None:
    """While the API cannot be reached, a page for a browser with a cookie is 503, and the cookie is kept."""
    start: list[str | Path] = [npm.NODE, NEXT, "start", "--hostname", "127.0.0.1"]
    with (
        running(start, EXAMPLE, DAYPASS_URL="http://127.0.0.1:9/auth", NEXT_TELEMETRY_DISABLED="1") as address,
        httpx2.Client(base_url=address, headers=NAVIGATION) as browser,
    ):
        assert 200 == browser.get("/").status_code
        answer = browser.get("/", headers={"cookie": "daypass=dpr_x"})
        assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
        assert "set-cookie" not in answer.headers
        assert 503 == browser.post("/auth/login", json={}).status_code
