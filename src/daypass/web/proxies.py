"""Finds the client address, scheme and host of a request that came through proxies. Pure.

Any client can put ``X-Forwarded-For`` or ``Forwarded`` (RFC 7239) into a request. So only headers from a trusted proxy
are used, and only the one header that this proxy is known to write. Within the header, only what trusted proxies have
added counts, read from the right.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from daypass.errors import ConfigurationError
from daypass.web.message import BadRequest, Request

ProxyHeader = Literal["X-Forwarded", "Forwarded"]

UNIX = "unix"
"""The name among trusted proxies for connections through a Unix socket."""

MAXIMUM = 4096
"""Characters of what proxies say in one header."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PAIR = re.compile(
    r"""[ \t]*+(?:(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]++)=
        (?:(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]++)|"(?P<quoted>(?:[^"\\]|\\.)*+)")[ \t]*+)?+(?P<end>[;,]|\Z)""",
    re.VERBOSE,
)
"""One pair of RFC 7239 §4, or an empty place. Colons and brackets need no quotes, because proxies write them so.

Every repetition is possessive: each character is read once, whatever a client sends.
"""


class _Hop(NamedTuple):
    """What one proxy says of the request that it received."""

    sender: str | None = None
    scheme: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which proxies are trusted, and which header they write.

    Args:
        trusted: addresses (``10.1.2.3``), networks (``10.0.0.0/8``), and ``unix`` for connections through a Unix
            socket.
        header: ``X-Forwarded`` for ``X-Forwarded-For``, ``-Proto`` and ``-Host``, or ``Forwarded`` (RFC 7239). The
            other one is ignored, because proxies pass on headers that they do not know.

    Raises:
        ConfigurationError: an address is invalid, or there are trusted proxies but no ``header``.
    """

    trusted: Collection[str] = ()
    header: ProxyHeader | None = None
    _networks: tuple[_Network, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.trusted, str):
            raise ConfigurationError("trusted_proxies is a list: ['10.0.0.0/8', '127.0.0.1']")
        if self.header not in ("X-Forwarded", "Forwarded", None):
            raise ConfigurationError(f"proxy_header={self.header!r} is neither 'X-Forwarded' nor 'Forwarded'")
        if self.trusted and self.header is None:
            raise ConfigurationError(
                "trusted_proxies needs proxy_header, the one that they write: 'X-Forwarded' or 'Forwarded'"
            )
        if self.header is not None and not self.trusted:
            raise ConfigurationError(
                f"proxy_header={self.header!r} needs trusted_proxies, the addresses of the proxies"
            )
        networks = tuple(_network(text) for text in self.trusted if text != UNIX)
        object.__setattr__(self, "_networks", networks)

    def as_sent(self, request: Request) -> Request:
        """Return ``request`` as its client sent it: scheme, host and address.

        The address is None if a trusted proxy does not give it.

        Raises:
            BadRequest: a trusted proxy's header is invalid; someone has tampered with it.
        """
        if not self.trusted or not self._trusts(request.address):
            return request
        hops = _forwarded(request) if self.header == "Forwarded" else _x_forwarded(request)
        if not hops:
            return request
        hop = hops[-1]
        for hop in reversed(hops):  # the proxy nearest to us wrote the last one
            if hop.sender is None or not self._trusts(hop.sender):
                break
        return replace(request, address=hop.sender, scheme=hop.scheme or request.scheme, host=hop.host or request.host)

    def _trusts(self, address: str | None) -> bool:
        if not address:
            return UNIX in self.trusted
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


@lru_cache(maxsize=1024)
def parse_address(text: str) -> _Address | None:
    """Return an address, None if it is invalid; an IPv4-mapped IPv6 address becomes IPv4."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def claimed_addresses(request: Request) -> Iterator[str | None]:
    """Yield the addresses claimed by both forwarding headers; a client may have written them.

    None means an address that is unknown or hidden.
    """
    if claimed := request.headers.get("x-forwarded-for", "").partition(",")[0].strip():
        yield _node(claimed)
    try:
        yield from (hop.sender for hop in _forwarded(request))
    except BadRequest:
        yield None


def _x_forwarded(request: Request) -> Sequence[_Hop]:
    """Return the hops in ``X-Forwarded-For``, each with its scheme and host.

    There may be fewer schemes and hosts than addresses, because many proxies overwrite those headers: then the leftmost
    one applies to all addresses further left.
    """
    senders = _listed(request, "x-forwarded-for")
    schemes = [scheme.lower() for scheme in _listed(request, "x-forwarded-proto")]
    hosts = _listed(request, "x-forwarded-host")
    longest = max(len(senders), 1) if senders or schemes or hosts else 0
    return [
        _Hop(
            _node(senders[-place]) if senders else None,
            _scheme(_from_right(schemes, place)),
            _host(_from_right(hosts, place)),
        )
        for place in range(longest, 0, -1)
    ]


def _forwarded(request: Request) -> Sequence[_Hop]:
    """Return the elements of ``Forwarded`` (RFC 7239 §4).

    Raises:
        BadRequest: it is invalid. A single quotation mark from a client could swallow what a proxy has added, so none
            of it can be trusted.
    """
    text = _bounded(request, "forwarded")
    hops: list[_Hop] = []
    pairs: dict[str, str] = {}
    at = 0
    while at < len(text) or pairs:
        found = _PAIR.match(text, at)
        if found is None:
            raise BadRequest(400, "invalid_request", "The Forwarded header makes no sense")
        if name := (found["name"] or "").lower():
            if name in pairs:  # RFC 7239 §4: each parameter once
                raise BadRequest(400, "invalid_request", "The Forwarded header makes no sense")
            pairs[name] = found["token"] or re.sub(r"\\(.)", r"\1", found["quoted"] or "")
        at = found.end()
        if found["end"] != ";":
            if pairs:
                host = _host(pairs.get("host"))
                hops.append(_Hop(_node(pairs.get("for", "")), _scheme(pairs.get("proto", "").lower()), host))
            pairs = {}
    return hops


def _listed(request: Request, name: str) -> list[str]:
    text = _bounded(request, name)
    return [part.strip() for part in text.split(",")] if text else []


def _bounded(request: Request, name: str) -> str:
    text = request.headers.get(name, "")
    if len(text) > MAXIMUM:
        raise BadRequest(431, "request_header_fields_too_large", f"{name} must have at most {MAXIMUM} characters")
    return text


def _from_right(values: Sequence[str], place: int) -> str:
    return values[-min(place, len(values))] if values else ""


def _node(text: str) -> str | None:
    """Return the address of a node (RFC 7239 §6) without its port; None if unknown or hidden."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    address = parse_address(text) if len(text) <= 64 else None
    return None if address is None else str(address)


def _scheme(text: str) -> str | None:
    return text if text in ("https", "http") else None


def _host(text: str | None) -> str | None:
    return text if text and _HOST.fullmatch(text) else None


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ConfigurationError(
            f"invalid trusted_proxies entry {text!r}: write an address (10.1.2.3), a network (10.0.0.0/8) or unix"
        ) from None
