"""Sends a session's own messages: through the client that is bound, or through a new one.

Messages go through the client that logged in, to use its TLS, proxies and transport: a sync client from the thread of
the refresh, an async client on its own event loop, which may differ from the caller's loop. Sometimes neither can be
used: no client was bound, the client was closed, or its loop has ended or is blocked by the waiting caller. Then
Daypass opens its own client for that one message.

A message is sent without the client's auth, follows no redirect, and has the client's own headers and cookies, except
``Authorization``. The refresh cookie is kept out of the client's jar, which would send it with every request.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from daypass.client.dpop import Proofs, require_key
from daypass.client.event_loop import EventLoop, LoopEnded, running_loop
from daypass.client.failures import described, was_not_written
from daypass.client.library import Library
from daypass.client.messages import Answer, Message
from daypass.client.strategy import Call, Strategy
from daypass.drive import arun, run
from daypass.forks import survive_forks


class NoAnswer(Exception):
    """A message got no response.

    Attributes:
        unsent: whether it is certain that the server received nothing of it.
    """

    def __init__(self, url: str, error: Exception, *, unsent: bool) -> None:
        where = urlsplit(url)
        super().__init__(f"no answer from {where.scheme}://{where.netloc} ({described(error)})")
        self.unsent = unsent


class Sender:
    """Sends a session's messages.

    Args:
        url: the URL of the session endpoints, without a slash at its end.
        strategy: knows which cookies carry tokens.
        library: the library of the clients.
        proofs: makes the DPoP proofs.
    """

    def __init__(self, url: str, strategy: Strategy, library: Library, proofs: Proofs) -> None:
        self.url = url
        self._proofs = proofs
        self._strategy = strategy
        self._library = library
        self._sync: Any = None
        self._async: Any = None
        self._loop: EventLoop | None = None
        survive_forks(self)

    def bind(self, client: Any) -> None:
        """Send refreshes through ``client`` from now on; for an async client, on the event loop that is running now."""
        if self._library.is_async(client):
            self._async, self._loop = client, running_loop()
        else:
            self._sync = client

    def use_running_loop(self) -> None:
        """Use the running event loop for an async client that was bound outside its event loop."""
        if self._async is not None and self._loop is None:
            self._loop = running_loop()

    def recover_from_fork(self) -> None:
        """Reset in a forked child: the parent's event loop seems to be running here, but it never does anything."""
        if self._loop is not None:
            self._async = self._loop = None

    def send(self, client: Any, message: Message, limit: float | None = None, key: str | None = None) -> Answer:
        """Send one message through the sync client ``client``, or through a new client if it is ``None``.

        Args:
            client: the client to send through.
            message: the message to send.
            limit: timeout of each step, in seconds; ``None`` for the client's own timeout.
            key: the private key of the DPoP proof; ``None`` sends none. If the server asks for a nonce, the message is
                sent once more.

        Raises:
            Exception: an error of the library: no response came.
        """
        url = message.url(self.url)
        sending = self._proofs.sending(message, url, key)
        answer: Answer = run(sending, lambda step: self._library.send(client, url, _message(step), limit))
        self._keep_back(client, message, answer)
        return answer

    async def send_async(
        self, client: Any, message: Message, limit: float | None = None, key: str | None = None
    ) -> Answer:
        """Send one message through ``client``, an async one; the async version of `send`."""
        url = message.url(self.url)
        sending = self._proofs.sending(message, url, key)
        answer: Answer = await arun(sending, lambda step: self._library.send_async(client, url, _message(step), limit))
        self._keep_back(client, message, answer)
        return answer

    def perform(self, request: Message | Call, limit: float, blocked: EventLoop | None, key: str | None = None) -> Any:
        """Perform a strategy's request, in the thread of a refresh.

        Args:
            request: a message to send, or a function to call.
            limit: timeout in seconds.
            blocked: an event loop that cannot run, because its thread waits for this.
            key: the private key of the DPoP proof, if any.

        Raises:
            NoAnswer: a message got no response; its cause is the library's error.
            ConfigurationError: the server asks for a proof, and there is no key.
            Exception: raised by a function of the user.
        """
        if isinstance(request, Call):
            return self._call(request, limit, blocked)
        try:
            answer = self._send_by_any(request, limit, blocked, key)
        except Exception as error:
            url, unsent = request.url(self.url), self._library.is_unsent(error) or was_not_written(error)
            raise NoAnswer(url, error, unsent=unsent) from error
        require_key(answer, key)
        return answer

    def _send_by_any(self, message: Message, limit: float, blocked: EventLoop | None, key: str | None) -> Answer:
        if not self._is_closed(self._sync):
            return self.send(self._sync, message, limit, key)
        if not self._is_closed(self._async) and _can_run(self._loop, blocked):
            return self._on_loop(lambda: self.send_async(self._async, message, limit, key), limit)  # type: ignore[no-any-return]  # what it returns is what the coroutine does
        return self.send(None, message, limit, key)

    def _call(self, call: Call, limit: float, blocked: EventLoop | None) -> Any:
        given = call.function(call.refresh_token)
        if not inspect.isawaitable(given):
            return given

        import asyncio  # imported here: only async programs need it

        async def awaited() -> Any:
            return await given

        return self._on_loop(awaited, limit) if _can_run(self._loop, blocked) else asyncio.run(awaited())

    def _on_loop(self, function: Callable[[], Coroutine[Any, Any, Any]], limit: float) -> Any:
        assert self._loop is not None  # noqa: S101 - `_can_run` has seen it
        try:
            return self._loop.call(function, limit)
        except LoopEnded:
            self._async = self._loop = None
            raise

    def _is_closed(self, client: Any) -> bool:
        return client is None or self._library.is_closed(client)

    def _keep_back(self, client: Any, message: Message, answer: Answer) -> None:
        cookie = self._strategy.cookie_to_keep_back(message, answer)
        if cookie is not None and client is not None:
            self._library.forget_cookie(client, cookie.name)


def _message(step: Any) -> Message:
    return step  # type: ignore[no-any-return]  # what a flow yields is untyped


def _can_run(loop: EventLoop | None, blocked: EventLoop | None) -> bool:
    return loop is not None and (blocked is None or loop.key is not blocked.key) and loop.can_run()
