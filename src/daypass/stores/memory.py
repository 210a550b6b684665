"""Sessions in this process's memory: for tests, demonstrations and applications of one process that may forget."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from daypass import steps
from daypass.keys import KeyRecord
from daypass.model import Account, Session
from daypass.steps import StoreStep

A = TypeVar("A")


class MemoryStore:
    """A store in memory; it may be shared by threads, and by any number of issuers in the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._keys: list[KeyRecord] = []
        self._accounts: dict[str, Account] = {}
        self._operations: Mapping[type[StoreStep[Any]], Callable[[Any], Any]] = {
            steps.Insert: self._insert,
            steps.Advance: self._advance,
            steps.Swap: self._swap,
            steps.Find: self._find,
            steps.End: self._end,
            steps.EndAll: self._end_all,
            steps.ListSessions: self._list,
            steps.ReadKeys: self._read_keys,
            steps.AddFirstKey: self._add_first_key,
            steps.Rewrap: self._rewrap,
            steps.Probe: lambda _: None,
            steps.AddAccount: self._add_account,
            steps.FindAccount: self._find_account,
            steps.LoadAccount: self._load_account,
            steps.SetPasswordHash: self._set_password_hash,
        }

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; nothing can go wrong."""
        with self._lock:
            return self._operations[type(step)](step)  # type: ignore[no-any-return]  # the table pairs step and answer

    def close(self) -> None:
        """Do nothing: what is in memory stays until the store itself is gone."""

    def _insert(self, step: steps.Insert) -> None:
        self._sessions[step.session.id] = step.session

    def _advance(self, step: steps.Advance) -> steps.Advanced:
        session = self._sessions.get(step.session_id)
        moved = None if session is None else step.moved(session)
        if session is None or moved is None:
            return steps.Advanced(session, moved=False)
        self._sessions[session.id] = moved
        return steps.Advanced(moved, moved=True, rotated_at=session.rotated_at)

    def _swap(self, step: steps.Swap) -> bool:
        session = self._sessions.get(step.old.id)
        if session is None or session.ended_at is not None or _position(session) != _position(step.old):
            return False
        self._sessions[session.id] = step.new
        return True

    def _find(self, step: steps.Find) -> Session | None:
        return self._sessions.get(step.session_id)

    def _end(self, step: steps.End) -> Session | None:
        session = self._sessions.get(step.session_id)
        if session is None or session.ended_at is not None or step.subject not in (None, session.subject):
            return None
        ended = replace(session, ended_at=step.at, end_reason=step.reason)
        self._sessions[session.id] = ended
        return ended

    def _end_all(self, step: steps.EndAll) -> tuple[str, ...]:
        live = [each for each in self._of(step.subject) if each.is_live(step.at) and each.id != step.keep]
        for session in live:
            self._sessions[session.id] = replace(session, ended_at=step.at, end_reason=step.reason)
        return tuple(session.id for session in live)

    def _list(self, step: steps.ListSessions) -> tuple[Session, ...]:
        live = [each for each in self._of(step.subject) if each.is_live(step.now)]
        return tuple(sorted(live, key=lambda session: (-session.created_at, session.id)))

    def _of(self, subject: str) -> list[Session]:
        return [each for each in self._sessions.values() if each.subject == subject]

    def _read_keys(self, _: steps.ReadKeys) -> tuple[KeyRecord, ...]:
        return tuple(reversed(self._keys))

    def _add_first_key(self, step: steps.AddFirstKey) -> None:
        if all(record.algorithm != step.record.algorithm for record in self._keys):
            self._keys.append(step.record)

    def _rewrap(self, step: steps.Rewrap) -> None:
        for index, record in enumerate(self._keys):
            if (record.kid, record.wrapped) == (step.kid, step.old):
                self._keys[index] = replace(record, wrapped=step.new)

    def _add_account(self, step: steps.AddAccount) -> bool:
        account = step.account
        if (
            any(self._by_name(name) for name in (account.email, account.username) if name)
            or account.subject in self._accounts
        ):
            return False
        self._accounts[account.subject] = account
        return True

    def _find_account(self, step: steps.FindAccount) -> Account | None:
        return self._by_name(step.identifier)

    def _by_name(self, name: str) -> Account | None:
        folded = name.casefold()
        return next((each for each in self._accounts.values() if folded in _folded_names(each)), None)

    def _load_account(self, step: steps.LoadAccount) -> Account | None:
        return self._accounts.get(step.subject)

    def _set_password_hash(self, step: steps.SetPasswordHash) -> None:
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
