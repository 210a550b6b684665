"""Fixtures: real browsers of three engines, axios from npm, and a small application on a real socket.

If one of them is missing, the tests are skipped and say why. With ``CI=true`` they fail (``tests/conftest.py``).
"""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daypass import AsyncDaypass, Event, EventCode, User
from daypass.duration import Duration
from daypass.web.starlette import auth_routes, bearer

from ..servers.application import serving
from . import npm
from .engines import ENGINES, Engines
from .hosts import fresh_host
from .marks import CLIENTS

if TYPE_CHECKING:
    from .world import World

HERE = Path(__file__).parent
JS = HERE.parents[1] / "js"
ALICE = User("user-1", "alice", "alice@example.com")
BEN = User("user-2", "ben", "ben@example.com")
USERS = {key: user for user in (ALICE, BEN) for key in (user.subject, user.username)}
"""The users, by subject and by name."""
PASSWORD = "correct horse battery"

Seen = tuple[str, str, int]
"""A request as the server saw it: method, path, and the status of the answer."""


EXTENT = os.environ.get("DAYPASS_TEST_BROWSERS", "suite")
"""How many clients and engines a scenario runs with. A test marked ``every_engine`` always runs with all of them.

- ``suite``: fetch in each engine, axios in one, React and Vue in none.
- ``clients``: React and Vue also run in one engine.
- ``full``: each client runs in each engine.
"""


