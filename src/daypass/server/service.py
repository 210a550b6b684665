"""`daypass serve` in one process: reloading the configuration replaces the application."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import FrameType
from typing import Any, NoReturn

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from daypass.errors import DaypassError
from daypass.server import logs, run
from daypass.server.app import open_service
from daypass.server.configuration import Configuration
from daypass.server.readiness import Readiness
from daypass.server.settings import Settings, read

_FIXED = ("host", "port", "workers", "tls_certificate", "tls_key", "drain_delay", "drain_timeout")
"""Settings that a running service cannot change. The content of the certificate's files is read again."""

_WAIT = 0.5
"""Seconds between two looks at a store that is not there yet."""

_log = logging.getLogger("daypass")


class _Serving:
    """An application that serves, and the number of its running requests."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        self.requests = 0
        self.idle = asyncio.Event()
        self.lifetime = AsyncExitStack()


class Service:
    """The service, as an ASGI application.

    Args:
        options: of the command line; used again when the environment and the file are reloaded.
        settings: the initial settings.
        app: the initial application.
        readiness: the state behind `/readyz`.
    """

    def __init__(self, options: Mapping[str, Any], settings: Settings, app: Starlette, readiness: Readiness) -> None:
        self._options = options
        self._settings = settings
        self._readiness = readiness
        self._serving = _Serving(app)
        self._retiring: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the current application, to its end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        serving = self._serving
        serving.requests += 1
        try:
            await serving.app(scope, receive, send)
        finally:
            serving.requests -= 1
            if not serving.requests:
                serving.idle.set()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._begin(self._serving)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self._retiring:
            task.cancel()
        await self._serving.lifetime.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _begin(self, serving: _Serving) -> None:
        await serving.lifetime.enter_async_context(serving.app.router.lifespan_context(serving.app))

    async def wait_until_ready(self, ready: Callable[[], object]) -> None:
        """Call ``ready`` once the store can be used."""
        while await self._serving.app.state.reason() is not None:  # noqa: ASYNC110 - nothing signals a restored store
            await asyncio.sleep(_WAIT)
        gc.collect()
        gc.freeze()  # later collections, which stop every request, need not look at these objects
        ready()

    async def reload(self) -> None:
        """Reload the configuration, and use it from the next request on; an invalid one changes nothing."""
        try:
            settings = read(self._options).settings
            configuration = Configuration.of(settings)
            serving = _Serving(await open_service(configuration, self._readiness))
        except DaypassError as error:
            _log.warning("not reloaded, the service goes on as before: %s", error)
            return
        fixed = [name for name in _FIXED if getattr(settings, name) != getattr(self._settings, name)]
        if fixed:
            _log.warning("reloaded, but these need a restart: %s", ", ".join(fixed))
        await self._begin(serving)
        before, self._serving = self._serving, serving
        self._readiness.forget()
        task = asyncio.create_task(_retire(before))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        _log.info("reloaded")


async def _retire(serving: _Serving) -> None:
    """Close an application after its last response."""
    try:
        while serving.requests:
            serving.idle.clear()
            await serving.idle.wait()
    finally:
        await serving.lifetime.aclose()


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a signal handler's signature
    """End with status 0, whatever is being waited for."""
    raise SystemExit(0)


def serve(options: Mapping[str, Any], listening: socket.socket, ready: Callable[[], object]) -> None:
    """Read the configuration, and serve until a signal ends it; call ``ready`` when the store can be used.

    Raises:
        ConfigurationError: a setting is invalid; nothing was created or changed.
        StoreError: the SQLite file cannot be used; nothing was created or changed.
    """
    for ending in (signal.SIGINT, signal.SIGTERM):  # until the server handles them
        signal.signal(ending, _end)
    settings = read(options).settings
    configuration = Configuration.of(settings)
    logs.configure(settings.log_format)  # type: ignore[arg-type]  # checked
    readiness = Readiness()
    app = asyncio.run(open_service(configuration, readiness))
    if configuration.warning:
        _log.warning("%s", configuration.warning)
    service = Service(options, settings, app, readiness)
    run.serve(
        service,
        listening,
        ready,
        until_ready=service.wait_until_ready,
        reload=service.reload,
        readiness=readiness,
        certificate=configuration.certificate,
        drain=run.Drain(configuration.drain_delay, configuration.drain_timeout),
    )
