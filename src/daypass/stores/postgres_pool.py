"""Connections to PostgreSQL, and who has which: `Slots` keeps the account, the pools open, wait and close.

A pool belongs to one process, and a `LoopPool` to one event loop. There is no thread and no task behind them: whoever
needs a connection opens it, and whoever gives one back hands it to the next in line.
"""

import asyncio
import select
import threading
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from psycopg import OperationalError
from psycopg.conninfo import conninfo_attempts, conninfo_attempts_async, make_conninfo
from psycopg.pq.abc import PGconn

from daypass.drive import arun, run
from daypass.steps import Flow, Step
from daypass.stores import postgres_plans as plans
from daypass.stores.postgres_link import Failure, Link, Request, Rows, connecting
from daypass.stores.postgres_settings import Settings

L = TypeVar("L", bound=Link)
L_contra = TypeVar("L_contra", bound=Link, contravariant=True)

OVERDUE = "it did not answer in time"


class Waiter(Protocol[L_contra]):
    """One who waits for a connection."""

    def wake(self, link: L_contra | None) -> None:
        """Be given a connection, or None: the right to open one."""


class Slots(Generic[L]):
    """So many connections there may be: which are idle, and who waits, in the order they came."""

    def __init__(self, size: int) -> None:
        self._changing = threading.Lock()
        self._unopened = size
        self._idle: list[L] = []
        self._waiting: deque[Waiter[L]] = deque()
        self._closed = False

    def take(self, waiter: Waiter[L]) -> None:
        """Wake ``waiter`` with the connection that was used last, at once or when it is its turn."""
        with self._changing:
            link: L | None = None
            if self._idle:
                link = self._idle.pop()
            elif self._unopened:
                self._unopened -= 1
            else:
                self._waiting.append(waiter)
                return
        waiter.wake(link)

    def give(self, link: L | None) -> None:
        """Give a connection back; None, or one that is not usable, leaves the right to open another."""
        if link is not None and (self._closed or not link.usable):
            link.close()
            link = None
        with self._changing:
            waiter = self._waiting.popleft() if self._waiting else None
            if waiter is None and link is None:
                self._unopened += 1
            elif waiter is None and link is not None:
                self._idle.append(link)
        if waiter is not None:
            waiter.wake(link)

    def leave(self, waiter: Waiter[L]) -> bool:
        """Wait no more; False when ``waiter`` was woken before, and has something to give back."""
        with self._changing:
            try:
                self._waiting.remove(waiter)
            except ValueError:
                return False
            return True

    def discard(self, link: L) -> None:
        """Close a connection that was lost while it was idle."""
        with self._changing:
            if link not in self._idle:
                return
            self._idle.remove(link)
        link.close()
        self.give(None)

    def close_idle(self) -> None:
        """Close what nobody uses."""
        with self._changing:
            idle, self._idle = self._idle, []
        for link in idle:
            link.close()
            self.give(None)

    def close(self) -> None:
        """Close what nobody uses, and each other connection when it is given back."""
        self._closed = True
        self.close_idle()


# ---- opening a connection, in either colour


@dataclass(frozen=True, slots=True)
class Resolve(Step[list[dict[str, Any]]]):
    """Ask for the addresses of a server's hosts, each as parameters to connect by."""

    parameters: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ready(Step[bool]):
    """Ask to be told when a socket can be read, or written; False when ``until`` was first."""

    fd: int
    write: bool
    until: float


@dataclass(frozen=True, slots=True)
class Talk(Step[Rows]):
    """Ask something on a connection that is not in the pool yet."""

    link: Link
    request: Request


def opening(settings: Settings, link_of: type[L], deadline: float, *, checked: bool = True) -> Flow[L]:
    """Return a new connection to the first host that will have us; if ``checked``, to tables that we may use.

    Raises:
        Failure: there is none; nothing is left open.
        ConfigurationError: the tables are not there, or of a version that is not known.
    """
    try:
        link = yield from _attempting(settings, link_of, deadline)
    except Failure as failure:
        if not settings.learn(failure):
            raise
        link = yield from _attempting(settings, link_of, deadline)
    if checked:
        try:
            plans.check((yield from Talk(link, plans.CHECK)), settings.shown)
        except BaseException:
            link.close()
            raise
    return link


def _attempting(settings: Settings, link_of: type[L], deadline: float) -> Flow[L]:
    attempts = yield from Resolve(settings.parameters())
    failure = Failure("it has no address")
    for number, each in enumerate(attempts):
        now = time.monotonic()
        until = now + (deadline - now) / (len(attempts) - number)  # one that is silent leaves time for the others
        try:
            pgconn = yield from _connecting(make_conninfo("", **each), until)
        except Failure as error:
            failure = error
        else:
            return link_of(pgconn, prepares=settings.prepares)
    raise failure


