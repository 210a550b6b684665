"""The ended sessions that a node knows, in the order in which it learned of them: for services that follow. Pure.

A reader continues from a cursor. With a cursor of another node, or an old one, it reads everything that is known.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import islice

from daypass.value import value

EVERYONE = ""
"""Replaces a session's id when the sessions of all users were ended."""


@value(frozen=True, slots=True)
class Known:
    """One ending.

    Attributes:
        session_id: the session, or `EVERYONE`.
        ended_at: when it ended; for `EVERYONE`, sessions that began until then have ended. Milliseconds since the
            epoch.
        until: when the last of its access tokens has expired; 0 for `EVERYONE`.
    """

    session_id: str
    ended_at: int
    until: int = 0


@value(frozen=True, slots=True)
class Page:
    """Some endings.

    Attributes:
        endings: in the order in which the node learned of them.
        cursor: where to continue reading.
        whole: whether these are all for now.
    """

    endings: tuple[Known, ...]
    cursor: str
    whole: bool


class EndingLog:
    """The endings that a node knows; threads may share it.

    Args:
        node: names this log; no two logs have the same name.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._number = 0
        self._numbers: dict[str, int] = {}
        self._known: dict[int, Known] = {}
        self._next: Future[None] = Future()

    def add(self, session_id: str, ended_at: int, until: int) -> None:
        """Note that a session has ended, whose access tokens have all expired at ``until``; each is noted once."""
        with self._lock:
            if session_id not in self._numbers:
                self._put(Known(session_id, ended_at, until))

    def end_everyone(self, at: int) -> None:
        """Note that the sessions that began at ``at`` or before have ended."""
        with self._lock:
            number = self._numbers.get(EVERYONE)
            if number is None or self._known[number].ended_at < at:
                self._known.pop(number or 0, None)
                self._put(Known(EVERYONE, at))

    def forget(self, now: int) -> None:
        """Forget the sessions whose access tokens have all expired at ``now``."""
        with self._lock:
            over = [each for each, known in self._known.items() if known.session_id and known.until <= now]
            for number in over:
                del self._numbers[self._known.pop(number).session_id]

    def read(self, cursor: str | None, limit: int) -> Page:
        """Return at most ``limit`` endings that were noted after ``cursor``."""
        with self._lock:
            after = self._number_in(cursor)
            found = tuple(islice(self._after(after), limit + 1))
            page = found[:limit]
            last = page[-1][0] if page else self._number
            return Page(tuple(known for _, known in page), f"{self._node}.{last}", len(found) <= limit)

    def next(self) -> "Future[None]":
        """Return a future that is done when the next ending is noted."""
        with self._lock:
            return self._next

    def _put(self, known: Known) -> None:
        self._number += 1
        self._numbers[known.session_id] = self._number
        self._known[self._number] = known
        noted, self._next = self._next, Future()
        noted.set_result(None)

    def _after(self, number: int) -> Iterator[tuple[int, Known]]:
        return ((each, known) for each, known in self._known.items() if each > number)

    def _number_in(self, cursor: str | None) -> int:
        node, _, number = (cursor or "").rpartition(".")
        return int(number) if node == self._node and number.isascii() and number.isdigit() else 0
