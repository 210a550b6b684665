"""The example of pages in Django, run as a program and used by a browser that knows no JavaScript."""

import hashlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from ..servers.django_project import PASSWORD, running

APP = Path(__file__).parents[2] / "examples" / "django_site" / "app.py"
FILE = bytes(range(256)) * 8_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(APP, tmp_path_factory.mktemp("django_site")) as address:
        yield address


def send(browser: httpx2.Client, path: str, page: str, **fields: object) -> httpx2.Response:
    """Send one of a page's forms, as a browser does."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token is not None
    data = {"csrfmiddlewaretoken": token[1]} | {name: value for name, value in fields.items() if name != "file"}
    files = {"file": ("a.bin", fields["file"])} if "file" in fields else None
    return browser.post(path, data=data, files=files)  # type: ignore[arg-type]  # text, and bytes of one file


def test_pages_without_javascript(address: str) -> None:
    """Ann logs in by a form, stays logged in while access tokens of a second expire, uploads, and logs out."""
    with httpx2.Client(base_url=address, follow_redirects=True) as browser:
        page = browser.get("/").text
        assert "Hello" not in page
        refused = send(browser, "/login", page, username="ann", password="wrong")
        assert (403, True) == (refused.status_code, "That is not right." in refused.text)
        page = send(browser, "/login", page, username="ann", password=PASSWORD).text
        assert "Hello ann." in page
        for _ in range(2):
            time.sleep(1.1)
            uploaded = send(browser, "/files", page, file=FILE)
            assert (200, True) == (uploaded.status_code, hashlib.sha256(FILE).hexdigest() in uploaded.text)
        time.sleep(1.1)
        with ThreadPoolExecutor(10) as threads:
            cookies = dict(browser.cookies)
            pages = list(threads.map(lambda _: httpx2.get(address, cookies=cookies).text, range(10)))
        assert all("Hello ann." in each for each in pages)
        page = send(browser, "/logout", browser.get("/").text).text
        assert "Hello" not in page
        assert {"csrftoken"} == set(browser.cookies)
        assert "Hello" not in httpx2.get(address, cookies=cookies).text


def test_nobody_uploads(address: str) -> None:
    """Who is not logged in is sent to the form; and Django's own CSRF check is in force for the site's forms."""
    with httpx2.Client(base_url=address) as browser:
        answer = send(browser, "/files", browser.get("/").text, file=b"x")
        assert (302, "/?next=/files") == (answer.status_code, answer.headers["location"])
        assert 403 == browser.post("/login", data={"username": "ann", "password": PASSWORD}).status_code
