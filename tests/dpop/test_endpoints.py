"""DPoP at the endpoints and at guarded routes, in an ASGI and a WSGI framework."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from flask import Flask, jsonify
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from daypass import AsyncDaypass, ConfigurationError, Daypass, DPoP, Event, ProofRejected, SessionRevoked, User
from daypass.web import Application
from daypass.web.clients import Client
from daypass.web.flask import auth_blueprint, oauth_blueprint
from daypass.web.flask import bearer as flask_bearer
from daypass.web.starlette import auth_routes, bearer, oauth_routes, well_known_routes

from .failing import AsyncFailingStore, FailingStore
from .signing import Signer
from .wrong_proofs import wrong_proofs

BASE = "https://api.example.com"
ANN = User("7", username="ann", scope="read")
LOGIN = {"username": "ann", "password": "correct", "tokenDelivery": "body"}
CLIENTS = [Client("cli", scope="read"), Client.register("Billing", client_id="billing", introspects=True)[0]]


class Served:
    """One application, and its issuer's events."""

    def __init__(self, framework: str, **options: Any) -> None:
        self.events: list[Event] = []
        self.framework = framework
        common: dict[str, Any] = {
            "issuer": BASE,
            "load_user": {"7": ANN}.get,
            "authenticate": lambda name, password: ANN if (name, password) == ("ann", "correct") else None,
            "on_event": self.events.append,
            "dpop": True,
        }
        self.issuer: Any = (Daypass if framework == "flask" else AsyncDaypass)(
            options.pop("store", "memory:"), **(common | options)
        )
        make = self._flask if framework == "flask" else self._starlette
        self.client = make(Application(self.issuer, clients=CLIENTS))

    def _starlette(self, application: Any) -> httpx2.Client:
        require = bearer(application, scope="read")

        async def profile(request: Request) -> JSONResponse:
            return JSONResponse({"user": (await require(request)).subject})

        routes = [Route("/profile", profile), Mount("/auth", routes=auth_routes(application))]
        routes += [Mount("/oauth", routes=oauth_routes(application)), *well_known_routes(application)]
        return TestClient(Starlette(routes=routes), base_url=BASE)

    def _flask(self, application: Any) -> Any:
        app = Flask("app")
        require = flask_bearer(application, scope="read")
        app.register_blueprint(auth_blueprint(application), url_prefix="/auth")
        app.register_blueprint(oauth_blueprint(application), url_prefix="/oauth")
        app.add_url_rule("/profile", view_func=lambda: jsonify(user=require().subject))
        return httpx2.Client(transport=httpx2.WSGITransport(app), base_url=BASE)

    def send(self, signer: Signer | None, method: str, path: str, token: str | None = None, **sent: Any) -> Any:
        """Send a request with a proof of ``signer``, None for none, and perhaps an access token."""
        headers = dict(sent.pop("headers", {}))
        if signer is not None:
            headers |= signer.headers(method, BASE + path, token)
        elif token is not None:
            headers["authorization"] = f"Bearer {token}"
        return self.client.request(method, path, headers=headers, **sent)

    def log_in(self, signer: Signer | None) -> Any:
        answer = self.send(signer, "POST", "/auth/login", json=LOGIN)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def run(self, made: Any) -> Any:
        return made if self.framework == "flask" else asyncio.run(made)

    @property
    def codes(self) -> list[str]:
        return [str(event.code) for event in self.events]


