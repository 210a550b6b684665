"""Guards in every framework, with a remote verifier: what a bound access token opens, and what its thief gets."""

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from flask import Flask, jsonify
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from daypass import AccessToken, AsyncDaypass, AsyncRemoteVerifier, Daypass, DPoP, RemoteVerifier
from daypass.proof import Proof
from daypass.session_extras import KeyUse
from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.testing import Clock
from daypass.web import Application, asgi, fastapi, flask, starlette
from daypass.web.websocket import EXPIRED, Watched

from ..web.django.bound import NEEDED, in_django, in_rest_framework
from .failing import AsyncFailingStore, FailingStore
from .signing import Signer
from .site import ANN, Site

BASE = "https://api.example.com"
Make = Callable[..., Site]


def _in_flask(auth: Any) -> Any:
    app = Flask("app")
    for name, needed in NEEDED.items():
        require = flask.bearer(auth, **needed)
        app.add_url_rule(f"/{name}", name, lambda require=require: jsonify(user=require().subject))
    return app


def _in_fastapi(auth: Any) -> Any:
    app = FastAPI()

    def add(name: str, require: Any) -> None:
        @app.get(f"/{name}")
        async def me(token: Annotated[AccessToken, Depends(require)]) -> dict[str, str]:
            return {"user": token.subject}

    for name, needed in NEEDED.items():
        add(name, fastapi.bearer(auth, **needed))
    return TestClient(app, base_url=BASE)


def _in_asgi(auth: Any) -> Any:
    guards = {f"/{name}": asgi.bearer(auth, **needed) for name, needed in NEEDED.items()}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            token = await guards[scope["path"]](scope)
        except asgi.Refused as refused:
            await refused.send(scope, send)
        else:
            await JSONResponse({"user": token.subject})(scope, receive, send)

    return TestClient(app, base_url=BASE)


SYNC = {"flask": _in_flask, "django": in_django, "rest_framework": in_rest_framework}
ASYNC = {"fastapi": _in_fastapi, "asgi": _in_asgi}


def _bound(here: Site, owner: Signer) -> str:
    return asyncio.run(here.issuer.start(ANN, key=owner.jwk)).access_token


def _client(here: Site, framework: str, **options: Any) -> Any:
    given: dict[str, Any] = {"dpop": True} | options
    if framework in SYNC:
        return _served_by(framework, RemoteVerifier(here.url, **given))
    return _served_by(framework, AsyncRemoteVerifier(here.url, **given))


def _served_by(framework: str, auth: Any) -> Any:
    if framework in SYNC:
        return httpx2.Client(transport=httpx2.WSGITransport(SYNC[framework](auth)), base_url=BASE)
    return ASYNC[framework](auth)


@pytest.mark.parametrize("framework", [*SYNC, *ASYNC])
def test_a_bound_access_token_in_each_framework(site: Make, framework: str) -> None:
    """Another service opens a route to a proof of the right key for this request, once, and to nothing else."""
    here, owner = site(), Signer()
    token = _bound(here, owner)
    client = _client(here, framework)
    sent = owner.headers("GET", f"{BASE}/me", token)
    answers = [client.get("/me", headers=sent) for _ in range(2)]
    assert [200, 401] == [each.status_code for each in answers], answers[0].text
    assert {"user": "7"} == answers[0].json()
    refused = {
        "invalid_token": {"authorization": f"Bearer {token}"},
        "invalid_dpop_proof": Signer().headers("GET", f"{BASE}/me", token),
    }
    for error, headers in refused.items():
        answer = client.get("/me", headers=headers)
        challenge = answer.headers["www-authenticate"]
        assert (401, "DPoP realm", True) == (answer.status_code, challenge[:10], f'error="{error}"' in challenge)
    for other in (f"{BASE}/other", "http://api.example.com/me"):
        assert 401 == client.get("/me", headers=owner.headers("GET", other, token)).status_code
    assert 401 == client.get("/me", headers=owner.headers("POST", f"{BASE}/me", token)).status_code


