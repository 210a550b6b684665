"""One connection to PostgreSQL: what is sent, what comes back, and how either is written. No waiting here.

Built on the wrapper of libpq that psycopg offers as `psycopg.pq`. A connection is always in pipeline mode: a statement,
its preparation where that is still to be done, and the end of its transaction leave in one flight, and the answer
comes in one. Whoever drives a `Link` waits for its socket, with a deadline; nobody but the driver can be in its way.
"""

import functools
import re
import struct
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from daypass.errors import ConfigurationError
from daypass.flow import Step

try:
    from psycopg import OperationalError, pq
    from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, PollingStatus
    from psycopg.pq.abc import PGconn, PGresult
except ImportError as error:
    raise ConfigurationError('PostgreSQL needs its driver: pip install "daypass[postgres]"') from error

Rows = list[tuple[Any, ...]]

_BOOL, _BYTEA, _INT8, _TEXT = 16, 17, 20, 25
_BYTES = frozenset(("id", "branch", "old_branch", "keep", "place", "after_id"))
_FLAGS = frozenset(("regardless",))
# fmt: off
_TEXTS = frozenset((
    "subject", "client_id", "end_reason", "device_name", "user_agent", "address", "scope", "reason", "kid", "algorithm",
    "wrapped", "newest", "old", "new", "email", "username", "password_hash", "folded", "folded_email",
    "folded_username", "channel", "payload",
))
# fmt: on
_integer = struct.Struct(">q")
_ENCODE: Mapping[int, Callable[[Any], bytes]] = {
    _BOOL: lambda value: b"\1" if value else b"\0",
    _BYTEA: bytes,
    _INT8: _integer.pack,
    _TEXT: str.encode,
}
_DECODE: Mapping[int, Callable[[bytes], Any]] = {
    _BOOL: lambda raw: raw == b"\1",
    _BYTEA: bytes,
    _INT8: lambda raw: _integer.unpack(raw)[0],
    23: lambda raw: int.from_bytes(raw, "big", signed=True),
}
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


class Statement:
    """A statement as PostgreSQL has it: parameters are numbered, and each has one type, which its name tells.

    Args:
        text: with parameters written ``:name``, as in `daypass.stores.sql`.
    """

    def __init__(self, text: str) -> None:
        self.names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        numbered = _PARAMETER.sub(lambda match: f"${self.names.index(match[1]) + 1}", text)
        self.text = " ".join(numbered.split()).encode()
        self.types = [_type(name) for name in self.names]
        self.formats = [Format.BINARY] * len(self.names)
        self.name = b"daypass_" + sha256(self.text).hexdigest()[:16].encode()  # the same text on all nodes, or another
        self._encoders = [(name, _ENCODE[kind]) for name, kind in zip(self.names, self.types, strict=True)]

    def values(self, parameters: Mapping[str, Any]) -> list[bytes | None]:
        """Return the values of ``parameters`` as they are sent; others than its own are left out."""
        return [None if (value := parameters[name]) is None else encode(value) for name, encode in self._encoders]


def _type(name: str) -> int:
    if name in _BYTES:
        return _BYTEA
    return _TEXT if name in _TEXTS else _BOOL if name in _FLAGS else _INT8


@functools.cache
def statement(text: str) -> Statement:
    """Return the one `Statement` with this text."""
    return Statement(text)


@dataclass(frozen=True, slots=True)
class Request(Step[Rows]):
    """Statements that are sent in one flight and make one transaction; answered with the rows of the last one.

    Attributes:
        statements: each with its parameters.
        repeatable: whether it may be sent again when nobody knows if it was performed.
    """

    statements: Sequence[tuple[Statement, Mapping[str, Any]]] = field(repr=False)
    repeatable: bool = True


def request(text: str, parameters: Mapping[str, Any] | None = None, *, repeatable: bool = True) -> Request:
    """Return the request of one statement."""
    return Request(((statement(text), parameters or {}),), repeatable)


