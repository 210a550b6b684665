"""Runs an ASGI application on a socket until a signal ends it, and says when it can be reached."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from daypass.errors import ConfigurationError
from daypass.server.connection import IDLE_SECONDS, Connection, Connections
from daypass.server.readiness import Readiness
from daypass.server.tls import Certificate

MAXIMUM_CONNECTIONS = 4096

_SHORT = 0.02
_TICKS_BETWEEN_LOOKS = 20
"""Ticks of a tenth of a second between two looks at the certificate's files."""

_log = logging.getLogger("daypass")


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it on, answers wait for 40 ms
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except (OSError, TypeError, UnicodeError) as error:  # the last two for a host that is not a possible name
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else "this is not a host name"
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {reason}; choose another with --host or --port"
        ) from None
    return listening


def address(listening: socket.socket, scheme: str = "http") -> str:
    """Return the URL at which ``listening`` is reached."""
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Drain:
    """How the service shuts down.

    Attributes:
        delay: seconds in which it still accepts connections, while `/readyz` reports the shutdown.
        timeout: seconds that requests have to finish after that.
    """

    delay: float = 0
    timeout: float = 5


async def _at_once(ready: Callable[[], object]) -> None:
    ready()


async def _nothing() -> None:
    """Read no configuration."""


def serve(
    app: ASGIApp,
    listening: socket.socket,
    ready: Callable[[], object],
    *,
    until_ready: Callable[[Callable[[], object]], Coroutine[Any, Any, None]] = _at_once,
    reload: Callable[[], Coroutine[Any, Any, None]] = _nothing,
    readiness: Readiness | None = None,
    certificate: Certificate | None = None,
    drain: Drain = Drain(),
) -> None:
    """Serve ``app`` until SIGINT or SIGTERM; call ``ready`` once it can be reached.

    Args:
        app: the application.
        listening: the socket.
        ready: called once.
        until_ready: waits until the application is ready, and calls ``ready``; connections are accepted meanwhile.
        reload: called on SIGHUP.
        readiness: is notified of the shutdown.
        certificate: for TLS; without it connections are not encrypted.
        drain: how it shuts down.
    """
    configuration = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # only daypass.web.proxies decides what a proxy's headers mean
        timeout_keep_alive=IDLE_SECONDS,
    )
    server = _Server(configuration, partial(until_ready, ready), reload, readiness or Readiness(), certificate, drain)
    for ending in (signal.SIGINT, signal.SIGTERM):
        # A signal that comes before uvicorn installs its handler is not lost. uvicorn raises it again after a clean
        # shutdown; this handler then ignores it.
        signal.signal(ending, server.handle_exit)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, server.handle_reload)
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn's server, which shuts down without dropping a request."""

    server_state: Connections

    def __init__(
        self,
        config: uvicorn.Config,
        until_ready: Callable[[], Coroutine[Any, Any, None]],
        reload: Callable[[], Coroutine[Any, Any, None]],
        readiness: Readiness,
        certificate: Certificate | None,
        drain: Drain,
    ) -> None:
        super().__init__(config)
        self.server_state = Connections(min(MAXIMUM_CONNECTIONS, _open_files() // 2))
        self._until_ready = until_ready
        self._reload = reload
        self._readiness = readiness
        self._certificate = certificate
        self._drain = drain
        self._reload_wanted = False
        self._work: set[asyncio.Task[None]] = set()
        config.load()
        config.ssl = None if certificate is None else certificate.context

    def handle_reload(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        """Read the configuration again at the next tick."""
        self._reload_wanted = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._do(self._until_ready())

    async def on_tick(self, counter: int) -> bool:
        if self._reload_wanted or counter % _TICKS_BETWEEN_LOOKS == 0:
            self._look_at_certificate()
        if self._reload_wanted:
            self._reload_wanted = False
            self._do(self._reload())
        return await super().on_tick(counter)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _look_at_certificate(self) -> None:
        try:
            if self._certificate is not None and self._certificate.load_if_changed():
                _log.info("the certificate was replaced")
        except ConfigurationError as error:
            _log.warning("the old certificate is still used: %s", error)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, let those with a request finish, and close the application."""
        self._readiness.draining = self.server_state.draining = True
        for task in self._work:
            task.cancel()
        until = time.monotonic() + self._drain.delay
        while time.monotonic() < until and not self.force_exit:  # noqa: ASYNC110 - a signal handler sets no event
            await asyncio.sleep(_SHORT)
        await self._stop_listening(sockets or [])
        await asyncio.sleep(_SHORT)  # what has arrived by now is read
        for connection in list(self.server_state.connections):
            connection.shutdown()
        until = time.monotonic() + self._drain.timeout
        while self._is_busy() and time.monotonic() < until and not self.force_exit:  # noqa: ASYNC110 - the same
            await asyncio.sleep(_SHORT)
        for task in list(self.server_state.tasks):
            task.cancel()
        await self.lifespan.shutdown()

    def _is_busy(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks)

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Close the listening sockets; connections that the kernel has accepted are not dropped."""
        loop = asyncio.get_running_loop()
        waiting = [connection for listening in sockets for connection in _accept_all(listening)]
        for server in self.servers:
            server.close()
        for listening in sockets:
            listening.close()
        for connection in waiting:
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)

    def _protocol(self) -> Connection:
        return Connection(self.config, self.server_state, self.lifespan.state)


def _accept_all(listening: socket.socket) -> list[socket.socket]:
    """Return the connections that wait to be accepted."""
    waiting = []
    listening.settimeout(0)
    with contextlib.suppress(OSError):
        while True:
            waiting.append(listening.accept()[0])
    for connection in waiting:
        connection.settimeout(0)
    return waiting


def _open_files() -> int:
    """Return how many files this process may open, after raising the limit as far as allowed."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return 2 * MAXIMUM_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MAXIMUM_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 4 * MAXIMUM_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
