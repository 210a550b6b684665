"""The steps that a store of accounts performs: the built-in users of the ready-made service."""

from dataclasses import dataclass, field

from daypass.store_steps import StoreStep
from daypass.user import Account


@dataclass(frozen=True, slots=True)
class AddAccount(StoreStep[bool]):
    """Add a user; False, and nothing is changed, when the address or the name is taken."""

    account: Account


@dataclass(frozen=True, slots=True)
class FindAccount(StoreStep[Account | None]):
    """Find a user by address or name, whatever its case."""

    identifier: str


@dataclass(frozen=True, slots=True)
class LoadAccount(StoreStep[Account | None]):
    """Find a user by subject."""

    subject: str


@dataclass(frozen=True, slots=True)
class SetPasswordHash(StoreStep[None]):
    """Replace a user's password hash."""

    subject: str
    password_hash: str = field(repr=False)
