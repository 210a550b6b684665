"""The end of an event loop: what is open on it is closed with it, although nobody said so."""

from collections.abc import AsyncGenerator, Awaitable, Callable


class LoopEnd:
    """Calls ``close`` once: when told to, or when the event loop ends without.

    ``asyncio.run`` (and whatever else ends a loop as asyncio asks for) closes each async generator that was begun on
    the loop and is not through; so one that waits for its end is told of the loop's.
    """

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._waiting = _until_closed(close)

    async def expect(self) -> None:
        """Expect the end of the running loop."""
        await anext(self._waiting)

    async def now(self) -> None:
        """Do not wait for it."""
        await self._waiting.aclose()


async def _until_closed(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await close()
