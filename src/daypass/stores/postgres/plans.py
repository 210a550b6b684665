"""How each step is done in PostgreSQL: as a generator that asks requests and reads their rows. No I/O here.

What is asked once is atomic, because a request is one transaction; only `Sweep`, which need not be, asks more than one
that write. Nothing is locked between two requests.
"""

import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

from daypass import account_steps, store_steps
from daypass.errors import ConfigurationError, DaypassError, StoreContended, StoreUnavailable
from daypass.keys import KeyRecord
from daypass.session import Session
from daypass.store_steps import StoreStep
from daypass.stores import schema, sql
from daypass.stores.postgres.link import Failure, Request, Rows, request, statement
from daypass.stores.postgres.settings import Settings
from daypass.user import Account

A = TypeVar("A")
Plan = Generator[Request, Any, A]

_PATIENCE = 5
"""How often a request is repeated that others were in the way of, or a connection was lost with."""

CHECK = request(sql.READ_SCHEMA)
"""What each new connection asks first; see `check`."""


def check(rows: Rows, shown: str) -> None:
    """Make sure that this Daypass may use the tables whose version is in ``rows``, the answer to `CHECK`.

    Raises:
        ConfigurationError: it may not; the message says what to do.
    """
    version, compatible_from = rows[0] if rows else (0, 0)
    if version < schema.POSTGRES_VERSION:
        raise missing(shown)
    if compatible_from > schema.POSTGRES_VERSION:
        raise ConfigurationError(
            f"the database {shown} has schema {version}, which needs a Daypass that knows {compatible_from}, "
            f"and this one knows {schema.POSTGRES_VERSION}: upgrade it"
        )


def missing(shown: str) -> ConfigurationError:
    """Return the error for a database whose tables are not there, or old."""
    return ConfigurationError(
        f"the tables in {shown} are not there or not up to date; run: daypass store migrate --store '{shown}'"
    )


def performing(step: StoreStep[A], settings: Settings, deadline: float) -> Plan[A]:
    """Perform ``step``: ask what its plan asks, again where that helps and does no harm, until the deadline.

    Raises:
        StoreUnavailable: the server cannot be reached, does not answer, or cannot do what it is asked.
        StoreContended: others were in the way again and again.
        ConfigurationError: the tables are not there, or of a version that is not known.
    """
    plan = _PLANS[type(step)](step, settings)
    try:
        asked = next(plan)
        while True:
            try:
                rows = yield from asking(asked, settings, deadline)
            except Failure as failure:
                asked = plan.throw(failure)
            else:
                asked = plan.send(rows)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
    except Failure as failure:
        raise translated(failure, settings.shown) from None


def asking(asked: Request, settings: Settings, deadline: float) -> Plan[Rows]:
    """Ask one request, again where that helps and does no harm, until the deadline.

    Raises:
        Failure: it has no answer.
    """
    for attempt in range(_PATIENCE):
        try:
            rows: Rows = yield asked
        except Failure as failure:
            if settings.learn(failure):
                continue
            last = attempt == _PATIENCE - 1 or time.monotonic() > deadline or (attempt and failure.state == "25006")
            if last or not failure.again or (failure.sent and not asked.repeatable):
                raise
        else:
            return rows
    raise Failure("it refused again and again")


_IN_THE_WAY = ("40001", "40P01", "55P03")  # serialization failure, deadlock, a lock that was not given
_NOT_THERE = ("42P01", "42703", "3F000")  # table, column, schema


def translated(failure: Failure, shown: str) -> DaypassError:
    """Return what the store's users are told of ``failure``."""
    if failure.state in _NOT_THERE:
        return missing(shown)
    if failure.state == "22021":
        return ConfigurationError("PostgreSQL stores no text with a NUL character; leave it out")
    if failure.state in _IN_THE_WAY:
        return StoreContended(f"others were in the way for too long in {shown}")
    reason = _REASONS.get(failure.state) or (f"error {failure.state}" if failure.state else failure.reason)
    return StoreUnavailable(f"{shown} cannot be used: {reason}")


_REASONS = {
    "25006": "it is read-only",
    "28000": "it lets this user not in",
    "28P01": "it refused the password",
    "3D000": "it has no such database",
    "42501": "this user may not do that",
    "53100": "its disk is full",
    "53200": "it is out of memory",
    "53300": "it has no connection left",
    "57014": "it did not answer in time",
    "57P01": "it ended the connection",
    "57P02": "it crashed",
    "57P03": "it is starting up or shutting down",
}


# ---- one plan for each step


def _session_or_none(rows: Rows) -> Session | None:
    return sql.session_of(rows[0]) if rows else None


