"""Sessions in this process's memory: for tests, demonstrations, and one-process applications that may lose them."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from heapq import nlargest
from itertools import islice
from operator import attrgetter
from typing import TypeVar

from daypass import account_steps, operator_steps, store_steps
from daypass.account_steps import AccountStep
from daypass.keys import KeyRecord
from daypass.operator_steps import AuditRecord, OperatorStep
from daypass.rotation import is_proven
from daypass.session import Session
from daypass.store_steps import StoreStep
from daypass.stores.operations import Operations
from daypass.user import Account, fold_name

A = TypeVar("A")

OPERATIONS = Operations()
"""What `MemoryStore` does for each step."""


class MemoryStore:
    """A store in memory; threads, and any number of issuers in the process, may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._not_ended: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._ended: dict[str, int] = {}
        self._devices: defaultdict[str, dict[bytes, None]] = defaultdict(dict)
        self._seen_at: dict[str, int] = {}
        self._everyone_at = 0
        self._keys: dict[str, KeyRecord] = {}
        self._sweep_due_at = 0
        self._accounts: dict[str, Account] = {}
        self._events: dict[tuple[int, str], AuditRecord] = {}
        self._marks: dict[tuple[str, str], int] = {}

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; it cannot fail."""
        with self._lock:
            return OPERATIONS.perform(self, step)

    def perform_account(self, step: AccountStep[A]) -> A:
        """Do what `perform` does, for built-in users."""
        with self._lock:
            return OPERATIONS.perform(self, step)

    def perform_operator(self, step: OperatorStep[A]) -> A:
        """Do what `perform` does, for operators."""
        with self._lock:
            return OPERATIONS.perform(self, step)

    def close(self) -> None:
        """Do nothing: the content stays until the store itself is deleted."""

    @OPERATIONS(store_steps.Insert)
    def _insert(self, step: store_steps.Insert) -> None:
        if step.session.id not in self._sessions:
            self._put(step.session)

    @OPERATIONS(store_steps.Admit)
    def _admit(self, step: store_steps.Admit) -> store_steps.Admitted:
        session = step.session
        devices, self._seen_at[session.subject] = self._devices[session.subject], session.created_at
        known = not (step.device and devices) or step.device in devices
        if step.device:
            devices.pop(step.device, None)
            devices[step.device] = None
            if len(devices) > store_steps.DEVICES:
                devices.pop(next(iter(devices)))
        live = sorted(self._live(session.subject, session.created_at), key=attrgetter("created_at", "id"))
        if not step.evict and len(live) >= step.maximum:
            return store_steps.Admitted(inserted=False, known_device=known)
        self._put(session)
        surplus = live[: max(0, len(live) + 1 - step.maximum)]
        return store_steps.Admitted(inserted=True, surplus=tuple(each.id for each in surplus), known_device=known)

    def _put(self, session: Session) -> None:
        self._sessions[session.id] = session
        if session.ended_at is None:
            self._not_ended[session.subject][session.id] = None
        else:
            self._ended[session.id] = session.ended_at
            self._not_ended[session.subject].pop(session.id, None)

    @OPERATIONS(store_steps.Advance)
    def _advance(self, step: store_steps.Advance) -> store_steps.Advanced:
        session = self._session(step.session_id)
        moved = None if session is None else step.moved(session)
        if session is None or moved is None:
            return store_steps.Advanced(session, moved=False)
        self._sessions[session.id] = moved
        return store_steps.Advanced(moved, moved=True, rotated_at=session.rotated_at)

    @OPERATIONS(store_steps.Swap)
    def _swap(self, step: store_steps.Swap) -> bool:
        session = self._session(step.old.id)
        if session is None or session.ended_at is not None or _position(session) != _position(step.old):
            return False
        self._put(step.new)
        return True

    @OPERATIONS(store_steps.Amend)
    def _amend(self, step: store_steps.Amend) -> bool:
        session = self._session(step.session_id)
        if session is None or session.ended_at is not None or session.extras != step.old:
            return False
        self._put(replace(session, extras=step.new))
        return True

    @OPERATIONS(store_steps.Bind)
    def _bind(self, step: store_steps.Bind) -> bool:
        session = self._session(step.session_id)
        if (
            session is None
            or session.ended_at is not None
            or (session.key_thumbprint, session.extras) != (None, step.old)
        ):
            return False
        self._put(replace(session, extras=step.new, key_thumbprint=step.key_thumbprint))
        return True

    @OPERATIONS(store_steps.Find)
    def _find(self, step: store_steps.Find) -> Session | None:
        return self._session(step.session_id)

    def _session(self, session_id: str) -> Session | None:
        session = self._sessions.get(session_id)
        return None if session is None else session.ended_by_all(self._everyone_at)

    @OPERATIONS(store_steps.End)
    def _end(self, step: store_steps.End) -> Session | None:
        session = self._session(step.session_id)
        if session is None or session.ended_at is not None or step.subject not in (None, session.subject):
            return None
        if step.needs_proof and not is_proven(session, step.proof):
            return None
        ended = replace(session, ended_at=step.at, end_reason=step.reason)
        self._put(ended)
        return ended

    @OPERATIONS(store_steps.EndAll)
    def _end_all(self, step: store_steps.EndAll) -> tuple[str, ...]:
        live = (each for each in self._live(step.subject, step.at) if each.id != step.keep)
        ended = [replace(each, ended_at=step.at, end_reason=step.reason) for each in islice(live, step.limit)]
        for session in ended:
            self._put(session)
        return tuple(session.id for session in ended)

    @OPERATIONS(store_steps.EndEveryone)
    def _end_everyone(self, step: store_steps.EndEveryone) -> None:
        self._everyone_at = max(self._everyone_at, step.at)

    @OPERATIONS(store_steps.ListSessions)
    def _list(self, step: store_steps.ListSessions) -> tuple[Session, ...]:
        place = attrgetter("created_at", "id")
        live = (each for each in self._live(step.subject, step.now) if step.after is None or place(each) < step.after)
        return tuple(nlargest(step.limit, live, key=place))

    def _live(self, subject: str, now: int) -> Iterator[Session]:
        own = (self._sessions[each].ended_by_all(self._everyone_at) for each in self._not_ended.get(subject, ()))
        return (each for each in own if each.is_live(now))

    @OPERATIONS(store_steps.ReadEndings)
    def _read_endings(self, step: store_steps.ReadEndings) -> store_steps.Endings:
        found = tuple(store_steps.Ending(session_id, at) for session_id, at in self._ended.items() if at > step.since)
        return store_steps.Endings(found, self._everyone_at)

    @OPERATIONS(store_steps.Sweep)
    def _sweep(self, step: store_steps.Sweep) -> store_steps.Swept:
        if step.now < self._sweep_due_at and not step.regardless:
            return store_steps.Swept(0, self._sweep_due_at)
        over = [each for each in self._sessions.values() if step.is_over(each)]
        for session in over:
            del self._sessions[session.id]
            self._ended.pop(session.id, None)
            self._not_ended[session.subject].pop(session.id, None)
            if not self._not_ended[session.subject]:
                del self._not_ended[session.subject]
        for subject in [each for each, seen_at in self._seen_at.items() if step.is_forgotten(seen_at)]:
            del self._seen_at[subject]
            del self._devices[subject]
        self._drop_marks(step.now)
        self._sweep_due_at = step.now + step.rest
        return store_steps.Swept(len(over), self._sweep_due_at, whole=True)

    @OPERATIONS(store_steps.ReadKeys)
    def _read_keys(self, _: store_steps.ReadKeys) -> tuple[KeyRecord, ...]:
        return tuple(sorted(self._keys.values(), key=lambda record: (-record.created_at, record.kid)))

    @OPERATIONS(store_steps.AddKey)
    def _add_key(self, step: store_steps.AddKey) -> None:
        same = (
            record.kid
            for record in self._read_keys(store_steps.ReadKeys())
            if record.algorithm == step.record.algorithm
        )
        if next(same, None) == step.newest:
            self._keys[step.record.kid] = step.record

    @OPERATIONS(store_steps.RemoveKey)
    def _remove_key(self, step: store_steps.RemoveKey) -> None:
        self._keys.pop(step.kid, None)

    @OPERATIONS(store_steps.Rewrap)
    def _rewrap(self, step: store_steps.Rewrap) -> None:
        record = self._keys.get(step.kid)
        if record is not None and record.wrapped == step.old:
            self._keys[step.kid] = replace(record, wrapped=step.new)

    @OPERATIONS(store_steps.Probe)
    def _probe(self, _: store_steps.Probe) -> None:
        """Do nothing: memory can be written."""

    @OPERATIONS(store_steps.ReadClock)
    def _read_clock(self, _: store_steps.ReadClock) -> None:
        """Return None: there is no clock but this process's."""

    @OPERATIONS(store_steps.Migrate)
    def _migrate(self, _: store_steps.Migrate) -> int:
        return 0

    @OPERATIONS(operator_steps.NoteEvents)
    def _note_events(self, step: operator_steps.NoteEvents) -> None:
        self._events |= {(record.at, record.id): record for record in step.records}

    @OPERATIONS(operator_steps.ReadEvents)
    def _read_events(self, step: operator_steps.ReadEvents) -> tuple[AuditRecord, ...]:
        found = sorted((key for key in self._events if step.admits(self._events[key])), reverse=step.newest_first)
        after = step.after
        if after is not None:
            found = [key for key in found if (key < after if step.newest_first else key > after)]
        return tuple(self._events[key] for key in found[: step.limit])

    @OPERATIONS(operator_steps.DropEvents)
    def _drop_events(self, step: operator_steps.DropEvents) -> int:
        old = [key for key, record in self._events.items() if step.drops(record)]
        for key in old[: operator_steps.EVENTS_AT_ONCE]:
            del self._events[key]
        return len(old[: operator_steps.EVENTS_AT_ONCE])

    @OPERATIONS(operator_steps.AddMark)
    def _add_mark(self, step: operator_steps.AddMark) -> None:
        self._marks[step.key, step.value] = step.until
        self._drop_marks(step.now, operator_steps.MARKS_AT_ONCE)

    @OPERATIONS(operator_steps.AddMarkOnce)
    def _add_mark_once(self, step: operator_steps.AddMarkOnce) -> bool:
        if self._marks.get((step.key, ""), 0) > step.now:
            return False
        self._marks[step.key, ""] = step.until
        if step.removes_expired:
            self._drop_marks(step.now, operator_steps.EXPIRED_ONCE_AT_ONCE)
        return True

    def _drop_marks(self, now: int, limit: int | None = None) -> None:
        expired = (mark for mark, until in self._marks.items() if until <= now)
        for mark in list(islice(expired, limit)):
            del self._marks[mark]

    @OPERATIONS(operator_steps.ReadMarks)
    def _read_marks(self, step: operator_steps.ReadMarks) -> tuple[str, ...]:
        live = (mark for mark, until in self._marks.items() if until > step.now)
        return tuple(sorted(value for key, value in live if key == step.key))

    @OPERATIONS(operator_steps.ReadStats)
    def _read_stats(self, _: operator_steps.ReadStats) -> Mapping[str, int]:
        return {
            "sessions": len(self._sessions),
            "keys": len(self._keys),
            "users": len(self._accounts),
            "events": len(self._events),
        }

    @OPERATIONS(operator_steps.ReadSettings)
    def _read_settings(self, _: operator_steps.ReadSettings) -> Mapping[str, str]:
        return {"sweep_due_at": str(self._sweep_due_at)}

    @OPERATIONS(account_steps.AddAccount)
    def _add_account(self, step: account_steps.AddAccount) -> bool:
        account = step.account
        if (
            any(self._by_name(name) for name in (account.email, account.username) if name)
            or account.subject in self._accounts
        ):
            return False
        self._accounts[account.subject] = account
        return True

    @OPERATIONS(account_steps.FindAccount)
    def _find_account(self, step: account_steps.FindAccount) -> Account | None:
        return self._by_name(step.identifier)

    def _by_name(self, name: str) -> Account | None:
        folded = fold_name(name)
        return next((each for each in self._accounts.values() if folded in _folded_names(each)), None)

    @OPERATIONS(account_steps.LoadAccount)
    def _load_account(self, step: account_steps.LoadAccount) -> Account | None:
        return self._accounts.get(step.subject)

    @OPERATIONS(account_steps.SetPasswordHash)
    def _set_password_hash(self, step: account_steps.SetPasswordHash) -> None:
        account = self._accounts.get(step.subject)
        if account is not None:
            self._accounts[step.subject] = replace(account, password_hash=step.password_hash)

    @OPERATIONS(account_steps.ListAccounts)
    def _list_accounts(self, step: account_steps.ListAccounts) -> tuple[Account, ...]:
        known = self._accounts.values()
        subjects = sorted(
            each.subject for each in known if each.subject > step.after and (each.scope or not step.scoped)
        )
        return tuple(self._accounts[subject] for subject in subjects[: account_steps.PAGE])

    @OPERATIONS(account_steps.SetDisabled)
    def _set_disabled(self, step: account_steps.SetDisabled) -> None:
        account = self._accounts.get(step.subject)
        if account is not None:
            self._accounts[step.subject] = replace(account, disabled_at=step.disabled_at)

    @OPERATIONS(account_steps.SetScope)
    def _set_scope(self, step: account_steps.SetScope) -> None:
        account = self._accounts.get(step.subject)
        if account is not None:
            self._accounts[step.subject] = replace(account, scope=step.scope)

    @OPERATIONS(account_steps.RemoveAccount)
    def _remove_account(self, step: account_steps.RemoveAccount) -> None:
        self._accounts.pop(step.subject, None)


class AsyncMemoryStore:
    """`MemoryStore` for `AsyncDaypass`; nothing waits."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def begin(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer."""
        return self._store.perform(step)

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; it cannot fail."""
        return self._store.perform(step)

    async def perform_account(self, step: AccountStep[A]) -> A:
        """Do what `perform` does, for built-in users."""
        return self._store.perform_account(step)

    async def perform_operator(self, step: OperatorStep[A]) -> A:
        """Do what `perform` does, for operators."""
        return self._store.perform_operator(step)

    async def close(self) -> None:
        """Do nothing: the content stays until the store itself is deleted."""


def _folded_names(account: Account) -> tuple[str, ...]:
    return tuple(fold_name(name) for name in (account.email, account.username) if name)


def _position(session: Session) -> tuple[int, bytes, int, str | None]:
    return session.generation, session.branch, session.rotated_at, session.key_thumbprint
