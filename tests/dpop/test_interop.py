"""Our client against servers that nobody here wrote, and their clients against our server: DPoP on both sides.

`tests/oauth/test_node_clients.py` has oauth4webapi and openid-client against our server.
"""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from daypass import LoginRequired
from daypass.client import oauth_login
from daypass.client.httpx import DaypassAuth
from daypass.client.oauth import OAuth
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens

from ..browser import npm

TIMING = Timing(fresh=0)
HERE = Path(__file__).parents[1] / "oauth" / "node"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an oidc-provider that requires nonces and rotates refresh tokens."""
    npm.fetch(HERE, "oidc-provider/package.json", tmp_path_factory)
    with subprocess.Popen(
        [npm.NODE, "--no-warnings", "provider.mjs"],
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def _oauth(provider: str) -> OAuth:
    return OAuth(issuer=provider, client_id="shell", scope="openid")


def test_a_user_of_oidc_provider(provider: str) -> None:
    """Code, refresh, its userinfo endpoint and revocation, with its nonces; a thief without the key gets nothing."""
    got: list[Tokens] = []
    auth = DaypassAuth(provider, strategy=_oauth(provider), dpop=True, timing=TIMING, on_tokens=got.append)
    with httpx2.Client(base_url=provider) as client:

        def visit(page: str) -> None:
            def browse() -> None:
                with httpx2.Client(follow_redirects=True) as browser:
                    browser.get(page)

            threading.Thread(target=browse).start()

        auth.begin(
            client, lambda send, key: oauth_login.by_browser(_oauth(provider), send, visit, patience=20, key=key)
        )
        auth.attach(client)
        assert {"sub": "ada"} == client.get("/me").json()
        assert auth.bound
        for _ in range(2):
            auth.token(good_for=10**9)
        assert 3 == len({tokens.refresh_token for tokens in got})
        assert 1 == len({tokens.key for tokens in got})
        assert {"sub": "ada"} == client.get("/me").json()
        thief = DaypassAuth(provider, strategy=_oauth(provider), dpop=True, timing=TIMING)
        thief.start(refresh_token=got[-1].refresh_token)
        with pytest.raises(LoginRequired):
            thief.token()
        for scheme in ("Bearer", "DPoP"):
            stolen = {"authorization": f"{scheme} {got[-1].access_token}"}
            assert httpx2.get(f"{provider}/me", headers=stolen).status_code in (400, 401)
        auth.token(good_for=10**9)
        assert auth.logout(client)


def test_a_service_of_oidc_provider(provider: str) -> None:
    """Client credentials: the first token request makes the key, and later ones use it."""
    got: list[Tokens] = []
    secret = "a secret of the tests, for nobody else"
    strategy = OAuth(issuer=provider, client_id="service", client_secret=secret, grant="client_credentials")
    auth = DaypassAuth(provider, strategy=strategy, dpop=True, timing=TIMING, on_tokens=got.append)
    for _ in range(2):
        auth.token(good_for=10**9)
    assert [True, True] == [tokens.bound for tokens in got]
    assert 1 == len({tokens.key for tokens in got})
