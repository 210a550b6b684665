"""How SQL performs each step, for every database: generators of queries. No I/O and no driver here.

A plan says ``rows = yield Query(…)``, and the store that drives it answers with the rows. If a plan has more than one
query that matters, `daypass.stores.dialect` says how the database keeps it atomic.
"""

from collections.abc import Generator, Mapping
from typing import TypeVar

from daypass import account_steps, operator_steps, store_steps
from daypass.databases.query import ATTEMPTS, Query, Rows
from daypass.errors import StoreContended
from daypass.keys import KeyRecord
from daypass.operator_steps import EVENTS_AT_ONCE, MINUTE_COUNTS, AuditRecord
from daypass.session import Session
from daypass.stores import sql
from daypass.stores.dialect import Dialect
from daypass.stores.operations import Plans
from daypass.user import Account, name_keys

A = TypeVar("A")
Plan = Generator[Query, Rows, A]

_LOGINS_AT_ONCE = 64
"""How often a login is tried while others of the same user come first; each time one of them gets through."""

_SUBJECTS_AT_ONCE = 100
"""How many users a sweep forgets in one transaction."""

PLANS = Plans()
"""A plan for each step except `Migrate`, which each store performs differently."""


# ---- sessions


@PLANS(store_steps.Insert)
def _insert(step: store_steps.Insert, _: Dialect) -> Plan[None]:
    yield Query(sql.INSERT, sql.session_parameters(step.session))


@PLANS(store_steps.Admit)
def _admit(step: store_steps.Admit, dialect: Dialect) -> Plan[store_steps.Admitted]:
    if dialect.admit:
        return (yield from _admit_at_once(step, dialect.admit))
    session = step.session
    subject = {"subject": session.subject, "now": session.created_at}
    rows = yield Query(sql.READ_SUBJECT, subject)
    devices = bytes(rows[0][0]) if rows else b""
    known = _is_known(step.device, devices)
    kept = (step.device, *(each for each in _parted(devices) if each != step.device))
    yield Query(sql.COUNT_LOGIN, subject | {"devices": b"".join(kept[: store_steps.DEVICES])})
    live = yield Query(sql.LIVE_IDS, subject)
    if not step.evict and len(live) >= step.maximum:
        return store_steps.Admitted(inserted=False, known_device=known)
    yield Query(sql.INSERT, sql.session_parameters(session))
    surplus = tuple(bytes(row[0]).hex() for row in live[step.maximum - 1 :])
    return store_steps.Admitted(inserted=True, surplus=surplus, known_device=known)


def _admit_at_once(step: store_steps.Admit, text: str) -> Plan[store_steps.Admitted]:
    query = Query(text, sql.admit_parameters(step), repeatable=False)
    known: bool | None = None
    for _ in range(_LOGINS_AT_ONCE):
        rows = yield query
        in_order, added, devices, _ = rows[0]
        if known is None:  # the first attempt has noted the device
            known = _is_known(step.device, bytes(devices or b""))
        if in_order:
            surplus = tuple(bytes(row[3]).hex() for row in rows if row[3] is not None)
            return store_steps.Admitted(bool(added), surplus if added else (), known)
    raise StoreContended("the same user logs in again and again")


def _is_known(device: bytes, devices: bytes) -> bool:
    """Return whether a device is among ``devices``; True if there is no device, or if it is the first one."""
    return not (device and devices) or device in _parted(devices)


def _parted(devices: bytes) -> list[bytes]:
    size = store_steps.DEVICE_SIZE
    return [devices[at : at + size] for at in range(0, len(devices), size)]


