"""Connections to PostgreSQL: who has which, and how one is opened. No waiting here.

The pools are in `threads` and `tasks`. There is no thread and no task behind them: whoever needs a
connection opens it, and whoever gives one back hands it to the next in line.
"""

import threading
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn

from daypass.flow import Flow, Step
from daypass.stores.postgres import plans
from daypass.stores.postgres.link import Failure, Link, Request, Rows, connecting
from daypass.stores.postgres.settings import Settings

L = TypeVar("L", bound=Link)
L_contra = TypeVar("L_contra", bound=Link, contravariant=True)

OVERDUE = "it did not answer in time"
UNRESOLVED = "its name has no address"


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
        with self._changing:
            if link is not None and (self._closed or not link.usable):
                link.close()
                link = None
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
        with self._changing:
            self._closed = True
        self.close_idle()


def all_busy(settings: Settings) -> Failure:
    """Return the failure for one who has waited too long for a connection."""
    return Failure(f"all {settings.pool_size} connections of the pool were busy for too long")


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
