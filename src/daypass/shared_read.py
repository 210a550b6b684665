"""Shares one read among many callers: each gets the result of a read that began after it asked.

A definite rejection needs that: something that an older read did not find may have been added since. Of the callers who
ask during a read, the first starts the next read and the others wait for it. So there is one read at a time, for any
number of callers.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from daypass.errors import ConfigurationError, StoreContended, StoreError
from daypass.flow import Flow
from daypass.steps import Now, Pause, WaitFor

A = TypeVar("A")


class SharedRead(Generic[A]):
    """Reads for all callers; threads and event loops may share it.

    Args:
        read: makes the flow that reads, given the time.
        gap: milliseconds between the beginnings of two reads.
    """

    def __init__(self, read: Callable[[int], Flow[A]], gap: int) -> None:
        self._read = read
        self._gap = gap
        self._began_at = -gap
        self.recover_from_fork()

    def recover_from_fork(self) -> None:
        """Forget the running reads: at first, and in a forked child."""
        self._lock = threading.Lock()
        self._running: Future[A] | None = None
        self._next: Future[A] | None = None

    def result(self) -> Flow[A]:
        """Return the result of a read that begins after this call.

        Raises:
            StoreError: it failed, or the one before it did, or its caller was cancelled; nothing is known.
            ConfigurationError: its result is unusable.
        """
        with self._lock:
            leads, before = self._next is None, self._running
            read = self._next = self._next or Future()
        if leads:
            yield from self._lead(read, before)
        else:
            yield from WaitFor(read)
        return _outcome(read)

    def _lead(self, read: "Future[A]", before: "Future[A] | None") -> Flow[None]:
        try:
            if before is not None:
                yield from WaitFor(before)
                _outcome(before)  # not every caller in turn asks a store that is down
            yield from self._keep_the_gap()
            with self._lock:
                self._running, self._next = read, None  # later callers get the read after this one
            self._began_at = now = yield from Now()
            read.set_result((yield from self._read(now)))
        except (StoreError, ConfigurationError) as error:
            read.set_exception(error)
        finally:
            with self._lock:
                self._running = None if self._running is read else self._running
                self._next = None if self._next is read else self._next
            if not read.done():
                read.set_exception(StoreContended("the read was given up; try again"))

    def _keep_the_gap(self) -> Flow[None]:
        early = self._began_at + self._gap - (yield from Now())
        if 0 < early <= self._gap:
            yield from Pause(early)


def _outcome(read: "Future[A]") -> A:
    """Return the result of a read, or raise a new error for each caller."""
    if not read.done():
        raise StoreContended("the read takes too long; try again")
    error = read.exception()
    if error is not None:
        raise type(error)(str(error))
    return read.result()
