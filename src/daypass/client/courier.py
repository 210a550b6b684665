"""Who carries the messages of a session: the client it is bound to, or one of our own, in a thread or in a task.

A refresh belongs to no caller, so it runs in a daemon thread or in a task of its own. It goes through the client that
the login went through, for its TLS, proxies and transport: a sync one from any thread, an async one on its own event
loop, which need not be the loop of whoever waits. Where neither can be had, because nothing was bound, the client was
closed or its loop is gone, a client of our own is opened for that one refresh and closed again.

A message is sent with no `auth`, follows no redirect, and carries the client's own headers and cookies, save that its
``Authorization`` is taken off. The refresh cookie stays out of the client's jar, which would send it with everything;
every other cookie stays in.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from daypass.client.libraries import classes, default_library
from daypass.client.session import survive_forks
from daypass.client.wire import Answer, Message, Unavailable, cookie_to_keep_back

if TYPE_CHECKING:
    import httpx
    import httpx2

    from daypass.client.session import ClientSession, Flight

    SyncClient: TypeAlias = httpx2.Client | httpx.Client
    AsyncClient: TypeAlias = httpx2.AsyncClient | httpx.AsyncClient

_SYNC_CLIENTS = classes("Client")
_STATUS_ERRORS = classes("HTTPStatusError")


class Courier:
    """Sends a session's messages, and finds each refresh a place to run.

    Args:
        url: of the session endpoints, without a slash at its end.
        session: whose messages they are.
        client: of whichever colour, to go through from the start.
    """

    def __init__(self, url: str, session: ClientSession, client: SyncClient | AsyncClient | None = None) -> None:
        self.url = url
        self._session = session
        self._sync: Any = None
        self._async: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        if isinstance(client, _SYNC_CLIENTS):
            self._sync = client
        else:
            self._async = client
        survive_forks(self)

    def bind(self, client: SyncClient) -> None:
        """Let refreshes go through ``client`` from now on."""
        self._sync = client

    def bind_async(self, client: AsyncClient) -> None:
        """Let refreshes go through ``client``, on the event loop that is running now."""
        self._async, self._loop = client, asyncio.get_running_loop()

    def recover_from_fork(self) -> None:
        """In a forked child: the parent's event loop says that it is running, and never does anything again."""
        if self._loop is not None:
            self._async = self._loop = None

    def launch(self, flight: Flight) -> None:
        """Start ``flight`` for a caller who blocks its thread: so never on an event loop of that thread."""
        if _closed(self._sync) and self._start_task(flight, blocked=_running_loop()):
            return
        self._start_thread(flight)

    def launch_async(self, flight: Flight) -> None:
        """Start ``flight`` for a caller on the running event loop."""
        if self._async is not None and self._loop is None:
            self._loop = asyncio.get_running_loop()
        if not self._start_task(flight, blocked=None):
            self._start_thread(flight)

    def send(self, client: Any, message: Message, limit: float | None = None) -> Answer:
        """Send one message through ``client``.

        Args:
            client: a sync one.
            message: what to send.
            limit: seconds for each step of it; ``None`` for the client's own.

        Raises:
            Exception: whatever the transport raises: no answer came.
        """
        try:
            response = client.send(self._request(client, message, limit), auth=None, follow_redirects=False)
        except _STATUS_ERRORS as error:  # the user's own hook, which raises for every status; the answer is there
            response = error.response
        return self._answer(client, message, response)

    async def send_async(self, client: Any, message: Message, limit: float | None = None) -> Answer:
        """Send one message through ``client``, an async one; the twin of `send`."""
        try:
            response = await client.send(self._request(client, message, limit), auth=None, follow_redirects=False)
        except _STATUS_ERRORS as error:  # the user's own hook, which raises for every status; the answer is there
            response = error.response
        return self._answer(client, message, response)

    def _start_task(self, flight: Flight, blocked: asyncio.AbstractEventLoop | None) -> bool:
        loop = self._loop
        if _closed(self._async) or loop is None or loop is blocked or not loop.is_running():
            return False
        if loop is _running_loop():
            self._create_task(flight)
            return True
        try:
            loop.call_soon_threadsafe(self._create_task, flight)
        except RuntimeError:  # it was closed this moment
            return False
        return True

    def _create_task(self, flight: Flight) -> None:
        task = asyncio.get_running_loop().create_task(self._session.fly_async(flight, self._carry_async))
        self._tasks.add(task)  # an event loop holds its tasks weakly
        task.add_done_callback(self._tasks.discard)

    def _start_thread(self, flight: Flight) -> None:
        thread = threading.Thread(
            target=self._session.fly, args=(flight, self._carry), name="daypass-refresh", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is ending
            self._session.land(flight, Unavailable(f"no thread for the refresh: {error}"))

    def _carry(self, message: Message, limit: float) -> Answer:
        if not _closed(self._sync):
            return self.send(self._sync, message, limit)
        with default_library().Client() as client:
            return self.send(client, message, limit)

    async def _carry_async(self, message: Message, limit: float) -> Answer:
        if not _closed(self._async):
            return await self.send_async(self._async, message, limit)
        async with default_library().AsyncClient() as client:
            return await self.send_async(client, message, limit)

    def _request(self, client: Any, message: Message, limit: float | None) -> Any:
        timeout = {} if limit is None else {"timeout": limit}
        request = client.build_request("POST", f"{self.url}/{message.path}", json=message.json, **timeout)
        request.headers.pop("authorization", None)
        if message.cookie is not None:
            ours = f"{message.cookie.name}={message.cookie.value}"
            others = request.headers.get("cookie")
            request.headers["cookie"] = f"{others}; {ours}" if others else ours
        return request

    def _answer(self, client: Any, message: Message, response: Any) -> Answer:
        headers = response.headers
        answer = Answer(
            response.status_code,
            _body(response),
            headers.get("retry-after"),
            headers.get_list("set-cookie"),
            headers.get_list("www-authenticate"),
        )
        cookie = cookie_to_keep_back(message, answer, self._session.cookie_name)
        if cookie is not None:
            _forget_cookie(client, cookie.name)
        return answer


def _closed(client: Any) -> bool:
    return client is None or client.is_closed


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _body(response: Any) -> bytes:
    try:
        content: bytes = response.content
    except RuntimeError:  # a hook raised before it was read: what it was said to be is all there is
        kind: str = response.headers.get("content-type", "")
        return b"{}" if "json" in kind.lower() else kind.encode()
    return content


def _forget_cookie(client: Any, name: str) -> None:
    jar = client.cookies.jar
    for _ in range(3):  # another thread may put a cookie in while the jar is being read
        with suppress(RuntimeError, KeyError):
            for cookie in [cookie for cookie in jar if cookie.name == name]:
                jar.clear(cookie.domain, cookie.path, cookie.name)
            return
