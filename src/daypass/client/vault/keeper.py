"""Refreshes connections before their refresh tokens die of disuse.

A refresh token that lives for 60 days if nobody uses it is refreshed after 30. Any number of keepers may run: the
database gives each idle connection to one of them, which has a few minutes for it. One that was killed meanwhile, or
whose provider was down, leaves it to the next.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

SHARE = 0.5
"""The share of its life after which an unused refresh token is used."""

HOLD = 300_000
"""Milliseconds that a keeper has for a connection at most; after that it is tried again, by any keeper."""


class Outcome(Enum):
    """What became of one connection."""

    DONE = "done"
    FAILED = "failed"
    NEEDS_LOGIN = "needs_login"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Kept:
    """What one pass of a keeper did, in numbers of connections.

    Attributes:
        refreshed: refreshed now.
        failed: could not be refreshed now; they are tried again.
        needs_login: were refused by the provider: only a new login helps.
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
    """Refresh what is idle of one provider, batch by batch; yield what became of each batch.

    It ends when nothing is idle, or when a whole batch failed: then the provider is down, and the rest waits.

    Args:
        claim: takes the next batch.
        refresh: refreshes one connection.
        threads: in which they are refreshed.
        stop: ends it between two batches.
    """
    while not stop.is_set() and (batch := claim()):
        results = list(threads.map(refresh, batch))
        kept = Kept(*(results.count(each) for each in (Outcome.DONE, Outcome.FAILED, Outcome.NEEDS_LOGIN)))
        yield kept
        if kept.failed == len(batch):
            return
