"""How the endpoints describe themselves in OpenAPI, in FastAPI and in `daypass serve`; and that it is true."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from daypass import AsyncDaypass, User, web
from daypass.server.app import build_app
from daypass.stores.memory import AsyncMemoryStore
from daypass.testing import Clock
from daypass.web.clients import Client, hash_secret
from daypass.web.dbsc import REFRESH, REGISTER
from daypass.web.front_end import CONTENT_TYPES
from daypass.web.openapi import AUTH, METADATA, OAUTH, SCHEMAS, WELL_KNOWN, inlined

from ..cookie_names import refresh_cookie
from ..servers.application import serving
from .live import LOGIN, Application
from .test_fastapi import build
from .world import ALICE, BOB, ISSUER, PASSWORD, PEOPLE, SECRET

Document = dict[str, Any]


class Open(Application):
    """An application that knows every other password, so that some logins that are made up succeed."""

    def check(self, identifier: str, password: str) -> User | None:
        return super().check(identifier, password) or (ALICE if len(password) % 2 else None)


CLIENT_SECRET = "dpc_a-secret-of-the-client-long-enough-to-be-one"
CLIENTS = (Client("web", hash_secret(CLIENT_SECRET), introspects=True),)


def fastapi() -> ASGIApp:
    return build(Open(), clients=CLIENTS)


def service() -> ASGIApp:
    store = AsyncMemoryStore()
    auth = AsyncDaypass(
        store,
        issuer=ISSUER,
        secret=SECRET,
        load_user={user.subject: user for user in PEOPLE.values()}.get,
        authenticate=Open().check,
        clock=Clock(),
    )
    return build_app(auth, store, clients=CLIENTS)


@pytest.fixture(scope="module", params=[fastapi, service])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with serving(request.param()) as address:
        yield address


@pytest.fixture(scope="module")
def document(address: str) -> Document:
    """Return the OpenAPI document, as the application serves it."""
    content = httpx2.get(f"{address}/openapi.json").json()
    assert isinstance(content, dict)
    return content


ALWAYS = {"413", "429", "431", "503"}
OPERATIONS = {
    ("/auth/confirm", "post"): ("confirm", {"200", "400", "401", "403", "404", "415"}),
    ("/auth/login", "post"): ("login", {"200", "400", "401", "403", "404", "415"}),
    ("/auth/refresh", "post"): ("refresh", {"200", "400", "401", "403", "409"}),
    ("/auth/logout", "post"): ("logout", {"204", "400", "401", "403", "415"}),
    ("/auth/me", "get"): ("me", {"200", "401", "403"}),
    ("/auth/sessions", "get"): ("sessions", {"200", "400", "401", "403"}),
    ("/auth/sessions", "delete"): ("end_all", {"204", "400", "401", "403"}),
    ("/auth/sessions/{session_id}", "delete"): ("end_session", {"204", "401", "403", "404"}),
    ("/.well-known/jwks.json", "get"): ("jwks", {"200"}),
}


def test_nothing_is_left_out() -> None:
    """Every first-party operation is described, except the files of a front end and what proxies and services ask."""
    auth = AsyncDaypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: None)
    site = web.Application(auth, clients=CLIENTS)
    for routes, described in (
        (site.auth_routes, AUTH),
        (site.well_known_routes, {**WELL_KNOWN, **METADATA}),
        (site.oauth_routes, OAUTH),
    ):
        found = {(method, route.path) for route in routes for method in route.operations}
        undescribed = {*(("GET", f"/{name}") for name in CONTENT_TYPES), ("GET", "/verify"), ("GET", "/endings")}
        undescribed |= {("POST", REGISTER), ("POST", REFRESH)}  # browsers call these by themselves
        assert found - undescribed == set(described)


def test_every_operation_is_described(document: Document) -> None:
    """Each endpoint is there with its name and every status that it may answer with, and no other endpoint."""
    found = {
        (path, method): (operation["operationId"], set(operation["responses"]))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path != "/profile"
    }
    expected = {where: (name, statuses | ALWAYS) for where, (name, statuses) in OPERATIONS.items()}
    oauth = {"200", "400", "401", "413", "429", "431", "503"}
    expected |= {(f"/oauth/{name}", "post"): (name, oauth) for name in ("token", "revoke", "introspect")}
    expected["/.well-known/oauth-authorization-server", "get"] = ("metadata", {"200"} | ALWAYS)
    assert expected == found


def schema_of(document: Document, schema: Document) -> Document:
    """Follow a reference; a reference to nothing is an error."""
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def references(content: Any) -> list[str]:
    if isinstance(content, dict):
        own = [content["$ref"]] if "$ref" in content else []
        return own + [reference for value in content.values() for reference in references(value)]
    return [reference for each in content for reference in references(each)] if isinstance(content, list) else []


def test_every_reference_leads_somewhere(document: Document) -> None:
    """Each ``$ref`` of the document exists, and each schema of ours is used."""
    for reference in references(document):
        assert schema_of(document, {"$ref": reference})
    described = [operation for operations in (AUTH, OAUTH, METADATA, WELL_KNOWN) for operation in operations.values()]
    used = {reference.rpartition("/")[2] for operation in described for reference in references(operation)}
    assert set(SCHEMAS) == used
    assert [] == [each for operation in described for each in references(inlined(operation))]


def test_every_failure_has_one_shape(document: Document) -> None:
    """Each failure is described as it is on the wire, with an example and its headers."""
    needed = {"401": {"WWW-Authenticate"}, "429": {"Retry-After"}, "503": {"Retry-After"}}
    for path, method in OPERATIONS:
        for status, response in document["paths"][path][method]["responses"].items():
            if int(status) >= 400:
                content = response["content"]["application/json"]
                schema = schema_of(document, content["schema"])
                assert {"message", "error"} == set(schema["required"]) == set(schema["properties"])
                assert {"message", "error"} == set(content["example"])
                assert needed.get(status, set()) == set(response.get("headers", {}))


def test_no_content_has_no_schema(document: Document) -> None:
    """An answer without a body is described without one."""
    empty = [
        document["paths"][path][method]["responses"]["204"]
        for (path, method), (_, statuses) in OPERATIONS.items()
        if "204" in statuses
    ]
    assert 3 == len(empty)
    assert [] == [response for response in empty if "content" in response]


@pytest.mark.parametrize(
    ("path", "fields", "required"),
    [
        ("/auth/login", {"email", "username", "password", "tokenDelivery", "deviceName", "remember"}, True),
        ("/auth/refresh", {"refreshToken"}, False),
        ("/auth/logout", {"refreshToken", "everywhere"}, False),
    ],
)
def test_every_body_is_described(document: Document, path: str, fields: set[str], *, required: bool) -> None:
    """What an endpoint takes is described by the names on the wire, and whether it has to be sent."""
    body = document["paths"][path]["post"]["requestBody"]
    schema = schema_of(document, body["content"]["application/json"]["schema"])
    assert (fields, required) == (set(schema["properties"]), body["required"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/auth/login"),
        ("post", "/auth/refresh"),
        ("get", "/auth/me"),
        ("get", "/auth/sessions"),
        ("get", "/.well-known/jwks.json"),
    ],
)
def test_an_answer_is_as_described(address: str, document: Document, method: str, path: str) -> None:
    """A real answer has each field that the document requires and none that it does not know."""
    with httpx2.Client(base_url=address) as client:
        access = client.post("/auth/login", json=LOGIN).json()["accessToken"]
        sent = client.request(method, path, json=LOGIN, headers={"authorization": f"Bearer {access}"})
    kind = sent.headers["content-type"]
    schema = schema_of(document, document["paths"][path][method]["responses"]["200"]["content"][kind]["schema"])
    assert 200 == sent.status_code
    assert set(schema["required"]) <= set(sent.json()) <= set(schema["properties"])


def test_protected_operations_say_so(document: Document) -> None:
    """Just the operations that need an access token name its scheme; the cookie is one way of two."""
    schemes = document["components"]["securitySchemes"]
    assert {"bearer", "cookie", "client"} == set(schemes)
    assert ("http", "bearer", "JWT") == tuple(schemes["bearer"][key] for key in ("type", "scheme", "bearerFormat"))
    assert ("apiKey", "cookie", "__Host-daypass") == tuple(schemes["cookie"][key] for key in ("type", "in", "name"))
    secured = {
        (path, method): operation.get("security")
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path != "/profile"
    }
    bearing = {("/auth/me", "get"), ("/auth/confirm", "post"), ("/auth/sessions", "get"), ("/auth/sessions", "delete")}
    bearing.add(("/auth/sessions/{session_id}", "delete"))
    assert bearing == {where for where, security in secured.items() if security == [{"bearer": []}]}
    by_cookie = {where for where, security in secured.items() if security == [{"cookie": []}, {}]}
    assert {("/auth/refresh", "post"), ("/auth/logout", "post")} == by_cookie


def test_operation_ids_are_unique(document: Document) -> None:
    """Each operation has a different name, from which generated clients make their functions."""
    found = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(found) == len(set(found))


# ---- that it is true


def found_wrong(address: str, folder: Path) -> str:
    """Let schemathesis try everything, logged in; return its output if it finds anything."""
    with httpx2.Client(base_url=address) as client:
        alice = client.post("/auth/login", json=LOGIN)
        cookie = f"daypass={refresh_cookie(client.cookies)}"
        bob = client.post("/auth/login", json={"email": BOB.email, "password": PASSWORD})
    token, other = alice.json()["accessToken"], bob.json()["accessToken"]
    basic = base64.b64encode(f"web:{CLIENT_SECRET}".encode()).decode()
    configuration = folder / "schemathesis.toml"
    configuration.write_text(
        f"""
        color = false
        headers = {{ Authorization = "Bearer {token}" }}
        [[operations]]
        include-name = "DELETE /auth/sessions"
        headers = {{ Authorization = "Bearer {other}" }}
        [[operations]]
        include-path-regex = "^/oauth/"
        headers = {{ Authorization = "Basic {basic}" }}
        """
    )
    oauth = ("--include-path-regex", "^/oauth/")
    return (
        ran(address, folder, "--max-examples", "20", "--exclude-path-regex", "^/oauth/")
        # RFC 6749 §5.2 also refuses well-formed requests with 400
        or ran(address, folder, "--max-examples", "15", *oauth, "--exclude-checks", "positive_data_acceptance")
        or ran(
            # with the cookie, which lets a client send any body
            *(address, folder, "--include-name", "POST /auth/refresh", "--mode", "positive", "-H", f"Cookie: {cookie}")
        )
    )


def ran(address: str, folder: Path, *options: str) -> str:
    script = Path(__file__).with_name("schemathesis_command.py")
    command = [sys.executable, str(script), "--config-file", "schemathesis.toml", "run", f"{address}/openapi.json"]
    always = ["--seed", "1", "--generation-database", "none", "--continue-on-failure"]
    done = subprocess.run([*command, *always, *options], capture_output=True, text=True, timeout=300, cwd=folder)
    return "" if done.returncode == 0 and "Tested: " in done.stdout else done.stdout + done.stderr


def test_schemathesis_finds_nothing(address: str, tmp_path: Path) -> None:
    """Requests made from the document, valid and invalid, alone and in sequences, are answered as it says."""
    found = found_wrong(address, tmp_path)
    assert not found, found


def test_schemathesis_would_find_something(tmp_path: Path) -> None:
    """That test can fail: it finds an answer that the document does not know."""
    app = service()

    async def changed(scope: Any, receive: Any, send: Any) -> None:
        async def other(message: Any) -> None:
            if message["type"] == "http.response.start" and scope["path"] == "/auth/me":
                message = message | {"status": 418}
            await send(message)

        await app(scope, receive, other)

    with serving(changed) as address:
        assert "Undocumented status code" in found_wrong(address, tmp_path)
