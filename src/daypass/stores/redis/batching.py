"""Sends the commands of several tasks in the same turn of the event loop as one pipeline.

For each command of each task, redis-py takes a connection, writes and reads. Under load that costs two to three times
the CPU of sending the commands of all waiting tasks together, as this module does. It is not a transaction: each script
is atomic by itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Words = Sequence[Any]
Send = Callable[[Sequence[Words]], Awaitable[list[Any]]]

LARGEST = 64
"""The most commands in a batch of several tasks, so that the first does not wait long for the last."""

AT_ONCE = 4
"""The most batches in flight; tasks that ask meanwhile share the next batch."""

_Waiting = tuple[Sequence[Words], "asyncio.Future[list[Any]]"]


class Batches:
    """Batches for one event loop. Cancelling a task does not disturb the others of its batch.

    Args:
        send: sends commands and returns their replies.
        timeout: seconds that a batch may take.
        at_once: how many batches may be in flight; never more than `AT_ONCE`.
    """

    def __init__(self, send: Send, timeout: float, at_once: int) -> None:
        self._send = send
        self._timeout = timeout
        self._at_once = min(at_once, AT_ONCE)
        self._waiting: deque[_Waiting] = deque()
        self._workers: set[asyncio.Task[None] | None] = set()
        self._starting = False

    async def send(self, commands: Sequence[Words]) -> list[Any]:
        """Return the replies to ``commands``, errors among them; raise what sending the batch raises."""
        replies: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, replies))
        if not self._starting and len(self._workers) < self._at_once:
            self._starting = True  # the worker begins in the next turn of the loop; until then it serves all tasks
            self._workers.add(asyncio.create_task(self._work()))
        return await replies

    async def _work(self) -> None:
        self._starting = False
        try:
            while batch := self._next_batch():
                await self._send_batch(batch)
        finally:
            self._workers.discard(asyncio.current_task())  # at once: a task that is answered now may ask again now

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        count = 0
        while self._waiting and count < LARGEST:
            commands, replies = self._waiting.popleft()
            if not replies.done():  # its task was cancelled
                batch.append((commands, replies))
                count += len(commands)
        return batch

    async def _send_batch(self, batch: Sequence[_Waiting]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                answers = await self._send([words for commands, _ in batch for words in commands])
        except asyncio.CancelledError:  # the event loop is ending
            for _, replies in batch:
                replies.cancel()
            raise
        except Exception as error:
            for _, replies in batch:
                if not replies.done():
                    replies.set_exception(error)
                    replies.exception()  # marks it as retrieved, in case its task has just been cancelled
            return
        start = 0
        for commands, replies in batch:
            end = start + len(commands)
            if not replies.done():
                replies.set_result(answers[start:end])
            start = end
