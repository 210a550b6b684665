"""The built-in users of the ready-made service: who they are, and their passwords (Argon2id)."""

import asyncio
import uuid
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from daypass.account_steps import AddAccount, FindAccount, LoadAccount, SetPasswordHash
from daypass.errors import ConfigurationError
from daypass.stores import AsyncStore, Store
from daypass.user import Account, User

MAXIMUM_NAME = 254
"""Characters of an email address (RFC 5321 §4.5.3.1.3), and of a name."""

MINIMUM_PASSWORD = 8
MAXIMUM_PASSWORD = 1024

_hasher = PasswordHasher()


class Users:
    """The users in a store: `check` is the service's ``authenticate``, `load` its ``load_user``."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        _nobody()  # now, so that the first unknown user takes no longer than the next

    async def check(self, identifier: str, password: str) -> User | None:
        """Return the user with this address or name and this password, None otherwise.

        An unknown user takes as long as a wrong password. A hash of older parameters is replaced.

        Raises:
            StoreError: the store could not be asked.
        """
        account = await self._store.perform(FindAccount(identifier))
        known = account.password_hash if account else _nobody()
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
    local, _, domain = email.partition("@")
    if not local or not domain or "@" in domain or not _is_plain(email) or " " in email:
        raise ConfigurationError(f"{email!r} is no email address")
    if username is not None and (not username or "@" in username or not _is_plain(username)):
        raise ConfigurationError(f"{username!r} is no user name: it may not be empty, nor have an @ or outer spaces")
    if not _is_text(password):
        raise ConfigurationError("the password is no text that a login could send; write it in UTF-8")
    if len(password) < MINIMUM_PASSWORD:
        raise ConfigurationError(f"the password needs at least {MINIMUM_PASSWORD} characters")
    if len(password) > MAXIMUM_PASSWORD:
        raise ConfigurationError(f"the password may have {MAXIMUM_PASSWORD} characters at the most")
    account = Account(str(uuid.uuid4()), email, username, _hasher.hash(password), now)
    if not store.perform(AddAccount(account)):
        raise ConfigurationError("there is a user with that address or name already")
    return account


def _is_plain(name: str) -> bool:
    return name == name.strip() and name.isprintable() and len(name) <= MAXIMUM_NAME


def _is_text(password: str) -> bool:
    """Tell whether JSON in UTF-8 can carry ``password``; bytes that were none stand as half surrogate pairs."""
    return "\0" not in password and not any("\ud800" <= character <= "\udfff" for character in password)


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