def _insert(step: store_steps.Insert, _: Settings) -> Plan[None]:
    parameters = sql.session_parameters(step.session)
    for name in ("device_name", "user_agent", "address"):  # of the client's making, and PostgreSQL stores no NUL
        parameters[name] = parameters[name] and parameters[name].replace("\0", "\ufffd")
    yield request(sql.INSERT, parameters)


def _advance(step: store_steps.Advance, _: Settings) -> Plan[store_steps.Advanced]:
    asked = request(
        sql.ADVANCE,
        {
            "id": sql.stored_id(step.session_id),
            "old_generation": step.expected.generation,
            "old_branch": step.expected.branch,
            "rotated_before": step.expected.rotated_before,
            "generation": step.generation,
            "branch": step.branch,
            "now": step.now,
            "idle_ttl": step.idle_ttl,
            "absolute_ttl": step.absolute_ttl,
        },
    )
    for _attempt in range(_PATIENCE):
        rows = yield asked
        if not rows:
            return store_steps.Advanced(None, moved=False)
        session, (moved, rotated_at) = sql.session_of(rows[0]), rows[0][-2:]
        if moved:
            return store_steps.Advanced(session, moved=True, rotated_at=rotated_at)
        if step.moved(session) is None:
            return store_steps.Advanced(session, moved=False)
        # Another moved it while this statement was waiting for the row, and what was found is from before that.
    raise StoreContended("others changed the session again and again")


def _swap(step: store_steps.Swap, settings: Settings) -> Plan[bool]:
    parameters = sql.session_parameters(step.new) | {
        "old_generation": step.old.generation,
        "old_branch": step.old.branch,
        "old_rotated_at": step.old.rotated_at,
    }
    ending = step.new.ended_at is not None
    rows = yield from _announcing(sql.SWAP_TELLING if ending else sql.SWAP_ALONE, sql.SWAP_ALONE, parameters, settings)
    return bool(rows)


def _find(step: store_steps.Find, _: Settings) -> Plan[Session | None]:
    rows = yield request(sql.FIND, {"id": sql.stored_id(step.session_id)})
    return _session_or_none(rows)


def _end(step: store_steps.End, settings: Settings) -> Plan[Session | None]:
    parameters = {"id": sql.stored_id(step.session_id), "at": step.at, "reason": step.reason, "subject": step.subject}
    rows = yield from _announcing(sql.END_TELLING, sql.END, parameters, settings)
    return _session_or_none(rows)


def _end_all(step: store_steps.EndAll, settings: Settings) -> Plan[tuple[str, ...]]:
    rows = yield from _announcing(sql.END_ALL_TELLING, sql.END_ALL_LOCKING, sql.end_all_parameters(step), settings)
    return tuple(row[0].hex() for row in rows)


def _end_everyone(step: store_steps.EndEveryone, settings: Settings) -> Plan[None]:
    yield from _announcing(sql.END_EVERYONE_TELLING, sql.END_EVERYONE, {"at": step.at}, settings)


def _announcing(telling: str, silent: str, parameters: sql.Parameters, settings: Settings) -> Plan[Rows]:
    """Ask what announces what it ends; where announcing is refused, ask the same without, and remember."""
    parameters = {"channel": CHANNEL, **parameters}
    rows: Rows
    if not settings.announces:
        rows = yield request(silent, parameters, repeatable=False)
        return rows
    try:
        rows = yield request(telling, parameters, repeatable=False)
    except Failure as failure:
        if failure.state not in _NO_NOTIFY:
            raise
        rows = yield request(silent, parameters, repeatable=False)
        settings.announces = failure.state == "54000"  # a queue that is full will be read
    return rows


CHANNEL = "daypass_ended"
"""Where endings are announced."""

_NO_NOTIFY = ("42883", "42501", "0A000", "54000")  # no such function, not permitted, not supported; its queue is full


def _list(step: store_steps.ListSessions, _: Settings) -> Plan[tuple[Session, ...]]:
    rows = yield request(sql.LIST, sql.list_parameters(step))
    return tuple(map(sql.session_of, rows))


def _read_endings(step: store_steps.ReadEndings, _: Settings) -> Plan[store_steps.Endings]:
    return sql.endings_of((yield request(sql.READ_ENDINGS, {"since": step.since})))


def _read_clock(_: store_steps.ReadClock, __: Settings) -> Plan[int]:
    ((now,),) = yield request(sql.READ_CLOCK)
    return int(now)


def _sweep(step: store_steps.Sweep, _: Settings) -> Plan[store_steps.Swept]:
    due = {"now": step.now, "until": step.now + step.pause, "regardless": step.regardless}
    claimed = yield request(sql.CLAIM_SWEEP, due)
    if not claimed:
        return store_steps.Swept(0, (yield request(sql.READ_SWEEP))[0][0])
    batch = {"place": claimed[0][0], "batch": step.batch, "before": step.before, "absolute_ttl": step.absolute_ttl}
    ((seen, last, removed),) = yield request(sql.SWEEP, batch)
    whole = seen < step.batch
    swept = store_steps.Swept(removed, step.now + (step.rest if whole else step.pause), whole)
    yield request(sql.END_SWEEP, {"place": b"" if whole else last, "due_at": swept.due_at})
    return swept


