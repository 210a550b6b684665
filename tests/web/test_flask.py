"""Daypass in Flask, over real HTTP, and what a Flask developer may do with it."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL
from types import SimpleNamespace
from typing import Any, ClassVar

import httpx2
import pytest
from flask import Blueprint, Flask, g, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from daypass import ConfigurationError
from daypass.duration import MINUTE
from daypass.web.clients import Client as OAuthClient
from daypass.web.flask import (
    auth_blueprint,
    bearer,
    current_login,
    current_token,
    current_user,
    oauth_blueprint,
    well_known_blueprint,
)

from ..servers.wsgi import serving
from .live import LOGIN, told
from .live_wsgi import MountedInWsgi, SyncApplication
from .world import ALICE, ISSUER, SECRET, body_of


class TestFlask(MountedInWsgi):
    refusal = body_of
    makers = (auth_blueprint, well_known_blueprint, bearer, current_user)

    def mount(self, application: SyncApplication, prefix: str = "/auth", **options: Any) -> Flask:
        app = Flask(__name__)
        auth = application.auth
        app.register_blueprint(auth_blueprint(auth, authenticate=application.check, **options), url_prefix=prefix)
        app.register_blueprint(well_known_blueprint(auth))
        require = bearer(auth)

        @app.get("/profile")
        def profile() -> ResponseReturnValue:
            return jsonify(told(require()))

        return app


# ---- what a view may require


@pytest.fixture
def application() -> SyncApplication:
    return SyncApplication()


def app_of(application: SyncApplication, **options: Any) -> Flask:
    app = Flask(__name__)
    app.register_blueprint(auth_blueprint(application.auth, authenticate=application.check, **options))
    return app


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def ask(app: Flask, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    answer = app.test_client().get(path, headers=headers)
    return answer.status_code, answer.json


def logged_in(app: Flask, path: str = "/auth/login") -> str:
    return str(json.loads(app.test_client().post(path, json=LOGIN).data)["accessToken"])


def test_in_front_of_a_view(application: SyncApplication) -> None:
    """``@require`` calls a view with its arguments, keeps its name and gives it the token; or it is not called."""
    app, require = app_of(application), bearer(application.auth)
    entered: list[str] = []

    @app.get("/documents/<int:number>")
    @require
    def document(number: int) -> ResponseReturnValue:
        entered.append(current_token.subject)
        return {"number": number, "same": g.daypass_token == current_token == require()}

    token = application.auth.start(ALICE).access_token
    assert (200, {"number": 7, "same": True}) == ask(app, "/documents/7", bearing(token))
    assert (401, "invalid_token") == ((refused := ask(app, "/documents/7", bearing("x")))[0], refused[1]["error"])
    assert [ALICE.subject] == entered
    assert "document" in app.view_functions


def test_async_views(application: SyncApplication) -> None:
    """An async view is required of in both ways, and is awaited by Flask as ever."""
    app, require = app_of(application), bearer(application.auth)

    @app.get("/before")
    @require
    async def before() -> ResponseReturnValue:
        return current_token.subject

    @app.get("/within")
    async def within() -> ResponseReturnValue:
        return require().subject

    token = application.auth.start(ALICE).access_token
    for path in ("/before", "/within"):
        assert b"user-1" == app.test_client().get(path, headers=bearing(token)).data
        assert 401 == ask(app, path)[0]


def test_all_views_of_a_blueprint(application: SyncApplication) -> None:
    """A hook of a blueprint's requires it of all its views, and of no others."""
    app, require = app_of(application), bearer(application.auth)
    inside = Blueprint("inside", __name__, url_prefix="/inside")

    @inside.before_request
    def guard() -> None:
        require()

    @inside.get("/name")
    @app.get("/open")
    def name() -> ResponseReturnValue:
        return {"who": g.get("daypass_token") and current_token.username}

    app.register_blueprint(inside)
    token = application.auth.start(ALICE).access_token
    assert (200, {"who": "alice"}) == ask(app, "/inside/name", bearing(token))
    assert (401, (200, {"who": None})) == (ask(app, "/inside/name")[0], ask(app, "/open"))


