"""A strict rotating server on a real socket, and users of every client that Daypass's `auth` serves."""

import asyncio
import hashlib
import importlib
import json
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal

from daypass.client.flow import Timing
from daypass.client.httpx import DaypassAuth

COOKIE = "daypass"
PASSWORD = "correct horse"


class Clock:
    """The real monotonic clock in milliseconds, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.ahead

    def advance(self, milliseconds: int) -> None:
        self.ahead += milliseconds


@dataclass
class Line:
    """One session's refresh tokens, oldest first; the last has never been presented."""

    tokens: list[str]
    rotated_at: float = 0.0
    revoked: bool = False


@dataclass
class Issuer:
    """A strict server: refresh tokens are good for one use, and a reuse revokes the session.

    With `grace` (seconds) it follows Daypass's rule in that time: the same token again gets the same successor, the
    successor is held, an older one is stale. With none, every second use is a reuse.
    """

    grace: float = 0.0
    expires_in: int | None = 900
    latency: float = 0.0
    statuses: list[int] = field(default_factory=list)  # of the refreshes to come, before any is looked at
    retry_after: str | None = None
    lose: int = 0  # this many answers to refreshes get lost after they were processed
    gate: threading.Event | None = None  # a refresh waits here, when it has been processed
    sets_cookie: bool = False
    proxy_cookie: str | None = None  # a Set-Cookie header beside every grant
    withholds: int = 0  # this many refreshes bring an access token and nothing else
    counts: Counter[str] = field(default_factory=Counter)
    uploads: list[tuple[str, int]] = field(default_factory=list)
    live: dict[str, str] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    authorizations: list[str | None] = field(default_factory=list)
    cookies: dict[str, list[str | None]] = field(default_factory=dict)
    refreshing: threading.Event = field(default_factory=threading.Event)
    presented: list[str] = field(default_factory=list)
    location: str = "/me"

    def revoke_access(self) -> None:
        """Make every access token dead, early."""
        self.live.clear()

    def end_sessions(self) -> None:
        self.live.clear()
        for line in self.lines.values():
            line.revoked = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        exchange = Exchange(scope, receive, send)
        path = scope["path"]
        self.cookies.setdefault(path, []).append(exchange.header("cookie"))
        if path.startswith("/auth/"):
            await getattr(self, path.removeprefix("/auth/"))(exchange)
        else:
            self.authorizations.append(exchange.header("authorization"))
            await getattr(self, path.removeprefix("/").replace("-", "_"))(exchange)

    async def login(self, exchange: "Exchange") -> None:
        self.counts["logins"] += 1
        body = json.loads(await exchange.read())
        if body["password"] != PASSWORD:
            await exchange.answer(401, {"error": "invalid_credentials"})
            return
        sid = secrets.token_hex(4)
        line = self.lines[sid] = Line([secrets.token_hex()])
        await self._grant(exchange, sid, line.tokens[-1], in_body=body.get("tokenDelivery") == "body")

    async def refresh(self, exchange: "Exchange") -> None:
        self.counts["refreshes"] += 1
        token, in_body = await self._presented(exchange)
        self.presented.append(token)
        self.refreshing.set()
        await asyncio.sleep(self.latency)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            await exchange.answer(status, {"error": "x"}, [("retry-after", self.retry_after)])
            return
        sid, line = self._line_of(token)
        verdict = "unknown" if line is None else self._verdict(line, token)
        self.counts[verdict] += 1
        if verdict == "rotated" and self.withholds:
            self.withholds -= 1
            if line is not None:
                line.tokens.pop()
            await self._grant(exchange, sid, None, in_body=in_body)
            return
        if self.gate is not None:
            await asyncio.to_thread(self.gate.wait, 5)
        if self.lose:
            self.lose -= 1
            await exchange.hang_up()
        elif line is None or verdict in ("reused", "revoked"):
            await exchange.answer(401, {"error": "invalid_grant"})
        elif verdict == "stale":
            await exchange.answer(409, {"error": "stale"})
        else:
            await self._grant(exchange, sid, token if verdict == "held" else line.tokens[-1], in_body=in_body)

    async def logout(self, exchange: "Exchange") -> None:
        self.counts["logouts"] += 1
        token, _ = await self._presented(exchange)
        _, line = self._line_of(token)
        if line:
            line.revoked = True
            self.counts["ended"] += 1
        await exchange.answer(204, None)

    async def me(self, exchange: "Exchange") -> None:
        await exchange.read()
        if await self._admitted(exchange):
            await exchange.answer(200, {"user": "ada", "method": exchange.method})

    async def upload(self, exchange: "Exchange") -> None:
        body = await exchange.read()
        self.uploads.append((hashlib.sha256(body).hexdigest(), len(body)))
        if await self._admitted(exchange):
            await exchange.answer(200, {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)})

    async def early(self, exchange: "Exchange") -> None:
        """An upload whose 401 comes before the body has been read."""
        if await self._admitted(exchange):
            await self.upload(exchange)

    async def never(self, exchange: "Exchange") -> None:
        self.counts["never"] += 1
        await exchange.answer(401, {}, [("www-authenticate", 'Bearer realm="x", error="invalid_token"')])

    async def basic(self, exchange: "Exchange") -> None:
        await exchange.answer(401, {}, [("www-authenticate", 'Basic realm="a, Bearer b"')])

    async def scope(self, exchange: "Exchange") -> None:
        await exchange.answer(401, {}, [("www-authenticate", 'Bearer error="insufficient_scope", scope="admin"')])

    async def hop(self, exchange: "Exchange") -> None:
        self.counts["hops"] += 1
        await exchange.read()
        await exchange.answer(303, None, [("location", self.location)])

    async def hop_same(self, exchange: "Exchange") -> None:
        self.counts["hops"] += 1
        await exchange.read()
        await exchange.answer(307, None, [("location", self.location)])

    async def _admitted(self, exchange: "Exchange") -> bool:
        scheme, _, token = (exchange.header("authorization") or "").partition(" ")
        if scheme == "Bearer" and token in self.live:
            self.counts["admitted"] += 1
            return True
        self.counts["unauthorized"] += 1
        await exchange.answer(401, {}, [("www-authenticate", 'Bearer error="invalid_token"')])
        return False

    async def _presented(self, exchange: "Exchange") -> tuple[str, bool]:
        body = await exchange.read()
        if body:
            return json.loads(body)["refreshToken"], True
        cookies = dict(pair.split("=", 1) for pair in (exchange.header("cookie") or "a=b").split("; "))
        return cookies.get(COOKIE, ""), False

    def _line_of(self, token: str) -> tuple[str, Line | None]:
        for sid, line in self.lines.items():
            if token in line.tokens:
                return sid, line
        return "", None

    def _verdict(self, line: Line, token: str) -> str:
        if line.revoked:
            return "revoked"
        age = len(line.tokens) - 1 - line.tokens.index(token)
        within = time.monotonic() - line.rotated_at < self.grace
        if age == 0 and within:
            return "held"
        if age == 0:
            line.tokens.append(secrets.token_hex())
            line.rotated_at = time.monotonic()
            return "rotated"
        if within:
            return "repeated" if age == 1 else "stale"
        line.revoked = True
        return "reused"

    async def _grant(self, exchange: "Exchange", sid: str, refresh_token: str | None, *, in_body: bool) -> None:
        access = secrets.token_hex()
        self.live[access] = sid
        body: dict[str, Any] = {"accessToken": access, "tokenType": "Bearer"}
        if self.expires_in is not None:
            body["expiresIn"] = self.expires_in
        proxys = ("set-cookie", self.proxy_cookie)
        if refresh_token is None:
            await exchange.answer(200, body, [proxys])
        elif in_body and not self.sets_cookie:
            await exchange.answer(200, body | {"refreshToken": refresh_token}, [proxys])
        else:
            cookie = f"{COOKIE}={refresh_token}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000"
            await exchange.answer(200, body, [("set-cookie", cookie), ("set-cookie", "lang=en; Path=/"), proxys])


