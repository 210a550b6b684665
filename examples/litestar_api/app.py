"""An API whose users stay logged in, in Litestar: run it with uvicorn app:app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.di import Provide

from daypass import AccessToken, AsyncDaypass, User
from daypass.web import Application
from daypass.web.asgi import Refused, auth_app, bearer, current_user, dispatch, well_known_app

ANN = User("1", username="ann", email="ann@example.com", scope="read write")
BEN = User("2", username="ben", email="ben@example.com", scope="read")
PEOPLE = {"1": ANN, "2": BEN}
PASSWORDS = {"1": "correct horse battery", "2": "correct horse battery"}  # yours are hashed, in your database


def check_password(name: str, password: str) -> User | None:
    """Return whose name (or address) and password these are."""
    user = next((user for user in PEOPLE.values() if name in (user.username, user.email)), None)
    return user if user is not None and PASSWORDS[user.subject] == password else None


auth = AsyncDaypass("sqlite:///app.db", issuer="https://api.example.com", load_user=PEOPLE.get)
daypass = Application(auth, authenticate=check_password)
find_user = current_user(daypass)
may_write = bearer(daypass, scope="write")


async def provide_user(request: Request[Any, Any, Any]) -> User:
    """Give a route the user, as the database has them now."""
    return await find_user(request.scope)


async def provide_writer(request: Request[Any, Any, Any]) -> AccessToken:
    """Give a route the access token of someone who may write."""
    return await may_write(request.scope)


@get("/profile", dependencies={"user": Provide(provide_user)})
async def profile(user: User) -> dict[str, str | None]:
    """Return who is logged in."""
    return {"name": user.username, "email": user.email}


@post("/notes", dependencies={"token": Provide(provide_writer)})
async def add(text: str, token: AccessToken) -> dict[str, str | None]:
    """Add a note; for those who may write."""
    return {"added": text, "by": token.username}


def answer_refusal(_: Request[Any, Any, Any], refused: Refused) -> Response[bytes]:
    """Answer a request that may not pass, as Daypass says."""
    response = refused.response
    return Response(response.body, status_code=response.status, headers=dict(response.headers))


@asynccontextmanager
async def upkeep(_: Litestar) -> AsyncIterator[None]:
    """Keep what goes on beside the requests going."""
    async with auth:
        yield


litestar = Litestar([profile, add], lifespan=[upkeep], exception_handlers={Refused: answer_refusal})
app = dispatch(well_known_app(litestar, daypass), {"/auth": auth_app(daypass)})
