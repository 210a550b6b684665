"""Sends one query: its parameters, its repetition, and the announcement of endings with it. No I/O."""

import functools
import re
import time

from daypass.databases.postgres.failure import NO_NOTIFY, READ_ONLY, Failure
from daypass.databases.postgres.settings import Settings
from daypass.databases.query import ATTEMPTS, Query, Rows
from daypass.flow import Flow

CHANNEL = "daypass_ended"
"""The channel of LISTEN and NOTIFY on which endings are announced."""

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


@functools.cache
def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement with ``$1`` for its first parameter, and the names of its parameters in that order."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    return " ".join(_PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", text).split()), names


@functools.cache
def _announcing(text: str) -> str:
    return f"WITH ended AS ({text}) SELECT ended.*, pg_notify('{CHANNEL}', '') FROM ended"  # noqa: S608 - texts of ours


def asking(query: Query, settings: Settings, deadline: float) -> Flow[Rows]:
    """Send one query; if its announcement is refused, send it without one and remember that.

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
