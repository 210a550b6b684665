"""What tasks ask for in the same turn of an event loop goes to the server together: one write, one read, one wake-up.

That is what makes a refresh cheap under load; who asks alone waits for nobody. It is not a transaction: each script is
atomic by itself, and others may come between.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any

Words = Sequence[Any]
Send = Callable[[Sequence[Words]], Awaitable[list[Any]]]

TOGETHER = 64
"""So many commands go together, or about so many, so that the first does not wait long for the last."""

AT_ONCE = 4
"""So many times something is under way at the most: who comes meanwhile goes together, which under load costs a third
less than going alone."""

Asked = tuple[Sequence[Words], "asyncio.Future[list[Any]]"]


class Gathering:
    """Sends for many, on a few connections.

    Who is cancelled takes nothing from the others: the commands that were sent together are answered together, and an
    answer that nobody waits for is dropped.

    Args:
        send: sends commands and returns their replies.
        seconds: how long that may take.
        most: so many times at once, and never more than `AT_ONCE`.
    """

    def __init__(self, send: Send, seconds: float, most: int) -> None:
        self._send = send
        self._seconds = seconds
        self._most = min(most, AT_ONCE)
        self._waiting: deque[Asked] = deque()
        self._sending: set[asyncio.Task[None]] = set()
        self._due = False

    async def ask(self, commands: Sequence[Words]) -> list[Any]:
        """Return the replies to ``commands``, errors that were answered among them; raises what ``send`` raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Any]] = loop.create_future()
        self._waiting.append((commands, future))
        if not self._due and len(self._sending) < self._most:
            self._due = True
            loop.call_soon(self._begin)
        return await future

    def _begin(self) -> None:
        self._due = False
        while len(self._sending) < self._most and (asked := self._next()):
            task = asyncio.ensure_future(self._exchange(asked))
            self._sending.add(task)
            task.add_done_callback(self._done)

    def _next(self) -> list[Asked]:
        """Take along those who wait, save who went away."""
        asked: list[Asked] = []
        count = 0
        while self._waiting and count < TOGETHER:
            commands, future = self._waiting.popleft()
            if not future.done():
                asked.append((commands, future))
                count += len(commands)
        return asked

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._sending.discard(task)
        if self._waiting:
            self._begin()

    async def _exchange(self, asked: Sequence[Asked]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                replies = iter(await self._send([each for commands, _ in asked for each in commands]))
        except asyncio.CancelledError:  # the loop is ending
            for _, future in asked:
                future.cancel()
            raise
        except Exception as error:
            for _, future in asked:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # or asyncio would tell of it where its caller has just gone away
            return
        for commands, future in asked:
            answer = list(islice(replies, len(commands)))
            if not future.done():
                future.set_result(answer)
