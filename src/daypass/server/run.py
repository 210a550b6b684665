"""Run an ASGI application on a socket until a signal ends it, and say when it can be reached."""

import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from daypass.errors import ConfigurationError
from daypass.server.connection import IDLE_SECONDS, Connection, Connections

MAXIMUM_CONNECTIONS = 4096


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


def address(listening: socket.socket) -> str:
    """Return the URL at which ``listening`` is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: ASGIApp, listening: socket.socket, ready: Callable[[], object]) -> None:
    """Serve ``app`` until SIGINT or SIGTERM; call ``ready`` once it can be reached."""
    configuration = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # only daypass.web.proxies decides what a proxy's headers mean
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=5,
    )
    server = _Server(configuration, ready)
    for ending in (signal.SIGINT, signal.SIGTERM):
        # A signal that comes before uvicorn installs its handler is not lost. uvicorn raises it again after a clean
        # shutdown; this handler then ignores it.
        signal.signal(ending, server.handle_exit)
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self.server_state = Connections(min(MAXIMUM_CONNECTIONS, _open_files() // 2))
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _open_files() -> int:
    """Return how many files this process may open, after raising the limit as far as it may."""
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
