"""The PostgreSQL store, on psycopg; docs/stores.md describes it."""

from daypass.errors import ConfigurationError

try:
    import psycopg  # noqa: F401 - only to see whether it is installed
except ImportError as error:
    raise ConfigurationError('PostgreSQL needs its driver: pip install "daypass[postgres]"') from error

from daypass.stores.postgres.store import AsyncPostgresStore, PostgresStore

__all__ = ["AsyncPostgresStore", "PostgresStore"]
