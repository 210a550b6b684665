"""``daypass serve``: run the ready-made service."""

import argparse
from collections.abc import Callable

from daypass.cli.output import require, say
from daypass.cli.parser import add_secret_file, add_store, describe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(
        parser,
        serve,
        "Run the ready-made service: the endpoints at /auth, the public keys, and /healthz.",
        "daypass serve --store sqlite:///daypass.db --issuer https://auth.example.com",
        "Every option can be set in the environment too (DAYPASS_ACCESS_TTL=5m), and in daypass.toml\n"
        "(access_ttl = '5m'). The secret can only be set as DAYPASS_SECRET or in a file of its own. Durations\n"
        "are written 90s, 15m, 12h or 30d.",
    )
    add_settings(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting."""
    add_store(parser)
    option = parser.add_argument
    option("--config", metavar="FILE", help="the configuration file (daypass.toml, if it exists)")
    option("--issuer", metavar="URL", help="the issuer in access tokens (http://localhost)")
    option("--host", help="address to listen on (127.0.0.1)")
    option("--port", help="port to listen on, 0 for a free one (8000)")
    option("--access-ttl", metavar="TIME", help="lifetime of an access token (15m)")
    option("--idle-ttl", metavar="TIME", help="lifetime of a session that is not refreshed (30d)")
    option("--session-idle-ttl", metavar="TIME", help="the same for a login with remember=false, if shorter (12h)")
    option("--absolute-ttl", metavar="TIME", help="maximum lifetime of a session (180d)")
    option("--grace-period", metavar="TIME", help="how long a refresh can be repeated (30s)")
    add_secret_file(parser)
    option("--clients", metavar="FILE", help="file of OAuth clients, as daypass client add writes it")
    option("--allow-insecure", action="store_true", help="accept plain HTTP from other machines")
    option("--device-bound", action="store_true", help="bind browsers' sessions to a key of the device (experimental)")
    option("--dpop", action="store_true", help="let programs bind their sessions to a key (DPoP)")
    option("--dpop-replay-cache", metavar="WHERE", help="where used proofs are remembered: memory or store (memory)")
    option("--workers", metavar="N", help="how many processes serve (1)")
    option("--tls-certificate", metavar="FILE", help="certificate chain in PEM, to serve HTTPS")
    option("--tls-key", metavar="FILE", help="its private key in PEM")
    option("--users-webhook", metavar="URL", help="ask there who logs in, by signed requests")
    option("--users-webhook-secret-file", metavar="FILE", help="file of the secret that signs them; mode 0600")
    option("--users-database", metavar="URL", help="database of your own users (that of the store)")
    option("--users-login-query", metavar="SQL", help="finds a user and the password_hash by :identifier")
    option("--users-subject-query", metavar="SQL", help="finds a user by :subject")
    option("--users-timeout", metavar="TIME", help="how long the webhook or a query may take (3s)")
    option("--users-cache", metavar="TIME", help="how long an answer of the webhook is used again (5s)")
    _add_oidc(option)
    option("--drain-delay", metavar="TIME", help="after SIGTERM, how long connections are still accepted (0s)")
    option("--drain-timeout", metavar="TIME", help="then, how long requests may take to finish (10s)")
    option("--cookie-name", metavar="NAME", help="name of the cookie; the same for all nodes of a service")
    option("--allowed-origins", metavar="ORIGINS", help="other origins whose pages may use the service")
    option("--trusted-proxies", metavar="PROXIES", help="addresses and networks, or off (127.0.0.1 ::1)")
    option("--proxy-header", metavar="NAME", help="header they write: x-forwarded or forwarded")
    option("--rate-limits", metavar="URL", help="where to count: memory:, redis://… or off (memory:)")
    option("--login-per-address", metavar="RATE", help="logins per IP address, or off (30/minute)")
    option("--log-format", metavar="FORMAT", help="text, or json with a line for each request (text)")
    option("--metrics-token-file", metavar="FILE", help="serve /metrics to those who send the token in this file")
    option("--otlp-endpoint", metavar="URL", help="export OpenTelemetry traces and metrics to this collector")
    option("--audit-ttl", metavar="TIME", help="how long the audit trail is kept, or off (90d)")
    option("--admin", metavar="WHEN", help="page for operators: on, off, or auto: if a built-in user may (auto)")
    option("--login-per-account", metavar="RATE", help="logins per account, or off (10/minute)")


def _add_oidc(option: Callable[..., object]) -> None:
    """Add the options for logins at an OpenID Connect provider."""
    option("--oidc-issuer", metavar="URL", help="also log users in at this OpenID Connect provider")
    option("--oidc-client-id", metavar="ID", help="name of this service at the provider")
    option("--oidc-client-secret-file", metavar="FILE", help="file of its secret there; mode 0600")
    option("--oidc-client-auth", metavar="HOW", help="how it sends the secret: basic or post (basic)")
    option("--oidc-scopes", metavar="SCOPES", help="what it asks for (openid email profile)")
    option("--oidc-username-claim", metavar="CLAIM", help="claim of the user's name (preferred_username)")
    option("--oidc-scope-claim", metavar="CLAIM", help="claim of what the user may do, such as realm_access.roles")
    option("--oidc-groups-claim", metavar="CLAIM", help="claim of the user's groups (groups)")
    option("--oidc-allowed-groups", metavar="GROUPS", help="a user must be in one of them to log in")
    option("--oidc-allowed-domains", metavar="DOMAINS", help="a user's verified address must be in one of them")
    option("--oidc-userinfo", action="store_true", help="read claims from the userinfo endpoint too")
    option("--oidc-redirect-uri", metavar="URL", help="the callback (that of the issuer: …/auth/oidc/callback)")
    option("--oidc-return-to", metavar="PLACE", help="where a browser goes after a login: a path or a URL (/)")
    option("--oidc-session-ttl", metavar="TIME", help="how long until the provider is asked again (12h)")


def serve(options: argparse.Namespace) -> int:
    """Run the ready-made service until a signal ends it."""
    require("server", "argon2", "pydantic_settings", "starlette", "uvicorn")
    from daypass.server import run, workers
    from daypass.server.settings import read

    settings = read(vars(options)).settings
    scheme = "http" if settings.certificate is None else "https"
    with run.bind(settings.host, settings.port) as listening:
        told = f"Daypass is ready at {run.address(listening, scheme)}"
        return workers.serve(vars(options), settings, listening, lambda: say(told))
