"""How the SQL stores check themselves: one part for each `Check`, by queries that only read."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from daypass.databases.query import Query
from daypass.operator_steps import CHECKED_AT_ONCE, Check, Checked, Fault
from daypass.store_steps import DEVICE_SIZE
from daypass.stores import dialect as dialects
from daypass.stores import sql
from daypass.stores.dialect import Dialect
from daypass.stores.integrity import AHEAD, PAST, account_faults, keys_faults, readable, session_faults
from daypass.stores.plans import Plan

Part = Callable[[Check, Dialect, str], Plan[Checked]]

_SCHEMA = "daypass_schema"
"""Its columns differ between the databases, and opening the store has read them."""


def checking(step: Check, dialect: Dialect) -> Plan[Checked]:
    """Check the part of a store that begins at ``step.place``."""
    name, _, rest = step.place.partition(":")
    part = _PARTS[name or "objects"]
    return (yield from part(step, dialect, rest))


def _after(name: str) -> str:
    """Return the place of the part after this one."""
    names = list(_PARTS)
    place = names.index(name) + 1
    return names[place] if place < len(names) else ""


@cache
def expected_objects() -> frozenset[str]:
    """Return the columns, indexes and constraints of a new store; their names are the same in every database."""
    import sqlite3

    with sqlite3.connect(":memory:") as database:
        for statement in dialects.SQLITE.tables:
            database.execute(statement)
        found = {row[0] for row in database.execute(sql.OBJECTS_OF_SQLITE)}
    database.close()
    return frozenset(each for each in found if f"{_SCHEMA}." not in each)


def _objects(_: Check, dialect: Dialect, __: str) -> Plan[Checked]:
    ((_name, version),) = yield Query(dialect.settings[0])
    if version != dialect.version:
        fault = Fault("schema-old" if version < dialect.version else "schema-new", f"schema {version}")
        return Checked((fault,), 1, "" if version < dialect.version else _after("objects"))
    rows = yield Query(dialect.objects)
    missing = expected_objects() - {row[0] for row in rows}
    faults = [Fault("object-missing", each) for each in sorted(missing)]
    faults += [Fault("index-invalid", row[0]) for row in rows if not row[1]]
    whole = not any(each.startswith("column ") for each in missing)  # otherwise nothing else can be read
    return Checked(tuple(faults), len(rows), _after("objects") if whole else "")


def _single_rows(step: Check, _: Dialect, __: str) -> Plan[Checked]:
    faults, limits = [], {"daypass_everyone": ("everyone-ahead", AHEAD), "daypass_sweep": ("sweep-ahead", PAST)}
    for table, count, at in (yield Query(sql.SINGLE_ROWS)):
        if count != 1:
            faults.append(Fault("row-count", f"{table}: {count}"))
        elif table in limits and at > step.now + limits[table][1]:
            faults.append(Fault(limits[table][0], str(at)))
    return Checked(tuple(faults), 3, _after("rows"))


def _keys(step: Check, _: Dialect, __: str) -> Plan[Checked]:
    used = bool((yield Query(sql.HAS_SESSIONS)))
    records = tuple(map(sql.key_of, (yield Query(sql.READ_KEYS))))
    return Checked(tuple(keys_faults(records, step.now, used=used)), len(records), _after("keys"))


def _damage(_: Check, dialect: Dialect, table: str) -> Plan[Checked]:
    if not dialect.damage:
        return Checked((), 0, _after("damage"))
    tables = sorted({each.split()[1].partition(".")[0] for each in expected_objects() if each.startswith("column ")})
    table = table or tables[0]
    rows = yield Query(dialect.damage.format(table=table))
    faults = [Fault("damaged", f"{table}: {row[0]}") for row in rows if row[0] != "ok"]
    left = tables[tables.index(table) + 1 :]
    return Checked(tuple(faults), 1, f"damage:{left[0]}" if left else _after("damage"))


def _sessions(step: Check, _: Dialect, rest: str) -> Plan[Checked]:
    rows = yield Query(sql.CHECK_SESSIONS, {"place": bytes.fromhex(rest), "limit": CHECKED_AT_ONCE})
    faults = [fault for row in rows for fault in _of_session(row, step.now)]
    last = bytes(rows[-1][0]).hex() if rows else ""
    return Checked(tuple(faults), len(rows), _next("sessions", last, rows))


def _of_session(row: Sequence[Any], now: int) -> Iterator[Fault]:
    where = bytes(row[0]).hex()
    session = readable(lambda: sql.session_of(row), Fault("session-unreadable", where))
    if isinstance(session, Fault):
        yield session
        return
    yield from session_faults(session, where, now, has_user=bool(row[19]))


def _accounts(_: Check, __: Dialect, rest: str) -> Plan[Checked]:
    rows = yield Query(sql.CHECK_ACCOUNTS, {"place": rest, "limit": CHECKED_AT_ONCE})
    faults = [fault for row in rows for fault in account_faults(sql.account_of(row[:-2]), (row[-2], row[-1]))]
    return Checked(tuple(faults), len(rows), _next("accounts", rows[-1][0] if rows else "", rows))


def _subjects(_: Check, __: Dialect, rest: str) -> Plan[Checked]:
    rows = yield Query(sql.CHECK_SUBJECTS, {"place": rest, "limit": CHECKED_AT_ONCE})
    faults = [Fault("devices-unreadable", subject) for subject, devices in rows if len(devices) % DEVICE_SIZE]
    return Checked(tuple(faults), len(rows), _next("subjects", rows[-1][0] if rows else "", rows))


def _events(step: Check, _: Dialect, __: str) -> Plan[Checked]:
    rows = yield Query(sql.EVENTS_AHEAD, {"ahead": step.now + AHEAD, "limit": CHECKED_AT_ONCE})
    return Checked(tuple(Fault("event-ahead", f"{at} {name}") for at, name in rows), len(rows), "")


def _next(name: str, last: str, rows: Sequence[Any]) -> str:
    return f"{name}:{last}" if len(rows) == CHECKED_AT_ONCE else _after(name)


_PARTS: dict[str, Part] = {
    "objects": _objects,
    "rows": _single_rows,
    "keys": _keys,
    "damage": _damage,
    "sessions": _sessions,
    "accounts": _accounts,
    "subjects": _subjects,
    "events": _events,
}
"""The parts, in their order; a place is the name of one, and where to go on in it."""
