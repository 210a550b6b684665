"""Parses the URL and the arguments of a store or storage in Redis. No I/O; no password in a repr or an error."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from daypass.databases.options import read_count, read_timeout
from daypass.duration import Duration
from daypass.errors import ConfigurationError
from daypass.unknown_options import refuse_unknown

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

Kind = Literal["single", "sentinel", "cluster"]

TIMEOUT = "5s"
MAX_CONNECTIONS = 32

_SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
"""What a URL may begin with: what kind of servers that means, and whether they are reached by TLS."""

_PORTS: dict[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}

_HINT = (
    "write redis://host:6379/0, rediss://…, unix:///path, redis+sentinel://host:26379,host:26379/service/0 or "
    "redis+cluster://host:6379,host:6379, or the same with valkey; in a user name or password write %40 for @, "
    "%2F for /, %3F for ? and %23 for #"
)


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _protocol(text: str) -> int:
    return {"2": 2, "3": 3}[text]


def _verification(text: str) -> str:
    return {each: each for each in ("required", "optional", "none")}[text]


def _path(text: str) -> str:
    if not text or not Path(text).exists():
        raise ValueError
    return text


_OWN = ("prefix", "timeout", "max_connections")
_SENTINEL = ("sentinel_username", "sentinel_password")
_CONNECTION: dict[str, Callable[[str], Any]] = {
    "client_name": str,
    "db": int,
    "health_check_interval": int,
    "protocol": _protocol,
    "socket_keepalive": _flag,
}
_TLS: dict[str, Callable[[str], Any]] = {
    "ssl_ca_certs": _path,
    "ssl_ca_data": str,
    "ssl_ca_path": _path,
    "ssl_cert_reqs": _verification,
    "ssl_certfile": _path,
    "ssl_check_hostname": _flag,
    "ssl_ciphers": str,
    "ssl_keyfile": _path,
    "ssl_password": str,
}
"""The options of redis-py that a URL may have, and how their text is read."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the servers are, how to connect, and the options of the store or storage.

    Attributes:
        kind: one server, one behind sentinels, or a cluster.
        hosts: the server, the sentinels, or some servers of the cluster; empty for a Unix socket.
        service: the sentinels' name for the master.
        connection: the arguments of every connection to a server, by redis-py's names.
        sentinel: the same for connections to the sentinels.
        timeout: seconds that a step may take.
        max_connections: how many steps may be in flight.
        prefix: the beginning of all key names.
        shown: where the servers are, for errors and for `repr`.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    service: str
    connection: dict[str, Any] = field(repr=False)
    sentinel: dict[str, Any] = field(repr=False)
    timeout: float
    max_connections: int
    prefix: str
    shown: str


def read_settings(url: str, prefix: str | None, timeout: Duration | None, max_connections: int | None) -> Settings:
    """Return the settings of ``url``; an argument that is not None takes precedence over its option in the URL.

    Raises:
        ConfigurationError: it is not a Redis URL, or an option is unknown or invalid.
    """
    scheme, _, rest = str(url).partition("://")
    scheme = scheme.replace("valkey", "redis", 1)
    if scheme not in _SCHEMES or not rest or "#" in rest:
        raise ConfigurationError(f"this is not a Redis URL; {_HINT}")
    kind, tls = _SCHEMES[scheme]
    rest, _, query = rest.partition("?")
    netloc, _, path = rest.partition("/")
    credentials, at, places = netloc.rpartition("@")
    if "@" in query and not at:  # the rest of a password, which must not appear in messages
        raise ConfigurationError(f"this is not a Redis URL; {_HINT}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    connection = _credentials(credentials) | _connection_options(kind, options, tls=tls)
    hosts: tuple[tuple[str, int], ...] = ()
    service = ""
    if scheme == "unix":
        connection["unix_socket_path"] = shown = "/" + unquote(path)
    else:
        hosts = tuple(_host(place, _PORTS[kind]) for place in places.split(","))
        service, _, database = path.partition("/") if kind == "sentinel" else ("", "", path)
        connection |= _database(kind, database)
        shown = ",".join(_joined(*host) for host in hosts) + (f"/{unquote(service)}" if service else "")
    if kind == "single" and len(hosts) > 1:
        raise ConfigurationError(f"the URL names several Redis servers, which are no cluster; {_HINT}")
    if kind == "sentinel" and not service:
        raise ConfigurationError(f"the URL does not name the service to ask the sentinels for; {_HINT}")
    return Settings(
        kind=kind,
        hosts=hosts,
        service=unquote(service),
        connection=connection,
        sentinel={
            **{name: value for name, value in connection.items() if name.startswith("ssl")},
            **{name.removeprefix("sentinel_"): value for name, value in options.items() if name in _SENTINEL},
        },
        timeout=read_timeout(options.get("timeout", TIMEOUT) if timeout is None else timeout),
        max_connections=read_count(
            "max_connections",
            options.get("max_connections", MAX_CONNECTIONS) if max_connections is None else max_connections,
        ),
        prefix=checked_prefix(options.get("prefix", "daypass") if prefix is None else prefix),
        shown=shown,
    )


def checked_prefix(prefix: object) -> str:
    """Return a prefix of keys.

    Raises:
        ConfigurationError: it has other characters than letters, digits, ``_``, ``.``, ``:`` and ``-``.
    """
    if not (isinstance(prefix, str) and _PREFIX.fullmatch(prefix)):
        raise ConfigurationError(f"invalid prefix {prefix!r}: expected up to 64 letters, digits, '_', '.', ':' or '-'")
    return prefix


def _connection_options(kind: Kind, options: dict[str, str], *, tls: bool) -> dict[str, Any]:
    known = _CONNECTION | (_TLS if tls else {})
    refuse_unknown(options, (*known, *_OWN, *(_SENTINEL if kind == "sentinel" else ())), "option in a Redis URL")
    connection: dict[str, Any] = {"ssl": True} if tls else {}
    for name in known.keys() & options:
        try:
            connection[name] = known[name](options[name])
        except (ValueError, KeyError):
            missing = ": there is no such file" if known[name] is _path else ""
            raise ConfigurationError(f"invalid value of the option {name!r} in a Redis URL{missing}") from None
    return connection


def _credentials(text: str) -> dict[str, str]:
    username, _, password = text.partition(":")
    given = {"username": unquote(username), "password": unquote(password)}
    return {name: value for name, value in given.items() if value}


def _database(kind: Kind, text: str) -> dict[str, int]:
    if text in ("", "0"):
        return {}
    if kind == "cluster":
        raise ConfigurationError("a Redis cluster has no numbered databases: end the URL after the hosts")
    if not (text.isascii() and text.isdecimal()):
        raise ConfigurationError(f"the Redis URL does not end in the number of a database; {_HINT}")
    return {"db": int(text)}


def _host(place: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        return unquote(parts.hostname or "localhost"), parts.port or port
    except ValueError:
        raise ConfigurationError(f"invalid host or port in the Redis URL; {_HINT}") from None


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
