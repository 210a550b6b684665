"""Limits how many passwords are checked at the same time, so that a burst of logins delays nothing else."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from daypass.errors import ConfigurationError, StoreError
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.forks import survive_forks
from daypass.steps import Ask, Emit
from daypass.web.message import BadRequest

A = TypeVar("A")

AWAITED = 32
"""Slots for an async ``authenticate``, which mostly waits for something else."""

WAITING = 32
"""How many logins of an event loop may wait for each slot; further ones are refused at once."""

WAITING_THREADS = 1
"""How many threads may wait: a waiting thread serves no other request, and servers have few."""

PATIENCE = 2.0
"""Seconds that a login waits for a slot."""

RETRY_AFTER = 1
"""Seconds, for a login that was refused."""


def processors() -> int:
    """Return how many passwords this machine can hash at the same time, at least 2."""
    try:
        return max(2, len(os.sched_getaffinity(0)))
    except AttributeError:  # macOS and Windows
        return max(2, os.cpu_count() or 2)


class Busy(BadRequest):
    """Too many logins at once: its ``response`` is 503 with ``Retry-After``; no password was checked."""

    def __init__(self) -> None:
        super().__init__(503, StoreError.code, "Too many logins at once; try again in a moment")
        self.response = self.response.with_headers(("retry-after", str(RETRY_AFTER)))


class LoginSlots:
    """Lets a limited number of logins check passwords at the same time; threads and event loops may share it.

    Args:
        most: how many.
        awaits: whether the caller is an event loop, which must not block.

    Raises:
        ConfigurationError: ``most`` is not a number above zero.
    """

    def __init__(self, most: int, *, awaits: bool) -> None:
        if type(most) is not int or most < 1:
            raise ConfigurationError(f"concurrent_logins={most!r}: expected a number above zero, or None for no bound")
        self._most = most
        self._enter: Callable[[str], object] = self._aenter if awaits else self._block
        self._may_wait = most * (WAITING if awaits else WAITING_THREADS)
        self.recover_from_fork()
        survive_forks(self)

    def recover_from_fork(self) -> None:
        """Free all slots: a forked child has none of its parent's logins."""
        self._lock = threading.Lock()
        self._active = 0
        self._waiting: deque[Future[bool]] = deque()

    def during(self, login: Flow[A], now: int) -> Flow[A]:
        """Run a login in a slot.

        Raises:
            Busy: no slot became free in time; ``login`` was not begun.
        """
        if not (yield from Ask("the login slots", self._enter, "")):
            login.close()
            yield from Emit(Event(EventCode.LIMITED, now, reason="concurrent_logins"))
            raise Busy
        try:
            return (yield from login)
        finally:
            self._leave()

    def _block(self, _: str) -> bool:
        slot = self._take()
        try:
            return slot.result(PATIENCE)
        except TimeoutError:
            return not slot.cancel()  # it may have been granted a moment ago

    async def _aenter(self, _: str) -> bool:
        import asyncio  # here, because it is a part of what importing this would cost a sync application

        slot = self._take()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(slot), PATIENCE)
        except TimeoutError:
            return not slot.cancel()
        except BaseException:
            if not slot.cancel() and slot.result():
                self._leave()
            raise

    def _take(self) -> "Future[bool]":
        """Return a future: True as soon as there is a slot, False if too many wait."""
        slot: Future[bool] = Future()
        with self._lock:
            if self._active < self._most:
                self._active += 1
                slot.set_result(True)
            elif len(self._waiting) < self._may_wait:
                self._waiting.append(slot)
            else:
                slot.set_result(False)
        return slot

    def _leave(self) -> None:
        """Give the slot to the next waiting login."""
        with self._lock:
            following = next((slot for slot in self._waited() if slot.set_running_or_notify_cancel()), None)
            self._active -= following is None
        if following is not None:
            following.set_result(True)

    def _waited(self) -> "Iterator[Future[bool]]":
        while self._waiting:
            yield self._waiting.popleft()
