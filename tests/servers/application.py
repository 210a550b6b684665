"""An ASGI application on a real socket, in a thread."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from daypass.server import run

SECOND = 1.0


@contextmanager
def serving(
    app: ASGIApp, *, grace: int = 5, websockets: bool = False, host: str = "127.0.0.1", port: int = 0
) -> Iterator[str]:
    """Serve ``app`` on loopback, on a free port unless given; give its address.

    At the end requests have ``grace`` seconds.
    """
    with serving_on_ports(app, 1, grace=grace, websockets=websockets, host=host, port=port) as (address,):
        yield address


@contextmanager
def serving_tls(app: ASGIApp, certificate: Path, key: Path, port: int = 0) -> Iterator[int]:
    """Serve ``app`` with TLS on a port of loopback, a free one unless given; give the port."""
    with run.bind("127.0.0.1", port) as listening:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, ws="none", ssl_certfile=certificate, ssl_keyfile=key
        )
        with _running(config, [listening]):
            yield listening.getsockname()[1]


@contextmanager
def serving_on_ports(
    app: ASGIApp, ports: int, *, grace: int = 5, websockets: bool = False, host: str = "127.0.0.1", port: int = 0
) -> Iterator[list[str]]:
    """Do as `serving`, once, for as many ports; give their addresses. A browser opens six connections to each."""
    with ExitStack() as stack:
        listening = [stack.enter_context(run.bind(host, port)) for _ in range(ports)]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            ws="websockets-sansio" if websockets else "none",
            timeout_graceful_shutdown=grace,
        )
        with _running(config, listening):
            yield [run.address(each) for each in listening]


@contextmanager
def _running(config: uvicorn.Config, listening: list[socket.socket]) -> Iterator[None]:
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": listening})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the application did not start"
            time.sleep(0.005)
        yield
    finally:
        server.end()
        thread.join()


class _Server(uvicorn.Server):
    """uvicorn that ends at once: its own loop looks for that ten times a second, and then waits another tenth."""

    def end(self) -> None:
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._ending.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(10 * ticks):  # each tenth sets the date of the answers
            ticks += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(SECOND):
                    await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = self.server_state
        for server in self.servers:
            server.close()
        for connection in list(state.connections):
            connection.shutdown()
            if self.config.is_ssl and connection.transport is not None:
                connection.transport.abort()  # else the loop ends before TLS has
        deadline = time.monotonic() + float(self.config.timeout_graceful_shutdown or 0)
        while (state.connections or state.tasks) and time.monotonic() < deadline:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        for task in list(state.tasks):
            task.cancel()
        await self.lifespan.shutdown()