def test_class_based_views(application: SyncApplication) -> None:
    """It can be one of the decorators of a class of views."""
    app = app_of(application)

    class Who(MethodView):
        decorators: ClassVar = [bearer(application.auth)]

        def get(self) -> ResponseReturnValue:
            return {"who": current_token.subject}

    app.add_url_rule("/who", view_func=Who.as_view("who"))
    token = application.auth.start(ALICE).access_token
    assert ((200, {"who": "user-1"}), 401) == (ask(app, "/who", bearing(token)), ask(app, "/who")[0])


@pytest.mark.parametrize("granted", ["read", "read write", "write read admin", None])
def test_a_scope(application: SyncApplication, granted: str | None) -> None:
    """A token whose scope does not allow it is a 403 that says what would; one that does is let in."""
    app, require = app_of(application), bearer(application.auth, scope="read write")

    @app.get("/")
    @require
    def view() -> ResponseReturnValue:
        return {}

    token = application.auth.start(ALICE, scope=granted).access_token
    answer = app.test_client().get("/", headers=bearing(token))
    if {"read", "write"} <= set((granted or "").split()):
        assert 200 == answer.status_code
    else:
        assert (403, "insufficient_scope") == (answer.status_code, json.loads(answer.data)["error"])
        challenge = 'Bearer realm="daypass", error="insufficient_scope", scope="read write"'
        assert challenge == answer.headers["www-authenticate"]


def test_a_verifier_can_be_required(application: SyncApplication) -> None:
    """Where the issuer is elsewhere, whatever verifies its tokens will do to require one."""
    app, require = Flask(__name__), bearer(SimpleNamespace(verify=application.auth.verify), "read")
    app.add_url_rule("/", view_func=require(lambda: {"who": current_token.subject}), endpoint="who")
    tokens = [application.auth.start(ALICE, scope=scope).access_token for scope in ("read", "write")]
    assert [200, 403, 401] == [ask(app, "/", bearing(token))[0] for token in (*tokens, "garbage")]
    with pytest.raises(ConfigurationError, match="needs Daypass"):
        bearer(SimpleNamespace())


def test_an_invalid_scope_is_refused(application: SyncApplication) -> None:
    """An invalid scope is refused when it is written, not at a request."""
    with pytest.raises(ConfigurationError, match="a scope has to be words"):
        bearer(application.auth, scope='"')


@pytest.mark.parametrize("sent", [None, "Basic eDp5"])
def test_an_optional_token(application: SyncApplication, sent: str | None) -> None:
    """If it is optional, no token is None, and a bad one is still refused."""
    app, maybe = app_of(application), bearer(application.auth, optional=True)
    whoever = current_user(application.auth, optional=True)

    @app.get("/")
    @maybe
    def view() -> ResponseReturnValue:
        token, user = maybe(), whoever()
        return {"token": token and token.subject, "user": user and user.username, "told": bool(current_token)}

    token = application.auth.start(ALICE).access_token
    assert (200, {"token": "user-1", "user": "alice", "told": True}) == ask(app, "/", bearing(token))
    nobody = {"token": None, "user": None, "told": False}
    assert (200, nobody) == ask(app, "/", None if sent is None else {"authorization": sent})
    assert 401 == ask(app, "/", bearing("garbage"))[0]
    application.clock.advance(15 * MINUTE)
    assert 401 == ask(app, "/", bearing(token))[0]


