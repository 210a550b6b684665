"""The base class of storages: one text, read and written as a whole, and the turn to refresh.

A storage must implement `Storage.load` and `Storage.save`. To share it between processes, override two locks:

- `Storage.refreshing` lets one process refresh at a time. Its holder reads the text again before it sends, and usually
  finds that another process has refreshed already. The wait has a limit: a holder that is stuck delays the others by
  at most that time, and a holder that is killed does not delay them.
- `Storage.changing` is held only while a text is compared and written, so a logout never waits for a refresh.

Neither is held during a user's request, and a valid token needs neither.

A client uses `Storage.read`, `Storage.replace` and `Storage.turn`. By default they use the four methods above. A
storage for many machines overrides them (`daypass.client.storage.shared`): there the turn is a lease with a number that
only grows, and a refresh is not allowed without it.
"""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field
from typing import ClassVar

from daypass.forks import survive_forks
from daypass.value import value

CHANGING_AT_MOST = 2.0
"""Seconds that a compare-and-write waits for another one, which is usually short."""


LOST_ANSWER = "lost_answer"
"""The reason if a token was refused when it was sent again after a lost response."""


@value(frozen=True, slots=True)
class Kept:
    """The content of a storage.

    Attributes:
        text: the text; ``None`` if the storage is empty.
        age: milliseconds since it was written, by the storage's own clock; ``None`` if it has no clock.
    """

    text: str | None = field(repr=False)
    age: int | None = None


@value(frozen=True, slots=True)
class Facts:
    """Facts about a text that are stored unsealed beside it.

    Attributes:
        lifetime: milliseconds until its access token expires; ``None`` if not known.
        ended: the reason why only a new login helps; ``None`` for a live session.
    """

    lifetime: int | None = None
    ended: str | None = None


class Turn:
    """The turn to refresh one session.

    Attributes:
        held: whether this process has it.
        kept: the content of the storage when the turn began; ``None`` if it was not read.
        in_doubt: whether the same token may have been used for a refresh whose response was lost.
    """

    def __init__(self, *, held: bool = True, kept: Kept | None = None) -> None:
        self.held = held
        self.kept = kept
        self.in_doubt = False

    def left(self) -> float:
        """Return how many milliseconds the turn certainly lasts: a refresh that is sent now must end before that."""
        return math.inf

    def may_send(self) -> bool:
        """Return whether a refresh may be sent now."""
        return self.left() > 0

    def unanswered(self) -> None:
        """Note that a refresh was sent and its result is unknown."""

    def failed(self, reason: str) -> None:
        """Note why all attempts of the refresh failed."""

    def stop_renewing(self) -> None:
        """Do not give back the turn: a lease then expires, as if this process had been stopped."""

    def keep_open(self) -> None:
        """Note that the result of the refresh is still unwritten when the turn ends."""


class Storage(ABC):
    """Keeps one session's text. Subclass it and implement `load` and `save`.

    The threads of a process can then share it; override the two locks to share it between processes. The text contains
    tokens: protect it from other users. Every method may be called from any thread. If `save` raises, the event
    ``storage_failed`` is reported: the tokens stay in memory and are written later.
    """

    needs_turn: ClassVar[bool] = False
    """Whether a refresh is only allowed with the turn. ``False``: after a limited wait a client refreshes anyway."""

    def __init__(self) -> None:
        self.recover_from_fork()
        survive_forks(self)

    @abstractmethod
    def load(self) -> str | None:
        """Return the text that was saved last; ``None`` if nothing is stored.

        Raises:
            OSError: it cannot be read now.
        """

    @abstractmethod
    def save(self, text: str | None) -> None:
        """Replace the stored text, as a whole or not at all; ``None`` removes it.

        Raises:
            OSError: it cannot be written now.
        """

    def refreshing(self, seconds: float) -> AbstractContextManager[bool]:
        """Wait for the lock to refresh, at most this many seconds; yield whether it was acquired."""
        return _hold(self._turn, seconds)

    def changing(self) -> AbstractContextManager[bool]:
        """Wait for the lock to compare and write, at most `CHANGING_AT_MOST` seconds; yield whether it was acquired."""
        return _hold(self._moment, CHANGING_AT_MOST)

    def read(self) -> Kept:
        """Return the content; raises the same as `load`."""
        return Kept(self.load())

    def replace(
        self, expected: Callable[[Kept], bool], text: str | None, facts: Facts, turn: Turn | None = None
    ) -> bool:
        """Write this text if the content is as ``expected``, in one step; return whether it was.

        Args:
            expected: takes the content and returns whether to replace it. If it raises, nothing is written.
            text: the new text; ``None`` removes the text.
            facts: facts about the text that are stored unsealed.
            turn: the turn of the refresh whose result it is, if any.

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
            settled: returns whether the content needs no refresh, because another client has refreshed it.
            seconds: the longest time to wait.
            lease: seconds that a refresh may take; a holder that is silent for longer loses its turn.

        Raises:
            OSError: the turn is not available now.
        """
        with self.refreshing(seconds) as came:
            yield Turn(held=came)

    def recover_from_fork(self) -> None:
        """Reset in a forked child: the threads that held the parent's locks do not exist here."""
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
