"""Starlette's SessionMiddleware."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.migrations.apps import ISSUER, SECRET, node, serve_asgi

NODE = node()
OLD_SECRET = "an old secret key"
middleware = [Middleware(SessionMiddleware, secret_key=OLD_SECRET)]


async def login(request: Request) -> JSONResponse:
    request.session["user_id"] = (await request.json())["user"]
    return JSONResponse({})


if NODE.mode == "old":

    async def me(request: Request) -> JSONResponse:
        user = request.session.get("user_id")
        return JSONResponse({"user": user}, 200 if user else 401)

else:
    from daypass import AsyncDaypass, User
    from daypass.migrate import starlette_session
    from daypass.web.asgi_pages import Pages

    async def load(subject: str) -> User:
        return User(subject)

    auth = AsyncDaypass(NODE.store, issuer=ISSUER, secret=SECRET, load_user=load, migrate=starlette_session(OLD_SECRET))
    middleware.append(Middleware(Pages, auth))

    async def me(request: Request) -> JSONResponse:
        token = request.scope["daypass"].token
        return JSONResponse({"user": token.subject} if token else {}, 200 if token else 401)


app = Starlette(routes=[Route("/login", login, methods=["POST"]), Route("/me", me)], middleware=middleware)

if __name__ == "__main__":
    serve_asgi(app, NODE.port)
