"""The middleware for pages on a real socket: a browser's jar, and all that may happen on the way."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from daypass import ConfigurationError, CredentialsRejected, Daypass, EventCode
from daypass.duration import MINUTE
from daypass.web.asgi_pages import Pages
from daypass.web.browser_login import BrowserLogin
from daypass.web.starlette import bearer

from ..cookie_names import refresh_cookie, without_port
from ..servers.application import serving
from .failing import AsyncFailing
from .live import Application, raw
from .world import ALICE, ISSUER, PASSWORD, SECRET

CROSS = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}


class World:
    """An application of pages, and what it received."""

    def __init__(self) -> None:
        self.store = AsyncFailing()
        self.issuer = Application(self.store)
        self.require = bearer(self.issuer.auth)
        self.calls = 0
        self.done = threading.Event()
        routes = [
            Route("/", self.home),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/upload", self.upload, methods=["POST"]),
            Route("/required", self.required),
            Route("/stream", self.stream),
            Route("/static", self.static),
            Route("/broken", self.broken),
            WebSocketRoute("/socket", self.socket),
        ]
        self.inner = Starlette(routes=routes, lifespan=self.issuer.lifespan)
        self.app = Pages(self.inner, self.issuer.auth)

    async def home(self, request: Request) -> Response:
        self.calls += 1
        login: BrowserLogin = request.scope["daypass"]
        return PlainTextResponse(login.token.username or "?" if login.token else "nobody")

    async def login(self, request: Request) -> Response:
        login: BrowserLogin = request.scope["daypass"]
        try:
            password = (await request.body()).decode()
            login.log_in(await self.issuer.auth.start(ALICE) if password == PASSWORD else await self._wrong())
        except CredentialsRejected:
            return PlainTextResponse("wrong", 401)
        return RedirectResponse("/", 303)

    async def _wrong(self) -> Any:
        raise CredentialsRejected("wrong")

    async def logout(self, request: Request) -> Response:
        request.scope["daypass"].log_out()
        return RedirectResponse("/", 303)

    async def upload(self, request: Request) -> Response:
        self.calls += 1
        digest, count = hashlib.sha256(), 0
        async for chunk in request.stream():
            digest.update(chunk)
            count += len(chunk)
        login: BrowserLogin = request.scope["daypass"]
        return JSONResponse({"bytes": count, "sha256": digest.hexdigest(), "known": login.token is not None})

    async def required(self, request: Request) -> Response:
        return PlainTextResponse((await self.require(request)).subject)

    async def stream(self, request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"chunk"
                await asyncio.sleep(0)

        return StreamingResponse(chunks(), background=BackgroundTask(self.done.set))

    async def static(self, _: Request) -> Response:
        return PlainTextResponse("body {}", headers={"cache-control": "public, max-age=60", "vary": "Accept-Encoding"})

    async def broken(self, _: Request) -> Response:
        raise RuntimeError("the application's own mistake")

    async def socket(self, socket: WebSocket) -> None:
        login: BrowserLogin = socket.scope["daypass"]
        await socket.accept()
        await socket.send_text(login.token.subject if login.token else "nobody")
        await socket.close()

    def codes(self, code: EventCode) -> int:
        return self.issuer.codes().count(code)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def browser(world: World) -> Iterator[httpx2.Client]:
    """Return a client with a cookie jar, logged in."""
    with serving(world.app) as address, httpx2.Client(base_url=address, timeout=30) as client:
        answer = client.post("/login", content=PASSWORD)
        assert (303, ["daypass", "daypass-access"]) == (answer.status_code, without_port(client.cookies))
        yield client


def expire(world: World) -> None:
    world.issuer.clock.advance(16 * MINUTE)


def cookie_header(client: httpx2.Client) -> dict[str, str]:
    return {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


def test_pages_through_expiry(world: World, browser: httpx2.Client) -> None:
    """The user is there on every page, however often the access token expires, and notices nothing."""
    for _ in range(4):
        assert "alice" == browser.get("/").text
        assert "set-cookie" not in browser.get("/").headers
        expire(world)
    assert 3 == world.codes(EventCode.ROTATED)


def test_a_route_that_requires_a_token_accepts_cookies(world: World, browser: httpx2.Client) -> None:
    """What requires an access token finds it behind the middleware; a client's own header is left as it is."""
    assert (200, "user-1") == ((answer := browser.get("/required")).status_code, answer.text)
    expire(world)
    assert 200 == browser.get("/required").status_code
    assert 401 == browser.get("/required", headers={"authorization": "Bearer x"}).status_code
    assert 401 == httpx2.get(f"{browser.base_url}/required").status_code