@PLANS(store_steps.Advance)
def _advance(step: store_steps.Advance, dialect: Dialect) -> Plan[store_steps.Advanced]:
    if dialect.advance:
        text = dialect.advance_with_account if step.with_account else dialect.advance
        return (yield from _advance_at_once(step, text))
    session = yield from _find_session(step.session_id)
    if session is None:
        return store_steps.Advanced(None, moved=False)
    account = (yield from _account(sql.LOAD_ACCOUNT, session.subject)) if step.with_account else None
    moved = step.moved(session)
    if moved is None:
        return store_steps.Advanced(session, moved=False, account=account)
    yield Query(sql.MOVE, sql.session_parameters(moved))
    return store_steps.Advanced(moved, moved=True, rotated_at=session.rotated_at, account=account)


def _advance_at_once(step: store_steps.Advance, text: str) -> Plan[store_steps.Advanced]:
    query = Query(text, sql.advance_parameters(step))
    for _ in range(ATTEMPTS):
        rows = yield query
        if not rows:
            return store_steps.Advanced(None, moved=False)
        answer = sql.advanced_of(rows[0])
        session = answer.session
        if answer.moved or session is None or step.moved(session) is None:
            return answer
        # Another moved it while this statement was waiting for the row: what was found is from before that.
    raise StoreContended("others changed the session again and again")


@PLANS(store_steps.Swap)
def _swap(step: store_steps.Swap, _: Dialect) -> Plan[bool]:
    ends = step.new.ended_at is not None
    return bool((yield Query(sql.SWAP, sql.swap_parameters(step), repeatable=False, announces=ends)))


@PLANS(store_steps.Amend)
def _amend(step: store_steps.Amend, _: Dialect) -> Plan[bool]:
    return bool((yield Query(sql.AMEND, sql.amend_parameters(step), repeatable=False)))


@PLANS(store_steps.Bind)
def _bind(step: store_steps.Bind, _: Dialect) -> Plan[bool]:
    return bool((yield Query(sql.BIND, sql.bind_parameters(step), repeatable=False)))


@PLANS(store_steps.Find)
def _find(step: store_steps.Find, _: Dialect) -> Plan[Session | None]:
    return (yield from _find_session(step.session_id))


def _find_session(session_id: str) -> Plan[Session | None]:
    rows = yield Query(sql.FIND, {"id": sql.stored_id(session_id)})
    return sql.session_of(rows[0]) if rows else None


@PLANS(store_steps.End)
def _end(step: store_steps.End, _: Dialect) -> Plan[Session | None]:
    rows = yield Query(sql.END, sql.end_parameters(step), repeatable=False, announces=True)
    return sql.session_of(rows[0]) if rows else None


@PLANS(store_steps.EndAll)
def _end_all(step: store_steps.EndAll, dialect: Dialect) -> Plan[tuple[str, ...]]:
    text = sql.END_ALL.format(for_update=dialect.for_update)
    rows = yield Query(text, sql.end_all_parameters(step), repeatable=False, announces=True)
    return tuple(bytes(row[0]).hex() for row in rows)


@PLANS(store_steps.EndEveryone)
def _end_everyone(step: store_steps.EndEveryone, _: Dialect) -> Plan[None]:
    yield Query(sql.END_EVERYONE, {"at": step.at}, announces=True)


@PLANS(store_steps.ListSessions)
def _list(step: store_steps.ListSessions, _: Dialect) -> Plan[tuple[Session, ...]]:
    return tuple(map(sql.session_of, (yield Query(sql.LIST, sql.list_parameters(step)))))


@PLANS(store_steps.ReadEndings)
def _read_endings(step: store_steps.ReadEndings, _: Dialect) -> Plan[store_steps.Endings]:
    return sql.endings_of((yield Query(sql.READ_ENDINGS, {"since": step.since})))


