"""Translates a failed query into an error. No secrets: libpq's own texts are not shown."""

import psycopg

from daypass.errors import ConfigurationError, DaypassError, StoreContended, StoreUnavailable


class Failure(Exception):
    """A query had no answer. Internal to the store: its users get a `daypass.DaypassError`.

    Attributes:
        reason: a few words of ours, without secrets.
        state: PostgreSQL's error code (SQLSTATE), empty if it sent none.
        again: whether it may help to send the query again, on another connection or after others have finished.
        sent: whether the query may have been performed anyway.
    """

    def __init__(self, reason: str, *, state: str = "", again: bool = False, sent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.state = state
        self.again = again
        self.sent = sent


OVERDUE = "it did not answer in time"
MISSING = ("42P01", "42703", "3F000")
"""A table, a column or a schema is missing."""

NO_NOTIFY = ("42883", "42501", "0A000", "54000")
"""NOTIFY: the function does not exist, is not permitted or not supported, or its queue is full."""

NOT_PREPARED = ("26000", "42P05")
"""A prepared statement is missing, or exists unexpectedly: a pooler gave us another connection."""

READ_ONLY = "25006"
_POOLER = "the pooler before it has no connection to it"
NO_OPTIONS = "08P01"
_CONTENDED = ("40001", "40P01", "55P03")  # serialization failure, deadlock, lock not available
_NUL = "22021"

_AGAIN = frozenset(
    (
        "40001",  # could not be serialized
        "40P01",  # deadlock
        READ_ONLY,  # the primary may be another server by now
        "25P03",  # idle for too long, in a transaction or not
        "57P05",
        "57P01",  # ended by an administrator, or by a crash
        "57P02",
        *NOT_PREPARED,
    )
)

_REASONS = {
    READ_ONLY: "it is read-only",
    "28000": "it does not accept this user",
    "28P01": "it refused the password",
    "3D000": "it has no such database",
    "42501": "this user may not do that",
    "53100": "its disk is full",
    "53200": "it is out of memory",
    "53300": "it has no connection left",
    "57014": OVERDUE,
    "57P01": "it ended the connection",
    "57P02": "it crashed",
    "57P03": "it is starting up or shutting down",
}


def failure_of(error: psycopg.Error, *, lost: bool) -> Failure:
    """Return the failure for a query's error.

    Args:
        error: psycopg's error.
        lost: whether the connection is lost, too.
    """
    state = error.sqlstate or ""
    if not state and isinstance(error, psycopg.DataError):  # psycopg refuses NUL before the server can
        state = _NUL
    if lost and state.startswith("08"):  # a pooler sends this when it has lost the server
        return Failure(_POOLER, again=True, sent=True)
    if state:
        return Failure("PostgreSQL refused it", state=state, again=state in _AGAIN)
    return Failure("the connection was lost", again=lost, sent=True)


_REFUSALS = (
    ("startup parameter", "the server takes no options", NO_OPTIONS),
    ("command-line options", "the server takes no options", NO_OPTIONS),
    ("too many clients", "it has no connection left", "53300"),
    ("remaining connection slots", "it has no connection left", "53300"),
    ("too many connections", "it has no connection left", "53300"),
    ("no more connections", "it has no connection left", "53300"),
    ("starting up", "it is starting up", "57P03"),
    ("shutting down", "it is shutting down", "57P03"),
    ("recovery mode", "it is recovering", "57P03"),
    ("not yet accepting connections", "it is starting up", "57P03"),
    ("not accepting connections", "it is recovering", "57P03"),
    ("session is read-only", "it is read-only", READ_ONLY),
    ("in hot standby mode", "it is read-only", READ_ONLY),
    ("authentication failed", "it refused the password", "28P01"),
    ("no password supplied", "it asks for a password", "28P01"),
    ("no pg_hba.conf entry", "it accepts no connection from here", "28000"),
    ("role ", "it knows no such user", "28000"),
    ("database ", "it has no such database", "3D000"),
    ("failed to resolve", "its name has no address", ""),
    ("could not translate host name", "its name has no address", ""),
    ("timeout expired", OVERDUE, ""),
    ("pgbouncer cannot connect", _POOLER, ""),
    ("server login has been failing", _POOLER, ""),
    ("Connection refused", "nobody listens there", ""),
    ("No such file or directory", "nobody listens there", ""),
    ("Permission denied", "its socket may not be opened", ""),
    ("certificate", "its certificate was not accepted", ""),
    ("SSL", "TLS failed", ""),
)
"""What libpq says, in part, and what we say: its own words may hold parts of the URL, and so of a password."""


def refusal_of(error: psycopg.Error) -> Failure:
    """Return the failure for a connection that could not be made; nothing was sent."""
    said = str(error)
    for part, reason, state in _REFUSALS:
        if part in said:
            return Failure(reason, state=state)
    return Failure("the connection failed")


def error_of(failure: Failure, shown: str) -> DaypassError:
    """Return the error that the store's users get for ``failure``."""
    if failure.state in MISSING:
        return tables_missing(shown)
    if failure.state == _NUL:
        return ConfigurationError("PostgreSQL stores no text with a NUL character; leave it out")
    if failure.state in _CONTENDED:
        return StoreContended(f"others were in the way for too long in {shown}")
    reason = _REASONS.get(failure.state) or (f"error {failure.state}" if failure.state else failure.reason)
    return StoreUnavailable(f"{shown} cannot be used: {reason}")


def tables_missing(shown: str) -> ConfigurationError:
    """Return the error for a database whose tables are missing or old."""
    return ConfigurationError(
        f"the tables in {shown} are not there or not up to date; run: daypass store migrate --store '{shown}'"
    )
