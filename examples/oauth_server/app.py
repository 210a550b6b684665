"""An issuer for OAuth clients: Starlette, Daypass, and a file of clients.

daypass client add "Reports" --id reports --scope "read write" --file clients.toml
daypass client add "Billing" --id billing --introspects --file clients.toml
uvicorn app:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from daypass import AsyncDaypass, User
from daypass.server import clients
from daypass.web.starlette import bearer, oauth_routes, well_known_routes

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8000")
USERS = {"1": User("1", username="ann", scope="read write admin")}  # yours: a table
CLIENTS = clients.read(Path("clients.toml"))

auth = AsyncDaypass("sqlite:///app.db", issuer=ISSUER, load_user=USERS.get)
require = bearer(auth)


async def allow(request: Request) -> JSONResponse:
    """Start a session for a client, once its user has agreed: here, whoever knows the phrase is Ann."""
    asked = await request.json()
    if asked.get("phrase") != os.environ.get("PHRASE", "open sesame"):
        return JSONResponse({"error": "access_denied"}, 403)
    if asked.get("client_id") not in {client.id for client in CLIENTS}:
        return JSONResponse({"error": "invalid_request"}, 400)
    tokens = await auth.start(USERS["1"], client_id=asked["client_id"], scope="read write")
    return JSONResponse({"access_token": tokens.access_token, "refresh_token": tokens.refresh_token})


async def report(request: Request) -> JSONResponse:
    """Answer a client that has an access token with the scope ``read``."""
    token = await require(request)
    if "read" not in (token.scope or "").split():
        return JSONResponse({"error": "insufficient_scope"}, 403)
    return JSONResponse({"for": token.username, "by": token.client_id})


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Keep what goes on beside the requests going."""
    async with auth:
        yield


own = [Route("/allow", allow, methods=["POST"]), Route("/report", report)]
oauth = Mount("/oauth", routes=oauth_routes(auth, clients=CLIENTS))
app = Starlette(routes=[*own, oauth, *well_known_routes(auth, clients=CLIENTS)], lifespan=lifespan)
