"""The OAuth endpoints over a real socket, in every framework of ASGI."""

import json
import subprocess
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx2
import pytest

from daypass import ConfigurationError, Daypass
from daypass.web import fastapi, starlette
from daypass.web.clients import Client

from ..web.live import LOGIN, raw
from ..web.world import ISSUER
from .live import Served, served
from .world import CLIENTS, FORM, READER_SECRET, SERVICE_SECRET, basic

SECRET = READER_SECRET or ""


@pytest.fixture(params=["starlette", "fastapi"])
def application(request: pytest.FixtureRequest) -> Iterator[Served]:
    with served(request.param) as application:
        yield application


@pytest.fixture
def client(application: Served) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=application.address) as client:
        yield client


def test_the_whole_way(client: httpx2.Client, application: Served) -> None:
    """Discovery, refresh, introspection, revocation: by plain requests, at the addresses that the metadata names."""
    metadata = client.get("/.well-known/oauth-authorization-server").json()
    assert application.address == metadata["issuer"]
    assert [] != client.get(metadata["jwks_uri"]).json()["keys"]
    first = application.begin()
    form = {"grant_type": "refresh_token", "refresh_token": first.refresh_token, "scope": "read"}
    answer = client.post(metadata["token_endpoint"], data=form, auth=("reader", SECRET))
    tokens = answer.json()
    assert (200, "no-store", "no-cache") == (
        answer.status_code,
        answer.headers["cache-control"],
        answer.headers["pragma"],
    )
    assert ("read", 200) == (tokens["scope"], application.opens(tokens["access_token"]))
    asked = {"token": tokens["access_token"]}
    service = ("service", SERVICE_SECRET or "")
    told = client.post(metadata["introspection_endpoint"], data=asked, auth=service).json()
    assert (True, "reader", "read") == (told["active"], told["client_id"], told["scope"])
    gone = client.post(
        metadata["revocation_endpoint"], data={"token": tokens["refresh_token"]}, auth=("reader", SECRET)
    )
    assert (200, b"") == (gone.status_code, gone.content)
    assert {"active": False} == client.post(metadata["introspection_endpoint"], data=asked, auth=service).json()
    assert 401 == application.opens(tokens["access_token"])


def test_a_first_party_session_refreshes_here(client: httpx2.Client) -> None:
    """A session that was begun at ``/auth/login`` is the issuer's own client's, where that is registered."""
    begun = client.post("/auth/login", json={**LOGIN, "tokenDelivery": "body"}).json()
    form = {"grant_type": "refresh_token", "refresh_token": begun["refreshToken"], "client_id": "daypass"}
    tokens = client.post("/oauth/token", data=form).json()
    assert "Bearer" == tokens["token_type"]
    again = client.post("/auth/refresh", json={"refreshToken": tokens["refresh_token"]})
    assert 200 == again.status_code


def test_two_authorization_headers(client: httpx2.Client, application: Served) -> None:
    """Two of them show nothing, though each were good; nothing is changed."""
    body = urlencode({"grant_type": "refresh_token", "refresh_token": application.begin().refresh_token})
    header = basic("reader", SECRET)
    head = (
        "POST /oauth/token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"content-type: {FORM}\r\nauthorization: {header}\r\nauthorization: {header}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    answer = raw(application.address, f"{head}{body}".encode())
    assert b" 401 " in answer.split(b"\r\n")[0]
    assert b'"invalid_client"' in answer


def test_a_body_that_is_too_long(client: httpx2.Client, application: Served) -> None:
    """At most 64 KiB are read, whether the length is announced or not; one byte less is accepted."""
    first = application.begin("app")
    form = urlencode({"grant_type": "refresh_token", "refresh_token": first.refresh_token, "client_id": "app", "p": ""})
    headers = {"content-type": FORM}
    long = form + "x" * (65_537 - len(form))
    for content in (long.encode(), iter([long.encode()])):
        answer = client.post("/oauth/token", content=content, headers=headers)
        assert (413, "content_too_large") == (answer.status_code, answer.json()["error"])
    assert 200 == client.post("/oauth/token", content=long[:-1].encode(), headers=headers).status_code


@pytest.mark.parametrize("path", ["token", "revoke", "introspect"])
@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE"])
def test_no_other_method(client: httpx2.Client, path: str, verb: str) -> None:
    """The endpoints accept only ``POST``."""
    assert 405 == client.request(verb, f"/oauth/{path}").status_code


def test_plain_http_elsewhere(client: httpx2.Client) -> None:
    """Plain HTTP to another host than loopback is refused, before anything is looked at."""
    answer = client.post("/oauth/token", data={"client_id": "app"}, headers={"host": "api.example.com"})
    assert (400, "invalid_request") == (answer.status_code, answer.json()["error"])


def test_a_program_without_a_library(application: Served) -> None:
    """Curl does it, as every shell can."""
    first = application.begin()
    command = ["curl", "-s", "-u", f"reader:{SECRET}", "-d", "grant_type=refresh_token"]
    command += ["-d", f"refresh_token={first.refresh_token}", f"{application.address}/oauth/token"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert "Bearer" == json.loads(done.stdout)["token_type"]


# ---- mounting


def test_it_is_described() -> None:
    """FastAPI's page shows every endpoint, its form and its answers."""
    with served("fastapi") as application:
        described = httpx2.get(f"{application.address}/openapi.json").json()["paths"]
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
        operation = described[path]["post"]
        assert [FORM] == list(operation["requestBody"]["content"])
        assert {"200", "400", "401", "413", "503"} <= set(operation["responses"])
    assert "get" in described["/.well-known/oauth-authorization-server"]


@pytest.mark.parametrize("make", [starlette.oauth_routes, fastapi.oauth_router])
def test_an_issuer_that_would_block(make: object) -> None:
    """An issuer that is not async, and objects that are not clients, are refused when they are mounted."""
    assert callable(make)
    auth = Daypass("memory:", issuer=ISSUER, load_user=lambda _: None)
    with pytest.raises(ConfigurationError, match="AsyncDaypass"):
        make(auth, clients=CLIENTS)


def test_an_issuer_with_a_path_is_described() -> None:
    """Its metadata is where RFC 8414 §3.1 wants it, and in FastAPI's page too."""
    from fastapi import FastAPI

    from daypass import AsyncDaypass

    auth = AsyncDaypass("memory:", issuer=f"{ISSUER}/tenant", load_user=lambda _: None)
    app = FastAPI()
    app.include_router(fastapi.well_known_router(auth, clients=[Client("app")]))
    wanted = {"/.well-known/jwks.json", "/.well-known/oauth-authorization-server/tenant"}
    assert wanted == set(app.openapi()["paths"])
