"""Sessions in this process's memory: for tests, demonstrations and applications of one process that may forget."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from heapq import nlargest
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

from daypass import account_steps, store_steps
from daypass.keys import KeyRecord
from daypass.session import Session
from daypass.store_steps import StoreStep
from daypass.user import Account

A = TypeVar("A")


class MemoryStore:
    """A store in memory; it may be shared by threads, and by any number of issuers in the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._not_ended: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._ended: dict[str, int] = {}
        self._everyone_at = 0
        self._keys: dict[str, KeyRecord] = {}
        self._sweep_due_at = 0
        self._accounts: dict[str, Account] = {}
        self._operations: Mapping[type[StoreStep[Any]], Callable[[Any], Any]] = {
            store_steps.Insert: self._insert,
            store_steps.Advance: self._advance,
            store_steps.Swap: self._swap,
            store_steps.Find: self._find,
            store_steps.End: self._end,
            store_steps.EndAll: self._end_all,
            store_steps.EndEveryone: self._end_everyone,
            store_steps.ListSessions: self._list,
            store_steps.ReadKeys: self._read_keys,
            store_steps.ReadEndings: self._read_endings,
            store_steps.Sweep: self._sweep,
            store_steps.AddKey: self._add_key,
            store_steps.RemoveKey: self._remove_key,
            store_steps.Rewrap: self._rewrap,
            store_steps.Probe: lambda _: None,
            store_steps.ReadClock: lambda _: None,
            store_steps.Migrate: lambda _: 0,
            account_steps.AddAccount: self._add_account,
            account_steps.FindAccount: self._find_account,
            account_steps.LoadAccount: self._load_account,
            account_steps.SetPasswordHash: self._set_password_hash,
        }

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; nothing can go wrong."""
        with self._lock:
            return self._operations[type(step)](step)  # type: ignore[no-any-return]  # the table pairs step and answer

    def close(self) -> None:
        """Do nothing: what is in memory stays until the store itself is gone."""

    def _insert(self, step: store_steps.Insert) -> None:
        if step.session.id not in self._sessions:
            self._put(step.session)

    def _put(self, session: Session) -> None:
        self._sessions[session.id] = session
        if session.ended_at is None:
            self._not_ended[session.subject][session.id] = None
        else:
            self._ended[session.id] = session.ended_at
            self._not_ended[session.subject].pop(session.id, None)

    def _advance(self, step: store_steps.Advance) -> store_steps.Advanced:
        session = self._session(step.session_id)
        moved = None if session is None else step.moved(session)
        if session is None or moved is None:
            return store_steps.Advanced(session, moved=False)
        self._sessions[session.id] = moved
        return store_steps.Advanced(moved, moved=True, rotated_at=session.rotated_at)

    def _swap(self, step: store_steps.Swap) -> bool:
        session = self._session(step.old.id)
        if session is None or session.ended_at is not None or _position(session) != _position(step.old):
            return False
        self._put(step.new)
        return True

    def _find(self, step: store_steps.Find) -> Session | None:
        return self._session(step.session_id)

    def _session(self, session_id: str) -> Session | None:
        session = self._sessions.get(session_id)
        return None if session is None else session.ended_by_all(self._everyone_at)

    def _end(self, step: store_steps.End) -> Session | None:
        session = self._session(step.session_id)
        if session is None or session.ended_at is not None or step.subject not in (None, session.subject):
            return None
        ended = replace(session, ended_at=step.at, end_reason=step.reason)
        self._put(ended)
        return ended

    def _end_all(self, step: store_steps.EndAll) -> tuple[str, ...]:
        live = (each for each in self._live(step.subject, step.at) if each.id != step.keep)
        ended = [replace(each, ended_at=step.at, end_reason=step.reason) for each in islice(live, step.limit)]
        for session in ended:
            self._put(session)
        return tuple(session.id for session in ended)

    def _end_everyone(self, step: store_steps.EndEveryone) -> None:
        self._everyone_at = max(self._everyone_at, step.at)

    def _list(self, step: store_steps.ListSessions) -> tuple[Session, ...]:
        place = attrgetter("created_at", "id")
        live = [each for each in self._live(step.subject, step.now) if step.after is None or place(each) < step.after]
        return tuple(nlargest(step.limit, live, key=place))

    def _live(self, subject: str, now: int) -> Iterator[Session]:
        own = (self._sessions[each].ended_by_all(self._everyone_at) for each in self._not_ended.get(subject, ()))
        return (each for each in own if each.is_live(now))

    def _read_endings(self, step: store_steps.ReadEndings) -> store_steps.Endings:
        found = tuple(store_steps.Ending(session_id, at) for session_id, at in self._ended.items() if at > step.since)
        return store_steps.Endings(found, self._everyone_at)

    def _sweep(self, step: store_steps.Sweep) -> store_steps.Swept:
        if step.now < self._sweep_due_at and not step.regardless:
            return store_steps.Swept(0, self._sweep_due_at)
        over = [each for each in self._sessions.values() if step.is_over(each)]
        for session in over:
            del self._sessions[session.id]
            self._ended.pop(session.id, None)
            self._not_ended[session.subject].pop(session.id, None)
        self._sweep_due_at = step.now + step.rest
        return store_steps.Swept(len(over), self._sweep_due_at, whole=True)

    def _read_keys(self, _: store_steps.ReadKeys) -> tuple[KeyRecord, ...]:
        return tuple(sorted(self._keys.values(), key=lambda record: (-record.created_at, record.kid)))

    def _add_key(self, step: store_steps.AddKey) -> None:
        same = (
            record.kid
            for record in self._read_keys(store_steps.ReadKeys())
            if record.algorithm == step.record.algorithm
        )
        if next(same, None) == step.newest:
            self._keys[step.record.kid] = step.record

    def _remove_key(self, step: store_steps.RemoveKey) -> None:
        self._keys.pop(step.kid, None)

    def _rewrap(self, step: store_steps.Rewrap) -> None:
        record = self._keys.get(step.kid)
        if record is not None and record.wrapped == step.old:
            self._keys[step.kid] = replace(record, wrapped=step.new)

    def _add_account(self, step: account_steps.AddAccount) -> bool:
        account = step.account
        if (
            any(self._by_name(name) for name in (account.email, account.username) if name)
            or account.subject in self._accounts
        ):
            return False
        self._accounts[account.subject] = account
        return True

    def _find_account(self, step: account_steps.FindAccount) -> Account | None:
        return self._by_name(step.identifier)

    def _by_name(self, name: str) -> Account | None:
        folded = name.casefold()
        return next((each for each in self._accounts.values() if folded in _folded_names(each)), None)

    def _load_account(self, step: account_steps.LoadAccount) -> Account | None:
        return self._accounts.get(step.subject)

    def _set_password_hash(self, step: account_steps.SetPasswordHash) -> None:
        account = self._accounts.get(step.subject)
        if account is not None:
            self._accounts[step.subject] = replace(account, password_hash=step.password_hash)


class AsyncMemoryStore:
    """The same for `AsyncDaypass`; there is nothing to wait for."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; nothing can go wrong."""
        return self._store.perform(step)

    async def close(self) -> None:
        """Do nothing: what is in memory stays until the store itself is gone."""


def _folded_names(account: Account) -> tuple[str, ...]:
    return tuple(name.casefold() for name in (account.email, account.username) if name)


def _position(session: Session) -> tuple[int, bytes, int]:
    return session.generation, session.branch, session.rotated_at
