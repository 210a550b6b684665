"""The example of a site in Flask without JavaScript, run as a program and used with a plain cookie jar."""

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from ..cookie_names import refresh_cookie
from ..servers.flask_program import running

APP = Path(__file__).parents[2] / "examples" / "flask_pages" / "app.py"
LOGIN = {"email": "ann@example.com", "password": "correct horse"}
EXPIRY = 2.1


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(APP, tmp_path_factory.mktemp("flask_pages"), access_ttl="2s") as address:
        yield address


@pytest.fixture
def browser(address: str) -> Iterator[requests.Session]:
    with requests.Session() as session:
        answer = session.post(f"{address}/login", data=LOGIN)
        assert (200, True) == (answer.status_code, "Hello ann." in answer.text)
        yield session


def test_the_page_is_simply_served(browser: requests.Session, address: str) -> None:
    """Access tokens of two seconds expire, and each page is the user's; without the cookies it is the login form."""
    for _ in range(2):
        time.sleep(EXPIRY)
        answer = browser.get(address)
        assert (200, True, []) == (answer.status_code, "Hello ann." in answer.text, answer.history)
    assert 'action="/login"' in requests.get(address, timeout=30).text


def test_a_wrong_password(address: str) -> None:
    """A wrong password or address shows an error, and sets no cookie."""
    for wrong in ({"email": "bob@example.com"}, {"password": "wrong"}):
        answer = requests.post(f"{address}/login", data=LOGIN | wrong, timeout=30)
        assert (403, True, {}) == (answer.status_code, "That is not right." in answer.text, dict(answer.cookies))


def test_an_expiry_in_the_midst_of_an_upload(browser: requests.Session, address: str) -> None:
    """An upload that begins with an expired token, and one that is still under way at the expiry, arrive whole."""
    content = os.urandom(2_000_000)
    for waits in ((EXPIRY, 0), (0, EXPIRY)):
        time.sleep(waits[0])
        prepared = browser.prepare_request(requests.Request("POST", f"{address}/files", files={"file": content}))
        whole = prepared.body
        assert isinstance(whole, bytes)

        def slowly(whole: bytes = whole, wait: float = waits[1]) -> Iterator[bytes]:
            yield whole[:1_000_000]
            time.sleep(wait)
            yield whole[1_000_000:]

        prepared.body = slowly()  # type: ignore[assignment]  # with the length that was announced
        answer = browser.send(prepared)
        assert (200, []) == (answer.status_code, answer.history)
        assert hashlib.sha256(content).hexdigest() in answer.text


def test_ten_requests_of_one_page(browser: requests.Session, address: str) -> None:
    """Ten requests that meet the expiry at once are all the user's, and so is the one after the next expiry."""
    time.sleep(EXPIRY)
    held = dict(browser.cookies)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: requests.get(address, cookies=held, timeout=30), range(10)))
    assert {True} == {"Hello ann." in answer.text for answer in answers}
    assert 1 == len({refresh_cookie(answer.cookies) for answer in answers})
    for answer in answers:
        browser.cookies.update(answer.cookies)
    time.sleep(EXPIRY)
    assert "Hello ann." in browser.get(address).text


def test_logout(browser: requests.Session, address: str) -> None:
    """After the logout there is no cookie, and old cookies lead to the login form."""
    kept = dict(browser.cookies)
    answer = browser.post(f"{address}/logout")
    assert (True, {}) == ('action="/login"' in answer.text, dict(browser.cookies))
    assert 'action="/login"' in requests.get(address, cookies=kept, timeout=30).text
    refused = browser.post(f"{address}/files", files={"file": b"x"})
    assert (401, True) == (refused.status_code, "Please log in." in refused.text)
