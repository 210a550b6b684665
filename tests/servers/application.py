"""An ASGI application on a real socket, in a thread."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvicorn
from starlette.types import ASGIApp

from daypass.server import run


@contextmanager
def serving(app: ASGIApp, *, grace: int = 5, websockets: bool = False) -> Iterator[str]:
    """Serve ``app`` on a free port of loopback; give its address. At the end requests have ``grace`` seconds."""
    with serving_on_ports(app, 1, grace=grace, websockets=websockets) as (address,):
        yield address


@contextmanager
def serving_on_ports(app: ASGIApp, ports: int, *, grace: int = 5, websockets: bool = False) -> Iterator[list[str]]:
    """Do as `serving`, once, for as many ports; give their addresses. A browser opens six connections to each."""
    with ExitStack() as stack:
        listening = [stack.enter_context(run.bind("127.0.0.1", 0)) for _ in range(ports)]
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                ws="websockets-sansio" if websockets else "none",
                timeout_graceful_shutdown=grace,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": listening})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the application did not start"
                time.sleep(0.005)
            yield [run.address(each) for each in listening]
        finally:
            server.should_exit = True
            thread.join()
