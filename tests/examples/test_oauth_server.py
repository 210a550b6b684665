"""The example of an issuer for OAuth clients, started and driven as its reader would."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from ..servers.reaching import wait_for

EXAMPLE = Path(__file__).parents[2] / "examples" / "oauth_server"
DAYPASS = Path(sys.executable).with_name("daypass")
PHRASE = "open sesame"


def add(folder: Path, *arguments: str) -> str:
    """Add a client by the command that the example names; return its secret."""
    command = [str(DAYPASS), "client", "add", *arguments, "--file", "clients.toml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("client_secret"))


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    """Return the secrets of the two clients that the example names."""
    return {
        "reports": add(tmp_path, "Reports", "--id", "reports", "--scope", "read write"),
        "billing": add(tmp_path, "Billing", "--id", "billing", "--introspects"),
    }


@pytest.fixture
def address(tmp_path: Path, secrets: dict[str, str]) -> Iterator[str]:
    """Run the example on a free port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(EXAMPLE), "--port", str(port)]
    environment = os.environ | {"ISSUER": address, "PYTHONDONTWRITEBYTECODE": "1"}
    server = subprocess.Popen([*command, "--log-level", "warning"], cwd=tmp_path, env=environment)
    try:
        wait_for(port, server)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_it_serves_oauth_clients(address: str, secrets: dict[str, str]) -> None:
    """A client is allowed in, refreshes with less scope, reads; a service asks about its token; then it is revoked."""
    with httpx2.Client(base_url=address) as client:
        metadata = client.get("/.well-known/oauth-authorization-server").json()
        assert f"{address}/oauth/token" == metadata["token_endpoint"]
        assert 403 == client.post("/allow", json={"client_id": "reports", "phrase": "open rye"}).status_code
        assert 400 == client.post("/allow", json={"client_id": "nobody", "phrase": PHRASE}).status_code
        begun = client.post("/allow", json={"client_id": "reports", "phrase": PHRASE}).json()
        reports = ("reports", secrets["reports"])

        def refresh(token: str, scope: str) -> httpx2.Response:
            form = {"grant_type": "refresh_token", "refresh_token": token, "scope": scope}
            return client.post(metadata["token_endpoint"], data=form, auth=reports)

        assert "invalid_scope" == refresh(begun["refresh_token"], "admin").json()["error"]
        tokens = refresh(begun["refresh_token"], "read").json()
        bearing = {"authorization": f"Bearer {tokens['access_token']}"}
        assert {"for": "ann", "by": "reports"} == client.get("/report", headers=bearing).json()
        writing = {"authorization": f"Bearer {refresh(tokens['refresh_token'], 'write').json()['access_token']}"}
        assert 403 == client.get("/report", headers=writing).status_code

        def told() -> dict[str, object]:
            form = {"token": tokens["access_token"]}
            billing = ("billing", secrets["billing"])
            content: dict[str, object] = client.post(metadata["introspection_endpoint"], data=form, auth=billing).json()
            return content

        assert (True, "read", "reports") == (told()["active"], told()["scope"], told()["client_id"])
        form = {"token": tokens["refresh_token"]}
        assert 200 == client.post(metadata["revocation_endpoint"], data=form, auth=reports).status_code
        assert {"active": False} == told()
        assert 401 == client.get("/report", headers=bearing).status_code
