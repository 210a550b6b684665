"""Reads, compares and writes one session's record in a storage, and retries a failed write later.

An error of a storage is reported as an event and does not end the session: tokens that could not be written stay in
memory, and are written at the next refresh, by a timer or at program exit. Until then the record is marked as outdated,
if the storage accepts that write: so no other process sends a refresh token that has been used.
"""

import atexit
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from daypass.client.failures import described
from daypass.client.record import (
    Behind,
    Damaged,
    Ended,
    Now,
    Record,
    read_record,
    record_id_of,
    server_of,
    write_record,
)
from daypass.client.storage.base import LOST_ANSWER, Facts, Kept, Storage, Turn
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError, DaypassError
from daypass.forks import survive_forks

LOGGED_OUT_ELSEWHERE = "another process or client that shares it has logged out"

_RETRY_AFTER = 1.0
_LONGEST_RETRY = 30.0
_SHARED_RETRY_AFTER, _LONGEST_SHARED_RETRY = 0.2, 1.0  # other machines wait for this


class OtherServer(ConfigurationError):
    """The storage holds a session of another server; it was not changed."""


class NoTurn(Exception):
    """The turn to refresh is not available now."""


class Overtaken(Exception):
    """Another client has changed the storage since; nothing was written."""


class StoredSession:
    """Reads and writes one session's record.

    Args:
        storage: the storage of the record.
        server: the server of the session's refresh token; ``None`` accepts a record of any server.
        now: the time on both clocks.
        jitter: draws a number from 0 to 1.
        timing: the client's durations.
        failed: called with ``"read"``, ``"written"`` or ``"locked"`` and the error.
    """

    def __init__(
        self,
        storage: Storage,
        server: str | None,
        now: Callable[[], Now],
        jitter: Callable[[], float],
        timing: Timing,
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._storage = storage
        self._server = server
        self._now = now
        self._jitter = jitter
        self._timing = timing
        self._failed = failed
        self._unwritten: tuple[Tokens | Ended, str | None, Turn | None] | None = None
        self._written_late: tuple[str | None, str] | None = None
        self._retries = 0
        survive_forks(self)

    def __repr__(self) -> str:
        return repr(self._storage)

    def load(self) -> Record | None:
        """Return the content of the storage; ``None`` if it is empty.

        Raises:
            OtherServer: it holds a session of another server.
            ConfigurationError: it holds something that is not a session.
            Exception: an error of the storage: it cannot be read now.
        """
        kept = self._storage.read()
        return None if kept.text is None else self._read(kept)

    def newer(self, tokens: Tokens, turn: Turn | None = None) -> Tokens | Ended | Behind | None:
        """Return what another client has written after ``tokens``; ``None`` if nothing, or if it cannot be read.

        Args:
            tokens: the current tokens.
            turn: the turn, which may have read the storage already.
        """
        try:
            kept = self._storage.read() if turn is None or turn.kept is None else turn.kept
            if self._is_of(kept.text, tokens):
                return None
            found = Ended(LOGGED_OUT_ELSEWHERE) if kept.text is None else self._read(kept)
        except OtherServer as error:
            return Ended(str(error))
        except Exception as error:
            self._failed("read", error)
            return None
        return None if isinstance(found, Damaged) else found

    def save(self, tokens: Tokens) -> str:
        """Write the tokens of a login, replacing any session of this server; return the id of the record.

        Raises:
            OtherServer: the storage holds a session of another server; nothing was written.
            Exception: an error of the storage; nothing was written.
        """
        record_id = _new_id()
        self._storage.replace(self._is_own, self._text(tokens, record_id), self._facts(tokens))
        self._unwritten = self._written_late = None
        return record_id

    def exchange(self, previous: Tokens, record: Tokens | Ended, turn: Turn | None = None) -> str | None:
        """Replace ``previous`` by ``record``; return the id of the record that the storage then holds.

        If the storage cannot be written, the error is reported and the write is tried again later.

        Args:
            previous: the tokens before.
            record: the record to write.
            turn: the turn of the refresh that the record comes from.

        Raises:
            Overtaken: another client has changed the storage since; nothing was written.
        """
        try:
            return self._compare_and_write(previous.record_id, record, turn)
        except Overtaken:
            raise
        except Exception as error:
            self._failed("written", error)
            return self._write_later(previous, record, error, turn)

    def clear(self) -> None:
        """Remove the record; a session of another server stays."""
        self._unwritten = None
        try:
            self._storage.replace(self._is_own, None, Facts())
        except Exception as error:
            self._failed("written", error)

    @property
    def is_shared(self) -> bool:
        """Whether a refresh is only allowed with the turn."""
        return self._storage.needs_turn

    def patience(self, grace: int) -> int:
        """Return how long to wait for the turn, in milliseconds, with a server of this grace period."""
        return self._timing.turn_for(grace, leased=self.is_shared)

    @contextmanager
    def turn(self, tokens: Tokens, grace: int) -> Iterator[Turn]:
        """Wait, with a time limit, until no other process refreshes this session, or until another has refreshed it.

        Raises:
            NoTurn: the turn is not available now, and a refresh is not allowed without it.
        """
        patience, lease = self.patience(grace) / 1000, self._timing.lease_for(grace) / 1000
        with ExitStack() as stack:
            try:
                turn = stack.enter_context(
                    self._storage.turn(lambda kept: self._settled(kept, tokens), patience, lease)
                )
            except Exception as error:
                self._failed("locked", error)
                if self._storage.needs_turn:
                    raise NoTurn(describe_storage_error(error)) from error
                turn = Turn()
            yield turn

    def write_unwritten(self) -> bool:
        """Retry the failed write; return whether nothing is left to write."""
        if (unwritten := self._unwritten) is None:
            return True
        record, record_id, turn = unwritten
        try:
            self._written_late = record_id, self._compare_and_write(record_id, record, turn)
        except Overtaken:
            self._unwritten = None
        except Exception:
            return False
        return True

    def recover_from_fork(self) -> None:
        """Reset in a forked child: the timer does not exist here, and the parent retries its own write."""
        self._unwritten = None

    def _compare_and_write(self, expected: str | None, record: Tokens | Ended, turn: Turn | None) -> str:
        record_id = _new_id()
        text, facts = self._text(record, record_id), self._facts(record)
        if not self._storage.replace(lambda kept: self._has(kept.text, expected), text, facts, turn):
            raise Overtaken
        self._unwritten, self._retries = None, 0
        return record_id

    def _write_later(self, previous: Tokens, record: Tokens | Ended, error: Exception, turn: Turn | None) -> str | None:
        kept = previous.record_id
        if turn is not None:
            turn.keep_open()
        if not self.is_shared:  # there the row says that a refresh is in progress
            kept = self._say_behind(previous, error)
        self._unwritten = record, kept, turn
        _unwritten_sessions.add(self)
        self._start_timer()
        return kept

    def _say_behind(self, previous: Tokens, error: Exception) -> str | None:
        """Mark the stored record as outdated, if the storage accepts the write; return the id of its record."""
        behind = _new_id()
        text = self._text(Behind(describe_storage_error(error)), behind)
        with suppress(Exception):
            if self._storage.replace(lambda kept: self._is_of(kept.text, previous), text, Facts()):
                return behind
        return previous.record_id

    def _start_timer(self) -> None:
        first, longest = _RETRY_AFTER, _LONGEST_RETRY
        if self.is_shared:
            first, longest = _SHARED_RETRY_AFTER, _LONGEST_SHARED_RETRY
        delay = min(first * 2**self._retries, longest)
        self._retries = min(self._retries + 1, 10)
        timer = threading.Timer(delay, _try_again, [weakref.ref(self)])
        timer.daemon = True
        with suppress(RuntimeError):  # no more threads can start: the next refresh or the program's exit will retry
            timer.start()

    def _settled(self, kept: Kept, tokens: Tokens) -> bool:
        """Return whether the stored record needs no refresh: it is newer than ``tokens`` and has not expired."""
        if self._is_of(kept.text, tokens):
            return False
        if kept.text is None:
            return True
        found = self._read(kept)
        return not isinstance(found, Tokens) or not found.expired(self._now().monotonic)

    def _is_own(self, kept: Kept) -> bool:
        """Return True.

        Raises:
            OtherServer: the stored session is of another server.
        """
        self._refuse_other_server(kept.text)
        return True

    def _facts(self, record: Tokens | Ended) -> Facts:
        if isinstance(record, Ended):
            return Facts(ended=LOST_ANSWER if record.reason.startswith(LOST_ANSWER) else record.reason)
        left = None if record.expires_at is None else max(0, record.expires_at - self._now().monotonic)
        return Facts(left)

    def _is_of(self, text: str | None, tokens: Tokens) -> bool:
        return self._has(text, tokens.record_id)

    def _has(self, text: str | None, record_id: str | None) -> bool:
        """Return whether the storage still holds the record with that id, or a damaged one, which may be replaced."""
        if self._written_late is not None and self._written_late[0] == record_id:
            record_id = self._written_late[1]
        if record_id_of(text) == record_id:
            return True
        return text is not None and isinstance(read_record(text, self._now(), 0.0, self._timing), Damaged)

    def _text(self, record: Tokens | Ended | Behind, record_id: str) -> str:
        return write_record(record, record_id, self._now(), self._server)

    def _refuse_other_server(self, text: str | None) -> None:
        found = server_of(text)
        if found is not None and self._server not in (None, found):
            raise OtherServer(
                f"{self._storage!r} keeps a session of {found}, and this client is for {self._server}: give each "
                "server a storage of its own"
            )

    def _read(self, kept: Kept) -> Record:
        self._refuse_other_server(kept.text)
        record = read_record(kept.text or "", self._now(), self._jitter(), self._timing, kept.age)
        if record is None:
            raise ConfigurationError(
                f"{self._storage!r} keeps something that is not a Daypass session: remove it, then log in again"
            )
        return record


def describe_storage_error(error: Exception) -> str:
    """Return the reason without text from the storage, which may contain secrets: the system's text, or the type."""
    if isinstance(error, DaypassError):
        return str(error)
    return described(error)


def _new_id() -> str:
    return secrets.token_hex(8)


def _try_again(reference: "weakref.ref[StoredSession]") -> None:
    stored = reference()
    if stored is not None and not stored.write_unwritten():
        stored._start_timer()  # noqa: SLF001 - of this module


_unwritten_sessions: weakref.WeakSet[StoredSession] = weakref.WeakSet()


@atexit.register
def _write_all() -> None:
    for stored in list(_unwritten_sessions):
        stored.write_unwritten()