def _connecting(parameters: str, until: float) -> Generator[Step[Any], Any, PGconn]:
    attempt = connecting(parameters)
    try:
        while True:
            fd, write = next(attempt)
            if not (yield from Ready(fd, write, until)):
                raise Failure(OVERDUE)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
    finally:
        attempt.close()


_UNRESOLVED = "its name has no address"


# ---- threads


class Turn:
    """A thread that waits for a connection."""

    def __init__(self) -> None:
        self._waking = threading.Lock()
        self._waking.acquire()
        self.link: Link | None = None

    def wake(self, link: Link | None) -> None:
        """Let the thread go on."""
        self.link = link
        self._waking.release()

    def wait(self, seconds: float) -> bool:
        """Return whether it was woken within so many seconds."""
        return self._waking.acquire(timeout=max(seconds, 0))


class Pool:
    """The connections of the threads of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.slots: Slots[Link] = Slots(settings.pool_size)

    def ask(self, request: Request, deadline: float) -> Rows:
        """Send ``request`` on a connection of the pool and return the rows.

        Args:
            request: what to send.
            deadline: until when to wait at the most, by the monotonic clock.

        Raises:
            Failure: there is no answer, or it is a refusal; a connection that is in doubt was closed.
            ConfigurationError: the tables are not there, or of a version that is not known.
        """
        link = self._take(deadline)
        try:
            if link is not None and not _is_alive(link):
                link.close()
                link = None
            if link is None:
                link = connect(self._settings, deadline)
            return ask(link, request, deadline)
        except Failure as failure:
            if link is not None and failure.state == "25006":  # a primary of yesterday: the next may be that of today
                link.close()
                self.slots.close_idle()
            raise
        finally:
            self.slots.give(link)

    def _take(self, deadline: float) -> Link | None:
        turn = Turn()
        self.slots.take(turn)
        try:
            if turn.wait(deadline - time.monotonic()) or not self.slots.leave(turn):
                return turn.link
        except BaseException:  # interrupted
            if not self.slots.leave(turn):
                self.slots.give(turn.link)
            raise
        raise all_busy(self._settings)

    def close(self) -> None:
        """Close all connections, those that are in use when they are given back."""
        self.slots.close()


def all_busy(settings: Settings) -> Failure:
    """Return the failure for one who has waited too long for a connection."""
    return Failure(f"all {settings.pool_size} connections of the pool were busy for too long")


def _is_alive(link: Link) -> bool:
    return not wait_for(link.pgconn.socket, 0, write=False) or link.heard()


def connect(settings: Settings, deadline: float, *, checked: bool = True) -> Link:
    """Return a new connection; raises as `opening` does."""

    def answer(step: Step[Any]) -> Any:
        match step:
            case Resolve(parameters):
                try:
                    return conninfo_attempts(parameters)
                except OperationalError:
                    raise Failure(_UNRESOLVED) from None
            case Ready(fd, write, until):
                return wait_for(fd, until - time.monotonic(), write=write)
            case Talk(link, request):
                return ask(link, request, deadline)

    flow = opening(settings, Link, deadline, checked=checked)
    try:
        return run(flow, answer)
    finally:
        flow.close()  # closes a connection that was still in the making


def ask(link: Link, request: Request, deadline: float) -> Rows:
    """Send ``request`` and return the rows; the connection is closed unless there was an answer.

    Raises:
        Failure: there is no answer, or it is a refusal.
    """
    try:
        link.send(request)
        fd = link.pgconn.socket
        flushed, rows = link.flushed(), None
        while rows is None:
            if not wait_for(fd, deadline - time.monotonic(), write=not flushed):
                raise Failure(OVERDUE, sent=True)
            flushed = flushed or link.flushed()
            rows = link.received()
        return rows
    finally:
        if link.busy:  # also when the thread was interrupted: nobody will read that answer
            link.close()


def wait_for(fd: int, seconds: float, *, write: bool) -> bool:
    """Wait until a socket can be read, or also until it can be written; False when it took too long."""
    if not hasattr(select, "poll"):
        return any(select.select([fd], [fd] if write else [], [], max(seconds, 0)))
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLOUT if write else select.POLLIN)
    return bool(poll.poll(max(seconds, 0) * 1000))


# ---- tasks


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
            raise Failure(_UNRESOLVED) from None

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
