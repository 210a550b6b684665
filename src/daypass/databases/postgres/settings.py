"""The settings of a PostgreSQL server: from its URL, from the application, and learned from the server."""

import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from psycopg import OperationalError, ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict

from daypass.databases.options import read_count, read_timeout
from daypass.databases.postgres.failure import NO_OPTIONS, NOT_PREPARED, Failure
from daypass.duration import SECOND, Duration
from daypass.errors import ConfigurationError
from daypass.unknown_options import refuse_unknown

POOL_SIZE = 10
TIMEOUT = "5s"
_SCHEMES = ("postgresql://", "postgres://")
_OWN = ("pool_size", "timeout", "pgbouncer")
_PLAIN = re.compile(r"[\w.:/,\[\]-]*", re.ASCII)
_DEFAULTS = {
    "application_name": "daypass",
    "client_encoding": "UTF8",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
_LEAST_TO_CONNECT = 2
"""Seconds; libpq and psycopg take no less."""


class Settings:
    """Where the server is, and how to connect to it.

    Args:
        url: ``postgresql://user:password@host:port/database?…``; besides libpq's parameters, the part after ``?`` may
            have ``pool_size``, ``timeout`` and ``pgbouncer`` (``true`` or ``false``), which take precedence over the
            arguments.
        pool_size: as for `daypass.stores.postgres.PostgresStore`; the others too.

    Attributes:
        timeout: seconds that a step may take.
        shown: the URL as it may be shown: without the password, or anything that could be part of one.
        prepares: whether statements are prepared. Set to False once a prepared statement was missing.
        options: whether a connection begins with options. Set to False once they were refused.
        announces: whether endings are announced. Set to False once that was refused.

    Raises:
        ConfigurationError: the URL or an option is invalid, or the option is unknown.
    """

    def __init__(self, url: str, *, pool_size: int, timeout: Duration, pgbouncer: bool) -> None:
        bare, own = _split(url)
        self._libpq = _parse(bare)
        self.pool_size = read_count("pool_size", own.get("pool_size", pool_size))
        self.timeout = read_timeout(own.get("timeout", timeout))
        pooled = _flag(own.get("pgbouncer", pgbouncer))
        self.prepares = self.options = self.announces = not pooled
        self.shown = _shown(self._libpq)

    def parameters(self) -> dict[str, Any]:
        """Return libpq's parameters. A silent host leaves time for the others."""
        hosts = str(self._libpq.get("host", "")).count(",") + 1
        given = {"connect_timeout": max(_LEAST_TO_CONNECT, int(self.timeout / hosts)), **_DEFAULTS, **self._libpq}
        if self.options:
            allowed = round(self.timeout * SECOND * 0.9)  # so that the server gives up first
            ours = f"-c statement_timeout={allowed} -c lock_timeout={round(allowed * 0.9)}"
            given["options"] = f"{ours} {given.get('options', '')}".strip()
        return given

    def learn(self, failure: Failure) -> bool:
        """Learn from a refusal what the server or its pooler lacks; return whether to try again because of that."""
        if failure.state in NOT_PREPARED:
            self.prepares = False
        elif failure.state == NO_OPTIONS and self.options:
            self.options = False
            return True
        return False


_ADVICE = "write postgresql://user:password@host:port/database, with %40 for an @ in the password and %2F for a /"


def _split(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL for libpq, and our own options in its query; refuse options that neither knows."""
    if not url.startswith(_SCHEMES):
        raise ConfigurationError("this is not a PostgreSQL URL: write postgresql://user@host/database")
    bare, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    refuse_unknown((name for name, _ in pairs), _known(), "option in the PostgreSQL URL")
    own = {name: value for name, value in pairs if name in _OWN}
    rest = urlencode([pair for pair in pairs if pair[0] not in own], quote_via=quote)
    return (f"{bare}?{rest}" if rest else bare), own


def _known() -> set[str]:
    """Return the names of all options of a URL: libpq's, and ours."""
    return {*_OWN, "ssl", *(option.keyword.decode() for option in pq.Conninfo.get_defaults())}


def _parse(url: str) -> dict[str, Any]:
    """Return libpq's parameters. libpq's message about a wrong URL is not shown, because it repeats parts of it."""
    try:
        parameters = conninfo_to_dict(url)
    except (ProgrammingError, OperationalError, ValueError):
        reason = "it has a % that is not followed by two hexadecimal digits" if _odd_percent(url) else "it is malformed"
        raise ConfigurationError(f"the PostgreSQL URL cannot be read: {reason}; {_ADVICE}") from None
    if "@" in str(parameters.get("host", "")):
        raise ConfigurationError(f"the PostgreSQL URL has more than one @; {_ADVICE}")
    if not all(port.isdecimal() for port in str(parameters.get("port") or "0").split(",") if port):
        raise ConfigurationError(f"the PostgreSQL URL has a port that is not a number; {_ADVICE}")
    return parameters


def _odd_percent(url: str) -> bool:
    return "%" in re.sub(r"%[0-9A-Fa-f]{2}", "", url)


def _shown(parameters: dict[str, Any]) -> str:
    host, port, name, user = (str(parameters.get(key) or "") for key in ("host", "port", "dbname", "user"))
    hosts = host.split(",")
    ports = port.split(",") if port else []
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = [f"{each}:{ports[i]}" if i < len(ports) else each for i, each in enumerate(hosts)]
    where, whose, what = ",".join(places), f"{user}@" if user else "", f"/{name}" if name else ""
    if where.startswith("/"):
        return f"postgresql://{quote(whose, '@')}{quote(what, '/') or '/'}?host={quote(host, '/,')}" + (
            f"&port={port}" if port else ""
        )
    return f"postgresql://{quote(whose, '@')}{where if _PLAIN.fullmatch(where) else '…'}{quote(what, '/')}"


def _flag(value: str | bool) -> bool:  # noqa: FBT001 - a value as it was given
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ConfigurationError(f"invalid pgbouncer {value!r}: write true or false")
    return text == "true"
