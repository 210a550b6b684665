"""Logins of other frameworks, as they are: djangorestframework-simplejwt and FastAPI's form login."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm

from daypass.client.endpoints import Endpoints
from daypass.client.httpx import DaypassAuth
from daypass.client.timing import Timing
from daypass.errors import ConfigurationError, CredentialsRejected, LoginRequired
from daypass.testing.loopback import serving

PROJECT = Path(__file__).with_name("simplejwt_project.py")
SIMPLEJWT: dict[str, Any] = {
    "login": "token/",
    "refresh": "token/refresh/",
    "logout": "token/blacklist/",
    "field": "access",
    "refresh_field": "refresh",
}
LIFETIME = 2.0


@pytest.fixture(scope="module")
def simplejwt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = str(tmp_path_factory.mktemp("simplejwt") / "db.sqlite3")
    command = [sys.executable, str(PROJECT), database, str(LIFETIME)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as project:
        assert project.stdout is not None
        yield project.stdout.readline().strip() + "/api"
        project.terminate()


def test_simplejwt_keeps_its_user_logged_in(simplejwt: str) -> None:
    """Its tokens expire, are rotated and blacklisted: no request fails; a logout ends the session there."""
    auth = DaypassAuth(simplejwt, strategy=Endpoints(**SIMPLEJWT), timing=Timing(fresh=0))
    with httpx2.Client(base_url=simplejwt, auth=auth) as client:
        auth.login(client, username="ada", password="correct horse")
        tokens = set()
        for _ in range(3):
            assert {"user": "ada"} == client.get("/me/").json()
            tokens.add(auth.token())
            time.sleep(LIFETIME + 0.1)
        assert 3 == len(tokens)
        stolen = auth._session.tokens
        assert stolen is not None
        assert auth.logout(client)
        auth.start(refresh_token=stolen.refresh_token)
        with pytest.raises(LoginRequired, match="401"):
            client.get("/me/")


def test_simplejwts_fields_are_named_at_login(simplejwt: str) -> None:
    """Without the fields' names the login says which there are; a wrong password is one, in the server's words."""
    with httpx2.Client() as client:
        auth = DaypassAuth(simplejwt, strategy=Endpoints(login="token/", field="access"))
        with pytest.raises(ConfigurationError, match=r"no field 'refreshToken'.*its fields are: access, refresh"):
            auth.login(client, username="ada", password="correct horse")
        auth = DaypassAuth(simplejwt, strategy=Endpoints(**SIMPLEJWT))
        with pytest.raises(CredentialsRejected, match=r"401.*No active account"):
            auth.login(client, username="ada", password="wrong")
        assert not auth.logged_in


def _fastapi() -> FastAPI:
    app = FastAPI()
    bearer = OAuth2PasswordBearer(tokenUrl="token")

    @app.post("/token")
    def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
        if (form.username, form.password) != ("ada", "correct horse"):
            raise HTTPException(400, "Incorrect username or password")
        return {"access_token": "t0ken", "token_type": "bearer"}

    @app.get("/me")
    def me(token: Annotated[str, Depends(bearer)]) -> dict[str, str]:
        if token != "t0ken":
            raise HTTPException(401)
        return {"user": "ada"}

    return app


def test_fastapis_form_login_works() -> None:
    """`OAuth2PasswordRequestForm` gets a form; JSON, a wrong password and a missing refresh token differ."""
    with serving(_fastapi()) as url, httpx2.Client(base_url=url) as client:
        form: dict[str, Any] = {"login": "token", "form": True, "field": "access_token"}
        auth = DaypassAuth(url, strategy=Endpoints(**form, refresh_field=None))
        for name in ({"username": "ada"}, {"email": "ada"}):
            auth.login(client, password="correct horse", **name)
            assert {"user": "ada"} == client.get("/me", auth=auth).json()
        with pytest.raises(CredentialsRejected, match=r"400\): Incorrect username or password"):
            auth.login(client, username="ada", password="wrong")
        with pytest.raises(ConfigurationError, match="no field 'refreshToken'"):
            DaypassAuth(url, strategy=Endpoints(**form)).login(client, username="ada", password="correct horse")
        json = DaypassAuth(url, strategy=Endpoints(login="token", field="access_token"))
        with pytest.raises(ConfigurationError, match=r"422\): body.username: Field required.*try form=True"):
            json.login(client, username="ada", password="correct horse")


def test_more_login_fields_are_sent() -> None:
    """A one-time code or a device's name goes along with the password."""
    seen: list[bytes] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.read())
        return httpx2.Response(200, json={"accessToken": "a", "refreshToken": "r", "expiresIn": 900})

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as client:
        auth = DaypassAuth("https://a.example/auth")
        auth.login(client, email="ada", password="x", otp="123456", device="laptop")
        assert b'"otp":"123456"' in seen[0].replace(b" ", b"")
        auth.login(client, password="x", phone="+49")
        assert b'"phone":"+49"' in seen[1].replace(b" ", b"")
        with pytest.raises(ConfigurationError):
            auth.login(client, password="x")
