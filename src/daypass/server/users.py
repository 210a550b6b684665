"""The built-in users of the ready-made service: who they are, and their passwords (Argon2id)."""

import asyncio
import uuid
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from daypass.errors import ConfigurationError
from daypass.model import Account, User
from daypass.steps import AddAccount, FindAccount, LoadAccount, SetPasswordHash
from daypass.stores import AsyncStore, Store

MINIMUM_PASSWORD = 8
MAXIMUM_PASSWORD = 1024

_hasher = PasswordHasher()


class Users:
    """The users in a store: `check` is the service's ``authenticate``, `load` its ``load_user``."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def check(self, identifier: str, password: str) -> User | None:
        """Return the user with this address or name and this password, None otherwise.

        An unknown user takes as long as a wrong password. A hash of older parameters is replaced.

        Raises:
            StoreError: the store could not be asked.
        """
        account = await self._store.perform(FindAccount(identifier))
        known = account.password_hash if account else await asyncio.to_thread(_nobody)
        fits = await asyncio.to_thread(_verify, known, password)
        if account is None or not fits:
            return None
        if _hasher.check_needs_rehash(account.password_hash):
            replacement = await asyncio.to_thread(_hasher.hash, password)
            await self._store.perform(SetPasswordHash(account.subject, replacement))
        return _user(account)

    async def load(self, subject: str) -> User | None:
        """Return the user with this subject, None when there is none.

        Raises:
            StoreError: the store could not be asked.
        """
        account = await self._store.perform(LoadAccount(subject))
        return None if account is None else _user(account)


def add(store: Store, email: str, username: str | None, password: str, now: int) -> Account:
    """Add a user to ``store`` and return it.

    Raises:
        ConfigurationError: the address, the name or the password cannot be used, or is taken; nothing was changed.
        StoreError: nothing was changed.
    """
    _, at, domain = email.partition("@")
    if not at or not domain or email != email.strip() or len(email) > 254:
        raise ConfigurationError(f"{email!r} is no email address")
    if username is not None and (not username or "@" in username or username != username.strip()):
        raise ConfigurationError(f"{username!r} is no user name: it may not be empty, nor have an @ or outer spaces")
    if len(password) < MINIMUM_PASSWORD:
        raise ConfigurationError(f"the password needs at least {MINIMUM_PASSWORD} characters")
    if len(password) > MAXIMUM_PASSWORD:
        raise ConfigurationError(f"the password may have {MAXIMUM_PASSWORD} characters at the most")
    account = Account(str(uuid.uuid4()), email, username, _hasher.hash(password), now)
    if not store.perform(AddAccount(account)):
        raise ConfigurationError("there is a user with that address or name already")
    return account


def _user(account: Account) -> User:
    return User(account.subject, account.username, account.email, disabled=account.disabled_at is not None)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    """Return the hash that an unknown user's password is compared with."""
    return _hasher.hash(uuid.uuid4().hex)
