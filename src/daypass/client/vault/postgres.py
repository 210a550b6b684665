"""The rows of a vault in PostgreSQL: pages by key, and rows with idle refresh tokens, by an index."""

from daypass.client.storage.postgres import COLUMNS, NOW, PostgresRows, row_of
from daypass.client.vault.rows import Page

# The collation is that of the table. A table created by Django has another one, and each page needs a scan.
_PAGE = (
    f"SELECT {NOW}, key, format, {', '.join(COLUMNS)} FROM daypass_connection "  # noqa: S608 - names of columns
    'WHERE key COLLATE "C" > :after {more} ORDER BY key COLLATE "C" LIMIT :size'
)
_OF_ALL = _PAGE.format(more="")
_OF_PROVIDER = _PAGE.format(more='AND key COLLATE "C" < :end')
_CLAIM = f"""
WITH clock AS MATERIALIZED (SELECT {NOW} - :idle_for AS since), idle AS MATERIALIZED (
    SELECT key FROM daypass_connection
    WHERE provider = :provider AND reason IS NULL AND sealed IS NOT NULL
        AND greatest(used_at, held_until) <= (SELECT since FROM clock)
    ORDER BY greatest(used_at, held_until) LIMIT :size FOR UPDATE SKIP LOCKED
)
UPDATE daypass_connection SET held_until = (SELECT since FROM clock) + :hold_for
WHERE key IN (SELECT key FROM idle) RETURNING key
"""  # noqa: S608 - the clock


class PostgresVaultRows(PostgresRows):
    """The rows of one PostgreSQL database, for a vault; its arguments are those of `PostgresRows`."""

    def page(self, provider: str | None, after: str, size: int) -> Page:
        """Return a page of rows by key; see `VaultRows.page`."""
        if provider is None:
            found = self.ask(_OF_ALL, after=after, size=size)
        else:  # "0" is the character after "/"
            found = self.ask(_OF_PROVIDER, after=after or f"{provider}/", end=f"{provider}0", size=size)
        rows = [(str(key), row) for _, key, *values in found if (row := row_of(values)) is not None]
        return rows, rows[-1][0] if len(rows) == size else "", int(found[0][0]) if found else 0

    def claim(self, provider: str, idle_for: int, hold_for: int, size: int) -> list[str]:
        """Claim idle connections with one statement, which locks its rows only while it runs; see `VaultRows.claim`."""
        found = self.ask(_CLAIM, provider=provider, idle_for=idle_for, hold_for=hold_for, size=size)
        return [str(key) for (key,) in found]