def _read_keys(_: store_steps.ReadKeys, __: Settings) -> Plan[tuple[KeyRecord, ...]]:
    return tuple(map(sql.key_of, (yield request(sql.READ_KEYS))))


def _add_key(step: store_steps.AddKey, _: Settings) -> Plan[None]:
    yield request(sql.ADD_KEY, sql.key_parameters(step.record, step.newest))


def _remove_key(step: store_steps.RemoveKey, _: Settings) -> Plan[None]:
    yield request(sql.REMOVE_KEY, {"kid": step.kid})


def _rewrap(step: store_steps.Rewrap, _: Settings) -> Plan[None]:
    yield request(sql.REWRAP, {"kid": step.kid, "old": step.old, "new": step.new})


def _probe(_: store_steps.Probe, __: Settings) -> Plan[None]:
    yield Request(((statement(sql.READ_PROBE), {}), (statement(sql.WRITE_PROBE), {})))


def _migrate(_: store_steps.Migrate, __: Settings) -> Plan[int]:
    """Bring the tables from each version to the next, each in a transaction that fails where another was faster."""
    for _attempt in range(_PATIENCE + len(schema.POSTGRES_UPGRADES)):
        version = yield from _version()
        if version >= schema.POSTGRES_VERSION:
            return version
        try:
            yield Request(tuple((statement(text), {}) for text in _script(version)))
        except Failure as failure:
            yield request("ROLLBACK")
            if failure.state not in _MADE_MEANWHILE:
                raise
    raise StoreContended("others changed the tables again and again")


def _version() -> Plan[int]:
    try:
        rows = yield CHECK
    except Failure as failure:
        if failure.state != "42P01":
            raise
        return 0
    return int(rows[0][0])


def _script(version: int) -> tuple[str, ...]:
    if version == 0:
        return (*sql.BEGIN_MIGRATING, *schema.POSTGRES, "COMMIT")
    still = f"SELECT 1 / count(*) FROM daypass_schema WHERE version = {version}"  # noqa: S608 - a number of ours
    return (*sql.BEGIN_MIGRATING, still, *schema.POSTGRES_UPGRADES[version], "COMMIT")


_MADE_MEANWHILE = ("42P07", "42710", "23505", "22012")  # a table or an index is there, or the version is another


def _add_account(step: account_steps.AddAccount, _: Settings) -> Plan[bool]:
    rows = yield request(sql.ADD_ACCOUNT, sql.account_parameters(step.account), repeatable=False)
    return bool(rows)


def _find_account(step: account_steps.FindAccount, _: Settings) -> Plan[Account | None]:
    return (yield from _account(sql.FIND_ACCOUNT, "folded", step.identifier.casefold()))


def _load_account(step: account_steps.LoadAccount, _: Settings) -> Plan[Account | None]:
    return (yield from _account(sql.LOAD_ACCOUNT, "subject", step.subject))


def _account(text: str, parameter: str, value: str) -> Plan[Account | None]:
    if "\0" in value:  # which no text in PostgreSQL has
        return None
    rows = yield request(text, {parameter: value})
    return sql.account_of(rows[0]) if rows else None


def _set_password_hash(step: account_steps.SetPasswordHash, _: Settings) -> Plan[None]:
    yield request(sql.UPDATE_HASH, {"subject": step.subject, "password_hash": step.password_hash})


_PLANS: Mapping[type[StoreStep[Any]], Callable[[Any, Settings], Plan[Any]]] = {
    store_steps.Insert: _insert,
    store_steps.Advance: _advance,
    store_steps.Swap: _swap,
    store_steps.Find: _find,
    store_steps.End: _end,
    store_steps.EndAll: _end_all,
    store_steps.EndEveryone: _end_everyone,
    store_steps.ListSessions: _list,
    store_steps.ReadEndings: _read_endings,
    store_steps.Sweep: _sweep,
    store_steps.ReadKeys: _read_keys,
    store_steps.AddKey: _add_key,
    store_steps.RemoveKey: _remove_key,
    store_steps.Rewrap: _rewrap,
    store_steps.Probe: _probe,
    store_steps.ReadClock: _read_clock,
    store_steps.Migrate: _migrate,
    account_steps.AddAccount: _add_account,
    account_steps.FindAccount: _find_account,
    account_steps.LoadAccount: _load_account,
    account_steps.SetPasswordHash: _set_password_hash,
}
