"""A strict rotating server on a real socket, and users of every client that Daypass's `auth` serves."""

import asyncio
import importlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from daypass.client.httpx import DaypassAuth
from daypass.client.timing import Timing
from daypass.testing.loopback import Loopback
from daypass.testing.strict_server import PASSWORD, StrictServer


class Clock:
    """The real monotonic clock in milliseconds, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.ahead

    def advance(self, milliseconds: int) -> None:
        self.ahead += milliseconds


@pytest.fixture
def issuer(loopbacks: tuple[Loopback, Loopback]) -> StrictServer:
    loopbacks[0].app = StrictServer()
    return cast("StrictServer", loopbacks[0].app)


@pytest.fixture
def url(loopbacks: tuple[Loopback, Loopback]) -> str:
    return loopbacks[0].url


@pytest.fixture
def stranger(loopbacks: tuple[Loopback, Loopback]) -> tuple[str, StrictServer]:
    """Another origin, and what it received."""
    loopbacks[1].app = StrictServer()
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
def new_user(issuer: StrictServer, url: str, clock: Clock) -> Iterator[Callable[..., User]]:
    """Make a user of some kind of client, with a new session or with another user's."""
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
