"""The settings of `daypass serve`, validated as a whole by pydantic-settings: every error at once."""

import importlib.util
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from daypass import secret_file
from daypass.dbsc import device_bound_of
from daypass.duration import HOUR, SECOND, milliseconds
from daypass.errors import ConfigurationError
from daypass.issuer.base import check_issuer
from daypass.policy import Policy
from daypass.secret import secrets_in
from daypass.server import clients, sources
from daypass.server.oidc import settings as oidc
from daypass.server.tls import Certificate
from daypass.server.user_source import UserSource
from daypass.stores import open_store
from daypass.web.cookies import CookiePolicy
from daypass.web.limits import RateLimits
from daypass.web.proxies import Proxies, ProxyHeader
from daypass.web.rate_counters import open_counter

OFF = "off"
SHORTEST_TOKEN = 32
"""Characters of the token for `/metrics`."""

HIDDEN = "(hidden)"
SECRETS = ("secret", "users_webhook_secret", "oidc_client_secret")
"""Settings that are secrets; each may be in a file of its own."""

MAXIMUM_WORKERS = 256

PROXY_HEADERS: Mapping[str, ProxyHeader] = {"x-forwarded": "X-Forwarded", "forwarded": "Forwarded"}


def _refusing(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return ``check`` as a validator: its errors are reported together with all others."""

    def validate(value: Any) -> Any:
        try:
            return check(value)
        except ConfigurationError as error:
            raise PydanticCustomError("refused", "{reason}", {"reason": str(error)}) from None

    return validate


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"invalid value {value!r}: write text, in quotes")
    return value


def _duration(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"invalid duration {value!r}: write a number and a unit in quotes: '90s' or '15m'")
    milliseconds(value)
    return value


def _port(value: object) -> int:
    text = str(value)
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > 65_535:
        hint = "; Kubernetes set it: write enableServiceLinks: false" if text.startswith("tcp://") else ""
        raise ConfigurationError(f"invalid port {text[:40]!r}: expected a number from 0 to 65535{hint}")
    return int(text)


def _workers(value: object) -> int:
    text = str(value)
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:9]) <= MAXIMUM_WORKERS:
        raise ConfigurationError(f"invalid workers {text[:40]!r}: expected a number from 1 to {MAXIMUM_WORKERS}")
    return int(text)


def _flag(value: object) -> bool:
    text = str(value).lower()
    if text not in ("0", "1", "false", "true"):
        raise ConfigurationError(f"invalid value {value!r}: write 1 or 0, in a file true or false")
    return text in ("1", "true")


def _words(value: object) -> list[str]:
    """Return a list, from a list or from text with spaces or commas; an empty list for ``off``."""
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigurationError(f"invalid value {value!r}: write text, or a list of texts")
    return [] if words == [OFF] else words


def _host(text: str) -> str:
    if not text:  # a socket would listen on every address of the machine
        raise ConfigurationError("host is empty: write an address such as 127.0.0.1, or 0.0.0.0 for every address")
    return text


def _store(url: str) -> str:
    open_store(url).close()  # nothing was opened yet
    return url


def _web_url(url: str) -> str:
    """Check a URL of your own service: HTTPS, or HTTP on this machine or in its network, as you decide."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ConfigurationError(f"invalid URL {url!r}: write https://app.example.com/path")
    return url


def _issuer(url: str) -> str:
    check_issuer(url)
    return url


def _proxy_header(text: str) -> str:
    if text.lower() not in PROXY_HEADERS:
        raise ConfigurationError(f"invalid proxy_header {text!r}: write x-forwarded or forwarded")
    return text.lower()


def _trusted(words: list[str]) -> list[str]:
    Proxies(words, "X-Forwarded" if words else None)
    return words


def _origins(words: list[str]) -> list[str]:
    return list(CookiePolicy(allowed_origins=words).allowed_origins)


def _cookie_name(name: str) -> str:
    CookiePolicy(name=name)
    return name


def _rate_limits(url: str) -> str:
    if url != OFF:
        try:
            open_counter(url)
        except ImportError as error:
            raise ConfigurationError(str(error)) from None
    return url


def _rate(name: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        limit: dict[str, Any] = {name: None if text == OFF else text}
        replace(RateLimits(), **limit)
        return text

    return check


def _one_of(name: str, *allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in allowed:
            raise ConfigurationError(f"invalid {name} {text!r}: write {', '.join(allowed[:-1])} or {allowed[-1]}")
        return text

    return check


def _metrics_token(path: str) -> str:
    if importlib.util.find_spec("prometheus_client") is None:
        raise ConfigurationError("metrics need prometheus_client: pip install 'daypass[metrics]'")
    token = secret_file.read_text(Path(path))
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"the token in {path} must have {SHORTEST_TOKEN} printable characters: openssl rand -hex 32 > {path}"
        )
    return path


def _otlp_endpoint(url: str) -> str:
    if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec("opentelemetry.sdk") is None:
        raise ConfigurationError("otlp_endpoint needs OpenTelemetry: pip install 'daypass[server,opentelemetry]'")
    if url.rstrip("/").endswith(":4317"):
        raise ConfigurationError(f"{url} is the port of OTLP over gRPC: write that of OTLP over HTTP, mostly 4318")
    return _web_url(url)


def _audit_ttl(text: str) -> str:
    if text != OFF and milliseconds(text) < HOUR:
        raise ConfigurationError(f"invalid audit_ttl {text!r}: write at least an hour, or off")
    return text


def _secret(secret: SecretStr) -> SecretStr:
    secrets_in(secret.get_secret_value().split())
    return secret


def _client_secret(secret: SecretStr) -> SecretStr:
    oidc.checked_secret(secret.get_secret_value())
    return secret


def _secret_file(path: str) -> str:
    secrets_in(secret_file.read(Path(path)))
    return path


def _clients(path: str) -> str:
    clients.read(Path(path))
    return path


Text = Annotated[str, BeforeValidator(_refusing(_text))]
Span = Annotated[str, BeforeValidator(_refusing(_duration))]
Flag = Annotated[bool, BeforeValidator(_refusing(_flag))]
Words = Annotated[list[str], NoDecode, BeforeValidator(_refusing(_words))]


def _checked(check: Callable[[Any], Any]) -> AfterValidator:
    return AfterValidator(_refusing(check))


class Settings(BaseSettings):
    """Every setting, its default and its checks. Options override the environment, which overrides the file."""

    model_config = SettingsConfigDict(
        env_prefix="DAYPASS_", env_ignore_empty=True, extra="forbid", frozen=True, validate_default=False
    )

    config: Text | None = None
    store: Annotated[Text, _checked(_store)] = sources.STORE
    issuer: Annotated[Text, _checked(_issuer)] = "http://localhost"
    host: Annotated[Text, _checked(_host)] = "127.0.0.1"
    port: Annotated[int, BeforeValidator(_refusing(_port))] = 8000
    access_ttl: Span = "15m"
    idle_ttl: Span = "30d"
    session_idle_ttl: Span = "12h"
    absolute_ttl: Span = "180d"
    grace_period: Span = "30s"
    secret: Annotated[SecretStr, _checked(_secret)] | None = None
    secret_file: Annotated[Text, _checked(_secret_file)] | None = None
    clients: Annotated[Text, _checked(_clients)] | None = None
    allow_insecure: Flag = False
    device_bound: Flag = False
    dpop: Flag = False
    dpop_replay_cache: Annotated[Text, _checked(_one_of("dpop_replay_cache", "memory", "store"))] = "memory"
    tls_certificate: Text | None = None
    tls_key: Text | None = None
    workers: Annotated[int, BeforeValidator(_refusing(_workers))] = 1
    drain_delay: Span = "0s"
    drain_timeout: Span = "10s"
    users_webhook: Annotated[Text, _checked(_web_url)] | None = None
    users_webhook_secret: Annotated[SecretStr, _checked(_secret)] | None = None
    users_webhook_secret_file: Annotated[Text, _checked(_secret_file)] | None = None
    users_database: Text | None = None
    users_login_query: Text | None = None
    users_subject_query: Text | None = None
    users_timeout: Span = "3s"
    users_cache: Span = "5s"
    oidc_issuer: Annotated[Text, _checked(oidc.checked_issuer)] | None = None
    oidc_client_id: Text | None = None
    oidc_client_secret: Annotated[SecretStr, _checked(_client_secret)] | None = None
    oidc_client_secret_file: Annotated[Text, _checked(oidc.checked_secret_file)] | None = None
    oidc_client_auth: Annotated[Text, _checked(oidc.checked_client_auth)] = "basic"
    oidc_scopes: Words = ["openid", "email", "profile"]
    oidc_username_claim: Text = "preferred_username"
    oidc_scope_claim: Text | None = None
    oidc_groups_claim: Text = "groups"
    oidc_allowed_groups: Words = []
    oidc_allowed_domains: Annotated[Words, _checked(oidc.checked_domains)] = []
    oidc_userinfo: Flag = False
    oidc_redirect_uri: Annotated[Text, _checked(oidc.checked_redirect_uri)] | None = None
    oidc_return_to: Text = "/"
    oidc_session_ttl: Annotated[Span, _checked(oidc.checked_session_ttl)] = "12h"
    cookie_name: Annotated[Text, _checked(_cookie_name)] | None = None
    allowed_origins: Annotated[Words, _checked(_origins)] = []
    trusted_proxies: Annotated[Words, _checked(_trusted)] = ["127.0.0.1", "::1"]
    proxy_header: Annotated[Text, _checked(_proxy_header)] = "x-forwarded"
    rate_limits: Annotated[Text, _checked(_rate_limits)] = "memory:"
    login_per_address: Annotated[Text, _checked(_rate("login_per_address"))] = "30/minute"
    login_per_account: Annotated[Text, _checked(_rate("login_per_account"))] = "10/minute"
    log_format: Annotated[Text, _checked(_one_of("log_format", "text", "json"))] = "text"
    metrics_token_file: Annotated[Text, _checked(_metrics_token)] | None = None
    otlp_endpoint: Annotated[Text, _checked(_otlp_endpoint)] | None = None
    audit_ttl: Annotated[Text, _checked(_audit_ttl)] = "90d"
    admin: Annotated[Text, _checked(_one_of("admin", "auto", "on", "off"))] = "auto"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, highest precedence first."""
        options = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, sources.file_path(options))

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        return cast("Settings", _refusing(_together)(self))

    @property
    def lifetimes(self) -> dict[str, str]:
        """The durations of the policy, by name."""
        names = ("access_ttl", "idle_ttl", "session_idle_ttl", "absolute_ttl", "grace_period")
        return {name: getattr(self, name) for name in names}

    @property
    def certificate(self) -> Certificate | None:
        """The certificate of the service; None without TLS.

        Raises:
            ConfigurationError: it cannot be used.
        """
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigurationError("tls_certificate and tls_key belong together: give both files, or neither")
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return Certificate(Path(self.tls_certificate), Path(self.tls_key))

    def user_source(self) -> UserSource | None:
        """Return the source of the users; None for the store's own.

        Raises:
            ConfigurationError: settings for it are missing, or contradict each other.
        """
        timeout = milliseconds(self.users_timeout) / SECOND
        queries = self.users_login_query, self.users_subject_query
        if self.users_webhook is not None:
            if any(queries):
                raise ConfigurationError("users_webhook and users_login_query are both given: remove one of them")
            return self._webhook(self.users_webhook, timeout)
        if queries == (None, None):
            return None
        login, load = queries
        if login is None or load is None:
            raise ConfigurationError("users_login_query and users_subject_query belong together: give both")
        from daypass.server.user_query import UserQuery

        return UserQuery(self.users_database or self.store, login, load, timeout=timeout)

    def _webhook(self, url: str, timeout: float) -> UserSource:
        if importlib.util.find_spec("httpx2") is None:
            raise ConfigurationError("users_webhook needs httpx2: pip install 'daypass[server,httpx]'")
        from daypass.server.webhook import Webhook

        if self._webhook_secret is None:
            raise ConfigurationError(
                "users_webhook needs a secret, which signs its requests: set DAYPASS_USERS_WEBHOOK_SECRET, or write "
                "users_webhook_secret_file. Make one with: openssl rand -base64 32"
            )
        cache = milliseconds(self.users_cache) / SECOND
        return Webhook(url, self._webhook_secret, timeout=timeout, cache=cache)

    @property
    def _webhook_secret(self) -> str | None:
        if self.users_webhook_secret_file is not None:
            return secret_file.read(Path(self.users_webhook_secret_file))[0]
        return self.users_webhook_secret.get_secret_value().split()[0] if self.users_webhook_secret else None

    @property
    def secrets(self) -> list[str] | None:
        """The master secrets, newest first; None for an embedded store's own."""
        if self.secret_file is not None:
            return secret_file.read(Path(self.secret_file))
        return self.secret.get_secret_value().split() if self.secret else None


def _together(settings: Settings) -> Settings:
    if settings.secret is not None and settings.secret_file is not None:
        raise ConfigurationError("both DAYPASS_SECRET and a secret file are given; remove one of them")
    device_bound_of(settings.device_bound, Policy.of(**settings.lifetimes).access_ttl)
    if settings.dpop_replay_cache == "store" and not settings.dpop:
        raise ConfigurationError("dpop_replay_cache is of use with dpop alone: write dpop = true")
    if settings.store == "memory:" and settings.workers > 1:
        raise ConfigurationError("memory: is one process's own: write workers = 1, or another store")
    _ = settings.certificate
    settings.user_source()
    oidc.options_of(settings)
    return settings


@dataclass(frozen=True, slots=True)
class Found:
    """The current settings, and the origin of each value.

    Attributes:
        settings: the values.
        origins: by name of a setting, such as ``--port``, ``DAYPASS_PORT``, ``daypass.toml`` or ``default``.
    """

    settings: Settings
    origins: Mapping[str, str]

    def shown(self) -> dict[str, tuple[Any, str]]:
        """Return each value and its origin, without secrets."""
        values = self.settings.model_dump(mode="json")
        return {name: (_without_secret(name, value), self.origins[name]) for name, value in values.items()}


def read(options: Mapping[str, Any]) -> Found:
    """Read every source.

    Args:
        options: of the command line, by name of the setting; None for an omitted one; others are ignored.

    Raises:
        ConfigurationError: values are invalid, or names are unknown; the message names each, and what to write.
    """
    given = {name: options[name] for name in Settings.model_fields if options.get(name) not in (None, False)}
    path = sources.file_path(given)
    origins = _origins_of(given, path, sources.read_file(path))
    wrong = sources.unknown_variables(Settings.model_fields)
    for name in SECRETS:
        if origins[name] == str(path):
            wrong.append(
                f"{name} cannot be in {path}: write {name}_file = 'FILE' there, or set {sources.variable(name)}"
            )
    try:
        settings = Settings(**given)
    except ValidationError as error:
        wrong += [_sentence(each, origins, path) for each in error.errors(include_url=False)]
    if wrong:
        lines = "".join(f"\n  {each}" for each in wrong)
        raise ConfigurationError(wrong[0] if len(wrong) == 1 else f"{len(wrong)} settings cannot be used:{lines}")
    return Found(settings, origins)


def _origins_of(given: Mapping[str, Any], path: Path | None, content: Mapping[str, Any]) -> dict[str, str]:
    def origin(name: str) -> str:
        if name in given:
            return f"--{name.replace('_', '-')}"
        if os.environ.get(sources.variable(name)):
            return sources.variable(name)
        return str(path) if name in content else "default"

    return {name: origin(name) for name in Settings.model_fields}


def _sentence(error: ErrorDetails, origins: Mapping[str, str], path: Path | None) -> str:
    """Return an error for people: what is wrong, what to write, and where the value came from."""
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return f"{sources.unknown(name, Settings.model_fields, 'setting')} (in {path})"
    told = error["ctx"]["reason"] if error["type"] == "refused" else error["msg"]
    if name and name not in told:
        told = f"{name}: {told}"
    origin = origins.get(name, "")
    if origin.startswith("DAYPASS_"):
        return f"{told} ({origin})"
    return f"{told} ({name} in {path})" if path is not None and origin == str(path) else told


_PASSWORD = re.compile(r"(://[^:/@\s]*):[^/\s]*@")
_PARAMETER = re.compile(r"([?&][^=&]*(?:password|secret)[^=&]*=)[^&]*", re.IGNORECASE)


def _without_secret(name: str, value: Any) -> Any:
    if name in SECRETS and value is not None:
        return HIDDEN
    if not isinstance(value, str):
        return value
    return _PARAMETER.sub(rf"\1{HIDDEN}", _PASSWORD.sub(rf"\1:{HIDDEN}@", value))
