"""A storage in a database that many machines share: one row, whose changes are in `daypass.client.storage.row`.

A database implements `Rows`: read a row and the database's clock, and replace a row if it still has a given revision.
Everything else is here, the same for every database. One refresh needs three round trips: read, take the turn, write
the result. If another process has already refreshed, one read is enough.

During a refresh its lease is renewed. If the database does not answer there is no turn, and so no refresh: callers get
`RefreshUnavailable`, or the access token until it expires.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from daypass.client.clock import monotonic_ms
from daypass.client.sealing import Sealing
from daypass.client.storage import row as rows_of
from daypass.client.storage.base import Facts, Kept, Storage, Turn
from daypass.client.storage.row import Row, Watch
from daypass.errors import ConfigurationError, StoreContended, StoreError

OUTAGE = 10_000
"""Milliseconds to wait for a turn while the database does not answer, for example during a restart or failover."""

LONGEST_KEY = 512
_ATTEMPTS = 20
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
_RENEWALS = 20
"""How many times a lease is renewed: a refresh that never ends must not block others."""

_LONGEST_ERROR = 500


class Rows(Protocol):
    """The rows of one database; safe to be used by all threads, and in a forked child."""

    def read(self, key: str) -> tuple[Row | None, int]:
        """Return a row, and the time by the database's clock, in milliseconds since the epoch.

        Raises:
            StoreUnavailable: the database does not answer.
            ConfigurationError: the database cannot be used like this.
        """

    def swap(self, key: str, revision: str | None, row: Row | None) -> bool:
        """Replace the row if it has this revision; return whether it did.

        Args:
            key: the key of the row.
            revision: the revision that the row must have; ``None``: there must be no row.
            row: the new row; ``None`` removes the row.

        Raises:
            StoreUnavailable: the database does not answer; the row may have been replaced.
            ConfigurationError: the database cannot be used like this.
        """

    def close(self) -> None:
        """Close all connections; they are opened again when needed."""


class SharedStorage(Storage):
    """Keeps one session in a row of a database, encrypted, for any number of machines.

    Args:
        rows: the rows of the database.
        key: names the session, such as ``xero/tenant-42``: printable text, at most 512 characters.
        sealing: encrypts the text, only for this key.
        clock: milliseconds on a monotonic clock.

    Raises:
        ConfigurationError: the key is invalid.
    """

    needs_turn = True

    def __init__(self, rows: Rows, key: str, sealing: Sealing, *, clock: Callable[[], int] = monotonic_ms) -> None:
        self.key = checked_key(key)
        self._rows = rows
        self._sealing = sealing
        self._clock = clock
        super().__init__()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key}>"

    def load(self) -> str | None:
        """Return the text.

        Raises:
            StoreUnavailable: the database does not answer.
            ConfigurationError: it was sealed with another secret, is damaged, or the database cannot be used.
        """
        return self.read().text

    def save(self, text: str | None) -> None:
        """Write the text, whatever is stored; raises the same as `load`."""
        self.replace(lambda _: True, text, Facts())

    def read(self) -> Kept:
        """Return the content, and its age by the database's clock; raises the same as `load`."""
        return self._kept(*self._rows.read(self.key))

    def replace(
        self, expected: Callable[[Kept], bool], text: str | None, facts: Facts, turn: Turn | None = None
    ) -> bool:
        """Replace the text as `Storage.replace` does; the result of a refresh needs the fence of its turn.

        Raises:
            StoreUnavailable: the database does not answer; the text may have been written.
            StoreContended: other processes changed the row again and again.
            ConfigurationError: as `load`.
        """
        lease = turn if isinstance(turn, Lease) else None
        for _ in range(_ATTEMPTS):
            found, now = self._rows.read(self.key) if lease is None else lease.known()
            if lease is not None and (found is None or found.fence != lease.fence):
                return False
            if not expected(self._kept(found, now)):
                return False
            if found is None and text is None:
                return True
            if self._swap(found, self._written(found, now, text, facts, lease)):
                if lease is not None:
                    lease.finished()
                return True
            if lease is not None:
                lease.forget()
        raise StoreContended(f"others changed the row {self.key!r} again and again")

    @contextmanager
    def turn(self, settled: Callable[[Kept], bool], seconds: float, lease: float) -> Iterator[Turn]:
        """Wait for the turn as `Storage.turn` does; the turn is not held if the wait timed out.

        Raises:
            StoreUnavailable: the database does not answer.
            ConfigurationError: as `load`.
        """
        turn = self._wait(settled, int(seconds * 1000), int(lease * 1000))
        try:
            yield turn
        finally:
            if isinstance(turn, Lease):
                turn.end()

    @contextmanager
    def refreshing(self, seconds: float) -> Iterator[bool]:
        """Wait for the turn, whatever is stored, with a lease of `seconds`."""
        with self.turn(lambda _: False, seconds, max(1.0, seconds)) as turn:
            yield turn.held

    def close(self) -> None:
        """Close the connections to the database; they are opened again when needed."""
        self._rows.close()

    def _wait(self, settled: Callable[[Kept], bool], patience: int, lease: int) -> Turn:
        """Return the turn when it is free or not needed any longer; it is not held if the wait timed out."""
        watch, start, pause = Watch(), self._clock(), _SHORTEST_PAUSE
        taking: Lease | None = None
        while True:
            asked = self._clock()
            late = asked - start >= patience
            try:
                found, now = self._rows.read(self.key)
                kept = self._kept(found, now)
                if taking is not None and taking.is_row(found):  # the turn was taken, but the reply was lost
                    return taking.begin()
                if settled(kept) or late:
                    return Turn(held=False, kept=kept)
                if watch.is_free(found, now, asked):
                    mine = rows_of.taken(found, now, lease, _this_process(), _revision())
                    in_doubt = found is not None and found.in_doubt
                    taking = Lease(self._rows, self.key, mine, kept, asked, now, self._clock, in_doubt=in_doubt)
                    if self._swap(found, mine):
                        return taking.begin()
            except StoreError:
                if late or self._clock() - start >= OUTAGE:
                    raise
            time.sleep(pause * (1 + secrets.randbelow(100) / 100))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _swap(self, found: Row | None, new: Row | None) -> bool:
        """Replace a row; this also works if the connection is lost after the row was replaced."""
        before, after = _revision_of(found), _revision_of(new)
        with suppress(StoreError):
            if self._rows.swap(self.key, before, new):
                return True
        there = _revision_of(self._rows.read(self.key)[0])
        return self._rows.swap(self.key, before, new) if there == before else there == after

    def _written(
        self, found: Row | None, now: int, text: str | None, facts: Facts, lease: "Lease | None"
    ) -> Row | None:
        if text is None:
            return None
        sealed, revision = self._sealing.seal(text, self.key), _revision()
        if facts.ended is not None and found is not None:
            return rows_of.ended(found, now, sealed, revision, reason=facts.ended)
        if lease is not None and found is not None:
            return rows_of.refreshed(found, now, sealed, revision, lifetime=facts.lifetime)
        return rows_of.begun(found, now, sealed, revision, lifetime=facts.lifetime)

    def _kept(self, row: Row | None, now: int) -> Kept:
        if row is None or row.sealed is None:
            return Kept(None)
        return Kept(self._sealing.open(row.sealed, self.key), max(0, now - row.written_at))


