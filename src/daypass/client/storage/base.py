"""What a storage is: one text, read and written as a whole, and the turn to refresh.

What a storage has to have is `Storage.load` and `Storage.save`. Two locks make it one for several processes:

- `Storage.refreshing` lets one process refresh at a time. Who has it reads the text again before it sends, and usually
  finds that another process has refreshed already. The wait is bounded: a holder that is stuck delays the others by
  that much, one that is killed not at all.
- `Storage.changing` is held only while a text is compared and written, so a logout never waits for a refresh.

Neither is held during a user's request, and a valid token needs neither.

A client itself uses `Storage.read`, `Storage.replace` and `Storage.turn`. By default they are made of the four above. A
storage for many machines overrides them (`daypass.client.storage.shared`): there the turn is a lease with a number that
only grows, and nothing is refreshed without it.
"""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from daypass.forks import survive_forks

CHANGING_AT_MOST = 2.0
"""Seconds that a compare-and-write waits for another's, which takes a moment."""


LOST_ANSWER = "lost_answer"
"""The reason of a connection whose token was refused when it was presented again after a lost answer."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a storage keeps.

    Attributes:
        text: the text; ``None`` if there is nothing.
        age: milliseconds since it was written, by the storage's own clock; ``None`` if it has no clock.
    """

    text: str | None = field(repr=False)
    age: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What may be known of a text without reading it.

    Attributes:
        lifetime: milliseconds until its access token expires; ``None`` where that is not known.
        ended: the reason why only a new login helps; ``None`` for a session that goes on.
    """

    lifetime: int | None = None
    ended: str | None = None


class Turn:
    """The turn to refresh one session.

    Attributes:
        held: whether this process has it.
        kept: what the storage kept when the turn came; ``None`` if it was not looked at.
        in_doubt: whether a refresh with the same token may have been answered, and the answer was lost.
    """

    def __init__(self, *, held: bool = True, kept: Kept | None = None) -> None:
        self.held = held
        self.kept = kept
        self.in_doubt = False

    def left(self) -> float:
        """Return for how many milliseconds the turn certainly lasts: a refresh that is sent now ends before that."""
        return math.inf

    def may_send(self) -> bool:
        """Return whether a refresh may be sent now."""
        return self.left() > 0

    def unanswered(self) -> None:
        """Note that a refresh was sent, and that nobody knows what became of it."""

    def failed(self, reason: str) -> None:
        """Note why the refresh failed as a whole."""

    def stop_renewing(self) -> None:
        """Let the turn end by itself, if it is a lease: as if this process had been stopped."""

    def keep_open(self) -> None:
        """Note that what the refresh brought is still to be written, when the turn ends."""


class Storage(ABC):
    """Keeps one session's text. Subclass it and implement `load` and `save`.

    It is then shared by the threads of a process; override the two locks to share it between processes. The text has
    tokens in it: keep it from others. Every method may be called from any thread. Whatever `save` raises is reported as
    the event ``storage_failed``: the tokens stay in memory and are written later.
    """

    needs_turn: ClassVar[bool] = False
    """Whether nothing may be refreshed without the turn. ``False``: after a bounded wait a client refreshes anyway."""

    def __init__(self) -> None:
        self.recover_from_fork()
        survive_forks(self)

    @abstractmethod
    def load(self) -> str | None:
        """Return the text that was saved last; ``None`` if there is nothing.

        Raises:
            OSError: it cannot be read now.
        """

    @abstractmethod
    def save(self, text: str | None) -> None:
        """Keep this text instead of what there was; ``None`` keeps nothing. All of it or nothing of it is written.

        Raises:
            OSError: it cannot be written now.
        """

    def refreshing(self, seconds: float) -> AbstractContextManager[bool]:
        """Wait for the turn to refresh, for so many seconds at most; yield whether the lock was acquired."""
        return _hold(self._turn, seconds)

    def changing(self) -> AbstractContextManager[bool]:
        """Wait for the turn to compare and write, `CHANGING_AT_MOST` seconds at most; yield whether it was acquired."""
        return _hold(self._moment, CHANGING_AT_MOST)

    def read(self) -> Kept:
        """Return what is kept; raises as `load` does."""
        return Kept(self.load())

    def replace(
        self, expected: Callable[[Kept], bool], text: str | None, facts: Facts, turn: Turn | None = None
    ) -> bool:
        """Keep this text if what is kept is ``expected``, in one step; return whether it was.

        Args:
            expected: is given what is kept. What it raises is raised, and nothing is written.
            text: to keep instead; ``None`` keeps nothing.
            facts: what may be known of it.
            turn: of the refresh that it is the result of, if any.

        Raises:
            OSError: it cannot be read or written now.
        """
        with self.changing():
            if not expected(self.read()):
                return False
            self.save(text)
        return True

    @contextmanager
    def turn(self, settled: Callable[[Kept], bool], seconds: float, lease: float) -> Iterator[Turn]:
        """Wait for the turn to refresh; yield it.

        Args:
            settled: returns whether what is kept needs no refresh, because another client has refreshed it.
            seconds: to wait at most.
            lease: seconds that a refresh may take; a holder that is silent for longer has lost its turn.

        Raises:
            OSError: the turn cannot be had now.
        """
        with self.refreshing(seconds) as came:
            yield Turn(held=came)

    def recover_from_fork(self) -> None:
        """In a forked child: the threads that held the parent's locks are not here."""
        self._turn = threading.Lock()
        self._moment = threading.Lock()


@contextmanager
def _hold(lock: threading.Lock, seconds: float) -> Iterator[bool]:
    came = lock.acquire(timeout=max(0.0, seconds))
    try:
        yield came
    finally:
        if came:
            lock.release()
