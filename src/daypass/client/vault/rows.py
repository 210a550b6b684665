"""The interface of a vault's database, besides reading and replacing one row: pages of rows, and idle rows."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from daypass.client.storage.row import Row
from daypass.client.storage.shared import Rows
from daypass.errors import ConfigurationError
from daypass.unknown_options import refuse_unknown

Page: TypeAlias = tuple[list[tuple[str, Row]], str, int]
"""Keys and their rows, the cursor of the next page (empty at the end), and the time by the database's clock."""


class VaultRows(Rows, Protocol):
    """The rows of one database, for a vault. Each raises as `Rows.read` does."""

    def page(self, provider: str | None, after: str, size: int) -> Page:
        """Return the next rows; a page may be empty even if more rows follow.

        Args:
            provider: the provider; ``None`` for all.
            after: the cursor of the page before; empty at first.
            size: about how many rows to return.
        """

    def claim(self, provider: str, idle_for: int, hold_for: int, size: int) -> list[str]:
        """Return the keys of connections with idle refresh tokens; no other keeper gets them for a while.

        Args:
            provider: the provider.
            idle_for: milliseconds since the refresh token was last used, or received at login.
            hold_for: milliseconds until such a connection can be claimed again, if it is still idle then; at most
                ``idle_for``.
            size: the maximum number; the longest idle first.
        """


def open_rows(url: str, **options: Any) -> VaultRows:
    """Return the rows of the database at a URL; no connection is opened yet.

    Raises:
        ConfigurationError: the URL or an option is invalid, or the driver is not installed.
    """
    scheme = str(url).partition(":")[0]
    try:
        if scheme in ("postgresql", "postgres"):
            from daypass.client.vault.postgres import PostgresVaultRows

            return _made(PostgresVaultRows, url, options)
        if scheme.partition("+")[0] in ("redis", "rediss", "unix", "valkey", "valkeys"):
            from daypass.client.vault.redis import RedisVaultRows

            return _made(RedisVaultRows, url, options)
    except ModuleNotFoundError as error:
        extra = "postgres" if error.name == "psycopg" else "redis"
        raise ConfigurationError(f'{error.name} is not installed; run: pip install "daypass[{extra}]"') from None
    raise ConfigurationError(
        "this is not the URL of a vault: write postgresql://user@host/database, redis://host:6379/0, "
        "redis+sentinel://… or redis+cluster://…"
    )


def _made(kind: Callable[..., VaultRows], url: str, options: Mapping[str, Any]) -> VaultRows:
    refuse_unknown(options, inspect.signature(kind).parameters.keys() - {"url"})
    return kind(url, **options)
