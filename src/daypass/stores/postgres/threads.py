"""PostgreSQL for threads: their pool, and how they wait."""

import select
import threading
import time
from typing import Any

from psycopg import OperationalError
from psycopg.conninfo import conninfo_attempts

from daypass.drive import run
from daypass.flow import Step
from daypass.stores.postgres.link import Failure, Link, Request, Rows
from daypass.stores.postgres.pool import OVERDUE, UNRESOLVED, Ready, Resolve, Slots, Talk, all_busy, opening
from daypass.stores.postgres.settings import Settings


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
                    raise Failure(UNRESOLVED) from None
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