@pytest.fixture(params=["starlette", "flask"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    made = Served(request.param)
    yield made
    made.run(made.issuer.close())


def test_a_bound_login_refreshes_only_with_a_proof(served: Served) -> None:
    """A login with a proof is bound: copied tokens get nothing without the key, and do the owner no harm."""
    owner, thief = Signer(), Signer()
    tokens = served.log_in(owner)
    assert "DPoP" == tokens["tokenType"]
    body = {"refreshToken": tokens["refreshToken"]}
    for _ in range(3):
        for signer, error in ((None, "invalid_dpop_proof"), (thief, "invalid_dpop_proof")):
            stolen = served.send(signer, "POST", "/auth/refresh", json=body)
            assert (400, error) == (stolen.status_code, stolen.json()["error"])
            assert "set-cookie" not in stolen.headers
            assert 204 == served.send(signer, "POST", "/auth/logout", json=body).status_code
        kept = body
        answer = served.send(owner, "POST", "/auth/refresh", json=body)
        assert (200, "DPoP") == (answer.status_code, answer.json()["tokenType"])
        body = {"refreshToken": answer.json().get("refreshToken", body["refreshToken"])}
        assert 400 == served.send(None, "POST", "/auth/refresh", json=kept).status_code
    assert {"started", "rotated", "held", "proof_refused"} >= set(served.codes)
    assert 204 == served.send(owner, "POST", "/auth/logout", json=body).status_code
    assert "logged_out" == served.codes[-1]


def test_a_bound_access_token_opens_nothing_without_a_proof(served: Served) -> None:
    """A resource takes a bound access token with a proof for this request, once, and never as a bearer token."""
    owner = Signer()
    token = served.log_in(owner)["accessToken"]
    for path, answer in (("/profile", {"user": "7"}), ("/auth/me", None)):
        opened = served.send(owner, "GET", path, token)
        assert 200 == opened.status_code, opened.text
        assert answer is None or answer == opened.json()
        downgraded = served.send(None, "GET", path, token)
        assert 401 == downgraded.status_code
        assert downgraded.headers["www-authenticate"].startswith('DPoP realm="daypass", error="invalid_token"')
        assert 'algs="ES256' in downgraded.headers["www-authenticate"]
        headers = owner.headers("GET", BASE + path, token)
        assert [200, 401] == [served.client.get(path, headers=headers).status_code for _ in range(2)]
        others = [
            Signer().headers("GET", BASE + path, token),
            owner.headers("GET", BASE + "/other", token),
            owner.headers("GET", BASE + path, token, ath=None),
            {"authorization": f"DPoP {token}"},
        ]
        for refused in (served.client.get(path, headers=each) for each in others):
            assert 401 == refused.status_code
            assert 'error="invalid_dpop_proof"' in refused.headers["www-authenticate"]


def test_a_bearer_token_is_not_sent_by_dpop(served: Served) -> None:
    """Without a proof at the login all stays as it was, and its access token needs no proof."""
    token = served.log_in(None)["accessToken"]
    assert 200 == served.send(None, "GET", "/profile", token).status_code
    assert 401 == served.send(Signer(), "GET", "/profile", token).status_code
    assert 401 == served.client.get("/profile").status_code


def test_the_list_of_devices_says_what_is_bound(served: Served) -> None:
    """``bound`` is true for the session that is bound to a key."""
    owner = Signer()
    token = served.log_in(owner)["accessToken"]
    served.log_in(None)
    listed = served.send(owner, "GET", "/auth/sessions", token).json()["sessions"]
    assert {(True, True), (False, False)} == {(each["current"], each["bound"]) for each in listed}


def test_a_wrong_proof_at_the_login_logs_nobody_in(served: Served) -> None:
    """A login with a proof for another request is refused before the password is looked at."""
    answer = served.client.post("/auth/login", json=LOGIN, headers={"dpop": Signer().proof("POST", BASE + "/other")})
    assert (400, "invalid_dpop_proof") == (answer.status_code, answer.json()["error"])
    assert not served.codes


def test_a_wrong_proof_is_refused_and_changes_nothing(served: Served) -> None:
    """A weak key, a private one, a shared secret, no signature, two headers: 400 at an endpoint, 401 at a resource."""
    owner = Signer()
    tokens = served.log_in(owner)
    token, body = tokens["accessToken"], {"refreshToken": tokens["refreshToken"]}
    bearing = {"authorization": f"DPoP {token}"}
    for method, path, status, sent in (
        ("POST", "/auth/login", 400, {"json": LOGIN}),
        ("POST", "/auth/refresh", 400, {"json": body}),
        ("GET", "/profile", 401, {"headers": bearing}),
    ):
        claims = owner.claims(method, BASE + path, token if status == 401 else None)
        for name, text in wrong_proofs("dpop+jwt", claims, owner.key).items():
            if served.framework == "flask" and not text.isascii():
                continue  # its transport here sends ASCII only
            headers = sent.get("headers", {}) | {"dpop": text}
            encoded = {each: value.encode("latin-1") for each, value in headers.items()}
            answer = served.client.request(method, path, **(sent | {"headers": encoded}))
            said = answer.text if status == 400 else answer.headers["www-authenticate"]
            assert (status, True) == (answer.status_code, "invalid_dpop_proof" in said), name
    assert 200 == served.send(owner, "GET", "/profile", token).status_code
    assert 200 == served.send(owner, "POST", "/auth/refresh", json=body).status_code
    assert 1 == served.codes.count("started")


def test_confirming_keeps_the_access_token_bound(served: Served) -> None:
    """The access token that a step-up gives is bound to the same key."""
    owner = Signer()
    token = served.log_in(owner)["accessToken"]
    answer = served.send(owner, "POST", "/auth/confirm", token, json={"password": "correct", "username": "ann"})
    assert (200, "DPoP") == (answer.status_code, answer.json()["tokenType"]), answer.text
    newer = answer.json()["accessToken"]
    assert [200, 401] == [served.send(each, "GET", "/profile", newer).status_code for each in (owner, None)]


@pytest.mark.parametrize("framework", ["starlette", "flask"])
def test_a_nonce_is_asked_for_and_given(framework: str) -> None:
    """With ``require_nonce`` the first proof gets a nonce, at an endpoint by 400 and at a resource by 401."""
    served = Served(framework, dpop=DPoP(require_nonce=True))
    owner = Signer()
    refused = served.send(owner, "POST", "/auth/login", json=LOGIN)
    assert (400, "use_dpop_nonce") == (refused.status_code, refused.json()["error"])
    nonce = refused.headers["dpop-nonce"]
    proof = owner.proof("POST", BASE + "/auth/login", nonce=nonce)
    token = served.client.post("/auth/login", json=LOGIN, headers={"dpop": proof}).json()["accessToken"]
    refused = served.send(owner, "GET", "/profile", token)
    assert 401 == refused.status_code
    assert 'error="use_dpop_nonce"' in refused.headers["www-authenticate"]
    headers = owner.headers("GET", BASE + "/profile", token, nonce=refused.headers["dpop-nonce"])
    assert 200 == served.client.get("/profile", headers=headers).status_code
    served.run(served.issuer.close())


@pytest.mark.parametrize("framework", ["starlette", "flask"])
def test_a_proof_is_accepted_once_by_all_nodes(framework: str) -> None:
    """With ``replay_cache="store"`` a node refuses each proof that another has accepted; nothing is changed by that."""
    store = FailingStore() if framework == "flask" else AsyncFailingStore()
    shared: dict[str, Any] = {"store": store, "secret": "s" * 32, "dpop": DPoP(replay_cache="store")}
    one, two = (Served(framework, **shared) for _ in range(2))
    owner = Signer()

    def statuses(path: str, method: str = "POST", token: str | None = None, **sent: Any) -> list[int]:
        headers = owner.headers(method, BASE + path, token)
        return [each.client.request(method, path, headers=headers, **sent).status_code for each in (one, two)]

    tokens = one.log_in(owner)
    assert [200, 400] == statuses("/auth/login", json=LOGIN)
    assert [200, 401] == statuses("/auth/me", "GET", tokens["accessToken"])
    body = {"refreshToken": tokens["refreshToken"]}
    store.down = True
    assert [503, 503] == statuses("/auth/refresh", json=body)
    store.down = False
    assert [200, 400] == statuses("/auth/refresh", json=body)
    assert [204, 400] == statuses("/auth/logout", json=body)
    granted = one.run(one.issuer.start(ANN, client_id="cli", scope="read", key=owner.jwk)).refresh_token
    form = {"client_id": "cli", "grant_type": "refresh_token", "refresh_token": granted, "token": granted}
    store.down = True
    assert [503, 503] == statuses("/oauth/token", data=form)
    store.down = False
    assert [200, 400] == statuses("/oauth/token", data=form)
    assert [200, 400] == statuses("/oauth/revoke", data=form)
    assert ["logged_out", "logged_out"] == [code for code in one.codes + two.codes if code == "logged_out"]


def test_an_oauth_client_is_bound(served: Served) -> None:
    """A session that was started with the client's key refreshes at the token endpoint only with a proof."""
    owner = Signer()
    tokens = served.run(served.issuer.start(ANN, client_id="cli", scope="read", key=owner.jwk))
    form = {"grant_type": "refresh_token", "client_id": "cli", "refresh_token": tokens.refresh_token}
    refused = served.send(None, "POST", "/oauth/token", data=form)
    assert (400, "invalid_dpop_proof") == (refused.status_code, refused.json()["error"])
    answer = served.send(owner, "POST", "/oauth/token", data=form)
    assert (200, "DPoP") == (answer.status_code, answer.json()["token_type"])
    assert 200 == served.send(owner, "GET", "/profile", answer.json()["access_token"]).status_code
    revoked = {"client_id": "cli", "token": tokens.refresh_token}
    assert 200 == served.send(None, "POST", "/oauth/revoke", data=revoked).status_code
    assert "logged_out" not in served.codes
    assert 200 == served.send(owner, "POST", "/oauth/revoke", data=revoked).status_code
    assert "logged_out" == served.codes[-1]


def test_the_metadata_names_the_algorithms() -> None:
    """``dpop_signing_alg_values_supported`` is there where DPoP is on, and only there."""
    for on in (True, False):
        served = Served("starlette", dpop=on)
        metadata = served.client.get("/.well-known/oauth-authorization-server").json()
        assert on == ("ES256" in metadata.get("dpop_signing_alg_values_supported", []))
        served.run(served.issuer.close())


def test_a_bound_session_stays_bound_where_dpop_is_off() -> None:
    """A node that does not look at proofs refuses a bound session, instead of refreshing it without one."""
    served = Served("flask", dpop=False)
    owner = Signer()
    tokens = served.issuer.start(ANN, key=owner.jwk)
    body = {"refreshToken": tokens.refresh_token}
    assert 400 == served.send(owner, "POST", "/auth/refresh", json=body).status_code
    with pytest.raises(ProofRejected):
        served.issuer.refresh(tokens.refresh_token)
    assert 401 == served.send(owner, "GET", "/profile", tokens.access_token).status_code
    served.issuer.close()


def test_requests_without_a_proof_do_not_limit_the_owner(served: Served) -> None:
    """A thief who sends the copied token again and again is limited by himself: the owner refreshes on."""
    owner = Signer()
    body = {"refreshToken": served.log_in(owner)["refreshToken"]}
    stolen = {served.send(None, "POST", "/auth/refresh", json=body).status_code for _ in range(310)}
    assert {400, 429} == stolen
    assert 200 == served.send(owner, "POST", "/auth/refresh", json=body).status_code


def test_a_session_is_bound_later_once(served: Served) -> None:
    """``bind`` binds a live session: from then on it needs a proof, stays refreshable, and is bound to no other key."""
    owner, other = Signer(), Signer()
    tokens = served.log_in(None)
    body = {"refreshToken": tokens["refreshToken"]}
    session_id = served.send(None, "GET", "/auth/me", tokens["accessToken"]).json()["sessionId"]
    for _ in range(2):
        bound = served.run(served.issuer.bind(session_id, owner.jwk))
    assert owner.thumbprint == bound.key_thumbprint
    with pytest.raises(ProofRejected):
        served.run(served.issuer.bind(session_id, other.jwk))
    with pytest.raises(ConfigurationError, match="private part"):
        served.run(served.issuer.bind(session_id, owner.key.as_dict(private=True)))
    assert ["bound"] == [code for code in served.codes if code == "bound"]
    statuses = [served.send(each, "POST", "/auth/refresh", json=body).status_code for each in (None, other, owner)]
    assert [400, 400, 200] == statuses
    assert 204 == served.send(owner, "POST", "/auth/logout", json=body).status_code
    with pytest.raises(SessionRevoked):
        served.run(served.issuer.bind(session_id, owner.jwk))
