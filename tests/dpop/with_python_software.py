"""DPoP software in Python that nobody here wrote, as a client and as an API.

`make interop` installs it and runs this; the suite does not.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from daypass import Daypass, LoginRequired, User
from daypass.client.httpx import DaypassAuth

from ..oauth.live import served
from ..oauth.world import READER_SECRET
from .signing import Signer

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "build" / "interop" / "bin" / "python"
SCRIPTS = ROOT / "tests" / "oauth" / "python"
ISSUER = "https://api.example.com/"


def _said(script: str, *arguments: str) -> Any:
    command = [str(PYTHON), str(SCRIPTS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_requests_oauth2client() -> None:
    """A client in Python that nobody here wrote: refresh and resource with its proofs; a thief gets nothing."""
    with served(dpop=True) as application:
        said = _said("requests_oauth2client_dpop.py", application.address)
    assert {"token_type": "DPoP", "opened": 200, "thief": "invalid_dpop_proof"} == said


def test_idpyoidc() -> None:
    """The client of idpyoidc refreshes by its own proof. Its ``ath`` is hexadecimal, not base64url (RFC 9449 §4.2).

    It sends no nonce, so the server's clock has to be right.
    """
    with served(dpop=True) as application:
        application.clock.advance(int(time.time() * 1000) - application.clock())
        begun = application.begin("reader")
        said = _said("idpyoidc_dpop.py", application.address, "reader", str(READER_SECRET), begun.refresh_token)
    assert "DPoP" == said["granted"]
    assert "its ath is not that of this one" in said["challenge"]


def test_an_api_with_auth0s_sdk() -> None:
    """Our access tokens and our client's proofs open an API that Auth0's SDK guards; without the key they do not."""
    ann, owner = User("7", username="ann"), Signer()
    auth = Daypass("memory:", issuer=ISSUER, load_user=lambda _: ann, algorithm="RS256", dpop=True)
    tokens = auth.start(ann, key=owner.jwk)
    metadata = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}.well-known/jwks.json"}
    published = {"domain": "api.example.com", "audience": ISSUER, "metadata": metadata, "jwks": auth.jwks()}
    with _serving("auth0_api.py", published) as url:
        statuses = [_status(url, tokens.access_token, key) for key in (owner, Signer())]
        bearer = {"authorization": f"Bearer {tokens.access_token}"}
        statuses.append(httpx2.get(f"{url}/me", headers=bearer).status_code)
    assert [200, 401, 400] == statuses


@contextmanager
def _serving(script: str, given: Any) -> Iterator[str]:
    """Run a script that serves, and yield the address that it prints."""
    command = [str(PYTHON), "-W", "ignore", str(SCRIPTS / script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _status(url: str, access_token: str, key: Signer) -> int:
    """Return with which status our client opens the API; a session without a refresh token ends with a 401."""
    auth = DaypassAuth(f"{url}/auth")
    auth.start(access_token=access_token, key=key.key.as_dict(private=True))
    with httpx2.Client() as client:
        auth.attach(client)
        try:
            return client.get(f"{url}/me").status_code
        except LoginRequired:
            return 401
