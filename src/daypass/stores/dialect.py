"""The differences between the SQL databases, with one `Dialect` for each database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from daypass.errors import ConfigurationError
from daypass.stores import schema, sql


@dataclass(frozen=True, slots=True)
class Dialect:
    """One database.

    Attributes:
        version: of the tables that this Daypass creates.
        tables: the statements that create them.
        upgrades: the statements that upgrade each older version to the next.
        advance: `Advance` as one statement. Empty: find, compare and update, in a transaction that blocks all other
            writers.
        advance_with_account: the same, with the account of the session's user.
        admit: `Admit` as one statement, which answers as `sql.ADMIT` does. Empty: step by step, in such a transaction.
        for_update: ends a select that locks its rows.
        skip_locked: ends a select that locks its rows, and skips those that others have locked.
        clock: the statement that reads the database's clock. Empty: its clock is this machine's.
        note_events: adds records, which are JSON, to the audit trail.
        settings: the statements that read the database's settings: rows of names and values.
        objects: the statement that reads its columns, indexes and constraints: rows of a text and whether it is valid.
        damage: the statement that checks one table's part of the file: rows of texts, ``ok`` if it is sound.
    """

    version: int
    tables: tuple[str, ...]
    upgrades: Mapping[int, tuple[str, ...]]
    advance: str = ""
    advance_with_account: str = ""
    admit: str = ""
    for_update: str = ""
    skip_locked: str = ""
    clock: str = ""
    note_events: str = ""
    settings: tuple[str, ...] = ()
    objects: str = ""
    damage: str = ""

    def upgrade(self, version: int) -> Iterator[str]:
        """Return the statements that upgrade tables of ``version``; 0 means that there are no tables."""
        if version == 0:
            return iter(self.tables)
        return chain.from_iterable(self.upgrades[each] for each in range(version, self.version))

    def require_compatible(self, compatible_from: int, shown: str) -> None:
        """Check that this Daypass may work with tables that need at least ``compatible_from``.

        Raises:
            ConfigurationError: it is too old for them.
        """
        if compatible_from > self.version:
            raise ConfigurationError(
                f"{shown} needs a Daypass that knows schema {compatible_from}, and this one knows {self.version}: "
                "upgrade Daypass"
            )


SQLITE = Dialect(
    schema.SQLITE_VERSION,
    schema.SQLITE,
    schema.SQLITE_UPGRADES,
    note_events=sql.NOTE_EVENTS_SQLITE,
    settings=(
        sql.SCHEMA_OF_SQLITE,
        sql.SWEEP_DUE,
        "SELECT 'sqlite_version', sqlite_version()",
        "SELECT 'journal_mode', journal_mode FROM pragma_journal_mode",
        "SELECT 'synchronous', synchronous FROM pragma_synchronous",
        "SELECT 'integrity', quick_check FROM pragma_quick_check LIMIT 1",
    ),
    objects=sql.OBJECTS_OF_SQLITE,
    damage="SELECT integrity_check FROM pragma_integrity_check('{table}')",
)

POSTGRES = Dialect(
    schema.POSTGRES_VERSION,
    schema.POSTGRES,
    schema.POSTGRES_UPGRADES,
    advance=sql.ADVANCE,
    advance_with_account=sql.ADVANCE_WITH_ACCOUNT,
    admit=sql.ADMIT,
    for_update="FOR UPDATE",
    skip_locked="FOR UPDATE SKIP LOCKED",
    note_events=sql.NOTE_EVENTS_POSTGRES,
    settings=(sql.SCHEMA_OF_POSTGRES, sql.SWEEP_DUE, sql.SETTINGS_OF_POSTGRES),
    objects=sql.OBJECTS_OF_POSTGRES,
    clock="SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
)
