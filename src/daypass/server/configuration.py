"""What `daypass serve` reads: its options, then the environment (``DAYPASS_…``), then the defaults."""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from daypass import secret_file
from daypass.duration import milliseconds
from daypass.errors import ConfigurationError
from daypass.secret import Secret
from daypass.server import clients
from daypass.unknown_options import refuse_unknown
from daypass.web.clients import Client
from daypass.web.cookies import CookiePolicy
from daypass.web.limits import RateLimits
from daypass.web.options import Options
from daypass.web.proxies import Proxies, ProxyHeader
from daypass.web.rate_counters import open_counter

DEFAULTS: Mapping[str, str] = {
    "store": "sqlite:///daypass.db",
    "issuer": "http://localhost",
    "host": "127.0.0.1",
    "port": "8000",
    "access_ttl": "15m",
    "idle_ttl": "30d",
    "session_idle_ttl": "12h",
    "absolute_ttl": "180d",
    "grace_period": "30s",
    "trusted_proxies": "127.0.0.1 ::1",
    "proxy_header": "x-forwarded",
    "rate_limits": "memory:",
    "login_per_address": "30/minute",
    "login_per_account": "10/minute",
}

OFF = "off"
_INSECURE = "DAYPASS_ALLOW_INSECURE"
_PROXY_HEADERS: Mapping[str, ProxyHeader] = {"x-forwarded": "X-Forwarded", "forwarded": "Forwarded"}

_OTHERS = ("secret", "secret_file", "clients", "allow_insecure", "allowed_origins", "cookie_name")
VARIABLES = frozenset(f"DAYPASS_{name.upper()}" for name in (*DEFAULTS, *_OTHERS))
"""The environment variables there are."""

_NOT_OURS = re.compile(
    r"DAYPASS_(TEST_.*|VAULT_.*|CLIENT_SECRET|SERVICE_(HOST|PORT)(_.*)?|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)"
)
"""Variables of the tests, the vault and the shell, and those that Kubernetes sets for a service called "daypass"."""


class Lifetimes(TypedDict):
    """The durations of the policy, as text such as ``15m``."""

    access_ttl: str
    idle_ttl: str
    session_idle_ttl: str
    absolute_ttl: str
    grace_period: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """How the service runs.

    Attributes:
        store: the store's URL.
        issuer: the URL that access tokens name; the default is the same for all services on one store.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        lifetimes: the durations of the policy.
        secret: the master secrets, newest first; None for an embedded store's own.
        options: how the endpoints are served.
        clients: the OAuth clients; without any there are no OAuth endpoints.
    """

    store: str
    issuer: str
    host: str
    port: int
    lifetimes: Lifetimes
    secret: Secret | None = field(repr=False)
    options: Options
    clients: tuple[Client, ...] = ()

    @property
    def warning(self) -> str | None:
        """What to write if other machines can connect and would all be refused; None if they cannot, or would not."""
        trusted = self.options.get("trusted_proxies", ())
        if _is_loopback(self.host) or self.options["allow_insecure"] or not all(map(_is_loopback, trusted)):
            return None
        return (
            f"it listens on {self.host}, and answers 403 (insecure_transport) to plain HTTP from other machines. Put a "
            "proxy with TLS in front and write --trusted-proxies ADDRESS, or write --allow-insecure"
        )


def read(options: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Configuration:
    """Return the configuration made of ``options`` (None for one that was not given) and the environment.

    Raises:
        ConfigurationError: a value cannot be used, or a variable is unknown; the message names it.
    """
    environment = os.environ if environment is None else environment
    named = [name for name in environment if name.startswith("DAYPASS_") and not _NOT_OURS.fullmatch(name)]
    refuse_unknown(named, VARIABLES, "environment variable")

    def value(name: str) -> str | None:
        given = options.get(name)
        return given if given is not None else environment.get(f"DAYPASS_{name.upper()}") or DEFAULTS.get(name)

    def duration(name: str) -> str:
        text = value(name) or ""
        try:
            milliseconds(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}: {error}") from None
        return text

    clients_file = value("clients")
    return Configuration(
        store=value("store") or "",
        issuer=value("issuer") or "",
        host=_host(value("host") or ""),
        port=_port(value("port") or ""),
        lifetimes=Lifetimes(
            access_ttl=duration("access_ttl"),
            idle_ttl=duration("idle_ttl"),
            session_idle_ttl=duration("session_idle_ttl"),
            absolute_ttl=duration("absolute_ttl"),
            grace_period=duration("grace_period"),
        ),
        secret=secret_file.given("DAYPASS_SECRET", value("secret_file"), environment),
        options=_options(value, insecure=bool(options.get("allow_insecure")) or _flag(_INSECURE, environment)),
        clients=clients.read(Path(clients_file)) if clients_file else (),
    )


def _options(value: Callable[[str], str | None], *, insecure: bool) -> Options:
    """Return how the endpoints are served.

    Raises:
        ConfigurationError: one of the options cannot be used.
    """
    header = _PROXY_HEADERS.get((value("proxy_header") or "").lower())
    if header is None:
        raise ConfigurationError(f"invalid proxy_header {value('proxy_header')!r}: write x-forwarded or forwarded")
    trusted = _words(value("trusted_proxies"))
    proxies = Proxies(trusted, header if trusted else None)
    policy = CookiePolicy(
        allowed_origins=_words(value("allowed_origins")), allow_insecure=insecure, name=value("cookie_name")
    )
    options = Options(
        allowed_origins=policy.allowed_origins,
        allow_insecure=insecure,
        rate_limits=_rate_limits(value),
    )
    if proxies.header is not None:
        options |= {"trusted_proxies": proxies.trusted, "proxy_header": proxies.header}
    if policy.name is not None:
        options["cookie_name"] = policy.name
    return options


def _rate_limits(value: Callable[[str], str | None]) -> RateLimits | None:
    def rate(name: str) -> str | None:
        text = value(name)
        return None if text == OFF else text

    storage = value("rate_limits") or ""
    if storage == OFF:
        return None
    try:
        open_counter(storage)  # fails now, before anything is made
    except ImportError as error:
        raise ConfigurationError(str(error)) from None
    return RateLimits(storage, login_per_address=rate("login_per_address"), login_per_account=rate("login_per_account"))


def _words(text: str | None) -> list[str]:
    """Return the words of a list separated by spaces or commas; an empty list for ``off``."""
    words = (text or "").replace(",", " ").split()
    return [] if words == [OFF] else words


def _host(text: str) -> str:
    if not text:  # a socket would take it for every address of the machine
        raise ConfigurationError("host is empty: write an address such as 127.0.0.1, or 0.0.0.0 for every address")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_network(host).is_loopback
    except ValueError:
        return host in ("localhost", "unix")


def _flag(name: str, environment: Mapping[str, str]) -> bool:
    text = environment.get(name, "0").lower()
    if text not in ("0", "1", "false", "true"):
        raise ConfigurationError(f"invalid {name}={text}: write 1 or 0")
    return text in ("1", "true")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > 65_535:
        hint = "; Kubernetes set it: write enableServiceLinks: false" if text.startswith("tcp://") else ""
        raise ConfigurationError(f"invalid port {text[:40]!r}: expected a number from 0 to 65535{hint}")
    return int(text)
