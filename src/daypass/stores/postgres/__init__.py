"""The PostgreSQL store, on libpq by psycopg; docs/stores.md tells of it."""

from daypass.stores.postgres.store import AsyncPostgresStore, PostgresStore

__all__ = ["AsyncPostgresStore", "PostgresStore"]
