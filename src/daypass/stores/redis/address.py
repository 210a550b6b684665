"""Where the servers are: the URLs of the Redis store, taken apart. No I/O here, and no password leaves it by a repr."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from daypass.errors import ConfigurationError

Kind = Literal["single", "sentinel", "cluster"]

SCHEMES: dict[str, tuple[Kind, str]] = {
    "redis": ("single", "redis"),
    "rediss": ("single", "rediss"),
    "unix": ("single", "unix"),
    "redis+sentinel": ("sentinel", "redis"),
    "rediss+sentinel": ("sentinel", "rediss"),
    "redis+cluster": ("cluster", "redis"),
    "rediss+cluster": ("cluster", "rediss"),
}
"""What a URL may begin with, and which of redis-py's own schemes that amounts to."""

_WRITE = (
    "write redis://host:6379/0, rediss://…, unix:///path, "
    "redis+sentinel://host:26379,host:26379/service/0 or redis+cluster://host:6379,host:6379"
)
_PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_OURS = ("prefix", "timeout", "max_connections")
_SENTINELS = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to find the servers, and how to get in.

    Attributes:
        kind: one server, one behind sentinels, or a cluster.
        hosts: of the server, the sentinels, or some of the cluster's servers; none for a socket in the file system.
        service: what the sentinels call the server.
        url: with the credentials and the options for the connections, as redis-py reads it.
        sentinel_options: the credentials for the sentinels.
        options: our own: ``prefix``, ``timeout``, ``max_connections``, as they were written.
        shown: what an error may tell.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    service: str
    url: str = field(repr=False)
    sentinel_options: dict[str, str] = field(repr=False)
    options: dict[str, str]
    shown: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """Take ``url`` apart.

        Raises:
            ConfigurationError: it is no URL of a Redis store; the message does not repeat it.
        """
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in SCHEMES:
            raise ConfigurationError(f"the URL is none of a Redis store; {_WRITE}")
        kind, plain = SCHEMES[scheme]
        rest, _, query = rest.partition("?")
        netloc, _, path = rest.partition("/")
        credentials, at, places = netloc.rpartition("@")
        pairs = parse_qsl(query)
        if "decode_responses" in (name for name, _ in pairs):
            raise ConfigurationError(
                "decode_responses cannot be used: a session's id is bytes; leave it out of the URL"
            )
        kept = urlencode([(name, value) for name, value in pairs if name not in (*_OURS, *_SENTINELS)])
        query = f"?{kept}" if kept else ""
        if plain == "unix":
            shown = "/" + unquote(path)
            return cls(kind, (), "", f"unix://{credentials}{at}/{path}{query}", {}, _picked(pairs, _OURS), shown)
        hosts = tuple(_host(place, _PORTS[kind]) for place in places.split(","))
        if kind == "single" and len(hosts) > 1:
            raise ConfigurationError(f"the URL names several Redis servers; {_WRITE}")
        service, _, database = path.partition("/") if kind == "sentinel" else ("", "", path)
        if kind == "sentinel" and not service:
            raise ConfigurationError(f"the URL does not say which service to ask the sentinels for; {_WRITE}")
        if (database and not database.isdecimal()) or (kind == "cluster" and database not in ("", "0")):
            raise ConfigurationError(f"the database in the URL is none; {_WRITE}")
        return cls(
            kind=kind,
            hosts=hosts,
            service=unquote(service),
            url=f"{plain}://{credentials}{at}{_joined(*hosts[0])}/{database}{query}",
            sentinel_options={name.removeprefix("sentinel_"): value for name, value in pairs if name in _SENTINELS},
            options=_picked(pairs, _OURS),
            shown=",".join(_joined(*host) for host in hosts) + (f"/{unquote(service)}" if service else ""),
        )


def _picked(pairs: list[tuple[str, str]], names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in pairs if name in names}


def _host(place: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        return unquote(parts.hostname or "localhost"), parts.port or port
    except ValueError:
        raise ConfigurationError(f"a host in the URL of the Redis store is none; {_WRITE}") from None


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
