"""``daypass events``: the audit trail, filtered and followed."""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from daypass.cli.opening import opened
from daypass.cli.output import say_json, say_records
from daypass.cli.parser import add_json, add_store, describe
from daypass.duration import SECOND, milliseconds
from daypass.errors import ConfigurationError

if TYPE_CHECKING:
    from daypass.operator_steps import AuditRecord, OperatorStore, ReadEvents
    from daypass.stores import Store

_LAST = 50
_LATE = 15 * SECOND
"""How late records may come: clocks of nodes differ, and each node writes once a second."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(
        parser,
        events,
        "Show the audit trail: logins, refreshes that were not ordinary, endings, changes of keys and users.",
        "daypass events\ndaypass events --code reused --since 7d\n"
        "daypass events --user ada@example.com --since 24h --json\ndaypass events --follow",
        "Without --since the last 50 are shown. Ordinary refreshes (rotated) and requests that were answered with\n"
        "503 are counted, not listed. docs/server.md says what each code means.",
    )
    parser.add_argument("--since", metavar="TIME", help="how far back: 90s, 15m, 24h, 7d; or 2026-01-31T12:00:00Z")
    parser.add_argument("--code", metavar="CODE", action="append", default=[], help="only this code; may be repeated")
    parser.add_argument("--user", metavar="USER", help="only this user: subject, or address or name if built-in")
    parser.add_argument("--session", metavar="ID", help="only this session")
    parser.add_argument("--follow", action="store_true", help="go on, and show new ones as they come")
    parser.add_argument("--limit", metavar="NUMBER", type=int, help="show at most so many, the newest ones")
    add_store(parser)
    add_json(parser)


def events(options: argparse.Namespace) -> int:
    """Show the audit trail."""
    from daypass.cli.sessions import subject_of
    from daypass.clock import system_clock
    from daypass.operator_fields import event_fields
    from daypass.operator_steps import ReadEvents

    since = None if options.since is None else _since(options.since, system_clock())
    if options.limit is not None and options.limit < 1:
        raise ConfigurationError(f"invalid limit {options.limit}: write a number from 1")
    with opened(options) as store:
        subject = None if options.user is None else subject_of(store, options.user)
        step = ReadEvents(since or 0, codes=_codes(options.code), subject=subject, session_id=options.session)
        keeper = _keeper(store)
        limit = options.limit or (_LAST if since is None else None)
        newest = None if limit is None else _newest(keeper, step, limit)
        found = _all(keeper, step) if newest is None else iter(newest)
        if not options.follow:
            return say_records(map(event_fields, found), as_json=options.json)
        if newest is not None and len(newest) == limit:  # older records are not shown later either
            step = replace(step, since=newest[0].at)
        for record in _following(keeper, step, found):
            _say(record, as_json=options.json)
    return 0


def _following(store: "OperatorStore", step: "ReadEvents", found: "Iterator[AuditRecord]") -> "Iterator[AuditRecord]":
    """Yield the records that were found, then new and late ones since ``step.since``, until interrupted."""
    from daypass.clock import system_clock

    shown: dict[tuple[int, str], None] = {}
    while True:
        for record in found:
            if (record.at, record.id) not in shown:
                shown[record.at, record.id] = None
                yield record
        time.sleep(0.5)
        step = replace(step, since=max(step.since, system_clock() - 2 * _LATE))
        shown = {key: None for key in shown if key[0] >= step.since}
        found = _all(store, step)


def _say(record: "AuditRecord", *, as_json: bool) -> None:
    from daypass.operator_fields import event_fields

    fields = event_fields(record)
    if as_json:
        say_json(fields)
    else:
        say_records([fields], as_json=False, headings=False)


def _all(store: "OperatorStore", step: "ReadEvents") -> "Iterator[AuditRecord]":
    while True:
        page = store.perform_operator(step)
        yield from page
        if len(page) < step.limit:
            return
        step = replace(step, after=(page[-1].at, page[-1].id))


def _newest(store: "OperatorStore", step: "ReadEvents", limit: int) -> "list[AuditRecord]":
    from itertools import islice

    return list(islice(_all(store, replace(step, newest_first=True, limit=min(limit, step.limit))), limit))[::-1]


def _codes(given: list[str]) -> tuple[str, ...]:
    from daypass.event import EventCode
    from daypass.unknown_options import refuse_unknown

    refuse_unknown(given, [*(code.value for code in EventCode), "dropped"], "code")
    return tuple(given)


def _since(text: str, now: int) -> int:
    from datetime import UTC, datetime

    if not text[:1].isdigit() or "-" not in text:
        return now - milliseconds(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"invalid time {text!r}: write 24h, or 2026-01-31T12:00:00Z") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * SECOND


def _keeper(store: "Store") -> "OperatorStore":
    from daypass.operator_steps import OperatorStore

    if not isinstance(store, OperatorStore):
        raise ConfigurationError(f"{type(store).__name__} keeps no audit trail")
    return store
