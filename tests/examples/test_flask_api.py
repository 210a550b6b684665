"""The example of a JSON API in Flask, run as a program and used over real HTTP."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from daypass.client.httpx import DaypassAuth

from ..servers.flask_program import running

APP = Path(__file__).parents[2] / "examples" / "flask_api" / "app.py"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(APP, tmp_path_factory.mktemp("flask_api"), access_ttl="3s") as address:
        yield address


def test_a_client_stays_logged_in(address: str) -> None:
    """With Daypass's own client, users do not notice that access tokens expire every three seconds."""
    auth = DaypassAuth(f"{address}/auth")
    with httpx2.Client(base_url=address, auth=auth) as client:
        auth.login(client, email="ann@example.com", password="correct horse")
        for number in range(2):
            assert 201 == client.post("/notes", json={"text": f"note {number}"}).status_code
            time.sleep(3.1)
        assert ["note 0", "note 1"] == client.get("/notes").json()["notes"]
        assert {"username": "ann", "email": "ann@example.com"} == client.get("/me").json()


def test_what_is_refused(address: str) -> None:
    """No token is a 401, a scope that is too small a 403; a wrong password and an unknown address look the same."""
    with httpx2.Client(base_url=address) as client:
        for email, password in (("ann@example.com", "wrong"), ("nobody@example.com", "")):
            refused = client.post("/auth/login", json={"email": email, "password": password or "x"})
            assert (401, "invalid_credentials") == (refused.status_code, refused.json()["error"])
        assert 401 == client.get("/notes").status_code
        login = client.post("/auth/login", json={"email": "bob@example.com", "password": "battery staple"})
        headers = {"authorization": f"Bearer {login.json()['accessToken']}"}
        assert {"notes": []} == client.get("/notes", headers=headers).json()
        refused = client.post("/notes", json={"text": "mine"}, headers=headers)
        assert (403, "insufficient_scope") == (refused.status_code, refused.json()["error"])
        assert "keys" in client.get("/.well-known/jwks.json").json()