def test_a_lost_answer(world: World, browser: httpx2.Client) -> None:
    """A browser that goes away before the answer with its new cookies comes back with the old ones, as the user."""
    expire(world)
    head = "\r\n".join(f"{name}: {value}" for name, value in cookie_header(browser).items())
    host = browser.base_url.netloc.decode()
    raw(str(browser.base_url), f"GET / HTTP/1.1\r\nhost: {host}\r\n{head}\r\nconnection: close\r\n\r\n".encode())
    assert 1 == world.codes(EventCode.ROTATED)
    assert "alice" == browser.get("/").text
    world.issuer.clock.advance(MINUTE)
    assert "alice" == browser.get("/").text


def test_ten_at_once(world: World, browser: httpx2.Client) -> None:
    """Ten requests of one page that meet the expiry at once are all the user's, and rotate once."""
    expire(world)
    headers = cookie_header(browser)

    async def ask() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(base_url=browser.base_url, timeout=30) as client:
            return list(await asyncio.gather(*(client.get("/", headers=headers) for _ in range(10))))

    answers = asyncio.run(ask())
    assert {"alice"} == {answer.text for answer in answers}
    assert 1 == len({refresh_cookie(answer.cookies) for answer in answers})
    assert (1, 9) == (world.codes(EventCode.ROTATED), world.codes(EventCode.REPEATED))


def test_an_upload_that_meets_the_expiry(world: World, browser: httpx2.Client) -> None:
    """A body of 20 MB that meets the expiry reaches the application whole, and once."""
    expire(world)
    body = bytes(range(256)) * 78_125
    answer = browser.post("/upload", content=body)
    assert {"bytes": 20_000_000, "sha256": hashlib.sha256(body).hexdigest(), "known": True} == answer.json()
    assert (1, True) == (world.calls, "set-cookie" in answer.headers)


def test_the_store_is_down(world: World, browser: httpx2.Client) -> None:
    """While the store is down, the answer is 503 without a call of the application; later the login continues."""
    browser.get("/")
    expire(world)
    world.store.down = True
    calls = world.calls
    answer = browser.get("/", headers={"accept": "text/html"})
    assert (503, "1", calls) == (answer.status_code, answer.headers["retry-after"], world.calls)
    assert ("text/html; charset=utf-8", False) == (answer.headers["content-type"], "set-cookie" in answer.headers)
    assert 503 == browser.head("/").status_code
    world.store.down = False
    assert "alice" == browser.get("/").text


def test_a_theft(world: World, browser: httpx2.Client) -> None:
    """When a thief has used the cookie, its owner is logged out, without cookies; the thief too."""
    stolen = {"cookie": f"daypass={refresh_cookie(browser.cookies)}"}
    for _ in range(2):
        expire(world)
        answer = httpx2.get(str(browser.base_url), headers=stolen)
        stolen = {"cookie": f"daypass={refresh_cookie(answer.cookies)}"}
    expire(world)
    assert ("nobody", {}) == (browser.get("/").text, dict(browser.cookies))
    assert "nobody" == httpx2.get(str(browser.base_url), headers=stolen).text
    assert 1 == world.codes(EventCode.REUSED)


def test_a_logout(world: World, browser: httpx2.Client) -> None:
    """A logout ends the session and clears both cookies; copies of them are refused."""
    kept = cookie_header(browser)
    answer = browser.post("/logout")
    assert (303, {}) == (answer.status_code, dict(browser.cookies))
    assert "nobody" == httpx2.get(str(browser.base_url), headers=kept).text
    assert 1 == world.codes(EventCode.LOGGED_OUT)


def test_a_logout_while_the_store_is_down(world: World, browser: httpx2.Client) -> None:
    """A logout that cannot be done is answered with 503 in place of the application's answer; cookies are kept."""
    browser.get("/")
    world.store.down = True
    answer = browser.post("/logout")
    assert (503, False, False) == (answer.status_code, "location" in answer.headers, "set-cookie" in answer.headers)
    assert "temporarily_unavailable" == answer.json()["error"]
    world.store.down = False
    assert 303 == browser.post("/logout").status_code


def test_a_login_over_a_session(world: World, browser: httpx2.Client) -> None:
    """A login over a session ends that session."""
    kept = cookie_header(browser)
    assert 303 == browser.post("/login", content=PASSWORD).status_code
    assert "alice" == browser.get("/").text
    assert "nobody" == httpx2.get(str(browser.base_url), headers=kept).text
    assert 401 == browser.post("/login", content="wrong").status_code
    assert "alice" == browser.get("/").text


