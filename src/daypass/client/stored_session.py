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
from daypass.client.storage import Storage
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError
from daypass.forks import survive_forks

LOGGED_OUT_ELSEWHERE = "another process or client that shares it has logged out"

_RETRY_AFTER = 1.0
_LONGEST_RETRY = 30.0


class OtherServer(ConfigurationError):
    """The storage keeps a session of another server; it is left as it is."""


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
        self._unwritten: tuple[Tokens | Ended, str | None] | None = None
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
        text = self._storage.load()
        return None if text is None else self._read(text)

    def newer(self, tokens: Tokens) -> Tokens | Ended | Behind | None:
        """Return what another client has written since ``tokens`` were; ``None`` if nothing, or it cannot be read."""
        try:
            text = self._storage.load()
            if self._is_of(text, tokens):
                return None
            found = Ended(LOGGED_OUT_ELSEWHERE) if text is None else self._read(text)
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
        with self._storage.changing():
            self._refuse_other_server(self._storage.load())
            self._storage.save(self._text(tokens, record_id))
        self._unwritten = self._written_late = None
        return record_id

    def exchange(self, previous: Tokens, record: Tokens | Ended) -> str | None:
        """Write ``record`` in the place of ``previous``; return the id of what the storage keeps afterwards.

        A storage that cannot be written is reported, and tried again later.

        Raises:
            Overtaken: another client has changed the storage since; nothing was written.
        """
        try:
            return self._compare_and_write(previous.record_id, record)
        except Overtaken:
            raise
        except Exception as error:
            self._failed("written", error)
            return self._write_later(previous, record, error)

    def clear(self) -> None:
        """Keep nothing any more; a session of another server stays."""
        self._unwritten = None
        try:
            with self._storage.changing():
                self._refuse_other_server(self._storage.load())
                self._storage.save(None)
        except Exception as error:
            self._failed("written", error)

    @contextmanager
    def refreshing(self, grace: int) -> Iterator[None]:
        """Wait until no other process refreshes this session, for a bounded time."""
        with ExitStack() as turn:
            try:
                turn.enter_context(self._storage.refreshing(self._timing.turn_for(grace) / 1000))
            except Exception as error:
                self._failed("locked", error)
            yield

    def write_unwritten(self) -> bool:
        """Try again to write what could not be written; return whether nothing is left to write."""
        if (unwritten := self._unwritten) is None:
            return True
        record, record_id = unwritten
        try:
            self._written_late = record_id, self._compare_and_write(record_id, record)
        except Overtaken:
            self._unwritten = None
        except Exception:
            return False
        return True

    def recover_from_fork(self) -> None:
        """In a forked child: the timer is gone, and the parent writes what it could not write."""
        self._unwritten = None

    def _compare_and_write(self, expected: str | None, record: Tokens | Ended) -> str:
        record_id = _new_id()
        with self._storage.changing():
            if not self._has(self._storage.load(), expected):
                raise Overtaken
            self._storage.save(self._text(record, record_id))
        self._unwritten, self._retries = None, 0
        return record_id

    def _write_later(self, previous: Tokens, record: Tokens | Ended, error: Exception) -> str | None:
        kept, behind = previous.record_id, _new_id()
        with suppress(Exception), self._storage.changing():
            if self._is_of(self._storage.load(), previous):
                self._storage.save(self._text(Behind(describe_storage_error(error)), behind))
                kept = behind
        self._unwritten = record, kept
        _unwritten_sessions.add(self)
        self._start_timer()
        return kept

    def _start_timer(self) -> None:
        delay = min(_RETRY_AFTER * 2**self._retries, _LONGEST_RETRY)
        self._retries = min(self._retries + 1, 10)
        timer = threading.Timer(delay, _try_again, [weakref.ref(self)])
        timer.daemon = True
        with suppress(RuntimeError):  # no more threads: the next refresh and the end of the program remain
            timer.start()

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

    def _read(self, text: str) -> Record:
        self._refuse_other_server(text)
        record = read_record(text, self._now(), self._jitter(), self._timing)
        if record is None:
            raise ConfigurationError(
                f"{self._storage!r} keeps something that is not a Daypass session: remove it, then log in again"
            )
        return record


def describe_storage_error(error: Exception) -> str:
    """Return the reason without anything that a storage may have quoted: the system's own words, or the type."""
    if isinstance(error, ConfigurationError):
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