@pytest.fixture(scope="session")
def axios(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return axios's bundle for browsers; install it from npm if it is missing."""
    return npm.fetch(HERE, "axios/dist/axios.min.js", tmp_path_factory)


@pytest.fixture(scope="session")
def components(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the pages of React and Vue, bundled by esbuild from the folder ``clients``."""
    frontend = npm.fetch(HERE / "frontend", "react/package.json", tmp_path_factory).parents[1]
    esbuild = npm.fetch(JS, ".bin/esbuild", tmp_path_factory)
    bundle = tmp_path_factory.mktemp("clients") / "clients.js"
    aliases = {"vue": frontend / "vue"} | {f"daypass/{each}": JS / "dist" / f"{each}.js" for each in ("react", "vue")}
    done = npm.run(
        esbuild, "index.ts", "--bundle", "--format=esm", "--jsx=automatic", "--jsx-dev", f"--outfile={bundle}",
        "--define:process.env.NODE_ENV='development'", "--define:__VUE_OPTIONS_API__=false",
        "--define:__VUE_PROD_DEVTOOLS__=false", "--define:__VUE_PROD_HYDRATION_MISMATCH_DETAILS__=false",
        *(f"--alias:{name}={path}" for name, path in aliases.items()),
        folder=HERE / "clients", NODE_PATH=str(frontend),
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return bundle


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engines('ENGINE', …): run a test in these engines only; the default is all")
    config.addinivalue_line(
        "markers",
        "clients('CLIENT', …): what a test sends requests with; if it has the fixture `client`, it runs with each",
    )
    config.addinivalue_line("markers", "not_for(CLIENT='why', …): leave this client out, and why")
    config.addinivalue_line(
        "markers", "every_engine: every client runs the test in every engine; otherwise only `fetch` does"
    )
    config.addinivalue_line("markers", "cannot(ENGINE='why', …): the test must fail in this engine, and why it does")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that uses a browser in each engine. Where a mark says `cannot`, the test must fail."""
    if "engine" not in metafunc.fixturenames:
        return
    item = metafunc.definition
    cannot = _by_keyword(item, "cannot")
    enough = item.get_closest_marker("engines")
    engines: Sequence[str] = enough.args if enough else ENGINES
    if "client" not in metafunc.fixturenames:
        metafunc.parametrize("engine", [_parameter(cannot, each) for each in engines], indirect=True)
        return
    named = item.get_closest_marker("clients")
    clients = [each for each in (named.args if named else CLIENTS) if each not in _by_keyword(item, "not_for")]
    everywhere = EXTENT == "full" or item.get_closest_marker("every_engine") is not None
    if EXTENT == "suite" and not everywhere and "fetch" in clients:
        clients = [each for each in clients if each not in {"React", "Vue"}]
    pairs = [
        _parameter(cannot, engine, client)
        for client in clients
        for engine in (engines if everywhere or client == "fetch" else [_chosen(engines, cannot)])
    ]
    metafunc.parametrize(("client", "engine"), pairs, indirect=True)


def _by_keyword(item: Any, mark: str) -> dict[str, str]:
    return {name: why for each in item.iter_markers(mark) for name, why in each.kwargs.items()}


def _parameter(cannot: dict[str, str], engine: str, *client: str) -> Any:
    marks = [pytest.mark.xfail(reason=cannot[engine])] if engine in cannot else []
    return pytest.param(*client, engine, marks=marks)


def _chosen(engines: Sequence[str], cannot: dict[str, str]) -> str:
    """Return the first engine that can run the scenario."""
    return next(each for each in engines if each not in cannot)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """Return the name of the browser engine that the test runs in: one of `ENGINES`."""
    return str(request.param)


@pytest.fixture
def client(request: pytest.FixtureRequest) -> str:
    """Return what the page sends its requests with: one of `CLIENTS`."""
    return str(request.param)


@pytest.fixture(scope="package")
def engines() -> Iterator[Engines]:
    """Return the browsers, for the tests of this folder only. Each is started when it is first used.

    Playwright keeps an event loop in the tests' thread. Tests elsewhere could not start one of their own.
    """
    with Engines() as engines:
        yield engines


@pytest.fixture
def browser(engines: Engines, engine: str) -> Browser:
    """Return a running browser."""
    return engines.running(engine)


@pytest.fixture
def host() -> str:
    """Return the loopback address of the test's own server: for browsers a site that no other test uses."""
    return fresh_host()


@pytest.fixture
def context(request: pytest.FixtureRequest, engines: Engines, engine: str) -> Iterator[BrowserContext]:
    """Return a fresh profile: no cookies, no storage."""
    with engines.profile(engine, again="host" in request.fixturenames) as context:
        yield context


@pytest.fixture
def files(request: pytest.FixtureRequest, client: str, axios: Path) -> dict[str, Path]:
    """Return the client's page and its scripts, by path."""
    found = {"/axios.js": axios, "/session": HERE / "session.html"}
    found |= {f"/{name}": HERE / name for name in ("first.js", "page.js")}
    return found | ({"/clients.js": request.getfixturevalue("components")} if client in {"React", "Vue"} else {})


class Application:
    """A small application with Daypass's routes. It records its requests; a test can put its clock forward."""

    def __init__(self, store: str, axios: Path, **lifetimes: Duration) -> None:
        self.ahead = 0
        self.requests: list[Seen] = []
        self.events: list[Event] = []
        self.bodies: list[bytes] = []
        self.lose_refreshes = 0
        self.address = ""
        self.auth = AsyncDaypass(
            store,
            issuer="http://127.0.0.1",
            load_user=USERS.get,
            authenticate=lambda name, password: USERS.get(name) if password == PASSWORD else None,
            on_event=self.events.append,
            clock=lambda: time.time_ns() // 1_000_000 + self.ahead,
            **lifetimes,  # type: ignore[arg-type]  # only durations are passed through
        )
        self._require = bearer(self.auth)
        routes = [
            Route("/", lambda _: FileResponse(HERE / "page.html")),
            Route("/axios.js", lambda _: FileResponse(axios, media_type="text/javascript")),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            Route("/api/items", self._items, methods=["GET", "POST", "PUT"]),
            Route("/api/upload", self._upload, methods=["POST"]),
            Mount("/auth", routes=auth_routes(self.auth)),
        ]

        @asynccontextmanager
        async def lifespan(_: Starlette) -> Any:
            async with self.auth:
                yield

        self._app: ASGIApp = Starlette(routes=routes, lifespan=lifespan)

    async def _items(self, request: Request) -> Response:
        token = await self._require(request)
        self.bodies.append(await request.body())
        return JSONResponse({"user": token.username})

    async def _upload(self, request: Request) -> Response:
        await self._require(request)
        body = await request.body()
        self.bodies.append(body)
        return JSONResponse({"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and record each request with its status. A lost response becomes a 502."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        losing = scope["path"] == "/auth/refresh" and self.lose_refreshes > 0
        self.lose_refreshes -= losing

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"].startswith(("/api", "/auth")):
                self.requests.append((scope["method"], scope["path"], message["status"]))
            if not losing:
                await send(message)

        await self._app(scope, receive, note)
        if losing:
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body"})

    def expire(self) -> None:
        """Put the clock forward, past the lifetime of the access tokens and the grace period."""
        self.ahead += 60_000

    def take(self) -> list[Seen]:
        """Return the requests since the last call."""
        taken, self.requests = self.requests, []
        return taken

    def counts(self) -> dict[EventCode, int]:
        codes = [event.code for event in self.events]
        return {code: codes.count(code) for code in set(codes)}


@pytest.fixture
def lifetimes() -> dict[str, Duration]:
    """Return the lifetimes of the tokens; a test may override them."""
    return {"access_ttl": "50s", "grace_period": "30s"}


@pytest.fixture
def application(tmp_path: Path, axios: Path, lifetimes: dict[str, Duration], host: str) -> Iterator[Application]:
    """Return the running application; its sessions are in a SQLite file."""
    application = Application(f"sqlite:///{tmp_path / 'app.db'}", axios, **lifetimes)
    with serving(application, grace=1, host=host) as address:
        application.address = address
        yield application


@pytest.fixture
def page(context: BrowserContext, application: Application) -> Page:
    """Return the application's page after a login, and forget the requests so far."""
    page = context.new_page()
    page.goto(application.address)
    page.evaluate("([name, password]) => login(name, password)", [ALICE.username, PASSWORD])
    assert [("POST", "/auth/login", 200)] == application.take()
    return page


@pytest.fixture
def world(
    tmp_path: Path, client: str, files: dict[str, Path], axios: Path, lifetimes: dict[str, Duration], host: str
) -> Iterator["World"]:
    """Return the running application that daypass.js is tested against, with the client's page."""
    from .world import World

    world = World(f"sqlite:///{tmp_path / 'app.db'}", axios, **lifetimes)
    world.client = client
    world.files = files
    with serving(world, grace=1, host=host) as address:
        world.address = address
        yield world
