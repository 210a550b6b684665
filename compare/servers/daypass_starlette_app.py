"""Daypass in Starlette, with the store and the algorithm that the environment names."""

import os

from starlette.applications import Starlette
from starlette.routing import Mount

from daypass import AsyncDaypass, User
from daypass.web.starlette import auth_routes

ANN = User("1", username="ann")


async def load_user(_: str) -> User:
    """Return the only user."""
    return ANN


async def authenticate(_: str, __: str) -> User:
    """Accept any password."""
    return ANN


auth = AsyncDaypass(
    os.environ["STORE"],
    issuer="http://127.0.0.1",
    load_user=load_user,
    algorithm=os.environ["ALGORITHM"],
    grace_period=int(os.environ["GRACE"]),
)
app = Starlette(routes=[Mount("/auth", routes=auth_routes(auth, authenticate=authenticate, rate_limits=None))])
