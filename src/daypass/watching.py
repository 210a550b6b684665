"""Watches open connections: a WebSocket or a stream ends when its session ends, or when its access token expires.

An access token is checked once, when a connection opens. `Daypass.watch` and `AsyncDaypass.watch` take over from there.
All connections of an issuer share one thread, which wakes twice a second; no connection has its own timer, task or I/O.
"""

import logging
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from daypass.access_token import AccessToken
from daypass.errors import ConfigurationError, TokenMalformed, TokenRejected
from daypass.verifier import Verifier
from daypass.watch_list import Watched

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncWatch", "Watch"]

LOOK_EVERY = 0.5
"""Seconds between two looks for access tokens that have expired."""

_log = logging.getLogger("daypass")


class Connections:
    """The open connections of an issuer. A thread ends those whose access token has expired, while there are any.

    Args:
        verifier: checks access tokens, and learns of ended sessions.
        clock: returns the time in milliseconds since the epoch.
    """

    def __init__(self, verifier: Verifier, clock: Callable[[], int]) -> None:
        self._watched = verifier.watch_anew()
        self._verifier = verifier
        self._clock = clock
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, watched: Watched) -> None:
        """Watch a connection whose access token was checked just now."""
        self._verifier.watch(watched)
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="daypass-watch", daemon=True)
                self._thread.start()

    def renew(self, watched: Watched, token: AccessToken) -> None:
        """Switch a connection to a newer access token of the same session."""
        self._watched.renew(watched, token)

    def remove(self, watched: Watched) -> None:
        """Stop watching a connection."""
        self._watched.remove(watched)

    def _run(self) -> None:
        pause = threading.Event()
        while not self._is_done():
            pause.wait(LOOK_EVERY)
            try:
                self._watched.end_expired(self._clock())
            except Exception:
                _log.exception("looking for expired access tokens failed")

    def _is_done(self) -> bool:
        with self._starting:
            if not self._watched:
                self._thread = None
            return not self._watched


class _Watching:
    """The shared part of both kinds: a token, and why the connection must end.

    Attributes:
        token: the access token that the connection uses.
        ended: why the connection must end: `SessionRevoked` or `TokenExpired`; None while it may continue.
    """

    __slots__ = ("_connections", "_on_end", "_text", "_verify", "ended", "token")

    token: AccessToken

    def __init__(
        self,
        connections: Connections,
        verify: Callable[[str], Any],
        access_token: str,
        on_end: Callable[[TokenRejected], object] | None,
    ) -> None:
        if on_end is not None and not callable(on_end):
            raise ConfigurationError("on_end has to be a function, or None")
        self._on_end = on_end
        self._connections = connections
        self._verify = verify
        self._text = access_token
        self.ended: TokenRejected | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "token":
            raise AttributeError("there is a token inside the with block: with auth.watch(access_token) as watched")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {getattr(self, 'token', None)!r}>"

    def check(self) -> None:
        """Check that the connection may continue.

        Raises:
            SessionRevoked: its session has ended.
            TokenExpired: its access token has expired, and no newer one came.
        """
        if self.ended is not None:
            raise self.ended

    def end(self, reason: TokenRejected) -> None:
        """End the connection; called by the issuer, from any thread."""
        raise NotImplementedError

    def _renew(self, token: AccessToken) -> AccessToken:
        if token.session_id != self.token.session_id:
            raise TokenMalformed("an access token of another session")
        if token.expires_at > self.token.expires_at:
            self._connections.renew(self, token)
        return token