class Lease(Turn):
    """The turn that a process has taken; its lease is renewed until it ends.

    Args:
        rows: the rows of the database.
        key: the key of the row.
        row: the row as this process wrote it when it took the turn.
        kept: the content at that time.
        asked: when the row was requested, by ``clock``: the lease counts from then, which is never too late.
        now: the time of the reply, by the database's clock.
        clock: milliseconds on a monotonic clock.
        in_doubt: whether an earlier holder may have sent the token.

    Attributes:
        fence: the fence of this turn.
    """

    def __init__(
        self,
        rows: Rows,
        key: str,
        row: Row,
        kept: Kept,
        asked: int,
        now: int,
        clock: Callable[[], int],
        *,
        in_doubt: bool,
    ) -> None:
        super().__init__(kept=kept)
        self.in_doubt = in_doubt
        self.fence = row.fence
        self._rows, self._key, self._clock = rows, key, clock
        self._lock = threading.Lock()
        self._row: Row | None = row
        self._ahead = now - asked
        self._lasts_until = asked + row.lease
        self._lease = row.lease
        self._error: str | None = None
        self._over = False
        self._kept_open = False
        self._renewals = 0
        self._timer: threading.Timer | None = None

    def is_row(self, row: Row | None) -> bool:
        """Return whether a row is still as this process wrote it when it took the turn."""
        return row is not None and self._row is not None and row.revision == self._row.revision

    def begin(self) -> "Lease":
        """Start to renew the lease until the turn ends; return the turn."""
        self._timer = self._start_timer(self._lease / 2)
        return self

    def left(self) -> float:
        """Return how long the lease lasts; if this process was stopped for long, another may have the turn."""
        return self._lasts_until - self._clock()

    def unanswered(self) -> None:
        """Note that a refresh was sent and its result is unknown."""
        self.in_doubt = True

    def failed(self, reason: str) -> None:
        """Note why all attempts of the refresh failed."""
        self._error = reason[:_LONGEST_ERROR]

    def stop_renewing(self) -> None:
        """Do not give back the turn: let the lease expire."""
        self._renewals = _RENEWALS
        self._cancel_timer()

    def keep_open(self) -> None:
        """Do not give back the turn at its end: its result is still unwritten."""
        self._kept_open = True

    def known(self) -> tuple[Row | None, int]:
        """Return the row as this process last wrote it, or as it is now, and the time by the database's clock."""
        with self._lock:
            if self._row is not None:
                return self._row, self._clock() + self._ahead
        return self._rows.read(self._key)

    def forget(self) -> None:
        """Read the row again the next time: it is not as this process last wrote it."""
        with self._lock:
            self._row = None

    def finished(self) -> None:
        """Note that the turn was given back, together with the result."""
        self._over = True

    def end(self) -> None:
        """Give back the turn, if this process still has it; if this fails, the lease expires anyway."""
        self._cancel_timer()
        if self._over or self._kept_open:
            return
        self._over = True
        with suppress(Exception):  # also errors of a driver, whose connections may just be closing
            for _ in range(_ATTEMPTS):
                found, _ = self.known()
                if found is None or found.fence != self.fence:
                    return
                after = rows_of.released(found, _revision(), error=self._error, in_doubt=self.in_doubt)
                if self._rows.swap(self._key, found.revision, after if _is_worth_keeping(after) else None):
                    return
                self.forget()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _start_timer(self, milliseconds: float) -> threading.Timer:
        timer = threading.Timer(milliseconds / 1000, self._renew)
        timer.daemon = True
        with suppress(RuntimeError):  # no more threads can start: the lease expires without renewal
            timer.start()
        return timer

    def _renew(self) -> None:
        """Renew the lease; after a failure try again soon."""
        if self._over or self._renewals >= _RENEWALS:
            return
        asked = self._clock()
        try:
            held = self._renew_once(asked)
        except Exception:  # also errors of a driver, whose connections may just be closing
            if not self._over:
                self._timer = self._start_timer(self._lease / 8)
            return
        if held:
            self._renewals += 1
            self._timer = self._start_timer(self._lease / 2)

    def _renew_once(self, asked: int) -> bool:
        found, now = self._rows.read(self._key)
        if found is None or found.fence != self.fence or not found.lease_until:
            self._lasts_until = 0
            return False
        mine = rows_of.renewed(found, now, _revision())
        with self._lock:
            self._row = None
            if self._over or not self._rows.swap(self._key, found.revision, mine):
                return True
            self._row, self._lasts_until = mine, asked + self._lease
        return True


def checked_key(key: str) -> str:
    """Return the key of a row.

    Raises:
        ConfigurationError: it is empty, longer than 512 characters, or cannot be printed.
    """
    if not key or not key.isprintable() or len(key) > LONGEST_KEY:
        raise ConfigurationError(
            f"invalid key {key!r}: expected 1 to {LONGEST_KEY} printable characters, such as 'xero/tenant-42'"
        )
    return key


def _is_worth_keeping(row: Row) -> bool:
    """Return whether a row has content: a row that was created to take a turn has no tokens."""
    return row.sealed is not None or row.in_doubt or row.last_error is not None


def _revision_of(row: Row | None) -> str | None:
    return None if row is None else row.revision


def _revision() -> str:
    return secrets.token_hex(8)


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
