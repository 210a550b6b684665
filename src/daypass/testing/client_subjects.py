"""Daypass's own clients as subjects of the scenarios: every adapter, sync and async."""

from __future__ import annotations

import asyncio
import importlib
import io
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

from daypass.client.auth import SessionAuth
from daypass.client.storage import FileStorage
from daypass.client.timing import Timing
from daypass.errors import LoginRequired, RefreshUnavailable
from daypass.testing.client_subject import Kind, Subject, chunks, outcome
from daypass.testing.strict_server import PASSWORD

EMAIL = "ada@example.com"
CALLERS = 200

_TIMING = Timing(fresh=0, pause=20, backoff=50, attempt=2_000)
"""Short durations: scenarios revoke tokens that are only a moment old, and do not wait for long."""

_MODULES = (
    *(
        "httpx2",
        "httpcore2",
        "truststore",
        "httpx",
        "httpcore",
        "requests",
        "aiohttp",
        "niquests",
        "urllib3",
        "filelock",
    ),
    *(f"daypass.client.{name}" for name in ("httpx", "requests", "aiohttp", "niquests", "urllib3", "endpoints")),
)
"""What the clients load at the latest with their first request."""


class Ours(Subject):
    """One of Daypass's own clients."""

    session_over = (LoginRequired,)
    unavailable = (RefreshUnavailable,)
    proves = True
    modules = _MODULES
    adapter: ClassVar[str]
    auth_class: ClassVar[str] = "DaypassAuth"

    def __init__(
        self, url: str, path: Path | None = None, auth: SessionAuth | None = None, *, dpop: bool = False
    ) -> None:
        self.url = url
        storage = None if path is None else FileStorage(path)
        made: type[SessionAuth] = getattr(importlib.import_module(f"daypass.client.{self.adapter}"), self.auth_class)
        self.auth: Any = auth or made(f"{url}/auth", storage=storage, timing=_TIMING, dpop=dpop)
        self._open()

    @classmethod
    def bound(cls, url: str, path: Path | None = None) -> Subject:
        """Create a client whose login binds the session to a key."""
        return cls(url, path, dpop=True)

    def twin(self) -> Subject:
        """Return another client with the same ``auth``."""
        return type(self)(self.url, None, self.auth)

    def _open(self) -> None:
        raise NotImplementedError

    def _at(self, url: str) -> str:
        return url if "://" in url else f"{self.url}{url}"


class SyncOurs(Ours):
    """A sync client."""

    client: Any

    def login(self) -> None:
        """Log in."""
        self.auth.login(self.client, email=EMAIL, password=PASSWORD)

    def logout(self) -> None:
        """Log out."""
        self.auth.logout(self.client)

    def leave(self, url: str, seconds: float) -> None:
        """Send a GET from the main thread, and interrupt it with a signal."""

        def give_up(_number: int, _frame: object) -> None:
            raise TimeoutError("the caller gave up")

        before = signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            outcome(lambda: self.request("GET", url))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def close(self) -> None:
        """Close the client."""
        self.client.close()


class AsyncOurs(Ours):
    """A client on its own event loop, in its own thread."""

    is_async = True
    client: Any

    def __init__(
        self, url: str, path: Path | None = None, auth: SessionAuth | None = None, *, dpop: bool = False
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        super().__init__(url, path, auth, dpop=dpop)

    def login(self) -> None:
        """Log in."""
        self._run(self.auth.alogin(self.client, email=EMAIL, password=PASSWORD))

    def logout(self) -> None:
        """Log out."""
        self._run(self.auth.alogout(self.client))

    def request(self, method: str, url: str, kind: Kind = "none", content: bytes = b"") -> int:
        """Send a request from a task."""
        return int(self._run(self._send(method, url, kind, content)))

    def burst(self, count: int, url: str = "/me") -> list[Any]:
        """Send so many GETs, each from its own task."""

        async def all_of_them() -> list[Any]:
            sent = (self._send("GET", url, "none", b"") for _ in range(count))
            return await asyncio.gather(*sent, return_exceptions=True)

        return list(self._run(all_of_them()))

    def leave(self, url: str, seconds: float) -> None:
        """Send a GET from a task, and cancel it."""

        async def left() -> None:
            task = asyncio.create_task(self._send("GET", url, "none", b""))
            await asyncio.wait([task], timeout=seconds)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._run(left())

    def close(self) -> None:
        """Close the client and its event loop."""
        self._run(self._close())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _send(self, method: str, url: str, kind: Kind, content: bytes) -> int:
        raise NotImplementedError

    async def _close(self) -> None:
        raise NotImplementedError

    def _open(self) -> None:
        async def opened() -> Any:
            return self._new()

        self.client = self._run(opened())

    def _new(self) -> Any:
        raise NotImplementedError

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)


def _options(kind: Kind, content: bytes, raw: str, stream: Callable[[bytes], Any]) -> dict[str, Any]:
    """Return a body as options of a request; ``raw`` is the library's option for a body that is sent unchanged."""
    match kind:
        case "none":
            return {}
        case "json":
            return {"json": {"size": len(content)}}
        case "form":
            return {"data": {"size": str(len(content))}}
        case "multipart":
            return {"files": {"file": io.BytesIO(content)}}
        case "bytes":
            return {raw: content}
        case "file":
            return {raw: io.BytesIO(content)}
        case "stream":
            return {raw: stream(content)}


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks(content):
        yield chunk


