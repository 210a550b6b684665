"""Browsers and clients that come with a token of another library, at the endpoints and at pages."""

import base64
import json
from http.cookies import SimpleCookie

import flask
import itsdangerous
import pytest
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient

from daypass import Daypass, TokenMalformed, User
from daypass.migrate import OldToken, OldTokens, flask_session, starlette_session
from daypass.web import Application
from daypass.web.flask import auth_blueprint
from daypass.web.wsgi_pages import Pages

HTTPS = "https://app.example"


def make_app() -> flask.Flask:
    """The old application: it logs in by Flask's session, which is a signed cookie."""
    app = flask.Flask(__name__)
    app.secret_key = "an old secret"

    @app.post("/old-login")
    def log_in() -> str:
        flask.session["user_id"] = "ann"
        return ""

    @app.get("/visit")
    def visit() -> str:
        flask.session["seen"] = True
        return ""

    @app.get("/who")
    def who() -> str:
        token = getattr(flask.request.environ["daypass.login"], "token", None)
        return "nobody" if token is None else str(token.subject)

    return app


@pytest.fixture
def app() -> flask.Flask:
    return make_app()


@pytest.fixture
def auth(app: flask.Flask) -> Daypass:
    return Daypass("memory:", issuer=HTTPS, load_user=User, migrate=flask_session(app, user="user_id"))


@pytest.fixture
def client(app: flask.Flask, auth: Daypass) -> FlaskClient:
    application = Application(auth)
    app.register_blueprint(auth_blueprint(application), url_prefix="/auth")
    app.wsgi_app = Pages(app.wsgi_app, application)  # type: ignore[method-assign]  # as Flask's documentation does it
    return app.test_client()


def names(client: FlaskClient) -> set[str]:
    return {name for name in ("session", "__Host-daypass") if client.get_cookie(name, "app.example") is not None}


def test_an_old_session_cookie_becomes_a_session_at_the_refresh_endpoint(client: FlaskClient) -> None:
    """A page that asks for an access token gets one; the old cookie stays, for nodes without Daypass."""
    client.post("/old-login", base_url=HTTPS)
    answer = client.post("/auth/refresh", base_url=HTTPS)
    assert 200 == answer.status_code
    assert {"session", "__Host-daypass"} == names(client)
    me = client.get(
        "/auth/me", base_url=HTTPS, headers={"Authorization": f"Bearer {json.loads(answer.data)['accessToken']}"}
    )
    assert "ann" == json.loads(me.data)["subject"]


def test_an_old_session_cookie_is_recognised_by_pages(client: FlaskClient, auth: Daypass) -> None:
    """Pages know who comes at the first request; one session for two requests with the same cookie."""
    client.post("/old-login", base_url=HTTPS)
    old = client.get_cookie("session", "app.example")
    assert "ann" == client.get("/who", base_url=HTTPS).text
    client.delete_cookie("__Host-daypass", domain="app.example")
    client.delete_cookie("__Host-daypass-access", domain="app.example")
    assert "ann" == client.get("/who", base_url=HTTPS).text
    assert old is not None
    assert 1 == len(auth.sessions("ann"))


def test_the_cookie_of_a_visitor_who_is_not_logged_in_changes_nothing(client: FlaskClient) -> None:
    """Old sessions hold other things than logins: such a page stays public, and may be kept by caches."""
    client.get("/visit", base_url=HTTPS)
    answer = client.get("/who", base_url=HTTPS)
    assert "nobody" == answer.text
    assert ([], None) == (answer.headers.getlist("set-cookie"), answer.headers.get("cache-control"))
    assert 401 == client.post("/auth/refresh", base_url=HTTPS).status_code


@pytest.mark.parametrize("moved", [True, False], ids=["after it has moved", "before it has moved"])
def test_a_logout_ends_both_logins(client: FlaskClient, *, moved: bool) -> None:
    """Both cookies are removed, and a copy of the old one is refused."""
    client.post("/old-login", base_url=HTTPS)
    old = client.get_cookie("session", "app.example")
    if moved:
        client.post("/auth/refresh", base_url=HTTPS)
    assert 204 == client.post("/auth/logout", base_url=HTTPS).status_code
    assert set() == names(client)
    assert old is not None
    client.set_cookie("session", old.value, domain="app.example")
    assert 401 == client.post("/auth/refresh", base_url=HTTPS).status_code
    assert "nobody" == client.get("/who", base_url=HTTPS).text


def test_another_spelling_of_a_cookies_signature_starts_no_second_session(app: flask.Flask, auth: Daypass) -> None:
    """Base64 has spare bits: only the signed part identifies the cookie."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    cookie = serializer.dumps({"user_id": "ann"})
    spellings = [cookie[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    accepted = [text for text in spellings if _is_accepted(auth, text)]
    assert 1 < len(accepted)
    assert 1 == len(auth.sessions("ann"))


def _is_accepted(auth: Daypass, text: str) -> bool:
    try:
        auth.refresh(text)
    except TokenMalformed:
        return False
    return True


def test_a_page_moves_its_old_token_into_the_cookie() -> None:
    """A token that a script kept goes where no script can read it; other clients get theirs in the body."""
    token = OldToken("1", "ann", 1_700_000_000)
    auth = Daypass(
        "memory:",
        issuer=HTTPS,
        load_user=User,
        clock=lambda: 1_700_000_100_000,
        migrate=OldTokens("library", {"old": token}.get),
    )
    app = flask.Flask(__name__)
    app.register_blueprint(auth_blueprint(Application(auth)), url_prefix="/auth")
    moved = app.test_client().post(
        "/auth/refresh", base_url=HTTPS, json={"refreshToken": "old", "tokenDelivery": "cookie"}
    )
    assert "refreshToken" not in json.loads(moved.data)
    assert "__Host-daypass" in SimpleCookie(moved.headers["set-cookie"])
    kept = app.test_client().post("/auth/refresh", base_url=HTTPS, json={"refreshToken": "old"})
    assert json.loads(kept.data)["refreshToken"].startswith("dpr_")


def test_a_starlette_session_is_read() -> None:
    """The cookie that Starlette's middleware has signed; one that was signed with another key is not."""
    data = base64.b64encode(json.dumps({"user_id": 7}).encode())
    cookie = itsdangerous.TimestampSigner("an old secret").sign(data).decode()
    tokens = starlette_session("an old secret")
    assert ("7", ("session",)) == (tokens.read(cookie).subject, tokens.cookies)
    assert starlette_session("another").read(cookie) is None
