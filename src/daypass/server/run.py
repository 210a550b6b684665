"""Runs an ASGI application on a socket until a signal ends it, and says when it can be reached."""

import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from daypass.errors import ConfigurationError


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it on, answers wait for 40 ms
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except (OSError, TypeError, UnicodeError) as error:  # the last two for a host that can't be a name
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else "no such name is possible"
        raise ConfigurationError(f"cannot listen on {host} port {port}: {reason}; choose another with --port") from None
    return listening


def address(listening: socket.socket) -> str:
    """Return the URL at which ``listening`` is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: ASGIApp, listening: socket.socket, ready: Callable[[], object]) -> None:
    """Serve ``app`` until SIGINT or SIGTERM; ``ready`` is called once it can be reached."""
    configuration = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who has sent a request, and how, is told by one place alone: daypass.web.proxies
        timeout_graceful_shutdown=5,
    )
    server = _Server(configuration, ready)
    for ending in (signal.SIGINT, signal.SIGTERM):
        # One that comes before uvicorn looks for it is not lost; and uvicorn raises it once more after it has shut
        # down, when everything is done, and done well.
        signal.signal(ending, server.handle_exit)
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()
