"""Applications that only sign an access token and update one row: the least that a refresh needs in a framework."""

import itertools
import os
from collections.abc import Callable
from typing import Any

import floors
from flask import Flask, request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from daypass import User
from daypass.access_token import Names, issue
from daypass.keys import SigningKey
from daypass.session import Session

Sign = Callable[[], str]

PATHS = ("/auth/refresh", "/auth/login")
FILE = "floor.db"


def signer(algorithm: Any) -> Sign:
    """Return what signs an access token."""
    key, names, user = SigningKey.generate(algorithm), Names("https://a", "https://a", "daypass"), User("7", "ann")
    session = Session("ab" * 16, "7", "daypass", 1, b"12345678", 0, 0, 2**50)
    return lambda: issue(key, names, session, user, 1_800_000_000_000, 900, "0" * 32)


def starlette(sign: Sign, update: floors.Update | None) -> Starlette:
    """Return an application in Starlette that does both, and nothing else."""
    turns = itertools.count(1)

    async def endpoint(_: Request) -> JSONResponse:
        access = sign()
        if update is not None:
            await update(next(turns))
        return JSONResponse(_answer(access), headers={"set-cookie": "daypass=x; Path=/"})

    return Starlette(routes=[Route(path, endpoint, methods=["POST"]) for path in PATHS])


def starlette_app() -> Starlette:
    """Return the application for a server, with SQLite."""
    return starlette(signer(os.environ["ALGORITHM"]), floors.sqlite_update(FILE, "FULL"))


def flask_app() -> Flask:
    """Return the application in Flask for a server, with SQLite."""
    sign, update = signer(os.environ["ALGORITHM"]), floors.blocking_sqlite_update(FILE, "FULL")
    app, turns = Flask(__name__), itertools.count(1)

    def view() -> dict[str, Any]:
        request.get_json()
        access = sign()
        update(next(turns))
        return _answer(access)

    for path in PATHS:
        app.add_url_rule(path, view_func=view, methods=["POST"])
    return app


def _answer(access: str) -> dict[str, Any]:
    return {"accessToken": access, "refreshToken": "dpr_" + 70 * "x", "tokenType": "Bearer", "expiresIn": 900}
