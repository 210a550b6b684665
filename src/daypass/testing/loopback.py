"""An ASGI application on a real socket of this machine, in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import uvicorn


class Loopback:
    """A uvicorn server in a thread; each test puts an application of its own behind it.

    Args:
        lifespan: ``"on"`` for an application that has to be started; it is given before `start`.

    Attributes:
        app: the ASGI application; may be changed between requests.
        url: where it is.
    """

    def __init__(self, lifespan: Literal["on", "off"] = "off") -> None:
        self.app: Any = None
        # With its protocol named, asyncio turns Nagle's algorithm off; else every answer waits 40 ms.
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
            date_header=False,  # the application may have one of its own
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    def start(self) -> None:
        """Listen, and return when it does."""
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        """Listen no more."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve ``app`` as long as the context lasts, which is where it is: ``http://127.0.0.1:…``."""
    loopback = Loopback()
    loopback.app = app
    loopback.start()
    try:
        yield loopback.url
    finally:
        loopback.stop()
