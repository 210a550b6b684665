"""Connections to PostgreSQL, made with psycopg."""

from daypass.errors import ConfigurationError

try:
    import psycopg  # noqa: F401 - only to see whether it is installed
except ImportError as error:
    raise ConfigurationError('PostgreSQL needs its driver: pip install "daypass[postgres]"') from error
