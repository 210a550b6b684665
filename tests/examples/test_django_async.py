"""The example of an asynchronous API in Django, run by uvicorn and used over real HTTP."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from daypass.client.httpx import DaypassAuth

from ..servers.django_project import PASSWORD, let_expire, running

APP = Path(__file__).parents[2] / "examples" / "django_async" / "app.py"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(APP, tmp_path_factory.mktemp("django_async"), asgi="app:application") as address:
        yield address


def test_a_client_stays_logged_in(address: str) -> None:
    """With Daypass's own client, users do not notice that access tokens expire."""
    auth = DaypassAuth(f"{address}/auth")
    with httpx2.Client(base_url=address, auth=auth) as client:
        auth.login(client, username="ann", password=PASSWORD)
        for _ in range(2):
            assert {"username": "ann"} == client.get("/who").json()
            assert {"username": "ann", "email": "ann@example.com"} == client.get("/me").json()
            let_expire()
        auth.logout(client)


def test_what_is_refused(address: str) -> None:
    """A wrong password is a 401, and so is a request without a token."""
    wrong = httpx2.post(f"{address}/auth/login", json={"username": "ann", "password": "wrong"})
    assert (401, "invalid_credentials") == (wrong.status_code, wrong.json()["error"])
    for path in ("/who", "/me"):
        answer = httpx2.get(f"{address}{path}")
        assert (401, 'Bearer realm="daypass"') == (answer.status_code, answer.headers["www-authenticate"])