@pytest.mark.parametrize("framework", [*SYNC, *ASYNC])
def test_challenges_name_the_scheme_of_the_token(site: Make, framework: str) -> None:
    """A scope or a login that is not enough is challenged by the scheme that the token was sent by (RFC 9449 §7.1)."""
    here, owner = site(), Signer()
    client = _client(here, framework)
    bound, bearer = _bound(here, owner), asyncio.run(here.issuer.start(ANN)).access_token
    for name, status, error in (
        ("write", 403, 'error="insufficient_scope", scope="write"'),
        ("mfa", 401, 'error="insufficient_user_authentication", error_description='),
    ):
        sent = {"DPoP": owner.headers("GET", f"{BASE}/{name}", bound), "Bearer": {"authorization": f"Bearer {bearer}"}}
        for scheme, headers in sent.items():
            answer = client.get(f"/{name}", headers=headers)
            challenge = answer.headers["www-authenticate"]
            assert (status, True) == (answer.status_code, challenge.startswith(f'{scheme} realm="daypass", {error}'))
    algorithms = _client(here, framework, dpop=DPoP(algorithms=["ES256"]))
    answer = algorithms.get("/me", headers=Signer().headers("GET", f"{BASE}/me", bound))
    assert answer.headers["www-authenticate"].endswith(', algs="ES256"')


@pytest.mark.parametrize("framework", [*SYNC, *ASYNC])
def test_a_proof_is_accepted_once_by_several_services(site: Make, framework: str) -> None:
    """With a store, what one verifier has accepted the others refuse; while it is down they answer 503."""
    here, owner = site(), Signer()
    token = _bound(here, owner)
    store: Any = FailingStore() if framework in SYNC else AsyncFailingStore()
    one, two = (_client(here, framework, dpop=DPoP(replay_cache=store)) for _ in range(2))
    sent = owner.headers("GET", f"{BASE}/me", token)
    store.down = True
    answer = two.get("/me", headers=sent)
    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
    store.down = False
    assert [200, 401, 401] == [each.get("/me", headers=sent).status_code for each in (one, two, one)]


@pytest.mark.parametrize("framework", ["flask", "fastapi"])
def test_a_guard_beside_the_issuer_uses_its_store(framework: str) -> None:
    """Guards of two nodes on one store accept a proof once, with the issuer's own store."""
    owner, secret = Signer(), "s" * 32
    kind, store = (Daypass, MemoryStore()) if framework in SYNC else (AsyncDaypass, AsyncMemoryStore())
    dpop = DPoP(replay_cache="store")
    nodes: list[Any] = [
        kind(store, issuer=BASE, load_user=lambda _: ANN, secret=secret, dpop=dpop)  # type: ignore[arg-type]
        for _ in range(2)
    ]
    started = nodes[0].start(ANN, key=owner.jwk)
    token = (started if framework in SYNC else asyncio.run(started)).access_token
    sent = owner.headers("GET", f"{BASE}/me", token)
    assert [200, 401] == [_served_by(framework, node).get("/me", headers=sent).status_code for node in nodes]


@pytest.mark.parametrize("framework", [*SYNC, *ASYNC])
def test_a_guard_asks_for_a_nonce(site: Make, framework: str) -> None:
    """With ``require_nonce`` the answer to a proof without one brings it, in every framework."""
    here, owner = site(), Signer()
    token, client = _bound(here, owner), _client(here, framework, dpop=DPoP(require_nonce=True))
    refused = client.get("/me", headers=owner.headers("GET", f"{BASE}/me", token))
    assert (401, True) == (refused.status_code, "use_dpop_nonce" in refused.headers["www-authenticate"])
    again = owner.headers("GET", f"{BASE}/me", token, nonce=refused.headers["dpop-nonce"])
    assert 200 == client.get("/me", headers=again).status_code


@pytest.mark.parametrize("framework", [*SYNC, *ASYNC])
def test_a_guard_without_dpop_refuses_bound_tokens(site: Make, framework: str) -> None:
    """A service that checks no proofs opens nothing to a bound access token."""
    here, owner = site(), Signer()
    token, client = _bound(here, owner), _client(here, framework, dpop=False)
    for headers in (owner.headers("GET", f"{BASE}/me", token), {"authorization": f"Bearer {token}"}):
        assert 401 == client.get("/me", headers=headers).status_code


