"""Connections to PostgreSQL, made with psycopg."""

from daypass.errors import ConfigurationError

try:
    import psycopg
except ImportError as error:
    raise ConfigurationError('PostgreSQL needs its driver: pip install "daypass[postgres]"') from error

if tuple(map(int, psycopg.__version__.split(".")[:2])) < (3, 3):  # while it waits, it does not look at a deadline
    raise ConfigurationError(
        f"psycopg {psycopg.__version__} would wait for a frozen server forever; install 3.3 or later: "
        'pip install --upgrade "daypass[postgres]"'
    )