class Watch(_Watching):
    """Watches one connection that is served by a thread: a context manager, from `Daypass.watch`.

    A thread cannot be interrupted from outside. So look at ``ended`` or call `check` in your loop, or close the
    connection in ``on_end``.

    Args:
        connections: of the issuer.
        verify: checks an access token.
        access_token: the token that the connection was opened with.
        on_end: called once, by another thread, with `SessionRevoked` or `TokenExpired`.
    """

    __slots__ = ("_over",)

    def __init__(
        self,
        connections: Connections,
        verify: Callable[[str], AccessToken],
        access_token: str,
        on_end: Callable[[TokenRejected], object] | None = None,
    ) -> None:
        super().__init__(connections, verify, access_token, on_end)
        self._over = threading.Event()

    def __enter__(self) -> Self:
        """Check the access token and begin to watch.

        Raises:
            TokenRejected: it was refused.
            StoreError: it could not be checked.
        """
        self.token = self._verify(self._text)
        self._connections.begin(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.remove(self)

    def renew(self, access_token: str) -> AccessToken:
        """Continue with a newer access token of the same session; return its contents.

        Raises:
            TokenRejected: it was refused, or belongs to another session; the connection continues with the previous
                one.
            StoreError: it could not be checked; the connection continues with the previous one.
        """
        return self._renew(self._verify(access_token))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the connection must end, or for so many seconds; return whether it must end."""
        return self._over.wait(seconds)

    def until_end(self, source: Iterable[Any]) -> Iterator[Any]:
        """Yield from ``source`` until the connection must end, for a streamed response; check before each item."""
        with self:
            for each in source:
                if self.ended is not None:
                    return
                yield each

    def end(self, reason: TokenRejected) -> None:
        """End the connection; called by the issuer, from any thread."""
        if self.ended is None:
            self.ended = reason
            self._over.set()
            _tell(self._on_end, reason)


class AsyncWatch(_Watching):
    """Watches one connection that is served by a task: a context manager, from `AsyncDaypass.watch`.

    When the connection must end, the code inside the ``async with`` is cancelled, as by `asyncio.timeout`, and the
    ``async with`` raises `SessionRevoked` or `TokenExpired`. With ``on_end`` it is not cancelled: close the connection
    there.

    Args:
        connections: of the issuer.
        verify: checks an access token.
        access_token: the token that the connection was opened with.
        on_end: called once, in the event loop, with `SessionRevoked` or `TokenExpired`.
    """

    __slots__ = ("_cancelling", "_loop", "_over", "_task")

    def __init__(
        self,
        connections: Connections,
        verify: Callable[[str], Awaitable[AccessToken]],
        access_token: str,
        on_end: Callable[[TokenRejected], object] | None = None,
    ) -> None:
        super().__init__(connections, verify, access_token, on_end)
        self._task: asyncio.Task[Any] | None = None
        self._over: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Check the access token and begin to watch.

        Raises:
            TokenRejected: it was refused.
            StoreError: it could not be checked.
        """
        import asyncio

        self.token = await self._verify(self._text)
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task() if self._on_end is None else None
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        self._connections.begin(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        import asyncio

        self._connections.remove(self)
        task, self._task = self._task, None
        if self.ended is None or task is None:
            return
        if task.uncancel() <= self._cancelling and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self.ended from error

    async def renew(self, access_token: str) -> AccessToken:
        """Continue with a newer access token of the same session; return its contents.

        Raises:
            TokenRejected: it was refused, or belongs to another session; the connection continues with the previous
                one.
            StoreError: it could not be checked; the connection continues with the previous one.
        """
        return self._renew(await self._verify(access_token))

    async def until_end(self, source: AsyncIterable[Any]) -> AsyncIterator[Any]:
        """Yield from ``source`` until the connection must end, for a streamed response, which then ends cleanly.

        Raises:
            TokenRejected: the access token was refused; nothing was yielded.
            StoreError: it could not be checked; nothing was yielded.
        """
        import asyncio

        self.token = await self._verify(self._text)
        self._loop = asyncio.get_running_loop()
        over = self._over = self._loop.create_future()
        self._connections.begin(self)
        coming: asyncio.Task[Any] | None = None
        items = aiter(source)
        try:
            while self.ended is None:
                coming = self._loop.create_task(_next(items))
                await asyncio.wait((coming, over), return_when=asyncio.FIRST_COMPLETED)
                if coming.done() and (found := coming.result()):
                    yield found[0]
                elif coming.done():
                    return
        finally:
            self._connections.remove(self)
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.wait((coming,))

    def end(self, reason: TokenRejected) -> None:
        """End the connection; called by the issuer, from any thread."""
        with suppress(RuntimeError):  # its event loop has ended
            self._loop.call_soon_threadsafe(self._end, reason)

    def _end(self, reason: TokenRejected) -> None:
        if self.ended is not None:
            return
        self.ended = reason
        _tell(self._on_end, reason)
        if self._task is not None:
            self._task.cancel()
        elif self._over is not None and not self._over.done():
            self._over.set_result(None)


def _tell(on_end: Callable[[TokenRejected], object] | None, reason: TokenRejected) -> None:
    if on_end is not None:
        try:
            on_end(reason)
        except Exception:
            _log.exception("on_end failed")


async def _next(items: AsyncIterator[Any]) -> tuple[Any] | None:
    """Return the next item in a tuple; None at the end."""
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None
