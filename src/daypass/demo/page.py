"""The demo page: an issuer for the browser, an API, failures on demand, and a thief.

All of this exists only in the demo. No real server has a route that gives a refresh token to a thief.
"""

import secrets
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from daypass import cookie_names
from daypass.access_token import AccessToken
from daypass.demo.program import steal_from_program
from daypass.duration import SECOND
from daypass.errors import TokenRejected
from daypass.issuer import AsyncDaypass
from daypass.server.users import Users
from daypass.stores import AsyncStore
from daypass.web.starlette import auth_routes, bearer

PREFIX = "/browser"
ACCESS_TTL = "10s"
GRACE_PERIOD = "3s"
"""Short, so that a thief is found within seconds; on loopback no message takes a second."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_ASSETS = {
    "/": ("index.html", "text/html"),
    f"{PREFIX}/page.css": ("page.css", "text/css"),
    f"{PREFIX}/page.js": ("page.js", "text/javascript"),
    f"{PREFIX}/icon.svg": ("icon.svg", "image/svg+xml"),
}
_REVOKED_ONE_IN = 3
"""One access token in so many is refused after five seconds, so that requests get a 401 and are sent again."""

_AFTER = 5 * SECOND


def page_routes(store: AsyncStore, known: Users, address: str) -> list[BaseRoute]:
    """Return the routes of the page and of everything that it calls.

    Args:
        store: the store of the demonstration's sessions.
        known: its users.
        address: the address of the service.
    """
    auth = AsyncDaypass(
        store,
        issuer=address,
        load_user=known.load,
        authenticate=known.check,
        access_ttl=ACCESS_TTL,
        grace_period=GRACE_PERIOD,
        idle_ttl="1h",
        dpop=True,
    )
    failing = _Failures()
    thieves = _Thieves(auth)
    api = _Api(auth, thieves)
    demo = [
        Route("/failures", failing.order, methods=["POST"]),
        Route("/steal", thieves.steal, methods=["POST"]),
        Route("/thief/{name}", thieves.use, methods=["POST"]),
        Route("/steal-bound", _steal_bound, methods=["POST"]),
    ]
    return [
        *(Route(path, _asset(*asset), methods=["GET"]) for path, asset in _ASSETS.items()),
        Mount(f"{PREFIX}/auth", app=failing.around(Mount("", routes=auth_routes(auth)))),
        Route(f"{PREFIX}/api/notes", api.notes, methods=["GET"]),
        Route(f"{PREFIX}/api/token", api.revoke, methods=["DELETE"]),
        Mount(f"{PREFIX}/demo", routes=demo),
    ]


async def _steal_bound(request: Request) -> Response:
    host, port = request.scope["server"]
    return JSONResponse(await steal_from_program(f"http://{host}:{port}{PREFIX}"))


def _asset(name: str, kind: str) -> ASGIApp:
    content = files("daypass.demo").joinpath("static", name).read_bytes()
    return Response(content, media_type=kind, headers=_HEADERS)


class _Failures:
    """Failures of refreshes: responses that are lost, and 503."""

    def __init__(self) -> None:
        self._lose = 0
        self._unavailable = 0

    async def order(self, request: Request) -> Response:
        """Make the next refreshes fail: so many with lost responses, so many with 503."""
        ordered = await request.json()
        self._lose, self._unavailable = int(ordered.get("lose", 0)), int(ordered.get("unavailable", 0))
        return Response(status_code=204)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return ``app`` with these failures."""

        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            refreshing = scope["type"] == "http" and scope["path"].endswith("/refresh")
            if refreshing and self._unavailable > 0:
                self._unavailable -= 1
                await Response(status_code=503)(scope, receive, send)
            elif refreshing and self._lose > 0:
                self._lose -= 1
                await app(scope, receive, _nowhere)
                await Response(status_code=504)(scope, receive, send)  # as a proxy answers
            else:
                await app(scope, receive, send)

        return served


async def _nowhere(_: object) -> None:
    """Lose a message."""


class _Api:
    """The API that the page uses."""

    def __init__(self, auth: AsyncDaypass, thieves: "_Thieves") -> None:
        self._auth = auth
        self._thieves = thieves
        self._require = bearer(auth)
        self._revoked: set[str] = set()
        self._used_since: dict[str, int] = {}

    async def notes(self, request: Request) -> Response:
        """Return the notes, or 401 if the access token was revoked."""
        token = await self._require(request)
        # Since its first use, not since it was issued: a 401 to a token that has just arrived would be the page's own.
        now = self._auth.new_call().now
        used_for = now - self._used_since.setdefault(token.id, now)
        unlucky = _is_unlucky(token) and used_for >= _AFTER and not self._thieves.about
        if unlucky or token.id in self._revoked:
            challenge = 'Bearer realm="daypass", error="invalid_token", error_description="revoked"'
            return JSONResponse({"error": "invalid_token"}, 401, {"www-authenticate": challenge})
        return JSONResponse({"notes": ["Buy milk", "Water the plants"], "of": token.username})

    async def revoke(self, request: Request) -> Response:
        """Revoke the access token of this request before it expires."""
        self._revoked.add((await self._require(request)).id)
        return Response(status_code=204)


def _is_unlucky(token: AccessToken) -> bool:
    return sum(token.id.encode()) % _REVOKED_ONE_IN == 0


class _Thieves:
    """Thieves: each has copied a refresh token, as malware on the owner's machine would, and uses it elsewhere."""

    def __init__(self, auth: AsyncDaypass) -> None:
        self._auth = auth
        self._stolen: dict[str, str] = {}

    @property
    def about(self) -> bool:
        """Whether a thief has not been caught yet: one misfortune at a time can be watched."""
        return bool(self._stolen)

    async def steal(self, request: Request) -> Response:
        """Let a thief copy the refresh token; the page only learns the thief's name."""
        token = request.cookies.get(cookie_names.with_port(request.url.port or 80))
        if not token:
            return JSONResponse({"error": "nothing_to_steal"}, 409)
        name = secrets.token_urlsafe(8)
        self._stolen[name] = token
        return JSONResponse({"thief": name})

    async def use(self, request: Request) -> Response:
        """Let the thief refresh; return whether it worked, and otherwise the reason in the event log."""
        name = request.path_params["name"]
        token = self._stolen.get(name)
        if token is None:
            return JSONResponse({"error": "no_such_thief"}, 404)
        try:
            tokens = await self._auth.refresh(token)
        except TokenRejected as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                del self._stolen[name]
            return JSONResponse({"letIn": False, "reason": error.code})
        if tokens.replaces:
            self._stolen[name] = tokens.refresh_token
        return JSONResponse({"letIn": True})
