"""The same API in Starlette, Litestar and Quart, over real HTTP."""

from pathlib import Path

import httpx2
import pytest

from .uvicorn_process import started


@pytest.mark.parametrize("name", ["starlette_api", "litestar_api", "quart_api"])
def test_the_api(name: str, tmp_path: Path) -> None:
    """Its routes are for users, and for users who may write, as they say; a session refreshes, and ends."""
    with started(name, tmp_path) as address, httpx2.Client(base_url=address) as client:
        refused = client.get("/profile")
        assert (401, 'Bearer realm="daypass"') == (refused.status_code, refused.headers["www-authenticate"])
        for person, status in (("ann", 201), ("ben", 403)):
            login = client.post("/auth/login", json={"username": person, "password": "correct horse battery"})
            bearing = {"authorization": f"Bearer {login.json()['accessToken']}"}
            assert person == client.get("/profile", headers=bearing).json()["name"]
            assert status == client.post("/notes?text=x", headers=bearing).status_code
            assert 200 == client.post("/auth/refresh").status_code
        assert "keys" in client.get("/.well-known/jwks.json").json()
        assert 204 == client.post("/auth/logout").status_code
        assert 401 == client.get("/profile", headers=bearing).status_code
        assert 404 == client.get("/elsewhere").status_code