def test_a_page_of_another_site(world: World, browser: httpx2.Client) -> None:
    """A form on another site's page neither writes nor logs in; a link from there shows the user's page."""
    assert 403 == browser.post("/upload", content=b"x", headers=CROSS).status_code
    assert 0 == world.calls
    answer = httpx2.post(f"{browser.base_url}/login", content=PASSWORD, headers=CROSS)
    assert (403, False) == (answer.status_code, "set-cookie" in answer.headers)
    assert "alice" == browser.get("/", headers=CROSS).text


def test_a_stale_request(world: World, browser: httpx2.Client) -> None:
    """A browser that is sent to the same page once more comes there with its newer cookies."""
    old = refresh_cookie(browser.cookies)
    for _ in range(2):
        expire(world)
        browser.get("/")
    answer = httpx2.get(f"{browser.base_url}/?page=2", headers={"cookie": f"daypass={old}"})
    assert (307, "?page=2") == (answer.status_code, answer.headers["location"])
    assert "alice" == browser.get(answer.headers["location"]).text


def test_streams_and_what_comes_after(world: World, browser: httpx2.Client) -> None:
    """A streamed answer and its background task are left as they are; the cookies come with its head."""
    expire(world)
    answer = browser.get("/stream")
    assert ("chunkchunkchunk", ["daypass", "daypass-access"]) == (answer.text, without_port(answer.cookies))
    assert world.done.wait(30)


def test_caches(world: World, browser: httpx2.Client) -> None:
    """A personal page is private; a public one stays public, unless the response sets cookies."""
    assert ("no-store", "Cookie") == ((home := browser.get("/")).headers["cache-control"], home.headers["vary"])
    static = browser.get("/static").headers
    assert ("public, max-age=60", "Accept-Encoding") == (static["cache-control"], static["vary"])
    expire(world)
    static = browser.get("/static").headers
    assert ("max-age=60, private", "Accept-Encoding, Cookie") == (static["cache-control"], static["vary"])


def test_an_application_that_fails(world: World, browser: httpx2.Client) -> None:
    """What the application raises reaches the server; the next page is the user's."""
    expire(world)
    assert 500 == browser.get("/broken", headers={"connection": "close"}).status_code
    assert "alice" == browser.get("/").text


def test_a_websocket(world: World) -> None:
    """A websocket is known by its cookies; new ones come with what accepts it; a page of another site opens none."""
    with TestClient(world.app, base_url="http://localhost") as client:
        client.post("/login", content=PASSWORD, follow_redirects=False)
        with client.websocket_connect("ws://localhost/socket") as socket:
            assert "user-1" == socket.receive_text()
        expire(world)
        with client.websocket_connect("ws://localhost/socket") as socket:
            assert "user-1" == socket.receive_text()
            accepted: Any = socket.extra_headers
            set_cookies = [value for name, value in accepted if name == b"set-cookie"]
        assert [b"daypass-access", b"daypass"] == [value.partition(b"=")[0] for value in set_cookies]
        opening = client.websocket_connect("ws://localhost/socket", headers=CROSS)
        with pytest.raises(WebSocketDenialResponse) as refused, opening:
            pass
        assert 403 == refused.value.status_code


def test_a_websocket_that_a_server_cannot_refuse_in_words(world: World) -> None:
    """Where the server has no response for a websocket, a refusal closes it before it is open."""
    cookie = asyncio.run(_tokens(world))
    scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": "/socket",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"upgrade", b"websocket"),
            (b"sec-fetch-site", b"cross-site"),
            (b"cookie", f"daypass={cookie}".encode()),
        ],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(_call(world, scope, receive, send))
    assert [{"type": "websocket.close", "code": 1008, "reason": ""}] == sent


async def _tokens(world: World) -> str:
    text: str = (await world.issuer.auth.start(ALICE)).refresh_token
    return text


async def _call(
    world: World, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    async with world.issuer.auth:
        await world.app(scope, receive, send)


def test_a_sync_issuer(world: World) -> None:
    """A `Daypass` would block the event loop, so it is refused."""
    auth = Daypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: None)
    with pytest.raises(ConfigurationError, match="needs AsyncDaypass, not Daypass"):
        Pages(world.inner, auth)  # type: ignore[arg-type]  # the test is about this


def test_an_option_that_cannot_work(world: World) -> None:
    """An option that cannot work is refused when the application is made."""
    with pytest.raises(ConfigurationError, match="same_site"):
        Pages(world.inner, world.issuer.auth, same_site="None")  # type: ignore[arg-type]  # the test is about this