def test_the_user(application: SyncApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    """`current_user` gives the user as it is now; one who is gone or disabled is a 401, though the token is good."""
    app = app_of(application)
    people = {ALICE.subject: ALICE}
    monkeypatch.setattr(application, "find", people.get)
    application.make("memory:", issuer=ISSUER, secret=SECRET, clock=application.clock)
    user, require = current_user(application.auth), bearer(application.auth)

    @app.get("/within")
    def within() -> ResponseReturnValue:
        return {"plan": user().claims["plan"], "token": current_token.claims["plan"]}

    @app.get("/before")
    @user
    def before() -> ResponseReturnValue:
        return {"plan": g.daypass_user.claims["plan"], "token": current_token.claims["plan"]}

    @app.get("/token")
    @require
    def token() -> ResponseReturnValue:
        return {}

    headers = bearing(application.auth.start(ALICE).access_token)
    people[ALICE.subject] = replace(ALICE, claims={"plan": "free"})
    for path in ("/within", "/before"):
        assert (200, {"plan": "free", "token": "pro"}) == ask(app, path, headers)
    for gone in ({}, {ALICE.subject: replace(ALICE, disabled=True)}):
        people.clear()
        people.update(gone)
        for path in ("/within", "/before"):
            assert (401, "invalid_token") == ((refused := ask(app, path, headers))[0], refused[1]["error"])
        assert 200 == ask(app, "/token", headers)[0]


def test_the_users_scope(application: SyncApplication) -> None:
    """`current_user` requires a scope as `bearer` does."""
    app, user = app_of(application), current_user(application.auth, scope="read")

    @app.get("/")
    @user
    def view() -> ResponseReturnValue:
        return {}

    tokens = [application.auth.start(ALICE, scope=scope).access_token for scope in ("read", "write")]
    assert [200, 403] == [ask(app, "/", bearing(token))[0] for token in tokens]


def test_handlers_of_the_applications_own(application: SyncApplication) -> None:
    """A refusal is an HTTP error as any other: a handler for its code sees it, and for the rest the answer is ours."""
    app, require = app_of(application), bearer(application.auth, scope="read")

    @app.get("/")
    @require
    def view() -> ResponseReturnValue:
        return {}

    @app.errorhandler(401)
    def unauthorized(error: HTTPException) -> ResponseReturnValue:
        return f"please log in: {error.description}", 401, {"x-own": "yes"}

    answer = app.test_client().get("/")
    assert (401, "please log in: Authentication failed") == (answer.status_code, answer.text)
    token = application.auth.start(ALICE, scope="write").access_token
    assert (403, "insufficient_scope") == ((refused := ask(app, "/", bearing(token)))[0], refused[1]["error"])


def test_a_handler_for_all_errors(application: SyncApplication) -> None:
    """The handler of Flask's own documentation, which writes each HTTP error as JSON, keeps our challenge."""
    app, require = app_of(application), bearer(application.auth)

    @app.get("/")
    @require
    def view() -> ResponseReturnValue:
        return {}

    @app.errorhandler(HTTPException)
    def written(error: HTTPException) -> ResponseReturnValue:
        response = error.get_response()
        response.data = json.dumps({"code": error.code, "name": error.name})
        return response

    answer = app.test_client().get("/")
    assert (401, {"code": 401, "name": "Unauthorized"}) == (answer.status_code, answer.json)
    assert 'Bearer realm="daypass"' == answer.headers["www-authenticate"]


def test_a_token_that_was_not_required_is_an_error(application: SyncApplication) -> None:
    """Where nothing was required, `current_token` says what to write; so do parentheses too many, and no `Pages`."""
    app = app_of(application)
    require = bearer(application.auth)
    with pytest.raises(ConfigurationError, match="write @require without parentheses"):
        require()
    with app.test_request_context():
        with pytest.raises(RuntimeError, match="write @require above the view"):
            _ = current_token.subject
        with pytest.raises(RuntimeError, match=r"app\.wsgi_app = daypass"):
            _ = current_login.token
    with pytest.raises(RuntimeError, match="write @require above the view"):
        _ = current_token.subject


# ---- how applications are put together


def test_applications_share_an_issuer(application: SyncApplication) -> None:
    """What an application factory makes of one issuer are applications of their own: each takes the other's tokens."""
    require = bearer(application.auth)

    def create() -> Flask:
        app = app_of(application)
        app.add_url_rule("/", view_func=require(lambda: {"who": current_token.subject}), endpoint="who")
        return app

    one, other = create(), create()
    access = logged_in(one)
    assert [(200, {"who": "user-1"})] * 2 == [ask(app, "/", bearing(access)) for app in (one, other)]


def test_an_application_with_two_issuers() -> None:
    """Two issuers have different names in one application, and neither accepts the other's tokens."""
    staff, customers = SyncApplication(), SyncApplication()
    app = Flask(__name__)
    api = Blueprint("api", __name__, url_prefix="/api")
    api.register_blueprint(auth_blueprint(staff.auth, authenticate=staff.check, name="staff"), url_prefix="/staff")
    app.register_blueprint(api)
    app.register_blueprint(auth_blueprint(customers.auth, authenticate=customers.check))
    with app.test_request_context():
        assert ("/api/staff/login", "/auth/login") == (url_for("api.staff.login"), url_for("daypass.login"))
    tokens = [logged_in(app, path) for path in ("/api/staff/login", "/auth/login")]
    found = [[ask(app, path, bearing(token))[0] for token in tokens] for path in ("/api/staff/me", "/auth/me")]
    assert [[200, 401], [401, 200]] == found


def test_below_another_application(application: SyncApplication) -> None:
    """Below a path of a larger WSGI application, the endpoints are where Flask says; the cookie is for all paths."""
    app = DispatcherMiddleware(NotFound(), {"/shop": app_of(application)})
    client = Client(app)
    login = client.post("/shop/auth/login", json=LOGIN)
    assert (200, True) == (login.status_code, "Path=/;" in login.headers["set-cookie"])
    assert [200, 404] == [client.post(path).status_code for path in ("/shop/auth/refresh", "/auth/refresh")]


def test_behind_a_proxy(application: SyncApplication) -> None:
    """Behind a proxy that ends TLS, Werkzeug's `ProxyFix` is all there is to it: the cookie is that of HTTPS."""
    app = app_of(application)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)  # type: ignore[method-assign]  # as Flask has it
    headers = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https", "x-forwarded-host": "api.example.com"}
    login = app.test_client().post("/auth/login", json=LOGIN, headers=headers)
    assert (200, "__Host-daypass") == (login.status_code, login.headers["set-cookie"].partition("=")[0])
    (session,) = application.auth.sessions(ALICE.subject)
    assert "192.0.2.7" == session.device.address


