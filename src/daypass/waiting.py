"""Waits for what another caller does, in either colour."""

from concurrent.futures import Future, wait
from typing import Any

AT_MOST = 10.0
"""Seconds: longer than any time-out of a store."""


def wait_for(future: Future[Any], seconds: float = AT_MOST) -> None:
    """Wait until ``future`` is done, or for so long."""
    wait([future], seconds)


async def await_for(future: Future[Any], seconds: float = AT_MOST) -> None:
    """Do as `wait_for`, without blocking the event loop; a caller who is cancelled cancels it for nobody else."""
    import asyncio  # here, because it is a third of what importing daypass would cost those who never use it

    waiting = asyncio.wrap_future(future)
    try:
        await asyncio.wait([waiting], timeout=seconds)
    finally:
        waiting.cancel()
