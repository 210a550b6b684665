"""Closes what is open on an event loop when the loop ends, if nothing else has closed it."""

from collections.abc import AsyncGenerator, Awaitable, Callable


class LoopEnd:
    """Calls ``close`` once: when `now` is called, or when the event loop ends.

    ``asyncio.run``, like everything that ends a loop properly, closes the async generators that are suspended on it. So
    a suspended async generator gets a signal when the loop ends.
    """

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._suspended = _close_at_end(close)

    async def expect(self) -> None:
        """Watch the running loop."""
        await anext(self._suspended)

    async def now(self) -> None:
        """Close now, without waiting for the loop to end."""
        await self._suspended.aclose()


async def _close_at_end(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await close()