@PLANS(store_steps.Sweep)
def _sweep(step: store_steps.Sweep, dialect: Dialect) -> Plan[store_steps.Swept]:
    due = {"now": step.now, "until": step.now + step.pause, "regardless": step.regardless}
    claimed = yield Query(sql.CLAIM_SWEEP, due)
    if not claimed:
        return store_steps.Swept(0, (yield Query(sql.READ_SWEEP))[0][0])
    place = claimed[0][0]
    batch = yield Query(sql.SWEEP_BATCH, {"place": place, "batch": step.batch})
    last = batch[-1][0] if batch else place
    limits = {"before": step.before, "absolute_ttl": step.absolute_ttl}
    text = sql.REMOVE_OVER.format(skip_locked=dialect.skip_locked)
    removed = yield Query(text, {"place": place, "last": last, **limits})
    few = min(step.batch, _SUBJECTS_AT_ONCE)
    yield Query(sql.FORGET_SUBJECTS, {"until": step.before - step.absolute_ttl, "batch": few})
    dropped = yield from _drop_marks(step.now, step.batch, dialect)
    whole = len(batch) < step.batch and dropped < step.batch
    swept = store_steps.Swept(len(removed), step.now + (step.rest if whole else step.pause), whole)
    yield Query(sql.END_SWEEP, {"place": b"" if whole else last, "due_at": swept.due_at})
    return swept


# ---- keys


@PLANS(store_steps.ReadKeys)
def _read_keys(_: store_steps.ReadKeys, __: Dialect) -> Plan[tuple[KeyRecord, ...]]:
    return tuple(map(sql.key_of, (yield Query(sql.READ_KEYS))))


@PLANS(store_steps.AddKey)
def _add_key(step: store_steps.AddKey, _: Dialect) -> Plan[None]:
    yield Query(sql.ADD_KEY, sql.key_parameters(step.record, step.newest))


@PLANS(store_steps.RemoveKey)
def _remove_key(step: store_steps.RemoveKey, _: Dialect) -> Plan[None]:
    yield Query(sql.REMOVE_KEY, {"kid": step.kid})


@PLANS(store_steps.Rewrap)
def _rewrap(step: store_steps.Rewrap, _: Dialect) -> Plan[None]:
    yield Query(sql.REWRAP, {"kid": step.kid, "old": step.old, "new": step.new})


# ---- the store itself


@PLANS(store_steps.Probe)
def _probe(_: store_steps.Probe, __: Dialect) -> Plan[None]:
    yield Query(sql.PROBE)


@PLANS(store_steps.ReadClock)
def _read_clock(_: store_steps.ReadClock, dialect: Dialect) -> Plan[int | None]:
    return (yield Query(dialect.clock))[0][0] if dialect.clock else None


# ---- for operators


@PLANS(operator_steps.NoteEvents)
def _note_events(step: operator_steps.NoteEvents, dialect: Dialect) -> Plan[None]:
    yield Query(dialect.note_events, sql.note_parameters(step.records))


@PLANS(operator_steps.ReadEvents)
def _read_events(step: operator_steps.ReadEvents, _: Dialect) -> Plan[tuple[AuditRecord, ...]]:
    text, parameters = sql.events_query(step)
    return tuple(AuditRecord(*row) for row in (yield Query(text, parameters)))


@PLANS(operator_steps.DropEvents)
def _drop_events(step: operator_steps.DropEvents, _: Dialect) -> Plan[int]:
    limits = {"before": step.before, "counts_before": max(step.before, step.counts_before)}
    counts = {"counts_code": MINUTE_COUNTS, "limit": EVENTS_AT_ONCE}
    return len((yield Query(sql.DROP_EVENTS, limits | counts)))


@PLANS(operator_steps.AddMark)
def _add_mark(step: operator_steps.AddMark, dialect: Dialect) -> Plan[None]:
    yield Query(sql.ADD_MARK, {"key": step.key, "value": step.value, "until": step.until})
    yield from _drop_marks(step.now, operator_steps.MARKS_AT_ONCE, dialect)


@PLANS(operator_steps.AddMarkOnce)
def _add_mark_once(step: operator_steps.AddMarkOnce, dialect: Dialect) -> Plan[bool]:
    parameters = {"key": step.key, "until": step.until, "now": step.now}
    added = bool((yield Query(sql.ADD_MARK_ONCE, parameters, repeatable=False)))
    if step.removes_expired:
        yield from _drop_marks(step.now, operator_steps.EXPIRED_ONCE_AT_ONCE, dialect)
    return added


