"""An issuer that other services verify the tokens of, served with an event loop or by threads; on real sockets."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from daypass import AsyncDaypass, Daypass, RemoteVerifier, User
from daypass.server import run
from daypass.web import Application, wsgi
from daypass.web.clients import Client
from daypass.web.starlette import auth_routes, well_known_routes

ANN = User("ann")
SECRET = "a master secret of thirty-two bytes and more"
SERVICE, SERVICE_SECRET = Client.register("service", client_id="service", introspects=True)
GUEST, GUEST_SECRET = Client.register("guest", client_id="guest")
WITHIN = 8.0
"""Seconds that a slow machine has for what takes one."""


async def load(_: str) -> User:
    return ANN


class World:
    """An issuer on a port that stays the same when the server is restarted, and a node of it without a server."""

    def __init__(self, folder: Path) -> None:
        self.store = f"sqlite:///{folder / 'app.db'}"
        with run.bind("127.0.0.1", 0) as listening:
            self.address = run.address(listening)
        self.node = Daypass(self.store, issuer=self.address, secret=SECRET, load_user=lambda _: ANN)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve the issuer with an event loop."""
        auth = AsyncDaypass(self.store, issuer=self.address, secret=SECRET, load_user=load)

        @asynccontextmanager
        async def lifespan(_: object) -> AsyncIterator[None]:
            async with auth:
                yield

        application = Application(auth, clients=[SERVICE, GUEST])
        routes = [Mount("/auth", routes=auth_routes(application)), *well_known_routes(application)]
        app = Starlette(routes=routes, lifespan=lifespan)
        listening = run.bind("127.0.0.1", urlsplit(self.address).port or 0)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert becomes(lambda: server.started)
            yield
        finally:
            server.should_exit = True
            thread.join()
            listening.close()

    @contextmanager
    def serving_by_threads(self) -> Iterator[None]:
        """Serve the issuer without an event loop."""
        auth = Daypass(self.store, issuer=self.address, secret=SECRET, load_user=lambda _: ANN)
        application = Application(auth, clients=[SERVICE])
        app: Any = wsgi.well_known_app(wsgi.auth_app(application), application)

        class Quiet(WSGIRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

        def below_auth(environ: Any, start_response: Any) -> Any:
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/auth")
            return app(environ, start_response)

        server = make_server("127.0.0.1", urlsplit(self.address).port or 0, below_auth, handler_class=Quiet)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            auth.close()

    def verifier(self, kind: type[Any] = RemoteVerifier, **arguments: Any) -> Any:
        given = {"endings": True, "client_id": "service", "client_secret": SERVICE_SECRET, **arguments}
        return kind(self.address, **given)


def becomes(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WITHIN
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


EACH_WAY_TO_END = pytest.mark.parametrize(
    "end",
    [
        lambda node, tokens: node.logout(tokens.refresh_token),
        lambda node, _: node.end_all("ann"),
        lambda node, _: node.end_everyone(),
    ],
    ids=["logout", "end_all", "end_everyone"],
)
"""Ends a session of Ann's: a function of the issuer and of the session's tokens."""
