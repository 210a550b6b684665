"""What is known of a PostgreSQL server: what its URL says, what the application says, and what was learned of it."""

import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from psycopg import OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from daypass.duration import SECOND, Duration, milliseconds
from daypass.errors import ConfigurationError
from daypass.stores.postgres.link import Failure

POOL_SIZE = 10
TIMEOUT = "5s"
_SCHEMES = ("postgresql://", "postgres://")
_PLAIN = re.compile(r"[\w.:/,\[\]-]*", re.ASCII)
_DEFAULTS = {
    "application_name": "daypass",
    "client_encoding": "UTF8",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}


class Settings:
    """Where the server is, and how to speak with it.

    Args:
        url: ``postgresql://user:password@host:port/database?…``; besides what libpq knows, the part behind ``?`` may
            have ``pool_size``, ``timeout`` and ``pgbouncer`` (``true`` or ``false``), which win over the arguments.
        pool_size: as for `daypass.stores.postgres.PostgresStore`; so are the others.

    Attributes:
        timeout: seconds that a step may take.
        shown: the URL as it may be shown: no password, and nothing that could be a part of one.
        prepares: whether statements are prepared. Learned: no longer, once one that was prepared was not there.
        options: whether a connection begins with options. Learned: no longer, once they were refused.
        announces: whether endings are announced. Learned: no longer, once that was refused.

    Raises:
        ConfigurationError: the URL, or one of the values, is none.
    """

    def __init__(self, url: str, *, pool_size: int, timeout: Duration, pgbouncer: bool) -> None:
        bare, own = _split(url)
        self._libpq = _parse(bare)
        self.pool_size = _count(own.get("pool_size", pool_size))
        self.timeout = milliseconds(own.get("timeout", timeout)) / SECOND
        if self.timeout == 0:
            raise ConfigurationError("a timeout of nothing leaves no time for any step; the usual value is 5s")
        pooled = _flag(own.get("pgbouncer", pgbouncer))
        self.prepares = self.options = self.announces = not pooled
        self.shown = _shown(self._libpq)

    def parameters(self) -> dict[str, Any]:
        """Return what libpq is given."""
        given = {**_DEFAULTS, **self._libpq}
        if self.options:
            allowed = round(self.timeout * SECOND * 0.9)  # so that the server is the first to give up
            ours = f"-c statement_timeout={allowed} -c lock_timeout={round(allowed * 0.9)}"
            given["options"] = f"{ours} {given.get('options', '')}".strip()
        return given

    def learn(self, failure: Failure) -> bool:
        """Learn from a refusal what the server, or a pooler before it, lacks; tell whether to try again for that."""
        if failure.state in ("26000", "42P05"):
            self.prepares = False
        elif failure.state == "08P01" and self.options:
            self.options = False
            return True
        return False


def _split(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL for libpq, and what of its query is ours."""
    if not url.startswith(_SCHEMES):
        raise ConfigurationError("this is no URL of a PostgreSQL database; write postgresql://user@host/database")
    bare, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    own = {name: value for name, value in pairs if name in ("pool_size", "timeout", "pgbouncer")}
    rest = urlencode([pair for pair in pairs if pair[0] not in own], quote_via=quote)
    return (f"{bare}?{rest}" if rest else bare), own


def _parse(url: str) -> dict[str, Any]:
    """Return libpq's parameters; what libpq says of a wrong URL is kept to ourselves, for it repeats parts of it."""
    advice = "write postgresql://user:password@host:port/database, with %40 for an @ in the password and %2F for a /"
    try:
        parameters = conninfo_to_dict(url)
    except (ProgrammingError, OperationalError, ValueError):
        raise ConfigurationError(f"the URL of the PostgreSQL database cannot be read; {advice}") from None
    if "@" in str(parameters.get("host", "")):
        raise ConfigurationError(f"the URL of the PostgreSQL database has more than one @; {advice}")
    if not all(port.isdecimal() for port in str(parameters.get("port") or "0").split(",") if port):
        raise ConfigurationError(f"the URL of the PostgreSQL database has a port that is no number; {advice}")
    return parameters


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


def _count(value: str | int) -> int:
    try:
        count = int(value)
    except ValueError:
        count = 0
    if count < 1:
        raise ConfigurationError(f"pool_size has to be a number, 1 or more; the usual value is {POOL_SIZE}")
    return count


def _flag(value: str | bool) -> bool:  # noqa: FBT001 - a value as it was given
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ConfigurationError("pgbouncer has to be true or false")
    return text == "true"