class Httpx2(SyncOurs):
    """``httpx2.Client``."""

    name = "httpx2"
    adapter = "httpx"
    library: ClassVar[str] = "httpx2"

    def _open(self) -> None:
        library = importlib.import_module(self.library)
        limits = library.Limits(max_connections=CALLERS)
        self.client = self.auth.attach(library.Client(limits=limits, follow_redirects=True, verify=False))

    def request(self, method: str, url: str, kind: Kind = "none", content: bytes = b"") -> int:
        """Send a request."""
        return int(self.client.request(method, self._at(url), **_options(kind, content, "content", chunks)).status_code)


class Httpx(Httpx2):
    """``httpx.Client``."""

    name = "httpx"
    library = "httpx"


class AsyncHttpx2(AsyncOurs):
    """``httpx2.AsyncClient``."""

    name = "httpx2, async"
    adapter = "httpx"
    library: ClassVar[str] = "httpx2"
    kinds = tuple(kind for kind in Subject.kinds if kind != "file")  # httpx does not accept a file in an AsyncClient

    def _new(self) -> Any:
        library = importlib.import_module(self.library)
        limits = library.Limits(max_connections=CALLERS)
        return self.auth.attach(library.AsyncClient(limits=limits, follow_redirects=True, verify=False))

    async def _send(self, method: str, url: str, kind: Kind, content: bytes) -> int:
        response = await self.client.request(method, self._at(url), **_options(kind, content, "content", _stream))
        return int(response.status_code)

    async def _close(self) -> None:
        await self.client.aclose()


class AsyncHttpx(AsyncHttpx2):
    """``httpx.AsyncClient``."""

    name = "httpx, async"
    library = "httpx"


class Requests(SyncOurs):
    """``requests.Session``."""

    name = "requests"
    adapter = "requests"
    library: ClassVar[str] = "requests"

    def _open(self) -> None:
        library = importlib.import_module(self.library)
        self.client = library.Session()
        adapter = importlib.import_module(f"{self.library}.adapters").HTTPAdapter(pool_maxsize=CALLERS)
        self.client.mount("http://", adapter)
        self.auth.attach(self.client)

    def request(self, method: str, url: str, kind: Kind = "none", content: bytes = b"") -> int:
        """Send a request."""
        return int(self.client.request(method, self._at(url), **_options(kind, content, "data", chunks)).status_code)


class Niquests(Requests):
    """``niquests.Session``."""

    name = "niquests"
    adapter = "niquests"
    library = "niquests"


class AsyncNiquests(AsyncOurs):
    """``niquests.AsyncSession``."""

    name = "niquests, async"
    adapter = "niquests"
    auth_class = "AsyncDaypassAuth"

    def _new(self) -> Any:
        library = importlib.import_module("niquests")
        return self.auth.attach(library.AsyncSession(pool_maxsize=CALLERS))

    async def _send(self, method: str, url: str, kind: Kind, content: bytes) -> int:
        response = await self.client.request(method, self._at(url), **_options(kind, content, "data", _stream))
        return int(response.status_code)

    async def _close(self) -> None:
        await self.client.close()


class Urllib3(SyncOurs):
    """``urllib3.PoolManager``."""

    name = "urllib3"
    adapter = "urllib3"

    def _open(self) -> None:
        library = importlib.import_module("urllib3")
        self.client = self.auth.attach(library.PoolManager(maxsize=CALLERS))

    def request(self, method: str, url: str, kind: Kind = "none", content: bytes = b"") -> int:
        """Send a request."""
        options = _options(kind, content, "body", chunks)
        if kind == "form":
            options = {"fields": options["data"], "encode_multipart": False}
        if kind == "multipart":
            options = {"fields": {"file": ("file", options["files"]["file"].read())}}
        return int(self.client.request(method, self._at(url), **options).status)

    def close(self) -> None:
        """Close the client's connections."""
        self.client.clear()


class AioHttp(AsyncOurs):
    """``aiohttp.ClientSession``."""

    name = "aiohttp"
    adapter = "aiohttp"

    def _new(self) -> Any:
        library = importlib.import_module("aiohttp")
        return self.auth.attach(
            library.ClientSession(middlewares=[self.auth], connector=library.TCPConnector(limit=CALLERS))
        )

    async def _send(self, method: str, url: str, kind: Kind, content: bytes) -> int:
        options = _options(kind, content, "data", _stream)
        if "files" in options:
            options = {"data": options["files"]}  # aiohttp sends a multipart form if there is a file in it
        async with self.client.request(method, self._at(url), **options) as response:
            await response.read()
            return int(response.status)

    async def _close(self) -> None:
        await self.client.close()


SUBJECTS: tuple[type[Subject], ...] = (
    Httpx2,
    AsyncHttpx2,
    Httpx,
    AsyncHttpx,
    Requests,
    AioHttp,
    Niquests,
    AsyncNiquests,
    Urllib3,
)
"""All of Daypass's clients."""
