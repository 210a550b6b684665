"""Daypass in Starlette, over real HTTP."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from daypass.errors import StoreError, TokenRejected
from daypass.web.bearer import bearer_token, unauthorized, unavailable
from daypass.web.message import Request as Asked
from daypass.web.starlette import auth_routes, bearer, own_headers, well_known_routes

from .live import Application, Mounted, told
from .world import ALICE


def refusal(_code: str) -> bytes:
    return b"Unauthorized"


class TestStarlette(Mounted):
    refusal = refusal
    makers = (auth_routes, well_known_routes, bearer)

    def mount(self, application: Application, prefix: str = "/auth", **options: Any) -> ASGIApp:
        auth = application.auth
        require = bearer(auth)

        async def profile(request: Request) -> JSONResponse:
            return JSONResponse(told(await require(request)))

        routes = [
            Mount(prefix, routes=auth_routes(auth, authenticate=application.check, **options)),
            *well_known_routes(auth),
            Route("/profile", profile),
        ]
        return Starlette(routes=routes, lifespan=application.lifespan)


HEADERS = [
    [],
    ["Bearer {token}"],
    ["bEARER   {token}  "],
    ["Bearer"],
    ["Bearer  "],
    ["Bearer\t{token}"],
    ["Basic eDp5"],
    ["{token}"],
    ["Bearer {token}", "Bearer {token}"],
    ["Bearer {token}", "Basic eDp5"],
    ["Basic eDp5", "Bearer {token}"],
    ["Bearer \xff"],
    [""],
]


@pytest.mark.parametrize("sent", HEADERS, ids=str)
async def test_a_route_requires_what_the_endpoints_do(sent: list[str]) -> None:
    """Whatever is in the header, `bearer` says of it what the endpoints say."""
    auth = Application().auth
    token = (await auth.start(ALICE)).access_token
    values = [value.format(token=token) for value in sent]
    headers = [(b"accept", b"*/*"), *((b"authorization", value.encode("latin-1")) for value in values)]
    expected: object
    try:
        asked = Asked("https", "a", {"authorization": ", ".join(values)} if values else {})
        expected = await auth.run(bearer_token(asked))
    except TokenRejected as error:
        refused = unauthorized(error)
        expected = refused.status, own_headers(refused)
    found: object
    try:
        found = await bearer(auth)(Request({"type": "http", "headers": headers}))
    except HTTPException as error:
        found = error.status_code, error.headers
    assert expected == found


async def test_a_route_says_when_the_keys_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is down is a 503 with ``Retry-After``, not a refusal."""
    auth = Application().auth
    error = StoreError("down")

    def down(_: object) -> None:
        raise error

    monkeypatch.setattr(auth._store, "begin", down)
    with pytest.raises(HTTPException) as caught:
        await bearer(auth)(Request({"type": "http", "headers": [(b"authorization", b"Bearer x")]}))
    assert (503, own_headers(unavailable(error))) == (caught.value.status_code, caught.value.headers)
