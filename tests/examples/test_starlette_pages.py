"""The example of pages in Starlette, started as its reader would and driven as a browser would."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "starlette_pages"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[httpx2.Client]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(FOLDER), "--port", str(port)]
    server = subprocess.Popen([*command, "--log-level", "warning"], cwd=tmp_path)
    try:
        for _ in range(600):
            assert server.poll() is None
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True, timeout=30) as client:
            yield client
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_the_whole_way(browser: httpx2.Client) -> None:
    """A wrong password, a login, a page whose access token is gone, a logout."""
    assert "Log in" in browser.get("/").text
    wrong = browser.post("/login", data={"name": "ann", "password": "wrong"})
    assert (401, {}) == (wrong.status_code, dict(browser.cookies))
    assert "Hello, ann" in browser.post("/login", data={"name": "ann", "password": "correct horse"}).text
    del browser.cookies[next(name for name in browser.cookies if name.endswith("-access"))]
    assert "Hello, ann" in browser.get("/").text
    assert "Log in" in browser.post("/logout").text
    assert {} == dict(browser.cookies)