def test_behind_a_proxy_that_is_trusted(application: SyncApplication) -> None:
    """Or the blueprint gets the trusted proxies: those, and no other peer with the same headers."""
    headers = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https", "x-forwarded-host": "api.example.com"}
    for trusted, expected in (("127.0.0.1", (200, "__Host-daypass")), ("198.51.100.1", (403, ""))):
        login = (
            app_of(application, trusted_proxies=[trusted], proxy_header="X-Forwarded")
            .test_client()
            .post("/auth/login", json=LOGIN, headers=headers)
        )
        assert expected == (login.status_code, login.headers.get("set-cookie", "").partition("=")[0])
    assert ["192.0.2.7"] == [session.device.address for session in application.auth.sessions(ALICE.subject)]


def test_a_page_of_another_origin(application: SyncApplication) -> None:
    """The endpoints answer the preflight of an allowed origin's page themselves, and no other's."""
    client = app_of(application, allowed_origins=["https://app.example.com"]).test_client()
    for origin, allowed in (("https://app.example.com", "https://app.example.com"), ("https://evil.example", None)):
        headers = {"origin": origin, "access-control-request-method": "POST"}
        answer = client.options("/auth/refresh", headers=headers)
        assert (204, allowed) == (answer.status_code, answer.headers.get("access-control-allow-origin"))


def test_the_test_client(application: SyncApplication) -> None:
    """Flask's own test client goes the whole way over HTTPS: its jar keeps the cookie as a browser would."""
    client = app_of(application).test_client()
    base = "https://api.example.com"
    assert 200 == client.post("/auth/login", json=LOGIN, base_url=base).status_code
    answers = [client.post(f"/auth/{path}", base_url=base).status_code for path in ("refresh", "logout", "refresh")]
    assert [200, 204, 401] == answers


