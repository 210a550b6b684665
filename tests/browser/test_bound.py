"""Sessions that real browsers bind to a key of the device, over TLS; and a browser that cannot.

Chromium makes at most six signatures for a site in nine minutes, so each test has a fresh profile and spends few.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from daypass import AsyncDaypass, Event
from daypass.web import Application
from daypass.web.asgi_pages import Pages
from daypass.web.starlette import auth_routes, bearer

from ..server.certificates import write_certificate
from ..servers.application import serving_tls
from .conftest import ALICE, PASSWORD, USERS
from .device_profile import Profile, wait_until
from .engines import Engines

FULL = os.environ.get("DAYPASS_TEST_BOUND") == "full"
STORES = ["sqlite", "postgres", "redis"] if FULL else ["sqlite"]
SCRIPT = """<!doctype html><title>page</title><script type=module>
import { createSession } from "/auth/daypass.js";
window.session = createSession();
window.ask = async (times) =>
  Promise.all(Array.from({ length: times }, async (_, n) => (await session.fetch(`/profile?${n}`)).status));
window.post = async (path) => {
  const answer = await fetch(path, { method: "POST" });
  return [answer.status, (await answer.json().catch(() => ({}))).accessToken];
};
window.loaded = true;
</script>"""
FORM = "<!doctype html><form method=post action=/enter><button>Enter</button></form>"


class Site:
    """A site with TLS: nodes on one store, one after the other on the same port, and what they saw.

    Attributes:
        seen: the path and the status of each request to the session endpoints.
        down: whether these are answered with 503.
    """

    def __init__(self, folder: Path, store: str) -> None:
        self.store, self.events, self.down = store, list[Event](), False
        self.seen: list[tuple[str, int]] = []
        self.certificate = write_certificate(folder)
        self.port = 0
        self._running = ExitStack()
        self.start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def start(self) -> None:
        """Start a node; end the one before it."""
        self._running.close()
        serving: AbstractContextManager[int] = serving_tls(self._node(), *self.certificate, self.port)
        self.port = self._running.enter_context(serving)

    def close(self) -> None:
        self._running.close()

    def count(self, path: str) -> list[int]:
        """Return the statuses of the requests to a path since the last call."""
        seen = [status for where, status in self.seen if where == f"/auth/device/{path}"]
        self.seen.clear()
        return seen

    @property
    def codes(self) -> list[str]:
        return [str(event.code) for event in self.events]

    def _node(self) -> Any:
        auth = AsyncDaypass(
            self.store,
            issuer="https://localhost",
            secret=b"the secret of all nodes, of 32 bytes",
            load_user=USERS.get,
            authenticate=lambda name, password: USERS.get(name) if password == PASSWORD else None,
            on_event=self.events.append,
            device_bound=True,
        )
        application = Application(auth, same_site="Lax")
        require = bearer(application)

        async def page(_: Request) -> HTMLResponse:
            return HTMLResponse(SCRIPT)

        async def profile(request: Request) -> JSONResponse:
            return JSONResponse({"user": (await require(request)).username})

        async def home(request: Request) -> HTMLResponse:
            token = request.scope["daypass"].token
            return HTMLResponse(f"<!doctype html><title>{token.username if token else 'nobody'}</title>{FORM}")

        async def enter(request: Request) -> RedirectResponse:
            request.scope["daypass"].log_in(await auth.start(ALICE))
            return RedirectResponse("/home", 303)

        routes = [
            Route("/", page),
            Route("/profile", profile),
            Route("/home", home),
            Route("/enter", enter, methods=["POST"]),
            Mount("/auth", routes=auth_routes(application)),
        ]
        app = Pages(Starlette(routes=routes), application)

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                async with auth:
                    await app(scope, receive, send)
                return

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start" and scope["path"].startswith("/auth/"):
                    self.seen.append((scope["path"], message["status"]))
                await send(message)

            if self.down and scope["path"].startswith("/auth/"):
                await receive()
                await noting({"type": "http.response.start", "status": 503, "headers": [(b"retry-after", b"1")]})
                await send({"type": "http.response.body"})
                return
            await app(scope, receive, noting)

        return watched


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    def url(kind: str) -> str:
        names = {"postgres": "postgres_url", "redis": "redis_server"}
        return f"sqlite:///{tmp_path}/daypass.db" if kind == "sqlite" else str(request.getfixturevalue(names[kind]))

    return url


@pytest.fixture
def site(request: pytest.FixtureRequest, stores: Callable[[str], str], tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, stores(getattr(request, "param", "sqlite")))
    yield made
    made.close()


@pytest.fixture
def profiles(engines: Engines, site: Site, tmp_path: Path) -> Iterator[Callable[[], Profile]]:
    made: list[Profile] = []

    def profile() -> Profile:
        made.append(Profile(engines, site.url, site.certificate[0], tmp_path / f"profile-{len(made)}"))
        return made[-1]

    yield profile
    for each in made:
        each.context.close()


LOG_IN = f"session.login({{username: 'alice', password: '{PASSWORD}'}}).then(() => true)"


@pytest.mark.parametrize("site", STORES, indirect=True)
def test_chromium_binds_its_session(site: Site, profiles: Callable[[], Profile]) -> None:
    """Ten requests in each of two tabs cost one proof; the jar, copied to another profile, gets no new token."""
    owner = profiles()
    page = owner.page()
    page.evaluate(LOG_IN)
    owner.until_registered()
    assert [200] == site.count("register")
    owner.expire()
    other = owner.page()
    assert [[200] * 10] * 2 == [each.evaluate("ask(10)") for each in (page, other)]
    assert [200] == site.count("refresh")
    assert "bound" in site.codes
    status, token = page.evaluate("post('/auth/refresh')")
    thief = profiles()
    thief.context.add_cookies(owner.context.cookies())  # type: ignore[arg-type]  # what one gives, the other takes
    stolen = thief.page()
    assert [status, token] == stolen.evaluate("post('/auth/refresh')")
    thief.expire()
    assert [401, None] == stolen.evaluate("post('/auth/refresh')")
    assert [] == site.count("refresh")
    owner.expire()
    status, newer = page.evaluate("post('/auth/refresh')")
    assert (200, True) == (status, newer != token)
    assert 204 == page.evaluate("post('/auth/logout')")[0]
    assert 401 == page.evaluate("post('/auth/refresh')")[0]


def test_no_restart_and_no_outage_logs_out(site: Site, profiles: Callable[[], Profile]) -> None:
    """Another node, an answer of 503, and a browser that is closed and opened again: the session goes on."""
    owner = profiles()
    page = owner.page()
    page.evaluate(LOG_IN)
    owner.until_registered()
    site.start()
    owner.expire()
    assert 200 == page.evaluate("post('/auth/refresh')")[0]
    site.down = True
    owner.expire()
    assert 503 == page.evaluate("post('/auth/refresh')")[0]
    site.down = False
    assert 200 == page.evaluate("post('/auth/refresh')")[0]
    owner.expire()
    owner.context.close()
    site.start()
    owner.open()
    site.count("refresh")
    page = owner.page()
    assert [200] == page.evaluate("ask(1)")
    assert 200 in site.count("refresh")
    assert "alice" == page.evaluate("session.user.username")
    assert not {"rejected", "reused", "logged_out"} & set(site.codes)


def test_pages_without_javascript(site: Site, profiles: Callable[[], Profile]) -> None:
    """A form logs in, and the browser binds the session; a link of another site finds the user logged in."""
    owner = profiles()
    owner.context.close()
    owner.open(java_script_enabled=False)
    page = owner.context.new_page()
    page.goto(f"{site.url}/home")
    page.click("button")
    assert "alice" == page.title()
    wait_until(lambda: [200] == site.count("register"), "the browser registered no key")
    owner.expire()
    page.goto(f"{site.url}/home")
    assert ("alice", [200]) == (page.title(), site.count("refresh"))
    owner.expire()
    page.goto(f"https://127.0.0.1:{site.port}/home")
    page.set_content(f"<a href={site.url}/home>there</a>")
    page.click("a")
    wait_until(lambda: "alice" == page.title(), "the page was not loaded again")
    assert [200] == site.count("refresh")


def test_firefox_is_as_before(site: Site, engines: Engines) -> None:
    """A browser without device-bound sessions logs in and refreshes; its session is not bound."""
    context = engines.running("firefox").new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(site.url)
    page.wait_for_function("window.loaded")
    page.evaluate(LOG_IN)
    assert [200, 200, 200] == [page.evaluate("post('/auth/refresh')")[0] for _ in range(3)]
    assert [] == site.count("register")
    assert "bound" not in site.codes
    context.close()