class Exchange:
    """One request, and its answer."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.method = scope["method"]
        self._headers = scope["headers"]
        self._receive = receive
        self._send = send

    def header(self, name: str) -> str | None:
        return next((value.decode() for key, value in self._headers if key == name.encode()), None)

    async def read(self) -> bytes:
        chunks = []
        more = True
        while more:
            message = await self._receive()
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        return b"".join(chunks)

    async def answer(self, status: int, body: Any, headers: Sequence[tuple[str, str | None]] = ()) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        pairs = [(b"content-length", str(len(content)).encode()), (b"content-type", b"application/json")]
        pairs += [(name.encode(), value.encode()) for name, value in headers if value]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})
        await self._send({"type": "http.response.body", "body": content})

    async def hang_up(self) -> None:
        """Begin an answer and close the connection in the middle of it."""
        await self._send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]})
        await self._send({"type": "http.response.body", "body": b"{", "more_body": True})


class Loopback:
    """A uvicorn server in a thread; each test puts an `Issuer` of its own behind it."""

    def __init__(self) -> None:
        self.app: Any = None
        # With its protocol named, asyncio turns Nagle's algorithm off; else every answer waits 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._call,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="session")
def loopbacks() -> Iterator[tuple[Loopback, Loopback]]:
    pair = Loopback(), Loopback()
    for each in pair:
        each.start()
    yield pair
    for each in pair:
        each.stop()


@pytest.fixture
def issuer(loopbacks: tuple[Loopback, Loopback]) -> Issuer:
    loopbacks[0].app = Issuer()
    return cast("Issuer", loopbacks[0].app)


@pytest.fixture
def url(loopbacks: tuple[Loopback, Loopback]) -> str:
    return loopbacks[0].url


@pytest.fixture
def stranger(loopbacks: tuple[Loopback, Loopback]) -> tuple[str, Issuer]:
    """Another origin, and what it saw."""
    loopbacks[1].app = Issuer()
    return loopbacks[1].url, loopbacks[1].app


@pytest.fixture
def clock() -> Clock:
    return Clock()


class User:
    """A user of one client; every method blocks, whatever the client's colour."""

    is_async = False

    def __init__(self, library: Any, url: str, auth: DaypassAuth) -> None:
        self.library = library
        self.url = url
        self.auth = auth
        self.client: Any = self._client()

    def _client(self) -> Any:
        limits = self.library.Limits(max_connections=200)
        return self.library.Client(base_url=self.url, auth=self.auth, limits=limits, verify=False)

    def login(self, password: str = PASSWORD) -> None:
        self.auth.login(self.client, email="ada@example.com", password=password)

    def logout(self) -> bool:
        return self.auth.logout(self.client)

    def request(self, method: str, path: str, **options: Any) -> Any:
        return self.client.request(method, path, **options)

    def get(self, path: str = "/me", **options: Any) -> Any:
        return self.request("GET", path, **options)

    def burst(self, count: int, path: str = "/me") -> list[Any]:
        """Return the answers, or the exceptions, of this many requests at once."""
        start = threading.Barrier(count)

        def one(_: int) -> Any:
            start.wait()
            return _or_exception(lambda: self.get(path))

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    def stream_of(self, chunks: Sequence[bytes]) -> Any:
        """Return a body that can be read only once."""
        return (chunk for chunk in chunks)

    def close(self) -> None:
        self.client.close()


