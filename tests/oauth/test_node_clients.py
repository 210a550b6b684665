"""oauth4webapi and openid-client, as they are, on Node, against a served application."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from ..browser import npm
from ..web.world import ALICE
from .live import Served, served
from .world import READER_SECRET, SERVICE_SECRET

HERE = Path(__file__).parent / "node"


@pytest.fixture(params=["oauth4webapi", "openid-client"])
def script(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a library's script, the library fetched from npm by the lock file where it is missing."""
    npm.fetch(HERE, f"{request.param}/package.json", tmp_path_factory)
    return HERE / f"{request.param}.mjs"


def test_the_whole_way(script: Path, application: Served) -> None:
    """Discovery, refresh with a secret in either place and without one, a narrowed scope, introspection, revocation.

    Each error is understood as what it is: by its code, or by its challenge.
    """
    told = {
        "issuer": application.address,
        "secrets": {"reader": READER_SECRET, "service": SERVICE_SECRET},
        "reader": asdict(application.begin("reader")),
        "app": asdict(application.begin("app")),
    }
    done = npm.run(npm.NODE, script, json.dumps(told), folder=HERE)
    assert (0, "") == (done.returncode, done.stderr)
    outcome = json.loads(done.stdout)
    assert (application.address, ["read write", "read"], 900) == (
        outcome["issuer"],
        outcome["scopes"],
        outcome["expires_in"],
    )
    assert 200 == application.opens(outcome["access_token"])
    before = outcome["before"]
    assert (True, "read", "reader", ALICE.subject) == (
        before["active"],
        before["scope"],
        before["client_id"],
        before["sub"],
    )
    assert {"active": False} == outcome["after"]
    assert ["invalid_grant", "invalid_scope", "invalid_client", "unauthorized_client"] == outcome["errors"]
    assert (True, "basic") == (outcome["described"], outcome["challenge"])


@pytest.mark.parametrize("library", ["oauth4webapi", "openid-client"])
def test_a_bound_session_by_dpop(library: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Refresh and resource with a proof; a copied token gets nothing without the key, or with another one.

    The server's clock is not that of the client, so the first proof needs a nonce.
    """
    npm.fetch(HERE, f"{library}/package.json", tmp_path_factory)
    with served(dpop=True) as application:
        script = HERE / f"dpop-{library}.mjs"
        done = npm.run(npm.NODE, script, json.dumps({"issuer": application.address}), folder=HERE)
        assert (0, "") == (done.returncode, done.stderr)
        outcome = json.loads(done.stdout)
        codes = [event.code for event in application.events]
    assert "ES256" in outcome["algorithms"]
    assert ("dpop", 200) == (outcome["token_type"].lower(), outcome["opened"])
    assert outcome["nonces"]
    assert ["invalid_dpop_proof", "invalid_dpop_proof"] == outcome["errors"]
    assert [["dpop", "invalid_dpop_proof"], ["dpop", "invalid_token"]] == outcome["challenges"]
    assert "reused" not in codes
