"""Waits for another caller's result, sync or async."""

from concurrent.futures import Future, wait
from typing import Any

AT_MOST = 10.0
"""Seconds: longer than any time-out of a store."""


def wait_for(future: Future[Any], seconds: float = AT_MOST) -> None:
    """Wait until ``future`` is done, or until the time has passed."""
    wait([future], seconds)


async def await_for(future: Future[Any], seconds: float = AT_MOST) -> None:
    """Do what `wait_for` does, without blocking the event loop; cancelling one caller does not cancel the others."""
    import asyncio  # here, because it is a third of what importing daypass would cost those who never use it

    waiting = asyncio.wrap_future(future)
    try:
        await asyncio.wait([waiting], timeout=seconds)
    finally:
        waiting.cancel()
