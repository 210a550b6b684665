"""What a storage is: one text, read and written as a whole, and two locks.

- `Storage.refreshing` lets one process refresh at a time. Who has it reads the text again before it sends, and usually
  finds that another process has refreshed already. The wait is bounded: a holder that is stuck delays the others by
  that much, one that is killed not at all.
- `Storage.changing` is held only while a text is compared and written, so a logout never waits for a refresh.

Neither is held during a user's request, and a valid token needs neither.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from daypass.forks import survive_forks

CHANGING_AT_MOST = 2.0
"""Seconds that a compare-and-write waits for another's, which takes a moment."""


class Storage(ABC):
    """Keeps one session's text. Subclass it and implement `load` and `save`.

    It is then shared by the threads of a process; override the two locks to share it between processes. The text has
    tokens in it: keep it from others. Every method may be called from any thread. Whatever `save` raises is reported as
    the event ``storage_failed``: the tokens stay in memory and are written later.
    """

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
