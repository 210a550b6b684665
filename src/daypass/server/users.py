"""The built-in users of the ready-made service, and their passwords (Argon2id).

A password is normalized to NFC (RFC 8265 §4.2) before it is hashed: "é" is one character on one keyboard, and two on
another. Hashes made before that are still accepted, as typed, and replaced at the next login.
"""

import asyncio
import unicodedata
import uuid
from collections.abc import Iterator
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from daypass import scope as scopes
from daypass.account_steps import (
    AccountStore,
    AddAccount,
    AsyncAccountStore,
    FindAccount,
    ListAccounts,
    LoadAccount,
    SetPasswordHash,
)
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

    hashes = True

    def __init__(self, store: AsyncStore) -> None:
        if not isinstance(store, AsyncAccountStore):
            raise ConfigurationError(f"{type(store).__name__} keeps no accounts, so it cannot have built-in users")
        self._store: AsyncAccountStore = store
        _unknown_user()  # now, so that the first unknown user takes no longer than the next

    async def check(self, identifier: str, password: str) -> User | None:
        """Return the user with this email address or name and this password, None otherwise.

        An unknown user takes as long as a wrong password. A hash of older parameters is replaced.

        Raises:
            StoreError: the store cannot be used now.
        """
        account = await self._store.perform_account(FindAccount(identifier))
        known = account.password_hash if account else _unknown_user()
        fitting = await asyncio.to_thread(_fitting, known, password)
        if account is None or fitting is None:
            return None
        if fitting != _normalized(password) or _hasher.check_needs_rehash(account.password_hash):
            replacement = await asyncio.to_thread(_hasher.hash, _normalized(password))
            await self._store.perform_account(SetPasswordHash(account.subject, replacement))
        return account.user

    async def load(self, subject: str) -> User | None:
        """Return the user with this subject, None if the user does not exist.

        Raises:
            StoreError: the store cannot be used now.
        """
        account = await self._store.perform_account(LoadAccount(subject))
        return None if account is None else account.user

    async def close(self) -> None:
        """Do nothing: the store is closed by its issuer."""


def matches(password_hash: str | None, password: str) -> bool:
    """Return whether ``password`` has this hash; without a hash, take as long and return False."""
    fitting = _fitting(password_hash or _unknown_user(), password)
    return password_hash is not None and fitting is not None


def add(store: Store, email: str, username: str | None, password: str, now: int, scope: str | None = None) -> Account:
    """Add a user to ``store`` and return it.

    Raises:
        ConfigurationError: the address, the name, the password or the scope is invalid, or one of the names is taken;
            nothing was changed.
        StoreError: nothing was changed.
    """
    accounts = accounts_in(store)
    local, _, domain = email.partition("@")
    if not local or not domain or "@" in domain or not _is_plain(email) or " " in email:
        raise ConfigurationError(f"invalid email address {email!r}")
    if username is not None and (not username or "@" in username or not _is_plain(username)):
        raise ConfigurationError(
            f"invalid user name {username!r}: it must have no @, no outer spaces, and not be empty"
        )
    _check_password(password)
    granted = scopes.checked(scope)
    password_hash = _hasher.hash(_normalized(password))
    account = Account(str(uuid.uuid4()), email, username, password_hash, now, scope=granted)
    if not accounts.perform_account(AddAccount(account)):
        raise ConfigurationError("a user with that email address or name exists already")
    return account


def accounts_in(store: Store) -> AccountStore:
    """Return ``store`` as a store of accounts.

    Raises:
        ConfigurationError: it keeps no accounts.
    """
    if not isinstance(store, AccountStore):
        raise ConfigurationError(f"{type(store).__name__} keeps no accounts, so it cannot have built-in users")
    return store


def everyone(store: AccountStore) -> Iterator[Account]:
    """Yield all users, in the order of their subjects."""
    page = store.perform_account(ListAccounts())
    while page:
        yield from page
        page = store.perform_account(ListAccounts(page[-1].subject))


def set_password(store: AccountStore, account: Account, password: str) -> None:
    """Replace a user's password.

    Raises:
        ConfigurationError: the password is invalid; nothing was changed.
        StoreError: nothing was changed.
    """
    _check_password(password)
    store.perform_account(SetPasswordHash(account.subject, _hasher.hash(_normalized(password))))


def _check_password(password: str) -> None:
    if not _is_text(password):
        raise ConfigurationError("the password has characters that JSON cannot send; write it in UTF-8")
    if len(password) < MINIMUM_PASSWORD:
        raise ConfigurationError(f"the password must have at least {MINIMUM_PASSWORD} characters")
    if len(password) > MAXIMUM_PASSWORD:
        raise ConfigurationError(f"the password can have {MAXIMUM_PASSWORD} characters")


def _is_plain(name: str) -> bool:
    return name == name.strip() and name.isprintable() and len(name) <= MAXIMUM_NAME


def _is_text(password: str) -> bool:
    """Return whether ``password`` fits into JSON in UTF-8: bytes that are not UTF-8 were read as lone surrogates."""
    return "\0" not in password and not any("\ud800" <= character <= "\udfff" for character in password)


def _fitting(password_hash: str, password: str) -> str | None:
    """Return the form of ``password`` that matches the hash: normalized, or as typed; None if neither."""
    forms = dict.fromkeys((_normalized(password), password))
    return next((form for form in forms if _verify(password_hash, form)), None)


def _normalized(password: str) -> str:
    return unicodedata.normalize("NFC", password)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


@cache
def _unknown_user() -> str:
    """Return the hash that an unknown user's password is compared with."""
    return _hasher.hash(uuid.uuid4().hex)
