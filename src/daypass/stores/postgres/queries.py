"""How PostgreSQL performs a plan, its announcements, and the upgrade of tables. No I/O."""

from collections.abc import Generator
from typing import TypeVar

from daypass.databases.postgres.connection import First
from daypass.databases.postgres.failure import Failure, error_of, tables_missing
from daypass.databases.postgres.sending import CHANNEL, asking
from daypass.databases.postgres.settings import Settings
from daypass.databases.query import Query, Rows
from daypass.flow import Flow, Step
from daypass.stores.dialect import POSTGRES
from daypass.stores.plans import PLANS, Plan

A = TypeVar("A")

LISTEN = Query(f"LISTEN {CHANNEL}")


def announcement(payload: str) -> Query:
    """Return the query that announces ``payload``, although nothing was ended."""
    return Query("SELECT pg_notify(:channel, :payload)", {"channel": CHANNEL, "payload": payload})


def performing(step: Step[A], settings: Settings, deadline: float) -> Flow[A]:
    """Perform ``step``: send the queries of its plan, and resend those for which that is useful and safe, until the
    deadline.

    Raises:
        StoreUnavailable: the server cannot be reached, does not answer, or cannot perform the query.
        StoreContended: other callers kept interfering.
        ConfigurationError: the tables do not exist, or their version is unknown.
    """
    plan: Plan[A] = PLANS.of(step, POSTGRES)
    try:
        query = next(plan)
        while True:
            query = plan.send((yield from asking(query, settings, deadline)))
    except StopIteration as end:
        answer: A = end.value
        return answer
    except Failure as failure:
        raise error_of(failure, settings.shown) from None


# ---- tables

READ_VERSION = Query("SELECT version, compatible_from FROM daypass_schema")
"""What each new connection asks first; see `check_version`."""


def check_version(rows: Rows, shown: str) -> None:
    """Check that this Daypass may use the tables whose version is in ``rows``, the answer to `READ_VERSION`.

    Raises:
        ConfigurationError: it may not; the message says what to do.
    """
    version, compatible_from = rows[0] if rows else (0, 0)
    if version < POSTGRES.version:
        raise tables_missing(shown)
    POSTGRES.require_compatible(compatible_from, f"the database {shown}")


TABLES = First(READ_VERSION, check_version)
"""Each new connection is to tables that this Daypass may use."""

_BEGIN = (
    "BEGIN",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL lock_timeout = 0",
    "SELECT pg_advisory_xact_lock(7238245904172708979)",
)
"""A transaction that waits for others which migrate; the number is ``daypass`` in ASCII."""


def migrating(settings: Settings) -> Generator[Query, Rows, int]:
    """Create or upgrade the tables, in one transaction; return their version.

    Raises:
        DaypassError: nothing was changed. Close the connection.
    """
    try:
        for text in _BEGIN:
            yield Query(text)
        version = yield from _version()
        for text in POSTGRES.upgrade(version) if version < POSTGRES.version else ():
            yield Query(text)
        version = yield from _version()
        yield Query("COMMIT")
    except Failure as failure:
        raise error_of(failure, settings.shown) from None
    return version


def _version() -> Generator[Query, Rows, int]:
    if not (yield Query("SELECT to_regclass('daypass_schema') IS NOT NULL"))[0][0]:
        return 0
    return int((yield READ_VERSION)[0][0])
