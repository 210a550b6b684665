"""Python clients whose sessions are bound to a key: `DaypassAuth(dpop=True)` in each HTTP library."""

import asyncio
import importlib
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey, generate_key

from daypass import ConfigurationError, DPoP
from daypass.cli import main
from daypass.client.dpop import Proofs, checked_key
from daypass.client.httpx import DaypassAuth
from daypass.client.oauth import OAuth
from daypass.client.storage import FileStorage, MemoryStorage
from daypass.client.timing import Timing
from daypass.dpop import token_hash
from daypass.errors import RefreshUnavailable
from daypass.testing.client_subjects import SUBJECTS, Ours

from .site import ANN, Site, claims_of

TIMING = Timing(fresh=0, pause=20, backoff=50)
Make = Callable[..., Any]


@pytest.fixture(params=[each for each in SUBJECTS if issubclass(each, Ours)], ids=lambda each: each.name)
def user(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Return what opens a user of each library."""
    opened: list[Ours] = []

    def make(at: Site, **options: Any) -> Ours:
        module = importlib.import_module(f"daypass.client.{request.param.adapter}")
        auth = getattr(module, request.param.auth_class)
        made: Ours = request.param(at.url, None, auth(f"{at.url}/auth", **({"dpop": True, "timing": TIMING} | options)))
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()


@pytest.mark.parametrize("nonces", [False, True], ids=["", "nonces"])
def test_a_bound_session_in_each_library(user: Make, site: Make, *, nonces: bool) -> None:
    """Login, requests, redirects, a refresh after an expired token, and logout: each with a proof of its own."""
    here = site(dpop=DPoP(require_nonce=nonces))
    ann = user(here)
    ann.login()
    assert {"bound", "started"} >= set(here.codes)
    here.early = 1
    sent = [("GET", "/me"), ("POST", "/me"), ("POST", "/hop/307"), ("POST", "/hop/303"), ("GET", "/hop/302")]
    assert [200] * 5 == [ann.request(method, path) for method, path in sent]
    assert 200 == ann.request("POST", "/me", "stream", b"x" * 100_000)
    ann.logout()
    proofs = here.proofs()
    assert len(proofs) == len({proof["jti"] for proof in proofs})
    assert all(proof["htu"] == f"{here.url}{path}" for path, _, _ in here.seen for proof in here.proofs(path))
    assert 1 == len(here.proofs("/auth/refresh"))
    assert ["started", "rotated", "logged_out"] == here.codes
    refused = [] if not nonces else ["a nonce for the login"]
    assert len(refused) == len(here.proofs("/auth/login")) - 1
    assert {len("DPoP")} == {len(sent.split(" ")[0]) for path, sent, _ in here.seen if sent}


def test_a_required_nonce_costs_one_request(user: Make, site: Make) -> None:
    """The nonce of a response is used from then on: a server that requires nonces is asked twice once."""
    here = site(dpop=DPoP(require_nonce=True))
    ann = user(here)
    ann.login()
    assert 2 == len(here.seen)
    assert [200] * 3 == [ann.request("GET", "/me") for _ in range(3)]
    assert 2 + 3 == len(here.seen)


def test_another_origin_gets_neither_token_nor_proof(user: Make, site: Make) -> None:
    """A redirect to another origin is followed without the access token and without a proof."""
    here, there = site(), site()
    here.elsewhere = there.url
    ann = user(here)
    ann.login()
    assert 401 == ann.request("POST", "/away", "bytes", b"x")
    assert [("/me", None, None)] == there.seen


def _logged_in(here: Site, **options: Any) -> tuple[DaypassAuth, httpx2.Client]:
    given: dict[str, Any] = {"dpop": True, "timing": TIMING} | options
    auth = DaypassAuth(f"{here.url}/auth", **given)
    client = here.client()
    auth.login(client, username="ann", password="x")
    return auth, client


def test_copied_tokens_are_useless(site: Make) -> None:
    """A thief with both tokens and no key refreshes nothing and opens nothing; the owner is not disturbed."""
    got: list[Any] = []
    here = site()
    _, client = _logged_in(here, on_tokens=got.append)
    stolen = got[0]
    refused = httpx2.post(f"{here.url}/auth/refresh", json={"refreshToken": stolen.refresh_token})
    assert (400, "invalid_dpop_proof") == (refused.status_code, refused.json()["error"])
    for scheme in ("Bearer", "DPoP"):
        sent = {"authorization": f"{scheme} {stolen.access_token}"}
        assert 401 == httpx2.get(f"{here.url}/me", headers=sent).status_code
    thief = DaypassAuth(f"{here.url}/auth", dpop=True, timing=TIMING)
    thief.start(refresh_token=stolen.refresh_token)
    with pytest.raises(RefreshUnavailable):
        thief.token()
    here.early = 1
    assert 200 == client.get("/me").status_code
    assert {"started", "proof_refused", "rotated"} == set(here.codes)


def test_the_private_key_is_shown_nowhere(site: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Neither log, event, repr nor error contains the private key or a proof; requests send only its public part."""
    caplog.set_level(logging.DEBUG)
    shown: list[Any] = []
    here = site()
    auth, client = _logged_in(here, on_tokens=shown.append, on_event=shown.append)
    here.early = 1
    client.get("/me")
    key = shown[0] if hasattr(shown[0], "key") else shown[1]
    private = json.loads(key.key)["d"]
    wire = " ".join(json.dumps(claims_of(proof, 0)) for _, _, proof in here.seen if proof)
    for text in (repr(shown), repr(auth), caplog.text, wire):
        assert private not in text
    assert {"kty", "crv", "x", "y"} == set(claims_of(str(here.seen[0][2]), 0)["jwk"])
    with pytest.raises(ConfigurationError) as refused:
        auth.start(refresh_token="r", key=json.loads(key.key) | {"x": "AAAA"})
    assert private not in str(refused.value)


def test_the_key_is_kept_with_the_tokens(site: Make, tmp_path: Path) -> None:
    """Another process goes on with the session in the storage, also with ``dpop=False``; a new login has a new key."""
    here = site()
    path = tmp_path / "session.json"
    _, client = _logged_in(here, storage=FileStorage(path))
    here.early = 1
    other = DaypassAuth(f"{here.url}/auth", storage=FileStorage(path), timing=TIMING)
    resumed = other.attach(here.client())
    assert [200, 200] == [each.get("/me").status_code for each in (resumed, client)]
    first = json.loads(path.read_text())["key"]
    _logged_in(here, storage=FileStorage(path))
    assert first != json.loads(path.read_text())["key"]
    assert 0o600 == path.stat().st_mode & 0o777


def test_a_session_without_a_key_goes_on(site: Make, tmp_path: Path) -> None:
    """A session from before ``dpop=True`` stays a bearer session until the next login."""
    here = site()
    path = tmp_path / "session.json"
    _logged_in(here, dpop=False, storage=FileStorage(path))
    assert "key" not in json.loads(path.read_text())
    here.early = 1
    auth = DaypassAuth(f"{here.url}/auth", dpop=True, storage=FileStorage(path), timing=TIMING)
    client = auth.attach(here.client())
    assert 200 == client.get("/me").status_code
    assert [None] * 3 == [proof for path, _, proof in here.seen if path in ("/me", "/auth/refresh")]


def test_a_lost_key_means_log_in_again(site: Make, tmp_path: Path) -> None:
    """A bound session whose key is gone is not refreshed; the error says so, and nothing is ended."""
    here = site(access_ttl="1s")
    path = tmp_path / "session.json"
    _logged_in(here, storage=FileStorage(path))
    record = json.loads(path.read_text())
    del record["key"]
    path.write_text(json.dumps(record | {"lifetime": 1}))
    auth = DaypassAuth(f"{here.url}/auth", dpop=True, storage=FileStorage(path), timing=TIMING)
    with pytest.raises(ConfigurationError, match="log in again"):
        auth.attach(here.client()).get("/me")
    assert auth.logged_in
    assert "logged_out" not in here.codes


def test_a_server_without_dpop_is_refused(site: Make) -> None:
    """A protection that was asked for is never off silently: the login fails and says what to do."""
    with pytest.raises(ConfigurationError, match="dpop=True"):
        _logged_in(site(dpop=False))


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_an_invalid_dpop_is_refused(wrong: Any) -> None:
    """``dpop`` is True or False; a function that fetches tokens has no place for a proof."""
    with pytest.raises(ConfigurationError, match="dpop"):
        DaypassAuth("https://api.example.com", dpop=wrong)
    with pytest.raises(ConfigurationError, match="dpop"):
        DaypassAuth("https://api.example.com", dpop=True, strategy=lambda _: "token")


def test_a_client_that_was_not_attached_is_refused(site: Make) -> None:
    """An httpx client that only has the auth could send a proof to another origin: it is told to attach."""
    here = site()
    storage = MemoryStorage()
    _logged_in(here, storage=storage)
    auth = DaypassAuth(f"{here.url}/auth", storage=storage, timing=TIMING)
    with httpx2.Client(base_url=here.url, auth=auth) as client:
        with pytest.raises(ConfigurationError, match="attach"):
            client.get("/me")
        auth.attach(client)
        assert 200 == client.get("/me").status_code


def _oauth(here: Site, **options: Any) -> DaypassAuth:
    strategy = OAuth(issuer=here.url, client_id="cli", revocation_endpoint=f"{here.url}/oauth/revoke")
    return DaypassAuth(here.url, strategy=strategy, timing=TIMING, **options)


def test_an_oauth_session_is_bound(site: Make, tmp_path: Path) -> None:
    """Tokens that are bound already are given with their key; refresh and revocation have proofs, with nonces too."""
    key = ECKey.generate_key("P-256")
    here = site(dpop=DPoP(require_nonce=True))
    begun = asyncio.run(here.issuer.start(ANN, client_id="cli", scope="read", key=key.as_dict(private=False)))
    auth = _oauth(here)
    auth.start(refresh_token=begun.refresh_token, key=key.as_dict(private=True))
    client = auth.attach(here.client())
    assert 200 == client.get("/me").status_code
    assert auth.logout(client)
    assert "logged_out" == here.codes[-1]


def test_an_unbound_refresh_token_gets_bound_access_tokens(site: Make) -> None:
    """``start`` with ``dpop=True`` makes a key: the first access token is a bearer token, the next one is bound."""
    here = site()
    begun = asyncio.run(here.issuer.start(ANN, client_id="cli", scope="read"))
    auth = _oauth(here, dpop=True)
    auth.start(access_token=begun.access_token, refresh_token=begun.refresh_token)
    client = auth.attach(here.client())
    here.early = 1
    assert 200 == client.get("/me").status_code
    assert ["Bearer", "DPoP"] == [str(sent).split(" ")[0] for path, sent, _ in here.seen if path == "/me"]


def test_an_oauth_server_without_dpop_is_refused_before_anything_is_sent(site: Make) -> None:
    """Its metadata does not offer DPoP: its refresh token is not used up for an answer that would be refused."""
    here = site(dpop=False)
    auth = _oauth(here, dpop=True)
    auth.start(refresh_token="dpr_x")
    with pytest.raises(ConfigurationError, match="does not offer DPoP"):
        auth.token()
    assert ["/.well-known/oauth-authorization-server"] == [path for path, _, _ in here.seen]


def test_proofs_have_what_the_rfc_asks_for() -> None:
    """RFC 9449 §4.2: htm, htu without query and in normal form, iat, a fresh jti, ath; a nonce for its origin only."""
    ids = iter("abcdef")
    proofs = Proofs(lambda: 1_562_262_616_999, lambda: next(ids))
    key = json.dumps(ECKey.generate_key("P-256").as_dict(private=True))
    text = proofs.of(key, "POST", "HTTPS://Server.example.com:443/token?a=b#c", "token")
    expected = {"jti": "a", "htm": "POST", "htu": "https://server.example.com/token", "iat": 1_562_262_616}
    assert expected | {"ath": token_hash("token")} == claims_of(text)
    assert {"typ": "dpop+jwt", "alg": "ES256"}.items() <= claims_of(text, 0).items()
    proofs.learn("https://server.example.com/token", "one")
    proofs.learn("https://server.example.com/other", None)
    nonces = [claims_of(proofs.of(key, "GET", url)).get("nonce") for url in ("https://server.example.com/x",
              "https://server.example.com:8443/", "http://server.example.com/")]  # fmt: skip
    assert ["one", None, None] == nonces


@pytest.mark.parametrize("kind", [("EC", "P-256"), ("EC", "P-384"), ("OKP", "Ed25519"), ("RSA", 2048)])
def test_each_kind_of_key_proves(kind: tuple[str, Any]) -> None:
    """A key from elsewhere may be of any kind that servers take; a public one, or half of one, is refused."""
    key: Any = generate_key(*kind)  # type: ignore[call-overload]  # each pair fits
    text = Proofs(lambda: 1_562_262_616_000).of(checked_key(key.as_dict(private=True)), "GET", "https://a.example/")
    proof = DPoP().check(text, "GET", "https://a.example/", 1_562_262_616_000)
    assert key.thumbprint() == proof.thumbprint
    for wrong in (key.as_dict(private=False), {"kty": kind[0]}, {"kty": "oct", "k": "c2VjcmV0"}, None, "text"):
        with pytest.raises(ConfigurationError, match="invalid key"):
            checked_key(wrong)


def test_the_shell_keeps_a_bound_session(
    site: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``login --dpop`` binds the session: ``request`` works, and ``token`` says that a token alone is of no use."""
    here = site()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.StringIO("x\n"))
    assert 0 == main(["login", f"{here.url}/auth", "--username", "ann", "--dpop"])
    here.early = 1
    assert 0 == main(["request", "GET", f"{here.url}/me"])
    assert 1 == main(["token"])
    assert 0 == main(["logout"])
    told = capsys.readouterr()
    assert '{"user":"7","bytes":0}' in told.out
    assert "daypass request" in told.err
    assert "logged_out" == here.codes[-1]


def test_headers_for_other_clients(site: Make) -> None:
    """``headers`` returns the token and a proof for one request at an own origin, and refuses any other origin."""
    here = site()
    auth, _ = _logged_in(here)
    assert auth.bound
    urls = [f"{here.url}/me"] * 2
    sent = [auth.headers("GET", urls[0]), asyncio.run(auth.aheaders("GET", urls[1]))]
    assert [200, 200] == [httpx2.get(urls[0], headers=each).status_code for each in sent]
    assert 401 == httpx2.get(urls[0], headers=sent[0]).status_code
    with pytest.raises(ConfigurationError, match="another origin"):
        auth.headers("GET", "https://other.example/me")
    bearer, _ = _logged_in(here, dpop=False)
    assert ["Authorization"] == list(bearer.headers("GET", urls[0]))