@pytest.mark.parametrize("hook", ["data", "json", "form", "files", "values"])
def test_a_hook_that_reads_the_body(application: SyncApplication, hook: str) -> None:
    """A hook of the application's that has looked at the body takes nothing away, be it JSON or a form."""
    clients = [OAuthClient("app")]
    app = app_of(application)
    app.register_blueprint(oauth_blueprint(application.auth, clients=clients))

    @app.before_request
    def look() -> None:
        if hook != "json" or request.is_json:
            getattr(request, hook)

    client = app.test_client()
    assert 200 == client.post("/auth/login", json=LOGIN).status_code
    token = application.auth.start(ALICE, client_id="app").refresh_token
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
    answer = client.post("/oauth/token", data=form)
    assert (200, "Bearer") == (answer.status_code, json.loads(answer.data)["token_type"])


def test_in_front_of_anything(application: SyncApplication) -> None:
    """A proxy that asks who sent a request gets the answer from Flask as from any other framework."""
    client = app_of(application).test_client()
    assert 401 == client.get("/auth/verify").status_code
    answer = client.get("/auth/verify", headers=bearing(logged_in(app_of(application))))
    assert (204, "user-1", b"") == (answer.status_code, answer.headers["x-auth-subject"], answer.data)


def test_oauth(application: SyncApplication) -> None:
    """An OAuth client refreshes and revokes over real HTTP; the metadata names where."""
    clients = [OAuthClient("app")]
    app = Flask(__name__)
    app.register_blueprint(oauth_blueprint(application.auth, clients=clients))
    app.register_blueprint(well_known_blueprint(application.auth, clients=clients))
    token = application.auth.start(ALICE, client_id="app").refresh_token
    with serving(app) as address, httpx2.Client(base_url=address) as client:
        metadata = client.get("/.well-known/oauth-authorization-server").json()
        assert f"{ISSUER}/oauth/token" == metadata["token_endpoint"]
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
        answer = client.post("/oauth/token", data=form)
        assert (200, "no-store") == (answer.status_code, answer.headers["cache-control"])
        newer = answer.json()["refresh_token"]
        assert 200 == client.post("/oauth/revoke", data={"token": newer, "client_id": "app"}).status_code
        refused = client.post("/oauth/token", data=form | {"refresh_token": newer})
        assert (400, "invalid_grant") == (refused.status_code, refused.json()["error"])


PREFORK = """
import os, sys, threading
from flask import Flask
from werkzeug.serving import ForkingWSGIServer
from daypass import Daypass, User
from daypass.server import run
from daypass.web.flask import auth_blueprint, bearer, current_token

user = User("1", "alice")
auth = Daypass("sqlite:///sessions.db", issuer="https://api.example.com", secret=32 * "s", load_user=lambda _: user,
               authenticate=lambda name, password: user)
app = Flask(__name__)
app.register_blueprint(auth_blueprint(auth))

@app.get("/who")
@bearer(auth)
def who():
    return {"who": current_token.subject, "process": os.getpid()}

auth.verify(auth.start(user).access_token)  # whatever goes on beside the requests goes on before the fork
assert threading.active_count() > 1
listening = run.bind("127.0.0.1", 0)
server = ForkingWSGIServer("127.0.0.1", 0, app, fd=listening.fileno(), processes=8)
print(run.address(listening), flush=True)
server.serve_forever(poll_interval=0.01)
"""


def test_a_server_that_forks(tmp_path: Path) -> None:
    """Objects that were used before the server forked work in its children; a session that ends in one ends in all."""
    if not hasattr(os, "fork"):
        pytest.skip("this machine's processes cannot fork")
    command = [sys.executable, "-c", PREFORK]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=DEVNULL) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().decode().strip()
            with httpx2.Client(base_url=address, timeout=30) as client:
                access = client.post("/auth/login", json=LOGIN).json()["accessToken"]
                with ThreadPoolExecutor(8) as pool:
                    found = list(pool.map(lambda _: client.get("/who", headers=bearing(access)).json(), range(8)))
                assert {"1"} == {answer["who"] for answer in found}
                assert 8 == len({answer["process"] for answer in found} - {server.pid})
                assert [200, 204] == [client.post(f"/auth/{path}").status_code for path in ("refresh", "logout")]
                assert 401 == client.get("/who", headers=bearing(access)).status_code
        finally:
            server.terminate()