class AsyncUser(User):
    is_async = True

    def __init__(self, library: Any, url: str, auth: DaypassAuth, portal: BlockingPortal) -> None:
        self.portal = portal
        super().__init__(library, url, auth)

    def _client(self) -> Any:
        limits = self.library.Limits(max_connections=200)
        return self.library.AsyncClient(base_url=self.url, auth=self.auth, limits=limits, verify=False)

    def login(self, password: str = PASSWORD) -> None:
        self._run(lambda: self.auth.alogin(self.client, email="ada@example.com", password=password))

    def logout(self) -> bool:
        return bool(self._run(lambda: self.auth.alogout(self.client)))

    def request(self, method: str, path: str, **options: Any) -> Any:
        return self._run(lambda: self.client.request(method, path, **options))

    def burst(self, count: int, path: str = "/me") -> list[Any]:
        async def all_of_them() -> Any:
            return await asyncio.gather(*(self.client.get(path) for _ in range(count)), return_exceptions=True)

        return list(self._run(all_of_them))

    def stream_of(self, chunks: Sequence[bytes]) -> Any:
        async def stream() -> Any:
            for chunk in chunks:
                yield chunk

        return stream()

    def close(self) -> None:
        self._run(self.client.aclose)

    def _run(self, function: Callable[[], Awaitable[Any]]) -> Any:
        return self.portal.call(function)


def _or_exception(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return error


@contextmanager
def _open_user(kind: str, url: str, auth: DaypassAuth) -> Iterator[User]:
    name, _, colour = kind.partition("-")
    library = importlib.import_module(name)
    if colour == "async":
        with start_blocking_portal() as portal:
            user: User = AsyncUser(library, url, auth, portal)
            yield user
            user.close()
    else:
        user = User(library, url, auth)
        yield user
        user.close()


KINDS = ["httpx2-sync", "httpx2-async", "httpx-sync", "httpx-async"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new_user(issuer: Issuer, url: str, clock: Clock) -> Iterator[Callable[..., User]]:
    """Make a user of some kind of client, with a session of its own or with another's."""
    opened: list[Any] = []

    def make(kind: str, auth: DaypassAuth | None = None, **options: Any) -> User:
        if auth is None:
            defaults: dict[str, Any] = {"clock": clock, "timing": Timing(pause=10)}
            auth = DaypassAuth(f"{url}/auth", **(defaults | options))
        context = _open_user(kind, url, auth)
        opened.append(context)
        return context.__enter__()

    yield make
    for context in reversed(opened):
        context.__exit__(None, None, None)


@pytest.fixture
def user(new_user: Callable[..., User], kind: str) -> User:
    """A user who has logged in, of each kind of client in turn."""
    user = new_user(kind)
    user.login()
    return user
