"""What `daypass serve` is told: by options, else by the environment (``DAYPASS_…``), else the default."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from daypass import secret_file
from daypass.errors import ConfigurationError
from daypass.keys import Secret
from daypass.model import milliseconds
from daypass.server import clients
from daypass.web.clients import Client

DEFAULTS: Mapping[str, str] = {
    "store": "sqlite:///daypass.db",
    "issuer": "http://localhost",
    "host": "127.0.0.1",
    "port": "8000",
    "access_ttl": "15m",
    "idle_ttl": "30d",
    "absolute_ttl": "180d",
    "grace_period": "30s",
}


class Lifetimes(TypedDict):
    """The spans of the policy, as people write them."""

    access_ttl: str
    idle_ttl: str
    absolute_ttl: str
    grace_period: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """How the service is run.

    Attributes:
        store: the store's URL.
        issuer: the URL that access tokens name; the default is the same for all that share a store.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        lifetimes: the spans of the policy, as people write them.
        secret: the master secrets, newest first; None for an embedded store's own.
        allow_insecure: whether plain HTTP is served to others than loopback.
        clients: the OAuth clients; without any there are no OAuth endpoints.
    """

    store: str
    issuer: str
    host: str
    port: int
    lifetimes: Lifetimes
    secret: Secret | None = field(repr=False)
    allow_insecure: bool = False
    clients: tuple[Client, ...] = ()


def read(options: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Configuration:
    """Return the configuration that ``options`` (None where one was not given) and the environment make.

    Raises:
        ConfigurationError: a value cannot be used; the message names the option.
    """
    environment = os.environ if environment is None else environment

    def value(name: str) -> str | None:
        given = options.get(name)
        return given if given is not None else environment.get(f"DAYPASS_{name.upper()}") or DEFAULTS.get(name)

    def span(name: str) -> str:
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
            access_ttl=span("access_ttl"),
            idle_ttl=span("idle_ttl"),
            absolute_ttl=span("absolute_ttl"),
            grace_period=span("grace_period"),
        ),
        secret=read_secret(value("secret_file"), environment),
        allow_insecure=bool(options.get("allow_insecure")) or _flag("DAYPASS_ALLOW_INSECURE", environment),
        clients=clients.read(Path(clients_file)) if clients_file else (),
    )


def read_secret(file: str | None, environment: Mapping[str, str]) -> list[str] | None:
    """Return the master secrets from a file or from ``DAYPASS_SECRET``, several separated by white space.

    Raises:
        ConfigurationError: the file cannot be read, or both are given.
    """
    given = environment.get("DAYPASS_SECRET", "").split()
    if file and given:
        raise ConfigurationError("both DAYPASS_SECRET and a secret file are given; keep one of them")
    return secret_file.read(Path(file)) if file else given or None


def _host(text: str) -> str:
    if not text:  # a socket would take it for every address of the machine
        raise ConfigurationError("host is empty; write an address, such as 127.0.0.1, or 0.0.0.0 for every one")
    return text


def _flag(name: str, environment: Mapping[str, str]) -> bool:
    text = environment.get(name, "0").lower()
    if text not in ("0", "1", "false", "true"):
        raise ConfigurationError(f"{name}={text} is neither yes nor no; write 1 or 0")
    return text in ("1", "true")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > 65_535:
        raise ConfigurationError(f"port {text!r} is none; write a number from 0 to 65535")
    return int(text)
