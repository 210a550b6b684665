"""examples/fastapi_api and examples/verifier_service, over real HTTP."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ..web.test_openapi import ran
from .uvicorn_process import started

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started("fastapi_api", tmp_path_factory.mktemp("api")) as address:
        yield address


def bearing(api: str, name: str) -> dict[str, str]:
    """Log in; return the header that says so."""
    login = httpx2.post(f"{api}/auth/login", json={"username": name, "password": "correct horse battery"})
    return {"authorization": f"Bearer {login.json()['accessToken']}"}


def test_the_api(api: str) -> None:
    """Its routes are for everyone, for users, and for users who may write, as they say."""
    ann, ben = bearing(api, "ann"), bearing(api, "ben")
    greetings = [httpx2.get(f"{api}/hello", headers=each).json() for each in ({}, ann, ben)]
    assert ["Hello, stranger!", "Hello, ann!", "Hello, ben!"] == greetings
    assert {"name": "ann", "email": "ann@example.com"} == httpx2.get(f"{api}/profile", headers=ann).json()
    added = [httpx2.post(f"{api}/notes?text=x", headers=each).status_code for each in ({}, ann, ben)]
    assert [401, 201, 403] == added


def test_another_service(api: str, tmp_path: Path) -> None:
    """The other service takes the API's tokens, by keys that it fetches itself, and no others."""
    with started("verifier_service", tmp_path, (ADDRESS, api)) as service:
        answer = httpx2.get(f"{service}/reports", headers=bearing(api, "ben"))
        assert (200, {"for": "2"}) == (answer.status_code, answer.json())
        assert 401 == httpx2.get(f"{service}/reports").status_code
        assert 401 == httpx2.get(f"{service}/reports", headers={"authorization": "Bearer x.y.z"}).status_code


def test_another_service_before_the_api(tmp_path: Path) -> None:
    """While there are no keys the other service says 503, and when to try again."""
    with started("verifier_service", tmp_path, (ADDRESS, "http://127.0.0.1:1")) as service:
        token = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.e30.AA"
        answer = httpx2.get(f"{service}/reports", headers={"authorization": f"Bearer {token}"})
        assert (503, "1") == (answer.status_code, answer.headers["retry-after"])


def test_its_document_is_true(api: str, tmp_path: Path) -> None:
    """Schemathesis finds nothing in the example, the application's own routes included."""
    (tmp_path / "schemathesis.toml").write_text("color = false")
    token = bearing(api, "ann")["authorization"]
    found = ran(api, tmp_path, "--max-examples", "10", "-H", f"Authorization: {token}", "--exclude-path", "/hello")
    assert not found, found
