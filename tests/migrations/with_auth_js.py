"""Users of Auth.js move to Daypass, or Auth.js keeps Daypass's tokens: docs/migrate/others.md, as it is written there.

`make interop` runs this; the suite does not.
"""

import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, nullcontext
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from daypass import AsyncDaypass, Event, EventCode, User
from daypass.migrate import OldTokens
from daypass.testing import Clock
from daypass.web.starlette import auth_routes, bearer, oauth_routes

from ..browser import npm
from ..servers import postgres
from ..servers.application import serving
from . import recipes

HERE = Path(__file__).parent / "auth_js"
ROOT = Path(__file__).parents[2]
COOKIE = "authjs.session-token"
SECRET = "an old secret key"
PASSWORD = "correct horse"
ANN = User("ann", username="ann")
TABLES = """
CREATE TABLE verification_token (identifier text, expires timestamptz, token text);
CREATE TABLE users (id serial, name text, email text, "emailVerified" timestamptz, image text);
CREATE TABLE sessions (id serial, "userId" integer, expires timestamptz, "sessionToken" text)
"""
"""What @auth/pg-adapter needs for logins by email."""


class Api:
    """The API in Python, with Daypass's endpoints.

    Attributes:
        available: whether it answers anything but 503.
    """

    def __init__(
        self, migrate: OldTokens | tuple[OldTokens, ...] = (), *, uses: AsyncConnectionPool | None = None
    ) -> None:
        self.available = True
        self.clock = Clock(int(time.time() * 1000))
        self.events: list[Event] = []
        self.auth = AsyncDaypass(
            "memory:",
            issuer="http://127.0.0.1",
            load_user=User,
            authenticate=lambda name, password: ANN if (name, password) == ("ann", PASSWORD) else None,
            on_event=self.events.append,
            clock=self.clock,
            migrate=migrate,
            access_ttl="10s",
        )
        (client,) = recipes.run(recipes.recipe("from daypass.web.clients import Client"))["clients"]
        require = bearer(self.auth)

        async def profile(request: Request) -> JSONResponse:
            return JSONResponse({"user": (await require(request)).subject})

        async def sessions(_: Request) -> JSONResponse:
            found = await self.auth.sessions("ann")
            return JSONResponse(len(list(found)))

        async def end(_: Request) -> JSONResponse:
            await self.auth.end_all("ann")
            return JSONResponse({})

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with self.auth, uses or nullcontext():
                yield

        mounts = [
            Mount("/auth", routes=auth_routes(self.auth, rate_limits=None)),
            Mount("/oauth", routes=oauth_routes(self.auth, clients=[client], rate_limits=None)),
        ]
        own = [Route("/profile", profile), Route("/sessions", sessions), Route("/end", end, methods=["POST"])]
        self._app = Starlette(routes=[*own, *mounts], lifespan=lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self.available:
            await JSONResponse({}, 503)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Browser:
    """A client that keeps cookies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}

    def send(self, method: str, path: str, *, url: str | None = None, keeps: bool = True, **content: Any) -> Any:
        """Send a request with the cookies; keep those of the response unless it is lost."""
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = httpx2.request(method, f"{url or self.url}{path}", headers={"cookie": pairs}, **content)
        if keeps:
            self.keep(response)
        return response

    def keep(self, response: httpx2.Response) -> None:
        for header in response.headers.get_list("set-cookie"):
            for name, cookie in SimpleCookie(header).items():
                if cookie["max-age"] == "0" or "1970" in cookie["expires"]:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = cookie.value


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    npm.fetch(HERE, "next-auth/package.json", tmp_path_factory)
    return npm.NODE


@contextmanager
def running(node: Path, *arguments: str | Path, **variables: str) -> Iterator[Browser]:
    """Run the application with Auth.js; yield a browser of its user."""
    command = [node, HERE / "site.mjs", "0", *arguments]
    environment = os.environ | {"AUTH_SECRET": SECRET} | variables
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "the application with Auth.js did not start"
        try:
            yield Browser(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Path]:
    """Give what writes a recipe to a file of a Node application."""
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')

    def write(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(recipes.recipe(f"// {name}").replace('"../../daypass"', '"../../daypass.js"'))
        return path

    return write


def old_tokens(first_line: str = "# auth.py", *before: str, **replaced: str) -> OldTokens:
    """Return the `OldTokens` of a recipe."""
    programs = [*before, recipes.recipe(first_line, **replaced)]
    found = recipes.run("\n".join(programs))["old_tokens"]
    assert isinstance(found, OldTokens)
    return found


JWT = {"SECRET": repr(SECRET), "COOKIE": repr(COOKIE)}


def moves(browser: Browser, api: str) -> str:
    """Move with the old cookie, as the browser does at the host of both; return whom the API takes the user for."""
    answer = browser.send("POST", "/auth/refresh", url=api)
    assert 200 == answer.status_code, answer.text
    headers = {"authorization": f"Bearer {answer.json()['accessToken']}"}
    user: str = httpx2.get(f"{api}/profile", headers=headers).json()["user"]
    return user


def test_a_jwt_session_moves(node: Path) -> None:
    """Copies that Auth.js has encrypted again are one session, the old cookie goes on, and a logout ends both."""
    api = Api(old_tokens(**JWT))
    with running(node, "jwt") as browser, serving(api) as address:
        assert 200 == browser.send("POST", "/login", json={"user": "ann"}).status_code
        copies = set()
        for _ in range(3):
            browser.send("GET", "/me")
            copies.add(browser.cookies[COOKIE])
            tab = Browser(browser.url)
            tab.cookies = dict(browser.cookies)
            assert "ann" == moves(tab, address)
        assert 3 == len(copies)
        assert 1 == httpx2.get(f"{address}/sessions").json()
        assert "ann" == browser.send("GET", "/me").json()["user"]
        assert {COOKIE} < set(tab.cookies)
        assert 204 == tab.send("POST", "/auth/logout", url=address).status_code
        assert {"authjs.callback-url"} == set(tab.cookies)
        assert 401 == browser.send("POST", "/auth/refresh", url=address).status_code


def test_a_cookie_of_another_secret_moves_nobody(node: Path) -> None:
    """Only who knows the secret can make a cookie."""
    api = Api(old_tokens(SECRET=repr("another"), COOKIE=repr(COOKIE)))
    with running(node, "jwt") as browser, serving(api) as address:
        browser.send("POST", "/login", json={"user": "ann"})
        assert 401 == browser.send("POST", "/auth/refresh", url=address).status_code


def test_a_session_of_nextauth_4_moves(node: Path) -> None:
    """The older library has another cookie and derives another key."""
    done = npm.run(node, HERE / "encode_4.mjs", "ann", folder=HERE, AUTH_SECRET=SECRET)
    assert (0, "") == (done.returncode, done.stderr)
    name = "next-auth.session-token"
    tokens = old_tokens("# auth.py, NextAuth.js 4", recipes.recipe("# auth.py", **JWT), COOKIE=repr(name))
    with serving(Api(tokens)) as address:
        browser = Browser(address)
        browser.cookies[name] = done.stdout
        assert "ann" == moves(browser, address)


def test_a_jwt_session_moves_through_a_server_in_front(node: Path, site: Callable[..., Path]) -> None:
    """daypass/server passes no foreign cookie on, so a route of the application hands it over."""
    route = site("app/move/route.js")
    api = Api(old_tokens(**JWT))
    with serving(api) as address:
        pages = f'import {{ createPages }} from "{ROOT}/js/dist/server.js";\n'
        (route.parents[2] / "daypass.js").write_text(
            f"{pages}export const pages = createPages({json.dumps({'url': f'{address}/auth'})});\n"
        )
        with running(node, "jwt", MOVE=str(route)) as browser:
            assert 401 == browser.send("POST", "/move").status_code
            browser.send("POST", "/login", json={"user": "ann"})
            answer = browser.send("POST", "/move")
        assert (200, False) == (answer.status_code, "refreshToken" in answer.json())
        assert {COOKIE} < set(browser.cookies)
        assert "ann" == moves(browser, address)
        assert 1 == httpx2.get(f"{address}/sessions").json()


def test_a_database_session_moves(node: Path, postgres_at: Callable[[], str]) -> None:
    """The row in the table of @auth/pg-adapter says who it is, and is not touched."""
    url = postgres.empty(postgres_at())
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(TABLES.encode())
        given = {"COOKIE": repr(COOKIE), "pool": f"AsyncConnectionPool({url!r}, open=False)"}
        names = recipes.run(recipes.recipe("# auth.py, database sessions", **given))
        api = Api(names["old_tokens"], uses=names["pool"])
        with running(node, "database", url) as browser, serving(api) as address:
            browser.send("POST", "/login", json={"user": "ann@example.com"})
            user = browser.send("GET", "/me").json()["user"]
            assert user == moves(browser, address)
            assert user == browser.send("GET", "/me").json()["user"]
            db.execute("DELETE FROM sessions")
            stranger = Browser(browser.url)
            stranger.cookies = {COOKIE: browser.cookies[COOKIE]}
            assert 401 == stranger.send("POST", "/auth/refresh", url=address).status_code


class Kept:
    """Auth.js in front of the API, whose tokens it keeps: a user who is logged in."""

    def __init__(self, browser: Browser, api: Api, address: str) -> None:
        self.browser, self.api, self.address = browser, api, address
        answer = browser.send("POST", "/login", json={"username": "ann", "password": PASSWORD})
        assert 200 == answer.status_code

    def opens(self, *, keeps: bool = True) -> int:
        """Ask Auth.js for the session, and the API with its access token."""
        session = self.browser.send("GET", "/me", keeps=keeps)
        if session.status_code != 200:
            return int(session.status_code)
        headers = {"authorization": f"Bearer {session.json()['accessToken']}"}
        return httpx2.get(f"{self.address}/profile", headers=headers).status_code


@pytest.fixture
def kept(node: Path, site: Callable[..., Path]) -> Iterator[Kept]:
    """Access tokens live ten seconds, which the recipe takes off: each request refreshes."""
    api = Api()
    with serving(api) as address, running(node, "config", site("auth.config.js"), API_URL=address) as browser:
        yield Kept(browser, api, address)


def test_a_wrong_password_starts_no_session(kept: Kept) -> None:
    """Auth.js asks the API who it is."""
    other = Browser(kept.browser.url)
    assert 401 == other.send("POST", "/login", json={"username": "ann", "password": "wrong"}).status_code
    assert 401 == other.send("GET", "/me").status_code


def test_auth_js_refreshes_in_parallel(kept: Kept) -> None:
    """Ten requests with one cookie refresh at once; all get a token that works, whichever cookie comes last."""
    for _ in range(3):
        with ThreadPoolExecutor(10) as requests:
            assert [200] * 10 == list(requests.map(lambda _: kept.opens(), range(10)))
        kept.api.clock.advance(60_000)
    assert not {EventCode.REUSED, EventCode.REJECTED} & {event.code for event in kept.api.events}


def test_auth_js_loses_a_cookie(kept: Kept) -> None:
    """A server component refreshes and cannot set the cookie; hours later the old refresh token still works."""
    for _ in range(3):
        assert 200 == kept.opens(keeps=False)
        kept.api.clock.advance(3_600_000)
    assert 200 == kept.opens()


def test_auth_js_keeps_its_session_while_the_api_is_down(kept: Kept) -> None:
    """A refresh that fails logs nobody out."""
    kept.api.available = False
    assert 200 == kept.browser.send("GET", "/me").status_code
    kept.api.available = True
    assert 200 == kept.opens()


def test_an_ended_session_ends_that_of_auth_js(kept: Kept) -> None:
    """A definite refusal removes the cookie of Auth.js."""
    httpx2.post(f"{kept.address}/end")
    assert 401 == kept.opens()
    assert COOKIE not in kept.browser.cookies


def test_a_logout_of_auth_js_ends_the_session(kept: Kept) -> None:
    """Its event revokes the refresh token."""
    assert 1 == httpx2.get(f"{kept.address}/sessions").json()
    kept.browser.send("POST", "/api/auth/signout", data={})
    assert COOKIE not in kept.browser.cookies
    assert 0 == httpx2.get(f"{kept.address}/sessions").json()
