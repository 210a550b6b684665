"""An ASGI application on a real socket of this machine, in its own thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import uvicorn


class Loopback:
    """A uvicorn server in a thread; each test can set its own application.

    Args:
        lifespan: ``"on"`` for an application with a startup; set `app` before `start`.

    Attributes:
        app: the ASGI application; may be changed between requests.
        url: the URL of the server.
    """

    def __init__(self, lifespan: Literal["on", "off"] = "off") -> None:
        self.app: Any = None
        # With an explicit protocol, asyncio turns Nagle's algorithm off; otherwise every response takes 40 ms longer.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._call,
            interface="asgi3",
            ws="none",
            lifespan=lifespan,
            log_config=None,
            access_log=False,
            date_header=False,  # the application may send its own
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    def start(self) -> None:
        """Start the server, and return when it listens."""
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def stop(self, *, wait: bool = True) -> None:
        """Stop the server; without ``wait`` it ends within a second, after this has returned."""
        self._server.should_exit = True
        if wait:
            self._thread.join()
            self._socket.close()


@contextmanager
def serving(app: Any, *, wait: bool = True) -> Iterator[str]:
    """Serve ``app`` within this context; yield its URL: ``http://127.0.0.1:…``; ``wait`` as for `Loopback.stop`."""
    loopback = Loopback()
    loopback.app = app
    loopback.start()
    try:
        yield loopback.url
    finally:
        loopback.stop(wait=wait)
