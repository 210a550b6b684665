"""A "connect your account" page with FastAPI: the authorization code grant with PKCE (RFC 7636), into the vault.

    uvicorn connect_page:app

Authlib makes the URL and exchanges the code. The state and the verifier wait in the browser's signed session cookie, so
an answer is taken only from the browser that asked. Which account it is comes from your own login, not from the URL.
"""

import os
import secrets

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from connections import vault
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=os.environ["COOKIE_SECRET"], max_age=600)


def account_of(request: Request) -> str:
    """Return whose account is connected. Replace this by the user of your own session."""
    return request.headers.get("x-tenant", "tenant-42")


def client(request: Request) -> AsyncOAuth2Client:
    """Return a public client; a confidential one has ``client_secret=`` too."""
    redirect_uri = str(request.url_for("callback"))
    return AsyncOAuth2Client(
        os.environ["BOOKS_CLIENT_ID"],
        redirect_uri=redirect_uri,
        scope=os.environ["BOOKS_SCOPE"],
        code_challenge_method="S256",
        token_endpoint_auth_method="none",  # noqa: S106 - the name of a method
    )


@app.get("/connect")
async def connect(request: Request) -> RedirectResponse:
    verifier = secrets.token_urlsafe(48)
    url, state = client(request).create_authorization_url(os.environ["BOOKS_AUTHORIZE_URL"], code_verifier=verifier)
    request.session["login"] = {"state": state, "verifier": verifier, "account": account_of(request)}
    return RedirectResponse(url)


@app.get("/callback")
async def callback(request: Request) -> dict[str, str]:
    login, given = request.session.pop("login", None), request.query_params
    if login is None or not secrets.compare_digest(login["state"], given.get("state", "")):
        raise HTTPException(400, "this is not the answer to a login of this browser")
    if "error" in given:
        raise HTTPException(400, "the login was refused")
    async with client(request) as asking:
        try:
            token = await asking.fetch_token(
                os.environ["BOOKS_TOKEN_URL"], code=given["code"], code_verifier=login["verifier"]
            )
        except OAuthError as error:
            raise HTTPException(400, f"the login was refused: {error.error}") from None
    kept = {name: token.get(name) for name in ("refresh_token", "access_token", "expires_in")}
    await run_in_threadpool(vault.put, "books", login["account"], **kept)
    return {"connected": login["account"]}
