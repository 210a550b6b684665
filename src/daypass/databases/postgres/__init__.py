"""Connections to PostgreSQL, made with psycopg."""

from daypass.errors import ConfigurationError

try:
    import psycopg
except ImportError as error:
    raise ConfigurationError('PostgreSQL needs its driver: pip install "daypass[postgres]"') from error

if psycopg.__version__.startswith(("3.0", "3.1", "3.2")):  # while it waits, it does not look at a deadline
    raise ConfigurationError(
        f"psycopg {psycopg.__version__} would wait for a frozen server forever; install 3.3 or later: "
        'pip install --upgrade "daypass[postgres]"'
    )
