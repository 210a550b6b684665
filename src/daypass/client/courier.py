"""Who carries the messages of a session: the client it is bound to, or one of our own, in a thread of the refresh's.

A refresh belongs to no caller, so it runs in a daemon thread of its own. It goes through the client that the login went
through, for its TLS, proxies and transport: a sync one from that thread, an async one on its own event loop, which need
not be the loop of whoever waits. Where neither can be had, because nothing was bound, the client was closed, or its
loop is gone or stands still for the very caller who waits, a client of our own is opened for that one refresh.

A message is sent without the client's auth, follows no redirect, and carries the client's own headers and cookies, save
that its ``Authorization`` is taken off. The refresh cookie stays out of the client's jar, which would send it with
everything; every other cookie stays in. How all that is done in each HTTP library is that `Library`'s part.
"""

import asyncio
import inspect
import math
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Protocol

from daypass.client.messages import Answer, Message, Unavailable
from daypass.client.session import ClientSession, Flight
from daypass.client.strategy import Call
from daypass.forks import survive_forks

_LOOK = 0.05
_STANDING_STILL = 0.5
"""Seconds after which an event loop that does not run is not waited for any more."""


class Library(Protocol):
    """What a courier needs of an HTTP library."""

    transport_errors: tuple[type[Exception], ...]
    """What it raises where no answer came."""

    def check(self, client: Any, *, is_async: bool | None) -> None:
        """Make sure that ``client`` is one of this library's, and of the right colour, if that matters.

        Raises:
            ConfigurationError: it is not.
        """

    def is_async(self, client: Any) -> bool:
        """Tell the colour of a client."""

    def is_closed(self, client: Any) -> bool:
        """Tell whether a client can send nothing any more."""

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        """Send one message through a sync client, or through one opened for it; ``limit`` in seconds."""

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        """Send one message through an async client, on the running event loop."""

    def forget_cookie(self, client: Any, name: str) -> None:
        """Take a cookie out of a client's jar."""


class Courier:
    """Sends a session's messages, and gives each refresh a thread to run in.

    Args:
        url: of the session endpoints, without a slash at its end.
        session: whose messages they are.
        library: of the clients.
    """

    def __init__(self, url: str, session: ClientSession, library: Library) -> None:
        self.url = url
        self._session = session
        self._library = library
        self._sync: Any = None
        self._async: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        survive_forks(self)

    def bind(self, client: Any) -> None:
        """Let refreshes go through ``client`` from now on; an async one on the event loop that is running now."""
        if self._library.is_async(client):
            self._async, self._loop = client, _running_loop()
        else:
            self._sync = client

    def recover_from_fork(self) -> None:
        """In a forked child: the parent's event loop says that it is running, and never does anything again."""
        if self._loop is not None:
            self._async = self._loop = None

    def launch(self, flight: Flight) -> None:
        """Start ``flight`` for a caller who blocks its thread, and so the event loop of that thread."""
        self._start(flight, _running_loop())

    def launch_async(self, flight: Flight) -> None:
        """Start ``flight`` for a caller on the running event loop."""
        if self._async is not None and self._loop is None:
            self._loop = _running_loop()
        self._start(flight, None)

    def send(self, client: Any, message: Message, limit: float | None = None) -> Answer:
        """Send one message through ``client``, a sync one, or one of our own where it is ``None``.

        Args:
            client: the one to go through.
            message: what to send.
            limit: seconds for each step of it; ``None`` for the client's own.

        Raises:
            Exception: whatever the transport raises: no answer came.
        """
        answer = self._library.send(client, message.url(self.url), message, limit)
        self._keep_back(client, message, answer)
        return answer

    async def send_async(self, client: Any, message: Message, limit: float | None = None) -> Answer:
        """Send one message through ``client``, an async one; the twin of `send`."""
        answer = await self._library.send_async(client, message.url(self.url), message, limit)
        self._keep_back(client, message, answer)
        return answer

    def _start(self, flight: Flight, blocked: asyncio.AbstractEventLoop | None) -> None:
        def perform(ask: Message | Call, limit: float) -> Any:
            return self._call(ask, limit, blocked) if isinstance(ask, Call) else self._carry(ask, limit, blocked)

        thread = threading.Thread(target=self._session.fly, args=(flight, perform), name="daypass-refresh", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is ending
            self._session.land(flight, Unavailable(f"no thread for the refresh: {error}"))

    def _carry(self, message: Message, limit: float, blocked: asyncio.AbstractEventLoop | None) -> Answer:
        if not self._is_closed(self._sync):
            return self.send(self._sync, message, limit)
        if not self._is_closed(self._async) and _can_run(self._loop, blocked):
            return self._on_loop(self.send_async(self._async, message, limit), limit)  # type: ignore[no-any-return]  # what it returns is what the coroutine does
        return self.send(None, message, limit)

    def _call(self, call: Call, limit: float, blocked: asyncio.AbstractEventLoop | None) -> Any:
        given = call.function(call.refresh_token)
        if not inspect.isawaitable(given):
            return given

        async def awaited() -> Any:
            return await given

        return self._on_loop(awaited(), limit) if _can_run(self._loop, blocked) else asyncio.run(awaited())

    def _on_loop(self, coroutine: Coroutine[Any, Any, Any], limit: float) -> Any:
        assert self._loop is not None  # noqa: S101 - `_can_run` has seen it
        try:
            running = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # it was closed this moment
            coroutine.close()
            raise
        still = 0
        for _ in range(math.ceil(limit / _LOOK)):
            try:
                return running.result(_LOOK)
            except CancelledError:  # nobody cancels it but a loop that is being closed
                self._async = self._loop = None
                raise
            except TimeoutError:
                still = 0 if self._loop.is_running() else still + 1
                if self._loop.is_closed() or still * _LOOK >= _STANDING_STILL:
                    break
        running.cancel()
        raise TimeoutError

    def _is_closed(self, client: Any) -> bool:
        return client is None or self._library.is_closed(client)

    def _keep_back(self, client: Any, message: Message, answer: Answer) -> None:
        cookie = self._session.strategy.cookie_to_keep_back(message, answer)
        if cookie is not None and client is not None:
            self._library.forget_cookie(client, cookie.name)


def forget_from_jar(jar: Any, name: str) -> None:
    """Take every cookie of that name out of an `http.cookiejar.CookieJar`."""
    for _ in range(3):  # another thread may put a cookie in while the jar is being read
        with suppress(RuntimeError, KeyError):
            for cookie in [cookie for cookie in jar if cookie.name == name]:
                jar.clear(cookie.domain, cookie.path, cookie.name)
            return


def with_cookie(headers: Any, message: Message) -> None:
    """Ask for JSON, put the message's cookie among the cookies of ``headers``, and replace their authorization."""
    headers["Accept"] = "application/json"  # GitHub answers with a form otherwise
    for name in [name for name in headers if name.lower() == "authorization"]:
        del headers[name]
    if message.authorization is not None:
        headers["Authorization"] = message.authorization
    if message.cookie is not None:
        ours = f"{message.cookie.name}={message.cookie.value}"
        others = headers.get("Cookie")
        headers["Cookie"] = f"{others}; {ours}" if others else ours


def _can_run(loop: asyncio.AbstractEventLoop | None, blocked: asyncio.AbstractEventLoop | None) -> bool:
    return loop is not None and loop is not blocked and loop.is_running()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
