"""The origins that tokens may be sent to (RFC 6454): scheme, host and port. Pure."""

from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import urlsplit

from daypass.errors import ConfigurationError

Origin: TypeAlias = tuple[str, str, int | None]
"""Scheme, host and port, the port ``None`` where it is the scheme's own."""

_PORTS = {"http": 80, "https": 443}


def origins_of(text: str, *, allow_http: bool) -> frozenset[Origin]:
    """Return the origin of a URL that tokens may be sent to, with its host in each form that a library may write it.

    Raises:
        ConfigurationError: it is no such URL; the message repeats none of it but the host.
    """
    try:
        url = urlsplit(text)
        scheme, host, port = url.scheme, url.hostname or "", url.port
    except (ValueError, AttributeError, TypeError):
        scheme = host = ""
    if scheme not in _PORTS or not host or "@" in url.netloc or url.query or url.fragment:
        raise ConfigurationError("give a URL such as https://api.example.com/auth: no user, no query, no fragment")
    if scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigurationError(f"tokens do not travel over plain HTTP to {host}: write https, or allow_http=True")
    port = None if port == _PORTS[scheme] else port
    return frozenset((scheme, form, port) for form in _forms(host))


def own_port(scheme: str, port: int | None) -> int | None:
    """Return ``port``, or ``None`` where it is the scheme's own."""
    return None if port == _PORTS.get(scheme) else port


def origin_of(text: str) -> Origin | None:
    """Return the origin of any URL; ``None`` where it has none."""
    try:
        url = urlsplit(text)
        return url.scheme, url.hostname or "", own_port(url.scheme, url.port)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is this machine (RFC 6761 §6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _forms(host: str) -> set[str]:
    """Return a host in Unicode and in ASCII (RFC 5891)."""
    forms = {host}
    try:
        forms.add(host.encode("idna").decode())
        forms.add(host.encode().decode("idna"))
    except UnicodeError:  # an address, or a name that IDNA does not know: it stands as it is
        pass
    return forms
