"""The state of a connection as a vault shows it, without tokens. Pure.

A connection has a provider and a name: ``xero`` and ``tenant-42``. The key of its row is ``xero/tenant-42``:
``PostgresStorage(url, "xero/tenant-42", secret=…)`` is the same row. The vault uses these parts of a row without
opening it:

- its state, when its refresh token was last used (a login counts), when its access token expires, its last error;
- the id of the secret that it was sealed with, which is in the sealed text (`daypass.client.sealing.key_id_of`);
- an index by provider and last use, written together with the row, for `Vault.keep`. In Redis, a row's key has one of
  256 buckets as its hash tag, and the index of a provider and bucket is a sorted set with the same hash tag: so one
  script changes both, also in a cluster.
"""

from dataclasses import dataclass
from enum import StrEnum

from daypass.client.sealing import key_id_of
from daypass.client.storage.row import Row, provider_of
from daypass.errors import ConfigurationError

LONGEST_NAME = 512
"""Maximum number of characters of the key of a connection."""


class State(StrEnum):
    """The state of a connection; the value is the word that is stored and shown."""

    LIVE = "live"
    REFRESHING = "refreshing"
    NEEDS_LOGIN = "needs_login"


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as a vault shows it, without tokens. Times are milliseconds since the epoch, by the database.

    Attributes:
        provider: the provider of the service.
        name: the account there.
        state: ``refreshing`` while a machine refreshes it; ``needs_login`` when only a new login helps.
        reason: why it needs a login.
        expires_at: when the access token expires; ``None`` if not known.
        refreshed_at: when the refresh token was last used, or received at login.
        last_error: why the last refresh failed; ``None`` after one that succeeded.
        refreshes: how many refreshes have succeeded.
        key_id: the id of the secret that the row was sealed with.
    """

    provider: str
    name: str
    state: State
    reason: str | None = None
    expires_at: int | None = None
    refreshed_at: int | None = None
    last_error: str | None = None
    refreshes: int = 0
    key_id: str | None = None


def shown(key: str, row: Row, now: int) -> Connection:
    """Return the `Connection` of a row.

    Args:
        key: the key of the row.
        row: the row, with its tokens sealed.
        now: the time by the database's clock, in milliseconds since the epoch.
    """
    provider, name = names_in(key)
    state = State.NEEDS_LOGIN if row.reason is not None else State.REFRESHING if row.lease_until > now else State.LIVE
    return Connection(
        provider=provider,
        name=name,
        state=state,
        reason=row.reason,
        expires_at=row.expires_at,
        refreshed_at=row.used_at,
        last_error=row.last_error,
        refreshes=row.refreshes,
        key_id=None if row.sealed is None else key_id_of(row.sealed),
    )


def key_of(provider: str, name: str) -> str:
    """Return the key of a connection's row.

    Raises:
        ConfigurationError: the provider or the name is empty, too long or has unprintable characters, or the provider
            has a slash.
    """
    if not provider or "/" in provider or not provider.isprintable():
        raise ConfigurationError(f"invalid provider {provider!r}: expected printable characters without a slash")
    if not name or not name.isprintable():
        raise ConfigurationError(f"invalid name {name!r} of a connection: expected printable characters")
    key = f"{provider}/{name}"
    if len(key) > LONGEST_NAME:
        raise ConfigurationError(f"the name of a connection is too long: expected at most {LONGEST_NAME} characters")
    return key


def names_in(key: str) -> tuple[str, str]:
    """Return the provider and the name in a row's key; a key without a slash has an empty provider."""
    provider = provider_of(key)
    return provider, key.removeprefix(f"{provider}/") if provider else key
