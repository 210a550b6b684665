"""The suite that an account store must pass; ``daypass serve`` keeps its built-in users in such a store.

Use it like `daypass.testing.StoreContract`: override the fixture ``store``. Wrap an async store in
`daypass.testing.Performing`.
"""

# ruff: noqa: S101, SIM300 - these are tests: they assert, and asserts read `expected == actual`

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from daypass.account_steps import (
    AccountStep,
    AccountStore,
    AddAccount,
    FindAccount,
    ListAccounts,
    LoadAccount,
    RemoveAccount,
    SetDisabled,
    SetPasswordHash,
    SetScope,
)
from daypass.testing.clock import START
from daypass.testing.store_contract import CALLERS
from daypass.user import Account


def account(number: int = 1, **fields: Any) -> Account:
    """Return a user for a test, with other values for ``fields``."""
    made = Account(f"subject-{number}", f"user{number}@example.com", f"user{number}", f"hash-{number}", START)
    return replace(made, **fields)


class AccountStoreContract:
    """Tests that every account store must pass; a subclass gives the store with the fixture ``store``."""

    @pytest.fixture
    def store(self) -> Any:
        """Return an empty store; override this."""
        raise NotImplementedError("override the fixture `store`: it gives an empty store")

    def race(self, store: AccountStore, steps: Sequence[AccountStep[Any]]) -> list[Any]:
        """Perform ``steps`` concurrently, each by its own caller, and return their results."""
        start = threading.Barrier(len(steps))

        def caller(step: AccountStep[Any]) -> Any:
            start.wait(timeout=30)
            return store.perform_account(step)

        with ThreadPoolExecutor(len(steps)) as callers:
            return list(callers.map(caller, steps))

    @pytest.mark.parametrize("identifier", ["user1@example.com", "USER1@Example.COM", "user1", "User1"])
    def test_a_user_is_found_by_address_and_name(self, store: AccountStore, identifier: str) -> None:
        """Upper and lower case do not matter; the user comes back as added."""
        store.perform_account(AddAccount(account(2)))
        assert store.perform_account(AddAccount(account(1))) is True
        assert account(1) == store.perform_account(FindAccount(identifier))

    def test_case_is_that_of_all_writing(self, store: AccountStore) -> None:
        """Names that differ only in case are the same, in any alphabet."""
        greek = account(1, email="\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2@example.com", username="\u00c4RGER")
        assert store.perform_account(AddAccount(greek)) is True
        assert greek == store.perform_account(FindAccount("\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c3@EXAMPLE.com"))
        assert greek == store.perform_account(FindAccount("\u00e4rger"))
        assert store.perform_account(AddAccount(account(2, username="\u00c4rger"))) is False

    def test_spellings_of_one_name(self, store: AccountStore) -> None:
        """Composed and decomposed letters, compatibility forms and outer spaces make no difference (NFKC)."""
        rene = account(1, email="rene@example.com", username="ren\u00e9")
        assert store.perform_account(AddAccount(rene)) is True
        for name in ("rene\u0301", "REN\u00c9", " ren\u00e9 ", "\uff52\uff45\uff4e\u00e9", "\uff32ene@example.com"):
            assert rene == store.perform_account(FindAccount(name))
        assert store.perform_account(AddAccount(account(2, username="RENE\u0301"))) is False

    @pytest.mark.parametrize(
        "identifier", ["", " ", "nobody", "user1@example.co", "user1 @example.com", "user_", "%", "hash-1"]
    )
    def test_nobody_else_is_found(self, store: AccountStore, identifier: str) -> None:
        """An unknown name finds no user, and an empty one does not find a user without a name."""
        store.perform_account(AddAccount(account(1)))
        store.perform_account(AddAccount(account(2, username=None)))
        assert store.perform_account(FindAccount(identifier)) is None
        assert store.perform_account(LoadAccount(identifier)) is None

    def test_a_user_is_loaded_by_subject(self, store: AccountStore) -> None:
        """Exactly as added, a disabled one too."""
        disabled = account(1, username=None, disabled_at=START + 7)
        store.perform_account(AddAccount(disabled))
        assert disabled == store.perform_account(LoadAccount("subject-1"))
        assert store.perform_account(LoadAccount("SUBJECT-1")) is None

    @pytest.mark.parametrize(
        "fields",
        [{"email": "USER1@example.com"}, {"username": "uSER1"}, {"subject": "subject-1"}],
        ids=["address", "name", "subject"],
    )
    def test_a_taken_name_stays_with_its_user(self, store: AccountStore, fields: dict[str, Any]) -> None:
        """An address or a name that is taken, in upper or lower case, is refused and changes nothing."""
        store.perform_account(AddAccount(account(1)))
        assert store.perform_account(AddAccount(account(2, **fields))) is False
        assert account(1) == store.perform_account(LoadAccount("subject-1"))
        assert store.perform_account(LoadAccount("subject-2")) is None

    def test_many_users_may_have_no_name(self, store: AccountStore) -> None:
        """A user without a name does not block any name."""
        assert [True, True] == [store.perform_account(AddAccount(account(n, username=None))) for n in (1, 2)]

    def test_one_of_many_gets_the_address(self, store: AccountStore) -> None:
        """If many add the same address at once, exactly one succeeds."""
        steps = [
            AddAccount(account(n, email="ada@example.com" if n % 2 else "ADA@EXAMPLE.COM")) for n in range(CALLERS)
        ]
        answers = self.race(store, steps)
        (added,) = [step.account for step, done in zip(steps, answers, strict=True) if done]
        assert added == store.perform_account(FindAccount("ada@example.com"))

    def test_a_password_is_replaced_for_its_user_alone(self, store: AccountStore) -> None:
        """Only the hash of that user is replaced; an unknown user is not an error."""
        store.perform_account(AddAccount(account(1)))
        store.perform_account(AddAccount(account(2)))
        store.perform_account(SetPasswordHash("subject-1", "new hash"))
        store.perform_account(SetPasswordHash("subject-3", "new hash"))
        assert account(1, password_hash="new hash") == store.perform_account(LoadAccount("subject-1"))  # noqa: S106 - nobody's
        assert account(2) == store.perform_account(LoadAccount("subject-2"))

    def test_users_are_listed_in_order(self, store: AccountStore) -> None:
        """Users are listed once each, ordered by subject, after the given one."""
        for number in (2, 3, 1):
            store.perform_account(AddAccount(account(number, username=None if number == 3 else f"user{number}")))
        listed = store.perform_account(ListAccounts())
        assert ["subject-1", "subject-2", "subject-3"] == [each.subject for each in listed]
        assert account(1) == listed[0]
        assert listed[1:] == store.perform_account(ListAccounts(after="subject-1"))
        assert () == store.perform_account(ListAccounts(after="subject-3"))

    def test_a_user_is_disabled_and_enabled(self, store: AccountStore) -> None:
        """Nothing else changes, of that user or of others; an unknown user is not an error."""
        store.perform_account(AddAccount(account(1)))
        store.perform_account(AddAccount(account(2)))
        for subject in ("subject-1", "subject-3"):
            store.perform_account(SetDisabled(subject, START + 7))
        assert account(1, disabled_at=START + 7) == store.perform_account(LoadAccount("subject-1"))
        assert account(2) == store.perform_account(LoadAccount("subject-2"))
        store.perform_account(SetDisabled("subject-1", None))
        assert account(1) == store.perform_account(FindAccount("user1"))

    def test_a_user_has_a_scope(self, store: AccountStore) -> None:
        """It comes back as it was set, is replaced and taken away; users who have one are listed by themselves."""
        store.perform_account(AddAccount(account(1)))
        store.perform_account(AddAccount(account(2, scope="read write")))
        assert account(2, scope="read write") == store.perform_account(FindAccount("user2"))
        assert (account(2, scope="read write"),) == store.perform_account(ListAccounts(scoped=True))
        for subject in ("subject-1", "subject-3"):
            store.perform_account(SetScope(subject, "admin"))
        store.perform_account(SetScope("subject-2", "read"))
        scoped = store.perform_account(ListAccounts(scoped=True))
        assert (account(1, scope="admin"), account(2, scope="read")) == scoped
        assert scoped[1:] == store.perform_account(ListAccounts("subject-1", scoped=True))
        store.perform_account(SetScope("subject-1", None))
        store.perform_account(RemoveAccount("subject-2"))
        assert () == store.perform_account(ListAccounts(scoped=True))
        assert (account(1),) == store.perform_account(ListAccounts())

    def test_a_removed_user_is_gone_and_leaves_the_name(self, store: AccountStore) -> None:
        """Another user may take the address and the name; an unknown user is not an error."""
        store.perform_account(AddAccount(account(1)))
        store.perform_account(AddAccount(account(2)))
        for _ in range(2):
            store.perform_account(RemoveAccount("subject-1"))
        assert store.perform_account(FindAccount("user1")) is None
        assert (account(2),) == store.perform_account(ListAccounts())
        assert store.perform_account(AddAccount(account(1, subject="subject-9"))) is True
        assert "subject-9" == store.perform_account(FindAccount("user1@example.com")).subject  # type: ignore[union-attr]