def test_an_expired_bound_token_has_a_dpop_challenge() -> None:
    """The challenge names the scheme that the token was sent by, so that clients refresh (RFC 9449 §7.1)."""
    clock, owner = Clock(), Signer()
    auth = AsyncDaypass("memory:", issuer=BASE, load_user=lambda _: ANN, dpop=True, clock=clock)
    token = asyncio.run(auth.start(ANN, key=owner.jwk)).access_token
    clock.advance(60 * 60 * 1000)
    for client in (_in_asgi(auth), _in_fastapi(auth)):
        answer = client.get("/me", headers=owner.headers("GET", f"{BASE}/me", token))
        assert answer.headers["www-authenticate"].startswith('DPoP realm="daypass", error="invalid_token"')


def test_the_url_behind_a_proxy() -> None:
    """With trusted proxies the proof is for the URL that the client used, with the path that a proxy took away."""
    owner = Signer()
    auth = AsyncDaypass("memory:", issuer=BASE, load_user=lambda _: ANN, dpop=True)
    application = Application(auth, trusted_proxies=["127.0.0.1"], proxy_header="X-Forwarded")
    require = starlette.bearer(application)

    async def me(request: Request) -> JSONResponse:
        return JSONResponse({"user": (await require(request)).subject})

    app = Starlette(routes=[Route("/me", me), Mount("/auth", routes=starlette.auth_routes(application))])
    token = asyncio.run(auth.start(ANN, key=owner.jwk)).access_token

    def status(address: str, url: str) -> int:
        inside = TestClient(app, base_url="http://10.0.0.7:8000", root_path="/v1", client=(address, 50000))
        told = {"x-forwarded-proto": "https", "x-forwarded-host": "api.example.com", "x-forwarded-for": "192.0.2.1"}
        return inside.get("/me", headers=owner.headers("GET", url, token) | told).status_code

    assert 200 == status("127.0.0.1", f"{BASE}/v1/me")
    assert [401] * 3 == [
        status("127.0.0.1", "http://10.0.0.7:8000/v1/me"),
        status("127.0.0.1", f"{BASE}/me"),
        status("192.0.2.9", f"{BASE}/v1/me"),
    ]


class Echo:
    """A WebSocket application that ends with its session, and a user with a key."""

    def __init__(self) -> None:
        self.owner = Signer()
        self.auth = AsyncDaypass("memory:", issuer=BASE, load_user=lambda _: ANN, dpop=True)

        async def echo(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] != "websocket.disconnect":
                await send({"type": "websocket.send", "text": message["text"]})

        self.client = TestClient(Watched(echo, self.auth), base_url=BASE)
        self.tokens = asyncio.run(self.auth.start(ANN, key=self.owner.jwk))

    def opens(self, *first: dict[str, Any], headers: Any = None) -> bool:
        """Return whether a WebSocket opens with these headers, or these messages, and echoes."""
        try:
            with self.client.websocket_connect(f"{BASE}/live".replace("https", "wss"), headers=headers or {}) as socket:
                for message in first:
                    socket.send_text(json.dumps({"type": "daypass.token", **message}, separators=(",", ":")))
                    assert "daypass.accepted" == json.loads(socket.receive_text())["type"]
                socket.send_text("hello")
                return bool("hello" == socket.receive_text())
        except (WebSocketDisconnect, WebSocketDenialResponse) as refused:
            if isinstance(refused, WebSocketDenialResponse):
                return refused.status_code != 401
            return refused.code != EXPIRED


def test_a_websocket_opens_with_a_proof() -> None:
    """A WebSocket needs a proof for its URL by ``https``, in a header or in the first message; renewals need none."""
    here = Echo()
    token, url = here.tokens.access_token, f"{BASE}/live"
    newer = asyncio.run(here.auth.refresh(here.tokens.refresh_token, proof=_proven(here))).access_token
    other = asyncio.run(here.auth.start(ANN, key=Signer().jwk)).access_token
    assert here.opens(headers=here.owner.headers("GET", url, token))
    assert here.opens({"accessToken": token, "proof": here.owner.proof("GET", url, token)}, {"accessToken": newer})
    assert here.opens({"accessToken": newer}, headers=here.owner.headers("GET", url, token))
    assert not here.opens({"accessToken": token})
    assert not here.opens({"accessToken": token, "proof": Signer().proof("GET", url, token)})
    assert not here.opens(headers={"authorization": f"Bearer {token}"})
    assert not here.opens(headers=Signer().headers("GET", url, token))
    assert not here.opens({"accessToken": other}, headers=here.owner.headers("GET", url, token))


def _proven(here: Echo) -> Any:
    return Proof.of(here.owner.jwk, KeyUse.DPOP)
