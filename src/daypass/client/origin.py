"""The origins that tokens may be sent to (RFC 6454): scheme, host and port. Pure, except for one warning."""

import logging
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import urlsplit

from daypass.errors import ConfigurationError

logger = logging.getLogger("daypass.client")

Origin: TypeAlias = tuple[str, str, int | None]
"""Scheme, host and port; the port is ``None`` if it is the scheme's default."""

_Spelled: TypeAlias = tuple[str, str | None, int | None]

REMEMBERED = 1024
"""How many origins are cached; others are checked again each time."""

_PORTS = {"http": 80, "https": 443}


class OwnOrigins:
    """The origins that get the access token: ``(scheme, host, port) in own``.

    A lookup accepts any spelling that a library gives: Unicode or ASCII (IDNA 2008), upper or lower case, an IP address
    in any form. Each is checked once.

    Args:
        urls: the URLs of the origins.
        allow_http: allow plain HTTP to other hosts than loopback.

    Raises:
        ConfigurationError: tokens may not be sent to one of them.
    """

    def __init__(self, urls: Iterable[str], *, allow_http: bool) -> None:
        self._origins = frozenset(checked_origin(url, allow_http=allow_http) for url in urls)
        self._judged: dict[_Spelled | None, bool] = dict.fromkeys(self._origins, True)

    def __contains__(self, origin: _Spelled | None) -> bool:
        try:
            return self._judged[origin]
        except KeyError:
            return self._judge(origin)

    def __iter__(self) -> Iterator[Origin]:
        return iter(self._origins)

    def _judge(self, origin: _Spelled | None) -> bool:
        """Compare an origin in its normal form, and warn once if it is another name for this machine."""
        found = origin and _canonical(*origin)
        is_own = found in self._origins
        if len(self._judged) < REMEMBERED:
            self._judged[origin] = is_own
            if found and not is_own:
                self._warn(found)
        return is_own

    def _warn(self, origin: Origin) -> None:
        scheme, host, port = origin
        if not is_loopback(host):
            return
        for other in self._origins:
            if is_loopback(other[1]) and (other[0], other[2]) == (scheme, port):
                logger.warning(
                    "%s gets no access token: DaypassAuth was given %s; use the same host name in both",
                    _text(origin),
                    _text(other),
                )


def checked_origin(text: str, *, allow_http: bool) -> Origin:
    """Return the origin of a URL that tokens may be sent to.

    Raises:
        ConfigurationError: tokens may not be sent there; the message names only the host.
    """
    try:
        url = urlsplit(text)
        scheme, host, port = url.scheme, url.hostname or "", url.port
    except (ValueError, AttributeError, TypeError):
        scheme = host = ""
    if scheme not in _PORTS or not host or "@" in url.netloc or url.query or url.fragment:
        raise ConfigurationError(
            "invalid URL: expected one such as https://api.example.com/auth, with https:// and without user, query and "
            "fragment"
        )
    if scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigurationError(f"Daypass sends no tokens over plain HTTP to {host}: use https, or allow_http=True")
    found = _canonical(scheme, host, port)
    if found is None:
        raise ConfigurationError(f"invalid host name {host!r}: expected a name that IDNA 2008 allows, or an address")
    return found


def plain_url(text: str) -> str:
    """Return the normal form of a URL that `checked_origin` accepts, without query and fragment."""
    url = urlsplit(text)
    return _text(checked_origin(f"{url.scheme}://{url.netloc}", allow_http=True)) + url.path.rstrip("/")


def target_uri(text: str) -> str:
    """Return the URL of a request in its normal form, without query and fragment (RFC 9449 §4.2, ``htu``)."""
    url = urlsplit(text)
    origin = _canonical(url.scheme, url.hostname, url.port)
    return (f"{url.scheme}://{url.netloc}" if origin is None else _text(origin)) + (url.path or "/")


def own_port(scheme: str, port: int | None) -> int | None:
    """Return ``port``, or ``None`` if it is the scheme's default."""
    return None if port == _PORTS.get(scheme) else port


def origin_of(text: str) -> Origin | None:
    """Return the origin of any URL; ``None`` if it has none, or if libraries may parse it in different ways."""
    try:
        url = urlsplit(text)
        origin = url.scheme, url.hostname or "", url.port
    except ValueError:
        return None
    return None if "@" in url.netloc or "\\" in text else origin


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this machine (RFC 6761 §6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def uses_proxy(url: str) -> bool:
    """Return whether Daypass's own client may use the environment's proxies for ``url``: never for this machine."""
    return not is_loopback(urlsplit(url).hostname or "")


def _canonical(scheme: str, host: str | None, port: int | None) -> Origin | None:
    """Return an origin in its normal form; ``None`` if its host is not a valid name."""
    name = _canonical_host(host) if host else None
    return None if name is None else (scheme.lower(), name, own_port(scheme.lower(), port))


def _canonical_host(host: str) -> str | None:
    try:
        return ip_address(host.strip("[]")).compressed
    except ValueError:
        pass
    if host.isascii():
        return host.lower()
    try:
        import idna
    except ModuleNotFoundError:
        raise ConfigurationError(f"the host {host!r} is not ASCII; write: pip install idna") from None
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return None


def _text(origin: Origin) -> str:
    scheme, host, port = origin
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port is None else f"{scheme}://{name}:{port}"
