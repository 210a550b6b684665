"""The event loop that runs in a thread, asyncio's or trio's: work on it from another thread, and waiting on it.

Neither is imported before a program uses it.
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
"""Seconds after which an event loop of asyncio's that does not run is not waited for any more."""


class LoopEnded(Exception):
    """The event loop was closed before it had an answer."""


class AsyncioLoop:
    """An event loop of asyncio's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.key: object = loop
        self._loop = loop

    def can_run(self) -> bool:
        """Tell whether it runs."""
        return self._loop.is_running()

    def call(self, function: Callable[[], Coroutine[Any, Any, Any]], limit: float) -> Any:
        """Run a coroutine on it, from another thread, for so many seconds at most.

        Raises:
            LoopEnded: it was closed meanwhile.
            TimeoutError: the time is over, or the loop is blocked.
            Exception: the coroutine's own.
        """
        import asyncio
        from concurrent.futures import CancelledError

        coroutine = function()
        try:
            running = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError as error:  # it was closed this moment
            coroutine.close()
            raise LoopEnded from error
        blocked = 0
        for _ in range(math.ceil(limit / _LOOK)):
            try:
                return running.result(_LOOK)
            except CancelledError as error:  # only a loop that is being closed cancels it
                raise LoopEnded from error
            except TimeoutError:
                if running.done():  # the coroutine's own
                    raise
                blocked = 0 if self._loop.is_running() else blocked + 1
                if self._loop.is_closed() or blocked * _LOOK >= _BLOCKED:
                    break
        running.cancel()
        raise TimeoutError


class TrioLoop:
    """A run of trio's."""

    def __init__(self, token: Any) -> None:
        self.key: object = token
        self._token = token

    def can_run(self) -> bool:
        """Tell whether it runs."""
        try:
            self._token.run_sync_soon(_nothing)
        except RuntimeError:  # trio.RunFinishedError
            return False
        return True

    def call(self, function: Callable[[], Coroutine[Any, Any, Any]], limit: float) -> Any:
        """Run a coroutine on it; the twin of `AsyncioLoop.call`."""
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


async def wait_for(future: Future[A], seconds: float) -> A:
    """Return the result of a future that a thread sets; being cancelled leaves the future alone.

    Raises:
        TimeoutError: it was not set in so many seconds.
    """
    trio = _trio()
    if trio is None:
        import asyncio

        async with asyncio.timeout(seconds):
            # Without the shield, cancelling this task would cancel the future that all the others wait for.
            return await asyncio.shield(asyncio.wrap_future(future))
    done, token = trio.Event(), trio.lowlevel.current_trio_token()

    def wake(_: Future[A]) -> None:
        with suppress(RuntimeError):  # trio.RunFinishedError
            token.run_sync_soon(done.set)

    future.add_done_callback(wake)
    with trio.move_on_after(seconds):
        await done.wait()
    return future.result(0)


async def in_thread(function: Callable[..., A], *arguments: Any) -> A:
    """Call a function that blocks, in a thread."""
    trio = _trio()
    if trio is None:
        import asyncio

        return await asyncio.to_thread(function, *arguments)
    return await trio.to_thread.run_sync(function, *arguments)  # type: ignore[no-any-return]  # trio is not imported


def _trio() -> Any:
    """Return trio, if it runs in this thread; a program that does not use it has not loaded it."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_run() else None


def _nothing() -> None:
    pass
