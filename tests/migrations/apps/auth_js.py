"""Auth.js in Node with sessions in its cookie, and pages in Python that read it as the documentation has it."""

import os
import shutil
from pathlib import Path

from tests.migrations.apps import ISSUER, SECRET, node, serve_asgi
from tests.migrations.recipes import recipe, run

NODE = node()
OLD_SECRET = "an old secret key"
COOKIE = "authjs.session-token"
HERE = Path(__file__).parents[1] / "auth_js"

if NODE.mode == "old":
    program = shutil.which("node")
    assert program is not None, "there is no node in PATH"
    os.execve(  # noqa: S606 - no shell is wanted
        program, [program, str(HERE / "site.mjs"), str(NODE.port), "jwt"], os.environ | {"AUTH_SECRET": OLD_SECRET}
    )

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from daypass import AsyncDaypass, User
from daypass.web.asgi_pages import Pages

OLD = run(recipe("# auth.py", SECRET=repr(OLD_SECRET), COOKIE=repr(COOKIE)))["old_tokens"]


async def load(subject: str) -> User:
    return User(subject)


auth = AsyncDaypass(NODE.store, issuer=ISSUER, secret=SECRET, load_user=load, migrate=OLD)


async def me(request: Request) -> JSONResponse:
    token = request.scope["daypass"].token
    return JSONResponse({"user": token.subject} if token else {}, 200 if token else 401)


app = Starlette(routes=[Route("/me", me)], middleware=[Middleware(Pages, auth)])

if __name__ == "__main__":
    serve_asgi(app, NODE.port)
