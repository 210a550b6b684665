"""What can be wrong in a store: the checks, and the judgement of what every store has, whatever its database. Pure."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from daypass.duration import DAY, HOUR
from daypass.errors import StoreError
from daypass.keys import ALGORITHMS, REFRESH, KeyRecord
from daypass.operator_steps import Fault
from daypass.refresh_token import BRANCH_SIZE
from daypass.session import EndReason, Session
from daypass.session_extras import read_extras
from daypass.user import Account, name_keys

A = TypeVar("A")

ERROR, WARNING = "error", "warning"

PURGE = "run: daypass store purge"
RESTORE = "restore a backup, and end the sessions of the users concerned"
CLOCKS = "set the clocks of all nodes right (NTP)"

CHECKS: dict[str, tuple[str, str, str]] = {
    "schema-old": (ERROR, "the schema is older than this Daypass", "run: daypass store migrate"),
    "schema-new": (WARNING, "the schema is newer than this Daypass", "upgrade Daypass"),
    "object-missing": (
        ERROR,
        "a table, column, index or constraint is missing",
        "create it as daypass.stores.schema has it",
    ),
    "index-invalid": (ERROR, "the database does not use an index that is there", "run: REINDEX INDEX NAME"),
    "row-count": (ERROR, "a table of one row has none, or several", RESTORE),
    "damaged": (ERROR, "the database file is damaged", "stop the service, and restore the file from a backup"),
    "everyone-ahead": (
        ERROR,
        "everyone is logged out up to a time that is still to come",
        CLOCKS + ", then ask for help",
    ),
    "everyone-differs": (
        ERROR,
        "not all sessions were ended by end-everyone",
        "run again: daypass session end --everyone",
    ),
    "sweep-ahead": (ERROR, "old sessions are not removed before a time far ahead", CLOCKS + ", then " + PURGE),
    "session-unreadable": (
        ERROR,
        "sessions that cannot be read: their users get an error",
        "end them: daypass session end",
    ),
    "session-unreachable": (WARNING, "sessions that no token can name", "remove the rows"),
    "session-ahead": (ERROR, "sessions of a time that is still to come: a clock was wrong", CLOCKS),
    "session-past": (WARNING, "sessions that expired more than a day ago", PURGE),
    "session-without-user": (WARNING, "live sessions whose built-in user is gone", "they end at their next refresh"),
    "session-unlisted": (WARNING, "live sessions that are missing in the list of their user", PURGE),
    "ending-missing": (
        ERROR,
        "ended sessions that other processes do not learn of",
        "end them again, by daypass session end",
    ),
    "ending-wrong": (
        ERROR,
        "sessions that count as ended and are live: their access tokens are refused",
        "end them: daypass session end",
    ),
    "index-dangling": (
        WARNING,
        "entries in lists of users that point to no session",
        "they go when the user lists the sessions",
    ),
    "ending-dangling": (WARNING, "entries of ended sessions that point to no session", PURGE),
    "key-unreadable": (ERROR, "keys that cannot be read", "remove them: daypass key retire KID"),
    "key-missing": (
        ERROR,
        "there are sessions, and no key to check or sign their tokens",
        "run: daypass key rotate --now",
    ),
    "user-unreadable": (ERROR, "built-in users that cannot be read", RESTORE),
    "user-unreachable": (
        ERROR,
        "built-in users that cannot be found by their address or name",
        "remove and add them again",
    ),
    "name-dangling": (
        ERROR,
        "names of built-in users who are not there: nobody else can have them",
        "remove the names",
    ),
    "devices-unreadable": (WARNING, "known devices that cannot be read", "remove them"),
    "event-ahead": (WARNING, "records of the audit trail of a time that is still to come", CLOCKS),
    "event-unreadable": (WARNING, "records of the audit trail that cannot be read", "remove them"),
    "key-type": (ERROR, "keys of the wrong type", "remove them, and look for what wrote them"),
    "key-expires": (
        ERROR,
        "keys with a time to live, which Daypass never sets: users are logged out then",
        "PERSIST them",
    ),
    "key-unknown": (WARNING, "keys that no Daypass makes", "give other programs another prefix"),
}
"""For each check: how bad it is, what it is, and what to do."""

AHEAD = 1 * HOUR
PAST = 1 * DAY

_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, IndexError)


def readable(read: Callable[[], A], fault: Fault) -> A | Fault:
    """Return what ``read`` returns, or the fault if it cannot."""
    try:
        return read()
    except _UNREADABLE:
        return fault


def session_faults(session: Session, where: str, now: int, *, has_user: bool = True) -> Iterator[Fault]:
    """Yield what is wrong with a session."""
    yield from (Fault(check, where) for check in _of_session(session, now, has_user=has_user))


def _of_session(session: Session, now: int, *, has_user: bool) -> Iterator[str]:
    if len(session.id) != 32 or len(session.branch) != BRANCH_SIZE or session.generation < 0:
        yield "session-unreachable"
    if (session.ended_at is None) != (session.end_reason is None) or not _has_extras(session):
        yield "session-unreadable"
    own_end = 0 if session.end_reason is EndReason.EVERYONE else session.ended_at or 0
    if max(session.created_at, session.rotated_at, own_end) > now + AHEAD:
        yield "session-ahead"
    if session.ended_at is None and session.expires_at <= now - PAST:
        yield "session-past"
    if session.is_live(now) and not has_user:
        yield "session-without-user"


def _has_extras(session: Session) -> bool:
    try:
        extras = read_extras(session.extras)
    except StoreError:  # of a newer version
        return True
    except _UNREADABLE:
        return False
    return session.key_thumbprint is None or extras.key is not None


def keys_faults(records: tuple[KeyRecord, ...], now: int, *, used: bool) -> Iterator[Fault]:
    """Yield what is wrong with the keys of a store; ``used`` if it has sessions."""
    for record in records:
        if record.algorithm not in (*ALGORITHMS, REFRESH) or not record.wrapped:
            yield Fault("key-unreadable", record.kid)
    usable = {record.algorithm == REFRESH for record in records if record.used_from <= now + AHEAD}
    if used and usable != {True, False}:
        yield Fault("key-missing", "refresh key" if True not in usable else "signing key")


def account_faults(account: Account, names: tuple[str, str | None]) -> Iterator[Fault]:
    """Yield what is wrong with a built-in user, who is found by ``names``: the address and the name."""
    wanted = name_keys(account.email), name_keys(account.username) if account.username else (None,)
    if not all(name in forms for name, forms in zip(names, wanted, strict=True)):
        yield Fault("user-unreachable", account.subject)
