"""One session's record in a storage: read, compared, written, and written later where that fails at first.

Every error of a storage is reported as an event and costs no session: what could not be written stays in memory, and
the next refresh, a timer or the end of the program tries again. Until then the record says that it is behind, if the
storage takes that much: so no other process sends a refresh token that has been used.
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
_SHARED_RETRY_AFTER, _LONGEST_SHARED_RETRY = 0.2, 1.0  # other machines wait for it


class OtherServer(ConfigurationError):
    """The storage keeps a session of another server; it is left as it is."""


class NoTurn(Exception):
    """The turn to refresh cannot be had now."""


class Overtaken(Exception):
    """Another client has changed the storage since; nothing was written."""


class StoredSession:
    """Reads and writes one session's record.

    Args:
        storage: where it is.
        server: that the session's refresh token belongs to; ``None`` takes the record of any.
        now: the time on every clock.
        jitter: draws a number from 0 to 1.
        timing: the spans of time.
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
        """Return what the storage keeps; ``None`` if nothing.

        Raises:
            OtherServer: it keeps a session of another server.
            ConfigurationError: it keeps something that is not a session.
            Exception: the storage's own; it cannot be read now.
        """
        kept = self._storage.read()
        return None if kept.text is None else self._read(kept)

    def newer(self, tokens: Tokens, turn: Turn | None = None) -> Tokens | Ended | Behind | None:
        """Return what another client has written since ``tokens`` were; ``None`` if nothing, or it cannot be read.

        Args:
            tokens: that are used now.
            turn: which may have been a look at the storage already.
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
        """Write the tokens of a login in the place of any other session of this server; return the id of the record.

        Raises:
            OtherServer: the storage keeps a session of another server; nothing was written.
            Exception: the storage's own; nothing was written.
        """
        record_id = _new_id()
        self._storage.replace(self._is_own, self._text(tokens, record_id), self._facts(tokens))
        self._unwritten = self._written_late = None
        return record_id

    def exchange(self, previous: Tokens, record: Tokens | Ended, turn: Turn | None = None) -> str | None:
        """Write ``record`` in the place of ``previous``; return the id of what the storage keeps afterwards.

        A storage that cannot be written is reported, and tried again later.

        Args:
            previous: what it follows.
            record: to be written.
            turn: of the refresh that brought it.

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
        """Keep nothing any more; a session of another server stays."""
        self._unwritten = None
        try:
            self._storage.replace(self._is_own, None, Facts())
        except Exception as error:
            self._failed("written", error)

    @property
    def is_shared(self) -> bool:
        """Whether nothing may be refreshed without the turn."""
        return self._storage.needs_turn

    def patience(self, grace: int) -> int:
        """Return how long the turn is waited for, in milliseconds, with a server of this grace period."""
        return self._timing.turn_for(grace, leased=self.is_shared)

    @contextmanager
    def turn(self, tokens: Tokens, grace: int) -> Iterator[Turn]:
        """Wait until no other process refreshes this session, for a bounded time, or until another has refreshed it.

        Raises:
            NoTurn: the turn cannot be had now, and nothing may be refreshed without it.
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
        """Try again to write what could not be written; return whether nothing is left to write."""
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
        """In a forked child: the timer is gone, and the parent writes what it could not write."""
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
        if not self.is_shared:  # there the row says that a refresh is under way
            kept = self._say_behind(previous, error)
        self._unwritten = record, kept, turn
        _unwritten_sessions.add(self)
        self._start_timer()
        return kept

    def _say_behind(self, previous: Tokens, error: Exception) -> str | None:
        """Write that the storage is behind, if it takes that much; return the id of what it keeps."""
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
        with suppress(RuntimeError):  # no more threads: the next refresh and the end of the program remain
            timer.start()

    def _settled(self, kept: Kept, tokens: Tokens) -> bool:
        """Tell whether there is nothing to refresh in what is kept: it is newer than ``tokens``, and is good."""
        if self._is_of(kept.text, tokens):
            return False
        if kept.text is None:
            return True
        found = self._read(kept)
        return not isinstance(found, Tokens) or not found.expired(self._now().monotonic)

    def _is_own(self, kept: Kept) -> bool:
        """Return True.

        Raises:
            OtherServer: what is kept is a session of another server.
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
        """Tell whether the storage still keeps the record of that id, or a damaged one, which anyone may replace."""
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
    """Return the reason without anything that a storage may have quoted: the system's own words, or the type."""
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
