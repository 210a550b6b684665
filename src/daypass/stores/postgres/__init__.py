"""The PostgreSQL store, on psycopg; docs/stores.md describes it."""

from daypass.stores.postgres.store import AsyncPostgresStore, PostgresStore

__all__ = ["AsyncPostgresStore", "PostgresStore"]
