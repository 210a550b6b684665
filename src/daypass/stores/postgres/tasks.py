"""PostgreSQL for the tasks of an event loop: their pool, and connections that the loop listens to."""

import asyncio
import time
from typing import Any, TypeVar

from psycopg import OperationalError
from psycopg.conninfo import conninfo_attempts_async
from psycopg.pq.abc import PGconn

from daypass.drive import arun
from daypass.flow import Step
from daypass.stores.postgres.link import Failure, Link, Request, Rows
from daypass.stores.postgres.pool import OVERDUE, UNRESOLVED, Ready, Resolve, Slots, Talk, all_busy, opening
from daypass.stores.postgres.settings import Settings


class LoopLink(Link):
    """A connection that an event loop listens to.

    It reads its answer by itself: whoever asked may be cancelled meanwhile, and the connection is as good as before.
    """

    def __init__(self, pgconn: PGconn, *, prepares: bool) -> None:
        super().__init__(pgconn, prepares=prepares)
        self._loop = asyncio.get_running_loop()
        self._fd = pgconn.socket
        self._answer: asyncio.Future[Rows] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.slots: Slots[LoopLink] | None = None
        self._loop.add_reader(self._fd, self._readable)

    def ask(self, request: Request, deadline: float) -> "asyncio.Future[Rows]":
        """Send ``request``; return what will have the rows, or a `Failure`. The connection then goes back to its pool.

        Raises:
            Failure: the connection is lost, and nothing was sent.
        """
        self.send(request)
        answer = self._answer = self._loop.create_future()
        self._timer = self._loop.call_later(deadline - time.monotonic(), self._settle, Failure(OVERDUE, sent=True))
        try:
            if not self.flushed():
                self._loop.add_writer(self._fd, self._writable)
        except Failure as failure:
            self._settle(failure)
        return answer

    def close(self) -> None:
        """Close the connection at once, whatever it is busy with."""
        if not self._loop.is_closed() and self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
        self._fd = -1
        if self._timer is not None:
            self._timer.cancel()
        super().close()

    def _writable(self) -> None:
        try:
            if self.flushed():
                self._loop.remove_writer(self._fd)
        except Failure as failure:
            self._settle(failure)

    def _readable(self) -> None:
        if not self.busy:
            if not self.heard():
                self._lost_while_idle()
            return
        try:
            rows = self.received()
        except Failure as failure:
            self._settle(failure)
        else:
            if rows is not None:
                self._settle(rows)

    def _lost_while_idle(self) -> None:
        if self.slots is not None:
            self.slots.discard(self)
        self.close()

    def _settle(self, outcome: Rows | Failure) -> None:
        answer, self._answer = self._answer, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if answer is not None and not answer.done():  # else whoever asked was cancelled
            if isinstance(outcome, Failure):
                answer.set_exception(outcome)
                answer.exception()  # whoever is cancelled just now does not ask for it, and nothing is to be logged
            else:
                answer.set_result(outcome)
        if self.busy or (isinstance(outcome, Failure) and outcome.state == "25006"):
            self.close()
        if self.slots is not None:
            self.slots.give(self)
        elif isinstance(outcome, Failure):
            self.close()


class Seat:
    """A task that waits for a connection."""

    def __init__(self) -> None:
        self.link: LoopLink | None = None
        self.woken = False
        self.future: asyncio.Future[None] | None = None

    def wake(self, link: LoopLink | None) -> None:
        """Let the task go on."""
        self.link, self.woken = link, True
        self.end()

    def end(self) -> None:
        """End the waiting, woken or not."""
        if self.future is not None and not self.future.done():
            self.future.set_result(None)


class LoopPool:
    """The connections of one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.loop = asyncio.get_running_loop()
        self.slots: Slots[LoopLink] = Slots(settings.pool_size)

    async def ask(self, request: Request, deadline: float) -> Rows:
        """Do as `Pool.ask`; whoever is cancelled leaves nothing behind, and what was sent is performed."""
        seat = Seat()
        self.slots.take(seat)
        if not seat.woken:
            await self._wait(seat, deadline)
        link = seat.link
        try:
            if link is not None and not link.heard():  # lost while the loop was busy, or did not see it (uvloop)
                link.close()
                link = None
            if link is None:
                link = await aconnect(self._settings, deadline, LoopLink)
                link.slots = self.slots
            answer = link.ask(request, deadline)
        except BaseException:
            self.slots.give(link)
            raise
        try:
            return await answer
        except Failure as failure:
            if failure.state == "25006":
                self.slots.close_idle()
            raise

    async def _wait(self, seat: Seat, deadline: float) -> None:
        seat.future = self.loop.create_future()
        timer = self.loop.call_later(deadline - time.monotonic(), seat.end)
        try:
            await seat.future
        except BaseException:  # cancelled
            if not self.slots.leave(seat):
                self.slots.give(seat.link)
            raise
        finally:
            timer.cancel()
        if not seat.woken and self.slots.leave(seat):
            raise all_busy(self._settings)

    def close(self) -> None:
        """Close all connections, those that are in use when they are given back."""
        self.slots.close()


K = TypeVar("K", bound=LoopLink)


async def aconnect(settings: Settings, deadline: float, link_of: type[K], *, checked: bool = True) -> K:
    """Return a new connection of the running event loop; raises as `opening` does."""

    async def resolve(parameters: dict[str, Any]) -> list[Any]:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await conninfo_attempts_async(parameters)
        except (OperationalError, TimeoutError):
            raise Failure(UNRESOLVED) from None

    def answer(step: Step[Any]) -> Any:
        match step:
            case Resolve(parameters):
                return resolve(parameters)
            case Ready(fd, write, until):
                return _ready(fd, until, write=write)
            case Talk(link, request) if isinstance(link, LoopLink):
                return link.ask(request, deadline)

    flow = opening(settings, link_of, deadline, checked=checked)
    try:
        return await arun(flow, answer)
    finally:
        flow.close()


async def _ready(fd: int, until: float, *, write: bool) -> bool:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[bool] = loop.create_future()

    def tell(*, value: bool) -> None:
        if not ready.done():
            ready.set_result(value)

    listen, listen_no_more = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    listen(fd, lambda: tell(value=True))
    timer = loop.call_later(until - time.monotonic(), lambda: tell(value=False))
    try:
        return await ready
    finally:
        timer.cancel()
        listen_no_more(fd)
