"""examples/starlette_api, over real HTTP."""

from pathlib import Path

import httpx2

from .uvicorn_process import started


def test_the_api(tmp_path: Path) -> None:
    """Its routes are for users, and for users who may write, as they say; a session refreshes."""
    with started("starlette_api", tmp_path) as address, httpx2.Client(base_url=address) as client:
        assert 401 == client.get("/profile").status_code
        for name, status in (("ann", 201), ("ben", 403)):
            login = client.post("/auth/login", json={"username": name, "password": "correct horse battery"})
            bearing = {"authorization": f"Bearer {login.json()['accessToken']}"}
            assert name == client.get("/profile", headers=bearing).json()["name"]
            assert status == client.post("/notes?text=x", headers=bearing).status_code
            assert 200 == client.post("/auth/refresh").status_code
