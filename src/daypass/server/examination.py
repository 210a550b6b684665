"""Collects the facts for `daypass doctor`: from the store and its files, and by HTTP from outside. It changes nothing.

One of the eight requests is a logout without a cookie, which ends no session: its response shows the cookie's flags.
"""

import http.client
import importlib.util
import json
import ssl
import stat
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from daypass.duration import MINUTE, SECOND, milliseconds
from daypass.errors import ConfigurationError, StoreError
from daypass.keys import MasterSecret
from daypass.operator_steps import MINUTE_COUNTS, OperatorStore, ReadEvents, ReadSettings
from daypass.secret import Secret, secrets_in
from daypass.server.doctor import FOREIGN_ORIGIN, FORGED_HOST, Probe, ServiceFacts, StoreFacts, UrlFacts
from daypass.store_steps import ReadClock, ReadKeys
from daypass.stores import Announcing, Store

SECONDS = 12.0
_NODES_SINCE = 5 * MINUTE


def look_at_store(store: Store, secret: Secret | None, now: int) -> StoreFacts:
    """Collect the facts about a store.

    Args:
        store: the store of the service.
        secret: the secret of the service, if known here.
        now: milliseconds since the epoch.

    Raises:
        ConfigurationError: the store cannot report its state.
        StoreError: it cannot be used.
    """
    if not isinstance(store, OperatorStore):
        raise ConfigurationError(f"{type(store).__name__} tells nothing about itself")
    settings = store.perform_operator(ReadSettings())
    keys = store.perform(ReadKeys())
    path: Path | None = getattr(store, "path", None)
    beside = None if path is None else path.with_name(f"{path.name}.secret")
    missing = str(beside) if keys and secret is None and beside is not None and not beside.exists() else None
    if secret is None and beside is not None and beside.exists():
        secret = beside.read_text(encoding="utf-8").split()
    counts = store.perform_operator(ReadEvents(since=now - _NODES_SINCE, codes=(MINUTE_COUNTS,)))
    clocks = {f"process {each.id[:8]}": json.loads(each.reason or "{}").get("clock", 0) for each in counts}
    kind, schema = _kind_of(settings)
    return StoreFacts(
        kind=kind,
        settings=settings,
        schema=schema,
        keys=keys,
        now=now,
        store_now=store.perform(ReadClock()),
        modes={str(each): stat.S_IMODE(each.stat().st_mode) for each in (path, beside) if each and each.exists()},
        missing_secret=missing,
        secrets=None if secret is None else [each.decode("utf-8", "replace") for each in secrets_in(secret)],
        wrong_secret=secret is not None and not _fits(secret, store),
        listens=_listens(store),
        node_clocks=clocks,
    )


def look_at_settings(facts: StoreFacts, options: Mapping[str, Any], client_timeout: int) -> StoreFacts:
    """Add the settings of the service, as `daypass serve` would read them here.

    Args:
        facts: about its store.
        options: of the command line.
        client_timeout: how long a request of a client may take, in milliseconds.
    """
    if importlib.util.find_spec("pydantic_settings") is None:  # an application's own store, without the service
        return facts
    from daypass.server import settings

    try:
        read = settings.read({"config": options.get("config"), "store": options.get("store")}).settings
    except ConfigurationError as error:
        return replace(facts, invalid_settings=str(error).replace("\n ", ""))
    service = ServiceFacts(milliseconds(read.grace_period), client_timeout, read.workers, read.rate_limits)
    return replace(facts, service=service)


def _kind_of(settings: object) -> tuple[str, int]:
    from daypass.stores import schema

    if "sqlite_version" in settings:  # type: ignore[operator]  # a mapping
        return "sqlite", schema.SQLITE_VERSION
    if "server_version" in settings:  # type: ignore[operator]  # a mapping
        return "postgresql", schema.POSTGRES_VERSION
    from daypass.stores.redis import layout

    return "redis", layout.VERSION


def _fits(secret: Secret, store: Store) -> bool:
    master = MasterSecret.of(secret)
    try:
        for record in store.perform(ReadKeys()):
            master.unwrap(record)
    except ConfigurationError:
        return False
    return True


def _listens(store: Store) -> bool | None:
    if not isinstance(store, Announcing):
        return None
    try:
        store.subscribe().close()
    except StoreError:
        return False
    return True


def look_at_url(url: str, now: int, *, insecure: bool = False) -> UrlFacts:
    """Collect the facts about a service from outside.

    Args:
        url: the URL of the service, such as ``https://auth.example.com``.
        now: milliseconds since the epoch.
        insecure: accept any certificate.

    Raises:
        ConfigurationError: it is not such a URL.
        OSError: the service cannot be reached, or its certificate is not valid.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise ConfigurationError(f"invalid URL {url!r}: write https://auth.example.com")
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    asking = _Asking(parts.scheme, parts.hostname, parts.port, parts.path.rstrip("/"), context)
    forged = {"x-forwarded-host": FORGED_HOST, "origin": f"https://{FORGED_HOST}", "sec-fetch-site": "same-origin"}
    forged |= {"forwarded": f"host={FORGED_HOST};proto=https"}
    ready = asking.ask("GET", "/readyz")
    probes = {
        "ready": ready,
        "keys": asking.ask("GET", "/.well-known/jwks.json"),
        "logout": asking.ask("POST", "/auth/logout"),
        "forged_host": asking.ask("POST", "/auth/logout", forged),
        "foreign_origin": asking.ask("GET", "/auth/me", {"origin": FOREIGN_ORIGIN}),
        "metrics": asking.ask("GET", "/metrics"),
        "oidc": asking.ask("GET", "/auth/oidc/login"),
    }
    date = ready.header("date")
    server_now = int(parsedate_to_datetime(date).timestamp()) * SECOND if date else None
    return UrlFacts(f"{parts.scheme}://{parts.netloc}", now, probes, server_now, asking.certificate_until)


class _Asking:
    """Sends requests to one service, each on a new connection."""

    def __init__(self, scheme: str, host: str, port: int | None, path: str, context: ssl.SSLContext) -> None:
        self._scheme, self._host, self._port, self._path, self._context = scheme, host, port, path, context
        self.certificate_until: int | None = None

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> Probe:
        """Send a request and return its response."""
        if self._scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=SECONDS, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)
        try:
            connection.connect()
            self._note_certificate(connection)
            connection.request(method, self._path + path, headers={"user-agent": "daypass-doctor", **(headers or {})})
            with connection.getresponse() as response:
                body = response.read(65_536).decode("utf-8", "replace")
                return Probe(response.status, [(name.lower(), value) for name, value in response.getheaders()], body)
        except http.client.HTTPException as error:
            raise OSError(f"{self._host} does not speak HTTP: {type(error).__name__}") from None
        finally:
            connection.close()

    def _note_certificate(self, connection: http.client.HTTPConnection) -> None:
        if isinstance(connection.sock, ssl.SSLSocket):
            found = connection.sock.getpeercert() or {}
            if "notAfter" in found:
                until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC)
                self.certificate_until = int(until.timestamp()) * SECOND