def _drop_marks(now: int, limit: int, dialect: Dialect) -> Plan[int]:
    text = sql.DROP_MARKS.format(skip_locked=dialect.skip_locked)
    return len((yield Query(text, {"now": now, "limit": limit})))


@PLANS(operator_steps.ReadMarks)
def _read_marks(step: operator_steps.ReadMarks, _: Dialect) -> Plan[tuple[str, ...]]:
    return tuple(sorted(row[0] for row in (yield Query(sql.READ_MARKS, {"key": step.key, "now": step.now}))))


@PLANS(operator_steps.ReadStats)
def _read_stats(step: operator_steps.ReadStats, _: Dialect) -> Plan[Mapping[str, int]]:
    (row,) = yield Query(sql.READ_STATS, {"now": step.now})
    return dict(zip(sql.STATS, row, strict=True))


@PLANS(operator_steps.ReadSettings)
def _read_settings(_: operator_steps.ReadSettings, dialect: Dialect) -> Plan[Mapping[str, str]]:
    found: dict[str, str] = {}
    for text in dialect.settings:
        found |= {str(name): str(value) for name, value in (yield Query(text))}
    return found


@PLANS(operator_steps.Check)
def _check(step: operator_steps.Check, dialect: Dialect) -> Plan[operator_steps.Checked]:
    from daypass.stores.sql_check import checking  # here, because only one command needs it

    return (yield from checking(step, dialect))


# ---- built-in users


@PLANS(account_steps.AddAccount)
def _add_account(step: account_steps.AddAccount, _: Dialect) -> Plan[bool]:
    return bool((yield Query(sql.ADD_ACCOUNT, sql.account_parameters(step.account), repeatable=False)))


@PLANS(account_steps.FindAccount)
def _find_account(step: account_steps.FindAccount, _: Dialect) -> Plan[Account | None]:
    for key in name_keys(step.identifier):
        found = yield from _account(sql.FIND_ACCOUNT, key)
        if found is not None:
            return found
    return None


@PLANS(account_steps.LoadAccount)
def _load_account(step: account_steps.LoadAccount, _: Dialect) -> Plan[Account | None]:
    return (yield from _account(sql.LOAD_ACCOUNT, step.subject))


def _account(text: str, name: str) -> Plan[Account | None]:
    if "\0" in name:  # no stored name has one, and PostgreSQL rejects such text
        return None
    rows = yield Query(text, {"name": name})
    return sql.account_of(rows[0]) if rows else None


@PLANS(account_steps.SetPasswordHash)
def _set_password_hash(step: account_steps.SetPasswordHash, _: Dialect) -> Plan[None]:
    yield Query(sql.UPDATE_HASH, {"subject": step.subject, "password_hash": step.password_hash})


@PLANS(account_steps.ListAccounts)
def _list_accounts(step: account_steps.ListAccounts, _: Dialect) -> Plan[tuple[Account, ...]]:
    text = sql.LIST_SCOPED_ACCOUNTS if step.scoped else sql.LIST_ACCOUNTS
    return tuple(map(sql.account_of, (yield Query(text, {"after": step.after}))))


@PLANS(account_steps.SetDisabled)
def _set_disabled(step: account_steps.SetDisabled, _: Dialect) -> Plan[None]:
    yield Query(sql.SET_DISABLED, {"subject": step.subject, "disabled_at": step.disabled_at})


@PLANS(account_steps.SetScope)
def _set_scope(step: account_steps.SetScope, _: Dialect) -> Plan[None]:
    yield Query(sql.SET_SCOPE, {"subject": step.subject, "scope": step.scope})


@PLANS(account_steps.RemoveAccount)
def _remove_account(step: account_steps.RemoveAccount, _: Dialect) -> Plan[None]:
    yield Query(sql.REMOVE_ACCOUNT, {"subject": step.subject})
