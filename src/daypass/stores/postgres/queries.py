"""How PostgreSQL performs a plan: what is repeated, how endings are announced, how tables are upgraded. No I/O."""

import functools
import re
import time
from collections.abc import Generator
from typing import TypeVar

from daypass.flow import Flow, Step
from daypass.stores.dialect import POSTGRES
from daypass.stores.plans import ATTEMPTS, PLANS, Plan, Query, Rows
from daypass.stores.postgres.failure import NO_NOTIFY, READ_ONLY, Failure, error_of, tables_missing
from daypass.stores.postgres.settings import Settings

A = TypeVar("A")

CHANNEL = "daypass_ended"
"""The channel of LISTEN and NOTIFY on which endings are announced."""

LISTEN = Query(f"LISTEN {CHANNEL}")

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


@functools.cache
def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement with ``$1`` for its first parameter, and the names of its parameters in that order."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    return " ".join(_PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", text).split()), names


@functools.cache
def _announcing(text: str) -> str:
    return f"WITH ended AS ({text}) SELECT ended.*, pg_notify('{CHANNEL}', '') FROM ended"  # noqa: S608 - texts of ours


def announcement(payload: str) -> Query:
    """Return the query that announces ``payload``, although nothing was ended."""
    return Query("SELECT pg_notify(:channel, :payload)", {"channel": CHANNEL, "payload": payload})


def performing(step: Step[A], settings: Settings, deadline: float) -> Flow[A]:
    """Perform ``step``: send the queries of its plan, again where that helps and does no harm, until the deadline.

    Raises:
        StoreUnavailable: the server cannot be reached, does not answer, or cannot do what it is asked.
        StoreContended: others were in the way again and again.
        ConfigurationError: the tables are not there, or of a version that is not known.
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


def asking(query: Query, settings: Settings, deadline: float) -> Flow[Rows]:
    """Send one query; where its announcement is refused, send it without one and remember that.

    Raises:
        Failure: it has no answer.
    """
    if not (query.announces and settings.announces):
        return (yield from _repeating(query, settings, deadline))
    try:
        telling = Query(_announcing(query.text), query.parameters, query.repeatable)
        return (yield from _repeating(telling, settings, deadline))
    except Failure as failure:
        if failure.state not in NO_NOTIFY:
            raise
        rows = yield from _repeating(query, settings, deadline)
        settings.announces = failure.state == "54000"  # a queue that is full will be read
        return rows


def _repeating(query: Query, settings: Settings, deadline: float) -> Flow[Rows]:
    for attempt in range(ATTEMPTS):
        try:
            rows: Rows = yield query
        except Failure as failure:
            if settings.learn(failure):
                continue
            last = attempt == ATTEMPTS - 1 or time.monotonic() > deadline or (attempt and failure.state == READ_ONLY)
            if last or not failure.again or (failure.sent and not query.repeatable):
                raise
        else:
            return rows
    raise Failure("it refused again and again")


# ---- tables

READ_VERSION = Query("SELECT version, compatible_from FROM daypass_schema")
"""What each new connection asks first; see `check_version`."""


def check_version(rows: Rows, shown: str) -> None:
    """Make sure that this Daypass may use the tables whose version is in ``rows``, the answer to `READ_VERSION`.

    Raises:
        ConfigurationError: it may not; the message says what to do.
    """
    version, compatible_from = rows[0] if rows else (0, 0)
    if version < POSTGRES.version:
        raise tables_missing(shown)
    POSTGRES.require_compatible(compatible_from, f"the database {shown}")


_BEGIN = (
    "BEGIN",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL lock_timeout = 0",
    "SELECT pg_advisory_xact_lock(7238245904172708979)",
)
"""A transaction that waits for others which migrate; the number is ``daypass`` in ASCII."""


def migrating(settings: Settings) -> Generator[Query, Rows, int]:
    """Make the tables, or bring them up to date, in one transaction; return their version.

    Raises:
        DaypassError: nothing was changed. The connection is to be closed.
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
