"""AuthX."""

from typing import Any

from authx import AuthX, AuthXConfig, RequestToken
from authx.exceptions import AuthXException
from fastapi import Body, Depends, FastAPI
from fastapi.responses import JSONResponse

from tests.migrations.apps import ISSUER, SECRET, node, serve_asgi

NODE = node()
authx_manager: AuthX = AuthX(
    config=AuthXConfig(JWT_SECRET_KEY="an old secret key, long enough for HS256", JWT_TOKEN_LOCATION=["headers"])
)
app = FastAPI()


async def pair(subject: str) -> dict[str, str]:
    return {
        "access": authx_manager.create_access_token(subject),
        "refresh": authx_manager.create_refresh_token(subject),
    }


async def old_refresh(text: str) -> tuple[int, dict[str, Any]]:
    try:
        token = RequestToken(token=text, type="refresh", location="headers")
        payload = authx_manager.verify_token(token, verify_csrf=False)
    except AuthXException as error:
        return 401, {"error": str(error)}
    return 200, await pair(payload.sub)


@app.post("/login")
async def login(user: str = Body(embed=True)) -> dict[str, str]:
    return await pair(user)


if NODE.mode == "old":
    refreshed = old_refresh
    authx_manager.handle_errors(app)

    @app.get("/me")
    async def me(payload: Any = Depends(authx_manager.access_token_required)) -> dict[str, str]:
        return {"user": payload.sub}

else:
    from daypass import AccessToken, AsyncDaypass, User
    from daypass.migrate import authx
    from daypass.web.fastapi import bearer
    from tests.migrations.apps import moving

    async def load(subject: str) -> User:
        return User(subject)

    auth = AsyncDaypass(NODE.store, issuer=ISSUER, secret=SECRET, load_user=load, migrate=authx(authx_manager))

    async def refreshed(text: str) -> tuple[int, dict[str, Any]]:
        return await moving.arefresh(NODE.mode, auth, text, old_refresh, pair)

    @app.get("/me")
    async def me(token: AccessToken = Depends(bearer(auth))) -> dict[str, str]:
        return {"user": token.subject}


@app.post("/refresh")
async def refresh(refresh: str = Body(embed=True)) -> JSONResponse:
    status, body = await refreshed(refresh)
    return JSONResponse(body, status)


if __name__ == "__main__":
    serve_asgi(app, NODE.port)
