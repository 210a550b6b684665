"""The adapter of docs/own-framework.md, over real HTTP."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "own-framework.md"
LOGIN = {"username": "ann", "password": "correct horse"}


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """Return what the page's programs define."""
    names: dict[str, Any] = {}
    for program in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(program, names)  # noqa: S102 - the page's own programs
    return names


@pytest.fixture
def client(page: dict[str, Any]) -> Iterator[httpx2.Client]:
    server = page["server"]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    with httpx2.Client(base_url=f"http://localhost:{server.server_address[1]}") as client:
        yield client
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_the_adapter_of_the_page(client: httpx2.Client) -> None:
    """Login, refresh, logout and the public keys work through it; wrong paths, methods and bodies are refused."""
    assert 401 == client.post("/auth/login", json=LOGIN | {"password": "wrong"}).status_code
    access = client.post("/auth/login", json=LOGIN).json()["accessToken"]
    bearing = {"authorization": f"Bearer {access}"}
    assert "ann" == client.get("/auth/me", headers=bearing).json()["username"]
    assert 200 == client.post("/auth/refresh").status_code
    (session,) = client.get("/auth/sessions", headers=bearing).json()["sessions"]
    assert 200 == client.head("/.well-known/jwks.json").status_code
    assert [404, 404, 405] == [
        client.post("/auth/login/").status_code,
        client.get("/elsewhere").status_code,
        client.get("/auth/login").status_code,
    ]
    assert 413 == client.post("/auth/login", content=70_000 * b"x").status_code
    assert 204 == client.delete(f"/auth/sessions/{session['id']}", headers=bearing).status_code
    assert 401 == client.post("/auth/refresh").status_code