class Failure(Exception):
    """A request had no answer. Inside the store alone: its users are told by a `daypass.StoreError`.

    Attributes:
        reason: a few words of ours, without secrets.
        state: PostgreSQL's five characters for what was wrong (SQLSTATE), empty where it said nothing.
        again: whether it may help to ask again, on another connection or after whoever was in the way.
        sent: whether the request may have been performed nevertheless.
    """

    def __init__(self, reason: str, *, state: str = "", again: bool = False, sent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.state = state
        self.again = again
        self.sent = sent


_FORGOTTEN = ("26000", "42P05")
"""A prepared statement is not there, or one is that should not: a pooler has put another's connection behind ours."""

_AGAIN = frozenset(
    (
        "40001",  # could not be serialized
        "40P01",  # deadlock
        "25006",  # read-only: the primary may be another server by now
        "25P03",  # idle for too long, in a transaction or not
        "57P05",
        "57P01",  # ended by an administrator, or by a crash
        "57P02",
        *_FORGOTTEN,
    )
)


class Link:
    """A connection, its prepared statements, and the request that it is busy with.

    Args:
        pgconn: the connection, from `connecting`.
        prepares: whether statements are prepared; never again once one of them was not there.
    """

    def __init__(self, pgconn: PGconn, *, prepares: bool) -> None:
        self.pgconn = pgconn
        self.prepares = prepares
        self.busy = False
        self._prepared: set[bytes] = set()
        self._preparing: deque[bytes | None] = deque()
        self._rows: Rows = []
        self._failure: Failure | None = None
        self._pauses = 0

    @property
    def usable(self) -> bool:
        """Whether the next request may be sent: it is connected and idle."""
        return not self.busy and self.pgconn.status == ConnStatus.OK

    def send(self, request: Request) -> None:
        """Put ``request`` on its way; it is on it when `flushed`.

        Raises:
            Failure: the connection is lost, and nothing was sent.
        """
        try:
            for each, parameters in request.statements:
                self._send(each, each.values(parameters))
            self.pgconn.pipeline_sync()
        except OperationalError:
            self.close()
            raise Failure("the connection was lost", again=True) from None
        self.busy, self._rows, self._failure, self._pauses = True, [], None, 0

    def _send(self, each: Statement, values: list[bytes | None]) -> None:
        if not self.prepares:
            self.pgconn.send_query_params(each.text, values, each.types, each.formats, Format.BINARY)
        else:
            if each.name not in self._prepared:
                self.pgconn.send_prepare(each.name, each.text, each.types)
                self._preparing.append(each.name)
            self.pgconn.send_query_prepared(each.name, values, each.formats, Format.BINARY)
        self._preparing.append(None)

    def flushed(self) -> bool:
        """Send what can be sent without waiting; tell whether that was all.

        Raises:
            Failure: the connection is lost.
        """
        try:
            return self.pgconn.flush() == 0
        except OperationalError:
            raise self._lost() from None

    def received(self) -> Rows | None:
        """Read what has come; return the rows once the answer is complete, None before.

        Raises:
            Failure: PostgreSQL refused the request, or the connection is lost.
        """
        try:
            self._read()
            if self.busy:  # a last word may have been read; of the end behind it uvloop does not tell once more
                self._read()
        except OperationalError:
            raise self._lost() from None
        if self.busy:
            return None
        if self._failure is not None:
            raise self._failure
        return self._rows

    def _read(self) -> None:
        self.pgconn.consume_input()
        while self.busy and not self.pgconn.is_busy():
            self._take()

    def _take(self) -> None:
        result = self.pgconn.get_result()
        if result is None:  # comes after each statement's result; twice means that nothing will come any more
            self._pauses += 1
            if self._pauses > 1:
                raise OperationalError
            return
        self._pauses = 0
        if result.status == ExecStatus.PIPELINE_SYNC:
            self.busy = False
            self._preparing.clear()
            return
        prepared = self._preparing.popleft() if self._preparing else None
        if result.status == ExecStatus.TUPLES_OK:
            self._rows = _rows_of(result)
        elif result.status == ExecStatus.COMMAND_OK:
            self._rows = []
            if prepared is not None:
                self._prepared.add(prepared)
        elif self._failure is None:
            state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
            self._failure = Failure("PostgreSQL refused it", state=state, again=state in _AGAIN)
            if state in _FORGOTTEN:
                self.prepares = False

    def heard(self) -> bool:
        """While idle: read what has come unasked; tell whether the connection is still there."""
        try:
            self.pgconn.consume_input()
            self.pgconn.consume_input()  # a last word comes before the end of the connection
            return not self.pgconn.is_busy() and self.usable
        except OperationalError:
            return False

    def _lost(self) -> Failure:
        """Close the connection; return what PostgreSQL said before it was lost, or that it said nothing."""
        failure = self._failure or Failure("the connection was lost", again=True, sent=True)
        self.close()
        return failure

    def close(self) -> None:
        """Close the connection at once, whatever it is busy with."""
        self.pgconn.finish()


def _rows_of(result: PGresult) -> Rows:
    columns = range(result.nfields)
    decoders = [_DECODE.get(result.ftype(column), bytes.decode) for column in columns]
    get = result.get_value
    return [
        tuple(None if (raw := get(row, column)) is None else decoders[column](raw) for column in columns)
        for row in range(result.ntuples)
    ]


def connecting(parameters: str) -> Generator[tuple[int, bool], None, PGconn]:
    """Connect: yield a socket and whether it is to be waited for until it can be written, or else read.

    Raises:
        Failure: there is no connection, and nothing is left of it.
    """
    pgconn = pq.PGconn.connect_start(parameters.encode())
    try:
        while pgconn.status != ConnStatus.BAD:
            match pgconn.connect_poll():
                case PollingStatus.OK:
                    pgconn.nonblocking = 1
                    pgconn.enter_pipeline_mode()
                    return pgconn
                case PollingStatus.READING:
                    yield pgconn.socket, False
                case PollingStatus.WRITING:
                    yield pgconn.socket, True
                case _:
                    break
        raise refusal(pgconn.error_message.decode(errors="replace"))
    except BaseException:
        pgconn.finish()
        raise


_REFUSALS = (
    ("startup parameter", "the server takes no options", "08P01"),
    ("command-line options", "the server takes no options", "08P01"),
    ("too many clients", "it has no connection left", "53300"),
    ("remaining connection slots", "it has no connection left", "53300"),
    ("too many connections", "it has no connection left", "53300"),
    ("starting up", "it is starting up", "57P03"),
    ("shutting down", "it is shutting down", "57P03"),
    ("recovery mode", "it is recovering", "57P03"),
    ("not yet accepting connections", "it is starting up", "57P03"),
    ("not accepting connections", "it is recovering", "57P03"),
    ("session is read-only", "it is read-only", "25006"),
    ("in hot standby mode", "it is read-only", "25006"),
    ("authentication failed", "it refused the password", "28P01"),
    ("no password supplied", "it asks for a password", "28P01"),
    ("no pg_hba.conf entry", "it lets nobody in from here", "28000"),
    ("role ", "it knows no such user", "28000"),
    ("database ", "it has no such database", "3D000"),
    ("Connection refused", "nobody listens there", ""),
    ("No such file or directory", "nobody listens there", ""),
    ("Permission denied", "its socket may not be opened", ""),
    ("certificate", "its certificate was not accepted", ""),
    ("SSL", "TLS failed", ""),
)
"""What libpq says, in part, and what we say: its own words may hold parts of the URL, and so of a password."""


def refusal(said: str) -> Failure:
    """Return the failure for what libpq says of a connection that was not made."""
    for part, reason, state in _REFUSALS:
        if part in said:
            return Failure(reason, state=state)
    return Failure("the connection failed")
