"""The configuration of the service, made from its settings."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, cast

from daypass import secret_file
from daypass.dpop import DPoP
from daypass.duration import SECOND, milliseconds
from daypass.secret import Secret
from daypass.server import clients
from daypass.server.oidc import settings as oidc_settings
from daypass.server.oidc.options import OidcOptions
from daypass.server.settings import OFF, PROXY_HEADERS, Settings
from daypass.server.settings import read as read_settings
from daypass.server.tls import Certificate
from daypass.server.user_source import UserSource
from daypass.web.clients import Client
from daypass.web.limits import RateLimits
from daypass.web.options import Options


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
        clients: the OAuth clients; without clients there are no OAuth endpoints.
        workers: how many processes serve.
        certificate: for TLS; without it connections are not encrypted.
        drain_delay: seconds for which connections are still accepted after the signal to end.
        drain_timeout: seconds that requests have to finish after that.
        users: where users come from; None for the store's own.
        audit_ttl: how long the audit trail is kept; None turns it off.
        oidc: the OpenID Connect provider at which users log in, if there is one.
        device_bound: whether browsers that can do that bind their sessions to a key of the device.
        dpop: how programs may bind their sessions to a key by DPoP; None if they cannot.
        metrics_token: the bearer token that Prometheus sends; without it there are no metrics.
        otlp_endpoint: where OpenTelemetry's traces and metrics go; None turns them off.
        admin: whether there is a page for operators: ``auto``, ``on`` or ``off``.
    """

    store: str
    issuer: str
    host: str
    port: int
    lifetimes: Lifetimes
    secret: Secret | None = field(repr=False)
    options: Options
    clients: tuple[Client, ...] = ()
    workers: int = 1
    certificate: Certificate | None = None
    drain_delay: float = 0
    drain_timeout: float = 10
    users: UserSource | None = None
    audit_ttl: str | None = None
    oidc: OidcOptions | None = None
    device_bound: bool = False
    dpop: DPoP | None = None
    metrics_token: str | None = field(default=None, repr=False)
    otlp_endpoint: str | None = None
    admin: str = "auto"

    @classmethod
    def of(cls, settings: Settings) -> "Configuration":
        """Return the configuration that ``settings`` describe.

        Raises:
            ConfigurationError: a file that they name has changed since they were read, and is no longer usable.
        """
        return cls(
            store=settings.store,
            issuer=settings.issuer,
            host=settings.host,
            port=settings.port,
            lifetimes=Lifetimes(**settings.lifetimes),  # type: ignore[typeddict-item]  # the names are the same
            secret=settings.secrets,
            options=_options(settings),
            clients=clients.read(Path(settings.clients)) if settings.clients else (),
            workers=settings.workers,
            certificate=settings.certificate,
            drain_delay=milliseconds(settings.drain_delay) / SECOND,
            drain_timeout=milliseconds(settings.drain_timeout) / SECOND,
            users=settings.user_source(),
            oidc=oidc_settings.options_of(settings),
            metrics_token=(
                secret_file.read_text(Path(settings.metrics_token_file)) if settings.metrics_token_file else None
            ),
            otlp_endpoint=settings.otlp_endpoint,
            audit_ttl=None if settings.audit_ttl == OFF else settings.audit_ttl,
            admin=settings.admin,
            device_bound=settings.device_bound,
            dpop=DPoP(replay_cache=cast("Any", settings.dpop_replay_cache)) if settings.dpop else None,
        )

    @property
    def warning(self) -> str | None:
        """Advice if other machines can connect but would all be refused; None otherwise."""
        trusted = self.options.get("trusted_proxies", ())
        if (
            self.certificate
            or _is_loopback(self.host)
            or self.options["allow_insecure"]
            or not all(map(_is_loopback, trusted))
        ):
            return None
        return (
            f"it listens on {self.host}, and answers 403 (insecure_transport) to plain HTTP from other machines. Put a "
            "proxy with TLS in front and write --trusted-proxies ADDRESS, or write --allow-insecure"
        )


def read(options: Mapping[str, Any]) -> Configuration:
    """Return the configuration from ``options`` (None for an omitted one), environment and file.

    Raises:
        ConfigurationError: values are invalid, or names are unknown; the message names each.
    """
    return Configuration.of(read_settings(options).settings)


def _options(settings: Settings) -> Options:
    options = Options(
        allowed_origins=settings.allowed_origins,
        allow_insecure=settings.allow_insecure,
        rate_limits=_rate_limits(settings),
    )
    if settings.trusted_proxies:
        header = PROXY_HEADERS[settings.proxy_header]
        options |= {"trusted_proxies": settings.trusted_proxies, "proxy_header": header}
    if settings.cookie_name is not None:
        options["cookie_name"] = settings.cookie_name
    return options


def _rate_limits(settings: Settings) -> RateLimits | None:
    def rate(text: str) -> str | None:
        return None if text == OFF else text

    if settings.rate_limits == OFF:
        return None
    return RateLimits(
        settings.rate_limits,
        login_per_address=rate(settings.login_per_address),
        login_per_account=rate(settings.login_per_account),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_network(host).is_loopback
    except ValueError:
        return host in ("localhost", "unix")
