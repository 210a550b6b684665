"""Daypass in FastAPI, over real HTTP, and how it describes itself in OpenAPI."""

import json
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from daypass import AccessToken
from daypass.web.fastapi import auth_router, bearer, well_known_router

from ..servers.application import serving
from .live import LOGIN, Application, Mounted, told
from .world import body_of

Document = dict[str, Any]


def refusal(code: str) -> bytes:
    return b'{"detail":' + body_of(code) + b"}"


def build(application: Application, prefix: str = "/auth", **options: Any) -> FastAPI:
    auth = application.auth
    app = FastAPI(lifespan=application.lifespan)
    app.include_router(auth_router(auth, authenticate=application.check, **options), prefix=prefix)
    app.include_router(well_known_router(auth))

    @app.get("/profile")
    async def profile(token: Annotated[AccessToken, Depends(bearer(auth))]) -> dict[str, Any]:
        return told(token)

    return app


class TestFastAPI(Mounted):
    refusal = refusal
    makers = (auth_router, well_known_router, bearer)

    def mount(self, application: Application, prefix: str = "/auth", **options: Any) -> ASGIApp:
        return build(application, prefix, **options)


# ---- how it describes itself


@pytest.fixture(scope="module")
def document() -> Document:
    """Return the OpenAPI document, as the application serves it."""
    with serving(build(Application())) as address:
        answer = httpx2.get(f"{address}/openapi.json")
    content = answer.json()
    assert isinstance(content, dict)
    return content


OPERATIONS = {
    ("/auth/login", "post"): ("login", {"200", "400", "401", "403", "413", "415", "503"}),
    ("/auth/refresh", "post"): ("refresh", {"200", "400", "401", "403", "409", "413", "503"}),
    ("/auth/logout", "post"): ("logout", {"204", "400", "403", "413", "503"}),
    ("/auth/me", "get"): ("me", {"200", "401", "403", "503"}),
    ("/auth/sessions", "get"): ("sessions", {"200", "401", "403", "503"}),
    ("/auth/sessions", "delete"): ("end_all", {"204", "401", "403", "503"}),
    ("/auth/sessions/{session_id}", "delete"): ("end_session", {"204", "401", "403", "404", "503"}),
    ("/.well-known/jwks.json", "get"): ("jwks", {"200", "503"}),
}


def test_every_operation_is_described(document: Document) -> None:
    """Each endpoint stands there with its name and every status that it may answer with, and no other endpoint."""
    found = {
        (path, method): (operation["operationId"], set(operation["responses"]))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path != "/profile"
    }
    assert OPERATIONS == found


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
    """No ``$ref`` of the document leads nowhere."""
    found = references(document)
    assert found
    for reference in found:
        assert schema_of(document, {"$ref": reference})


def test_every_failure_has_one_shape(document: Document) -> None:
    """Each failure is described as what it is on the wire: a message and an error, both text."""
    for path, method in OPERATIONS:
        for status, response in document["paths"][path][method]["responses"].items():
            if int(status) >= 400:
                schema = schema_of(document, response["content"]["application/json"]["schema"])
                assert {"message", "error"} == set(schema["required"]) == set(schema["properties"])


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
        ("/auth/login", {"email", "username", "password", "tokenDelivery", "deviceName"}, True),
        ("/auth/refresh", {"refreshToken"}, False),
        ("/auth/logout", {"refreshToken"}, False),
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
def test_an_answer_is_as_described(document: Document, method: str, path: str) -> None:
    """A real answer has each field that the document requires and none that it does not know."""
    with serving(build(Application())) as address, httpx2.Client(base_url=address) as client:
        access = client.post("/auth/login", json=LOGIN).json()["accessToken"]
        sent = client.request(method, path, json=LOGIN, headers={"authorization": f"Bearer {access}"})
    described_as = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    schema = schema_of(document, described_as)
    assert 200 == sent.status_code
    assert set(schema["required"]) <= set(sent.json()) <= set(schema["properties"])


def test_protected_operations_say_so(document: Document) -> None:
    """The scheme is HTTP bearer with a JWT, and just the operations that need an access token name it."""
    (name, scheme), *others = document["components"]["securitySchemes"].items()
    assert ([], "http", "bearer", "JWT") == (others, scheme["type"], scheme["scheme"], scheme["bearerFormat"])
    protected = {
        (path, method)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") == [{name: []}]
    }
    me, sessions, one = "/auth/me", "/auth/sessions", "/auth/sessions/{session_id}"
    assert {(me, "get"), (sessions, "get"), (sessions, "delete"), (one, "delete"), ("/profile", "get")} == protected


def test_the_session_id_is_a_parameter(document: Document) -> None:
    """The one parameter in a path is described, once."""
    (parameter,) = document["paths"]["/auth/sessions/{session_id}"]["delete"]["parameters"]
    assert ("session_id", "path", True) == (parameter["name"], parameter["in"], parameter["required"])


def test_operation_ids_are_unique(document: Document) -> None:
    """Each operation has a name of its own, from which generated clients make their functions."""
    found = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(found) == len(set(found))
    assert json.dumps(document)
