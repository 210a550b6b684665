"""Refreshes connections before their refresh tokens expire from disuse.

A refresh token that expires after 60 days without use is refreshed after 30. Any number of keepers may run: the
database gives each idle connection to one of them for a few minutes. If that keeper is killed, or the provider is down,
another keeper gets the connection later.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

SHARE = 0.5
"""An unused refresh token is used after this share of its lifetime."""

HOLD = 300_000
"""Milliseconds that a keeper may take for a connection; after that any keeper may try again."""


class Outcome(Enum):
    """The result for one connection."""

    DONE = "done"
    FAILED = "failed"
    NEEDS_LOGIN = "needs_login"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Kept:
    """The result of one pass of a keeper, in numbers of connections.

    Attributes:
        refreshed: refreshed now.
        failed: could not be refreshed now; they are tried again.
        needs_login: refused by the provider: only a new login helps.
    """

    refreshed: int = 0
    failed: int = 0
    needs_login: int = 0

    def __add__(self, other: "Kept") -> "Kept":
        return Kept(self.refreshed + other.refreshed, self.failed + other.failed, self.needs_login + other.needs_login)


def keep_provider(
    claim: Callable[[], list[str]],
    refresh: Callable[[str], Outcome],
    threads: ThreadPoolExecutor,
    stop: threading.Event,
) -> Iterator[Kept]:
    """Refresh the idle connections of one provider, batch by batch; yield the result of each batch.

    It ends when no connection is idle, or when a whole batch failed: then the provider is down, and the rest waits.

    Args:
        claim: returns the next batch.
        refresh: refreshes one connection.
        threads: the threads for the refreshes.
        stop: ends it between two batches.
    """
    while not stop.is_set() and (batch := claim()):
        results = list(threads.map(refresh, batch))
        kept = Kept(*(results.count(each) for each in (Outcome.DONE, Outcome.FAILED, Outcome.NEEDS_LOGIN)))
        yield kept
        if kept.failed == len(batch):
            return
