"""The example of an API in Django REST framework, run as a program and used over real HTTP."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from daypass import LoginRequired
from daypass.client.httpx import DaypassAuth

from ..servers.django_project import PASSWORD, let_expire, running

APP = Path(__file__).parents[2] / "examples" / "django_rest" / "manage.py"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(APP, tmp_path_factory.mktemp("django_rest"), people=("ann", "ben")) as address:
        yield address


def test_a_client_stays_logged_in(address: str) -> None:
    """With Daypass's own client, users do not notice that access tokens expire."""
    auth = DaypassAuth(f"{address}/auth")
    with httpx2.Client(base_url=address, auth=auth) as client:
        auth.login(client, username="ann", password=PASSWORD)
        for number in range(2):
            assert 201 == client.post("/notes/new", json={"text": f"note {number}"}).status_code
            let_expire()
        expected = [{"by": "ann", "text": f"note {number}"} for number in range(2)]
        assert expected == client.get("/notes").json()["notes"]


def test_a_new_password(address: str) -> None:
    """Who changes the password ends all sessions that the old one began."""
    auth = DaypassAuth(f"{address}/auth")
    with httpx2.Client(base_url=address, auth=auth) as client:
        auth.login(client, username="ben", password=PASSWORD)
        assert 204 == client.post("/password", json={"password": "a new one"}).status_code
        let_expire()
        with pytest.raises(LoginRequired):
            client.get("/notes")
        auth.login(client, username="ben", password="a new one")
        assert 200 == client.get("/notes").status_code


def test_what_is_refused(address: str) -> None:
    """Without a token it is a 401 with a challenge."""
    for path in ("/notes", "/notes/new"):
        answer = httpx2.request("GET" if path == "/notes" else "POST", f"{address}{path}")
        assert (401, 'Bearer realm="daypass"') == (answer.status_code, answer.headers["www-authenticate"])
