"""The steps that a store of accounts performs: the built-in users of ``daypass serve``.

Not every store needs them: a store that keeps accounts is also an `AccountStore`.
"""

from dataclasses import field
from typing import Protocol, TypeVar, runtime_checkable

from daypass.flow import Step
from daypass.user import Account
from daypass.value import value

A = TypeVar("A")


class AccountStep(Step[A]):
    """A step that a store of accounts performs, atomically."""

    __slots__ = ()


@runtime_checkable
class AccountStore(Protocol):
    """A store that keeps accounts."""

    def perform_account(self, step: AccountStep[A]) -> A:
        """Perform ``step`` and return its answer; raises the errors of `daypass.stores.Store.perform`."""


@runtime_checkable
class AsyncAccountStore(Protocol):
    """An async store that keeps accounts."""

    async def perform_account(self, step: AccountStep[A]) -> A:
        """Perform ``step`` and return its answer; raises the errors of `daypass.stores.Store.perform`."""


@value(frozen=True, slots=True)
class AddAccount(AccountStep[bool]):
    """Add a user; answered with False, and nothing is changed, if the address or the name is taken."""

    account: Account


@value(frozen=True, slots=True)
class FindAccount(AccountStep[Account | None]):
    """Find a user by address or name, in upper or lower case."""

    identifier: str


@value(frozen=True, slots=True)
class LoadAccount(AccountStep[Account | None]):
    """Find a user by subject."""

    subject: str


@value(frozen=True, slots=True)
class SetPasswordHash(AccountStep[None]):
    """Replace a user's password hash."""

    subject: str
    password_hash: str = field(repr=False)


PAGE = 500
"""How many users a step lists at once."""


@value(frozen=True, slots=True)
class ListAccounts(AccountStep[tuple[Account, ...]]):
    """List the next `PAGE` users after a subject, in the order of subjects.

    Attributes:
        after: the last subject of the page before.
        scoped: only users who have a scope.
    """

    after: str = ""
    scoped: bool = False


@value(frozen=True, slots=True)
class SetDisabled(AccountStep[None]):
    """Note since when a user may not log in; None if they may."""

    subject: str
    disabled_at: int | None


@value(frozen=True, slots=True)
class SetScope(AccountStep[None]):
    """Replace what a user may do; None leaves it to the session."""

    subject: str
    scope: str | None


@value(frozen=True, slots=True)
class RemoveAccount(AccountStep[None]):
    """Remove a user; the address and the name are free again."""

    subject: str
