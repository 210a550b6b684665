"""The running event loop, asyncio's or trio's: run work on it from another thread, and wait on it.

Neither library is imported before the program imports it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

A = TypeVar("A")

_LOOK = 0.05
_BLOCKED = 0.5
"""Seconds to wait for an asyncio event loop that is not running."""


class LoopEnded(Exception):
    """The event loop was closed before the coroutine finished."""


class AsyncioLoop:
    """An asyncio event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.key: object = loop
        self._loop = loop

    def can_run(self) -> bool:
        """Return whether it is running."""
        return self._loop.is_running()

    def call(self, function: Callable[[], Coroutine[Any, Any, Any]], limit: float) -> Any:
        """Run a coroutine on it, from another thread, with a timeout in seconds.

        Raises:
            LoopEnded: the loop was closed meanwhile.
            TimeoutError: the timeout has passed, or the loop is blocked.
            Exception: an error of the coroutine.
        """
        import asyncio
        from concurrent.futures import CancelledError

        coroutine = function()
        try:
            running = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError as error:  # the loop was closed just now
            coroutine.close()
            raise LoopEnded from error
        blocked = 0
        for _ in range(math.ceil(limit / _LOOK)):
            try:
                return running.result(_LOOK)
            except CancelledError as error:  # only a closing loop cancels it
                raise LoopEnded from error
            except TimeoutError:
                if running.done():  # raised by the coroutine
                    raise
                blocked = 0 if self._loop.is_running() else blocked + 1
                if self._loop.is_closed() or blocked * _LOOK >= _BLOCKED:
                    break
        running.cancel()
        raise TimeoutError


class TrioLoop:
    """A trio run."""

    def __init__(self, token: Any) -> None:
        self.key: object = token
        self._token = token

    def can_run(self) -> bool:
        """Return whether it is running."""
        try:
            self._token.run_sync_soon(_nothing)
        except RuntimeError:  # trio.RunFinishedError
            return False
        return True

    def call(self, function: Callable[[], Coroutine[Any, Any, Any]], limit: float) -> Any:
        """Run a coroutine on it; see `AsyncioLoop.call`."""
        trio = sys.modules["trio"]

        async def bounded() -> Any:
            with trio.fail_after(limit):
                return await function()

        try:
            return trio.from_thread.run(bounded, trio_token=self._token)
        except (trio.RunFinishedError, trio.Cancelled) as error:
            raise LoopEnded from error
        except trio.TooSlowError as error:
            raise TimeoutError from error


EventLoop = AsyncioLoop | TrioLoop


def running_loop() -> EventLoop | None:
    """Return the event loop that runs in this thread, if any."""
    if (trio := _trio()) is not None:
        return TrioLoop(trio.lowlevel.current_trio_token())
    asyncio = sys.modules.get("asyncio")
    try:
        return None if asyncio is None else AsyncioLoop(asyncio.get_running_loop())
    except RuntimeError:
        return None


class Waiting:
    """The tasks that wait for a future that a thread sets. Each event loop is woken once, however many tasks it has.

    Args:
        future: the future.
    """

    def __init__(self, future: Future[Any]) -> None:
        self._future = future
        self._events: dict[object, Any] = {}

    async def result(self, seconds: float) -> Any:
        """Return the result of the future; cancelling this call changes nothing for the other tasks.

        Raises:
            TimeoutError: it was not set in time.
        """
        trio = _trio()
        if trio is not None:
            with trio.move_on_after(seconds):
                await self._event(trio.lowlevel.current_trio_token(), trio.Event, "run_sync_soon").wait()
        elif not self._future.done():
            import asyncio

            async with asyncio.timeout(seconds):
                await self._event(asyncio.get_running_loop(), asyncio.Event, "call_soon_threadsafe").wait()
        return self._future.result(0)

    def _event(self, loop: Any, new: Callable[[], Any], wake: str) -> Any:
        """Return the event of an event loop, which is set in that loop when the future is done."""
        event = self._events.get(loop)
        if event is None:
            event = self._events[loop] = new()

            def done(_: Future[Any]) -> None:
                with suppress(RuntimeError):  # the loop was closed meanwhile
                    getattr(loop, wake)(event.set)

            self._future.add_done_callback(done)
        return event


async def in_thread(function: Callable[..., A], *arguments: Any) -> A:
    """Call a blocking function in a thread."""
    trio = _trio()
    if trio is None:
        import asyncio

        return await asyncio.to_thread(function, *arguments)
    return await trio.to_thread.run_sync(function, *arguments)  # type: ignore[no-any-return]  # trio is not imported


def _trio() -> Any:
    """Return the trio module if trio runs in this thread; it is not imported here."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_run() else None


def _nothing() -> None:
    pass
