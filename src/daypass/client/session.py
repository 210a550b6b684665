"""The tokens of one session, in memory and in a storage, and the rules for changing them.

- The tokens are one `Tokens`, replaced as a whole. Reading them is a plain attribute read; the lock only guards
  changes, and no thread holds it during I/O, a callback or a wait.
- Every change gets a higher version than all before it. A refresh stores its result only if the version is still the
  one that it started from: after a logout or a login in between, the result is dropped.
- Every login has an id, in memory and in the storage, and its refreshes keep it. So a request that began under one
  login is never sent under another.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace

from daypass.client.clock import boot_id, wall_ms
from daypass.client.events import EventKind, Reporter, call
from daypass.client.flow import NOT_LOGGED_IN, State
from daypass.client.messages import Grant, Outcome
from daypass.client.record import Behind, Damaged, Ended, Now, Record
from daypass.client.storage.base import Storage, Turn
from daypass.client.stored_session import OtherServer, StoredSession, describe_storage_error
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens, tokens_from
from daypass.errors import RefreshUnavailable, StoreError
from daypass.forks import survive_forks

NOTHING_YET = Grant("", 0)
"""A grant whose access token has already expired: there is no access token yet, but a refresh can get one."""


class ClientSession:
    """The tokens of one login.

    Args:
        timing: the client's durations.
        clock: milliseconds on a monotonic clock.
        wall_clock: milliseconds since the epoch, for a storage that outlives a restart of the machine.
        jitter: draws a number from 0 to 1.
        reporter: for events.
        storage: keeps the session between runs; a stored session is used at once.
        server: the server of the refresh token: a record of another server is refused.
        on_tokens: called with the new `Tokens` after each login and refresh.
        begins_by_refreshing: whether a refresh can get the first tokens without a login.

    Raises:
        ConfigurationError: the storage holds a session of another server, or something that is not a session.
        Exception: an error of the storage: it cannot be read.
    """

    def __init__(
        self,
        *,
        timing: Timing,
        clock: Callable[[], int],
        jitter: Callable[[], float],
        reporter: Reporter,
        wall_clock: Callable[[], int] = wall_ms,
        storage: Storage | None = None,
        server: str | None = None,
        on_tokens: Callable[[Tokens], object] | None = None,
        begins_by_refreshing: bool = False,
    ) -> None:
        self.tokens: Tokens | None = None
        self.timing = timing
        self.clock = clock
        self.jitter = jitter
        self.reporter = reporter
        boot = boot_id()
        now = lambda: Now(clock(), wall_clock(), boot)  # noqa: E731 - what a `StoredSession` calls
        failed = self._storage_failed
        self.stored = None if storage is None else StoredSession(storage, server, now, jitter, timing, failed)
        self._on_tokens = on_tokens
        self._lock = threading.Lock()
        self._version = 0
        self._ended: str | None = NOT_LOGGED_IN
        self._ended_record: str | None = None
        survive_forks(self)
        if not self._restore_first() and begins_by_refreshing:
            self._replace(self._tokens_from(NOTHING_YET, clock()))

    @property
    def needs_look(self) -> bool:
        """Whether `state` reads the storage and may block: without tokens, another process may have logged in."""
        return self.tokens is None and self.stored is not None

    def state(self, *, repeatable: bool = True, outcome: Outcome | None = None) -> State:
        """Return the session as it is now; without tokens, read the storage first: another process may have logged in.

        Args:
            repeatable: whether the request's body can be sent again.
            outcome: the outcome of the refresh before.

        Raises:
            ConfigurationError: there are no tokens, and the storage holds a session of another server.
            RefreshUnavailable: there are no tokens, and a storage for many machines cannot be read now.
        """
        if self.tokens is None and outcome is None and self.stored is not None:
            try:
                self.restore()
            except OtherServer:
                raise
            except Exception as error:
                self._storage_failed("read", error)
                if self.stored.is_shared and self._ended == NOT_LOGGED_IN:  # it is unknown whether a user is logged in
                    raise RefreshUnavailable(f"no tokens now: {describe_storage_error(error)}") from error
        return State(self.tokens, self.clock(), repeatable, outcome, self._ended)

    def restore(self) -> bool:
        """Use the tokens in the storage; return whether there are any.

        Raises:
            ConfigurationError: it holds a session of another server, or something that is not a session.
            Exception: an error of the storage: it cannot be read.
        """
        if self.stored is None:
            return False
        record = self.stored.load()
        if not isinstance(record, Tokens):
            self._ended = self._why_not(record)
            return False
        with self._lock:
            if record.record_id == self._ended_record:  # it could not be removed
                return False
            self._replace(replace(record, refreshed_at=None))
        self.reporter.emit(EventKind.RESTORED)
        return True

    def begin(self, grant: Grant, sent_at: int | None = None) -> None:
        """Use the tokens of a login; drop the session before it, and the result of its refresh, if one is in progress.

        Args:
            grant: the tokens.
            sent_at: when the login was sent; by default now.

        Raises:
            ConfigurationError: the storage holds a session of another server, which is not changed.
            Exception: an error of the storage: it cannot be written, and the session before is still used.
        """
        tokens = self._tokens_from(grant, self.clock() if sent_at is None else sent_at)
        if self.stored is not None:
            tokens = replace(tokens, record_id=self.stored.save(tokens))
        with self._lock:
            self._replace(tokens)
        self.reporter.emit(EventKind.LOGGED_IN, lifetime=grant.lifetime)
        self._new_tokens(tokens)

    def end(self, reason: str) -> Tokens | None:
        """Forget the tokens, in the storage too, and return them; the result of a refresh in progress will be dropped.

        If another process has refreshed, the tokens of that process are returned.
        """
        tokens = self._newest()
        with self._lock:
            self._drop(reason)
        if self.stored is not None:
            self.stored.clear()
        if tokens is not None:
            self.reporter.emit(EventKind.LOGGED_OUT, reason=reason)
        return tokens

    def is_current(self, tokens: Tokens) -> bool:
        """Return whether ``tokens`` are still the current tokens."""
        current = self.tokens
        return current is not None and current.version == tokens.version

    def adopt_newer(self, tokens: Tokens, turn: Turn | None = None) -> Tokens | Ended | Behind | None:
        """Use the tokens that another client has stored since ``tokens``, and return them; ``None`` if none.

        Args:
            tokens: the current tokens.
            turn: the turn, which may have read the storage already.
        """
        newer = None if self.stored is None else self.stored.newer(tokens, turn)
        if newer is None or isinstance(newer, Behind):
            return newer
        with self._lock:
            if not self.is_current(tokens):
                return self.tokens or Ended(self._ended or NOT_LOGGED_IN)
            if isinstance(newer, Ended):
                self._drop(newer.reason)
            else:
                newer = self._replace(newer)
        if isinstance(newer, Ended):
            self.reporter.ended(newer.reason)
        return newer

    def keep(self, previous: Tokens, tokens: Tokens, turn: Turn | None = None) -> bool:
        """Store and use ``tokens`` after ``previous``; return ``False`` if it is too late.

        Args:
            previous: the tokens that were refreshed.
            tokens: the new tokens.
            turn: the turn of the refresh.

        Raises:
            Overtaken: another client has changed the storage since; this call has changed nothing.
        """
        if self.stored is not None:
            tokens = replace(tokens, record_id=self.stored.exchange(previous, tokens, turn))
        with self._lock:
            if not self.is_current(previous):
                return False
            self._replace(tokens)
        self._new_tokens(tokens)
        return True

    def reject(self, previous: Tokens, reason: str, turn: Turn | None = None) -> None:
        """End the session because its issuer ended it, and store the reason for other processes.

        Args:
            previous: the tokens that were refused.
            reason: why they were refused.
            turn: the turn of the refresh.

        Raises:
            Overtaken: another client has changed the storage since; this call has changed nothing.
        """
        if self.stored is not None:
            self.stored.exchange(previous, Ended(reason), turn)
        with self._lock:
            if not self.is_current(previous):
                return
            self._drop(reason)
        self.reporter.ended(reason)

    def recover_from_fork(self) -> None:
        """Reset in a forked child: the thread that held the lock may not exist here."""
        self._lock = threading.Lock()

    def _restore_first(self) -> bool:
        """Use the tokens in the storage; if a storage for many machines is down, it is read again later."""
        try:
            return self.restore()
        except StoreError as error:
            if self.stored is None or not self.stored.is_shared:
                raise
            self._storage_failed("read", error)
            return False

    def _tokens_from(self, grant: Grant, sent_at: int) -> Tokens:
        return tokens_from(grant, secrets.token_hex(8), sent_at, self.jitter(), self.timing)

    def _replace(self, tokens: Tokens) -> Tokens:
        self._version += 1
        self.tokens = replace(tokens, version=self._version)
        return self.tokens

    def _drop(self, reason: str) -> None:
        if self.tokens is not None and self.tokens.record_id is not None:
            self._ended_record = self.tokens.record_id
        self.tokens = None
        self._ended = reason
        self._version += 1

    def _new_tokens(self, tokens: Tokens) -> None:
        if self._on_tokens is not None:
            call("on_tokens", self._on_tokens, tokens)

    def _newest(self) -> Tokens | None:
        if self.stored is None:
            return self.tokens
        try:
            record = self.stored.load()
        except Exception as error:
            self._storage_failed("read", error)
            return self.tokens
        return record if isinstance(record, Tokens) else self.tokens

    def _storage_failed(self, what: str, error: Exception) -> None:
        reason = f"the storage could not be {what} ({describe_storage_error(error)})"
        self.reporter.emit(EventKind.STORAGE_FAILED, reason=reason)

    def _why_not(self, record: Record | None) -> str:
        match record:
            case Ended(reason):
                return reason
            case Behind(reason):
                return f"the newest tokens could not be written to {self.stored!r} ({reason})"
            case Damaged():
                return f"{self.stored!r} is damaged"
            case _:
                return NOT_LOGGED_IN
