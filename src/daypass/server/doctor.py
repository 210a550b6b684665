"""The checks of `daypass doctor`: faults of a deployment, each with advice. Pure: it judges collected facts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

from daypass.clock_check import APART_AT_MOST
from daypass.duration import DAY, HOUR, MINUTE, SECOND
from daypass.keys import KeyRecord, in_use


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault.

    Attributes:
        check: its name.
        severity: how bad it is.
        found: what was found.
        do: what to do.
    """

    check: str
    severity: Severity
    found: str
    do: str


def _error(check: str, found: str, do: str) -> Finding:
    return Finding(check, Severity.ERROR, found, do)


def _warning(check: str, found: str, do: str) -> Finding:
    return Finding(check, Severity.WARNING, found, do)


# ---- the store


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The facts about a store.

    Attributes:
        kind: ``sqlite``, ``postgresql`` or ``redis``.
        settings: as in `ReadSettings`.
        schema: the schema version of this Daypass.
        keys: the keys in the store.
        now: this machine's clock.
        store_now: the store's clock, None if it has none.
        modes: the modes of the files, by path.
        missing_secret: the path of the secret file that should exist.
        secrets: the master secrets; None if not known here.
        wrong_secret: whether a key cannot be opened with them.
        listens: whether announcements of ended sessions arrive; None if the store has none.
        node_clocks: by how much the clocks of other processes are ahead of the store's, by process.
        service: the settings of the service that can be seen here; None if they cannot be read.
        invalid_settings: why they cannot be read.
    """

    kind: str
    settings: Mapping[str, str]
    schema: int
    keys: Sequence[KeyRecord]
    now: int
    store_now: int | None = None
    modes: Mapping[str, int] = field(default_factory=dict)
    missing_secret: str | None = None
    secrets: Sequence[str] | None = field(default=None, repr=False)
    wrong_secret: bool = False
    listens: bool | None = None
    node_clocks: Mapping[str, int] = field(default_factory=dict)
    service: "ServiceFacts | None" = None
    invalid_settings: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """The settings of the service that the checks are about.

    Attributes:
        grace_period: in milliseconds.
        client_timeout: how long a request of a client may take, in milliseconds.
        workers: how many processes serve.
        rate_limits: where rate limits are counted: ``memory:``, ``redis://…`` or ``off``.
    """

    grace_period: int
    client_timeout: int
    workers: int
    rate_limits: str


_KEY_OLD = 120 * DAY
_KEY_AHEAD = HOUR
_PURGE_LATE = 3 * HOUR
_CLOCK_OFF = 5 * SECOND
_SHORT = 16
"""Characters: what a weak secret repeats, and what may follow."""

_FEW_CHARACTERS = 10


def examine_store(facts: StoreFacts) -> list[Finding]:
    """Return the faults of a store, errors first."""
    by_kind = {"sqlite": _sqlite, "postgresql": _postgres, "redis": _redis}
    found = [*_files(facts), *_secrets(facts), *_life(facts), *_clocks(facts), *by_kind[facts.kind](facts.settings)]
    found += _service(facts)
    if facts.listens is False:
        found.append(
            _warning(
                "pooler",
                "announcements of ended sessions do not arrive; each process asks twice a second",
                "if a pooler such as PgBouncer is in between, write ?pgbouncer=true in the store's URL, or connect to "
                "PostgreSQL itself",
            )
        )
    return sorted(found, key=lambda finding: finding.severity)


def _files(facts: StoreFacts) -> Iterator[Finding]:
    for path, mode in facts.modes.items():
        if mode & 0o077:
            others = "everybody on this machine" if mode & 0o007 else "the group of the file"
            yield _error("file-mode", f"{others} can open {path} (mode {mode & 0o777:04o})", f"run: chmod 600 {path}")


def _secrets(facts: StoreFacts) -> Iterator[Finding]:
    if facts.missing_secret is not None:
        yield _error(
            "secret-missing",
            f"the secret file {facts.missing_secret} is missing, and the keys in the store need it",
            "restore it from a backup, or give its content as DAYPASS_SECRET",
        )
    if facts.wrong_secret:
        yield _error(
            "secret-wrong",
            "a key in the store was wrapped under another secret",
            "give that one too, after the new one: DAYPASS_SECRET='NEW OLD'",
        )
    for place, secret in enumerate(facts.secrets or (), 1):
        if len(set(secret)) < _FEW_CHARACTERS or _repeats_itself(secret):
            yield _error(
                "secret-weak",
                f"secret number {place} can be guessed: it has few different characters, or repeats itself",
                "make one with: openssl rand -base64 32; write it before the old one, and remove that a day later",
            )


def _life(facts: StoreFacts) -> Iterator[Finding]:
    schema = int(facts.settings.get("schema", facts.schema))
    if schema < facts.schema:
        yield _error("schema-old", f"the store has schema {schema}, not {facts.schema}", "run: daypass store migrate")
    if schema > facts.schema:
        yield _warning(
            "schema-new", f"the store has schema {schema}, and this Daypass knows {facts.schema}", "upgrade Daypass"
        )
    due_at = int(facts.settings.get("sweep_due_at", facts.now))
    if due_at and facts.now - due_at > _PURGE_LATE:
        hours = (facts.now - due_at) // HOUR
        yield _warning(
            "purge-late",
            f"sessions that are over were last removed {hours} hours ago",
            "run the service, or daypass store purge each hour",
        )
    if not facts.keys:
        yield _warning("no-keys", "there are no keys: no service has used this store", "check the store's URL")
    for algorithm in sorted({key.algorithm for key in facts.keys}):
        keys = [key for key in facts.keys if key.algorithm == algorithm]
        age = facts.now - in_use(keys, facts.now).used_from
        if age > _KEY_OLD:
            yield _warning("key-old", f"the {algorithm} key has been used for {age // DAY} days", "daypass key rotate")
        if any(key.used_from > facts.now + _KEY_AHEAD for key in keys):
            yield _error(
                "key-ahead",
                f"a {algorithm} key is dated far ahead: it was made by a clock that was wrong",
                "set the clocks right, then: daypass key rotate, and daypass key retire KID",
            )


def _clocks(facts: StoreFacts) -> Iterator[Finding]:
    clocks = dict(facts.node_clocks)
    if facts.store_now is not None:
        clocks["this machine"] = facts.now - facts.store_now
    for name, ahead in clocks.items():
        if abs(ahead) > _CLOCK_OFF:
            make = _error if abs(ahead) > APART_AT_MOST else _warning
            direction = "ahead of" if ahead > 0 else "behind"
            yield make("clock", f"the clock of {name} is {abs(ahead) // SECOND} s {direction} the store's", "use NTP")


_MESSAGES = 3
"""The grace period must last that many times a message's longest time: the response is lost, and the retry is late."""


def _service(facts: StoreFacts) -> Iterator[Finding]:
    if facts.invalid_settings is not None:
        yield _error("settings", f"the service would not start: {facts.invalid_settings}", "run: daypass config")
    service = facts.service
    if service is None:
        return
    needed = _MESSAGES * service.client_timeout
    if service.grace_period < needed:
        yield _warning(
            "grace-short",
            f"grace_period is {service.grace_period // SECOND} s, and a request of a client may take "
            f"{service.client_timeout // SECOND} s: a client that lost a response and retries late is logged out",
            f"set grace_period to {needed // SECOND}s, or lower the clients' time-out",
        )
    processes = max(service.workers, len(facts.node_clocks))
    if service.rate_limits == "memory:" and processes > 1:
        yield _warning(
            "rate-limits-apart",
            f"{processes} processes count rate limits, each by itself: together they allow {processes} times as much",
            "set rate_limits to a redis:// URL, or divide the limits by the number of processes",
        )


def _sqlite(settings: Mapping[str, str]) -> Iterator[Finding]:
    if settings["journal_mode"] != "wal":
        yield _error("sqlite-journal", f"journal_mode is {settings['journal_mode']}", "write PRAGMA journal_mode = WAL")
    if settings["synchronous"] not in ("2", "3"):
        yield _warning(
            "sqlite-synchronous",
            "the last moments may be lost when the power fails",
            "leave out ?synchronous=NORMAL in the store's URL",
        )
    if settings["integrity"] != "ok":
        yield _error(
            "sqlite-damaged", "the database is damaged", "stop the service, and restore the file from a backup"
        )


_ON: tuple[tuple[str, str], ...] = (
    ("fsync", "a crash of the server can destroy the database"),
    ("full_page_writes", "a crash of the server can damage pages"),
    ("autovacuum", "the tables grow without end"),
)


def _postgres(settings: Mapping[str, str]) -> Iterator[Finding]:
    for name, danger in _ON:
        if settings.get(name) == "off":
            yield _error(f"postgres-{name.replace('_', '-')}", f"{name} is off: {danger}", f"set {name} = on")
    if settings.get("synchronous_commit") == "off":
        yield _warning(
            "postgres-synchronous-commit",
            "synchronous_commit is off: a crash may lose the last endings of sessions",
            "set synchronous_commit = on for this database",
        )
    if settings.get("in_recovery") == "true" or settings.get("default_transaction_read_only") == "on":
        yield _error("postgres-read-only", "this server cannot be written", "give the URL of the primary")
    if settings.get("superuser") == "true":
        yield _warning(
            "postgres-superuser",
            "the service connects as a superuser",
            "give it a role of its own, which owns the tables daypass_…",
        )
    address = settings.get("address", "")
    if settings.get("ssl") == "false" and address and not address.startswith("127.") and address != "::1":
        yield _error("postgres-plain", "connections are not encrypted", "add ?sslmode=verify-full to the store's URL")
    if int(settings.get("connections", 0)) > 0.8 * int(settings.get("max_connections", 100)):
        yield _warning(
            "postgres-connections",
            f"{settings['connections']} of {settings['max_connections']} connections are in use",
            "raise max_connections, or lower ?pool_size= in the store's URL",
        )


def _redis(settings: Mapping[str, str]) -> Iterator[Finding]:
    if settings.get("aof_enabled") == "0":
        yield _error(
            "redis-appendonly",
            "appendonly is off: a restart forgets the last minutes, and ended sessions live again",
            "set appendonly yes and appendfsync everysec",
        )
    most, used = int(settings.get("maxmemory", 0)), int(settings.get("used_memory", 0))
    if most and settings.get("maxmemory_policy", "noeviction") != "noeviction":
        yield _error(
            "redis-eviction",
            f"a full server evicts keys ({settings['maxmemory_policy']}): users are logged out",
            "set maxmemory-policy noeviction",
        )
    if most and used > 0.9 * most:
        yield _warning("redis-full", f"{used * 100 // most} % of maxmemory is used", "raise maxmemory")
    if settings.get("role") == "slave":
        yield _error("redis-replica", "this server is a replica, and cannot be written", "give the URL of the primary")
    for name in ("rdb_last_bgsave_status", "aof_last_write_status"):
        if settings.get(name, "ok") != "ok":
            yield _error("redis-disk", f"{name} is {settings[name]}", "look at the server's disk and log")
    if int(settings.get("evicted_keys", 0)):
        yield _warning(
            "redis-evicted", f"{settings['evicted_keys']} keys were evicted", "raise maxmemory; users were logged out"
        )


# ---- from outside


@dataclass(frozen=True, slots=True)
class Probe:
    """The response to one request.

    Attributes:
        status: the HTTP status.
        headers: all of them, with names in lower case.
        body: text.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: str = ""

    def header(self, name: str) -> str:
        """Return a header's value, empty if it is missing."""
        return next((value for each, value in self.headers if each == name), "")


@dataclass(frozen=True, slots=True)
class UrlFacts:
    """The facts about a service, from outside.

    Attributes:
        url: the URL of the service, without a path.
        now: this machine's clock.
        probes: responses by name: ``ready``, ``keys``, ``logout``, ``forged_host``, ``foreign_origin``, ``metrics``,
            ``oidc``.
        server_now: the clock of the service by its ``Date`` header; None if it has none.
        certificate_until: when its certificate expires; None without TLS.
    """

    url: str
    now: int
    probes: Mapping[str, Probe]
    server_now: int | None = None
    certificate_until: int | None = None


_HSTS_SHORT = 15_552_000
_LOOPBACK = re.compile(r"http://(localhost|127\.[\d.]+|\[::1\])(:\d+)?")


def examine_url(facts: UrlFacts) -> list[Finding]:
    """Return the faults that can be seen from outside, errors first."""
    found = [*_transport(facts), *_cookie(facts), *_requests(facts), *_provider(facts)]
    return sorted(found, key=lambda finding: finding.severity)


def _transport(facts: UrlFacts) -> Iterator[Finding]:
    if facts.url.startswith("http://"):
        if not _LOOPBACK.fullmatch(facts.url):
            yield _error(
                "no-https", f"{facts.url} is plain HTTP: anyone on the way can take over sessions", "use HTTPS"
            )
        return
    age = re.search(r"max-age=\"?(\d+)", facts.probes["ready"].header("strict-transport-security"))
    if age is None or int(age[1]) < _HSTS_SHORT:
        yield _warning(
            "no-hsts",
            "Strict-Transport-Security is missing, or shorter than 180 days",
            "have the proxy send: Strict-Transport-Security: max-age=31536000",
        )
    if facts.certificate_until is not None and facts.certificate_until - facts.now < 14 * DAY:
        days = (facts.certificate_until - facts.now) // DAY
        yield _warning("certificate", f"the certificate expires in {days} days", "renew it, by ACME for instance")


def _provider(facts: UrlFacts) -> Iterator[Finding]:
    """Look at logins at an OpenID Connect provider; without one, there is no such path."""
    login = facts.probes["oidc"]
    if login.status == 503:
        yield _error("oidc-provider", "logins at the OpenID Connect provider answer 503", "its log names the reason")
    sent = parse_qs(urlsplit(login.header("location")).query).get("redirect_uri", [])
    if login.status == 303 and sent and not sent[0].startswith(f"{facts.url}/"):
        yield _error(
            "oidc-redirect",
            f"the OpenID Connect provider sends browsers back to {sent[0]}, where they have no cookie of {facts.url}",
            f"set oidc_redirect_uri to {facts.url}/auth/oidc/callback, and register it at the provider",
        )


def _cookie(facts: UrlFacts) -> Iterator[Finding]:
    cookie = facts.probes["logout"].header("set-cookie")
    if not cookie:
        return
    name = cookie.partition("=")[0]
    flags = {part.strip().partition("=")[0].lower(): part.strip() for part in cookie.split(";")[1:]}
    if "httponly" not in flags:
        yield _error("cookie-httponly", "scripts of the page can read the cookie", "do not let the proxy change it")
    if "secure" not in flags and facts.url.startswith("https://"):
        yield _error(
            "cookie-secure",
            "the cookie has no Secure: the service does not know that the browser uses HTTPS",
            "have the proxy send X-Forwarded-Proto, and give its address with --trusted-proxies",
        )
    if flags.get("samesite", "").lower() not in ("samesite=strict", "samesite=lax"):
        yield _error("cookie-samesite", "other sites can send the cookie", "do not let the proxy change the cookie")
    if "domain" in flags:
        yield _error("cookie-domain", f"all hosts of {flags['domain']} get {name}", "do not let the proxy add Domain")


def _requests(facts: UrlFacts) -> Iterator[Finding]:
    probes = facts.probes
    if probes["ready"].status != 200:
        yield _error(
            "not-ready",
            f"/readyz answers {probes['ready'].status}",
            "run daypass doctor --store URL beside the service",
        )
    if probes["keys"].status != 200 or '"keys"' not in probes["keys"].body:
        yield _error(
            "no-public-keys",
            f"/.well-known/jwks.json answers {probes['keys'].status} without keys",
            "have the proxy pass /.well-known/ on to the service",
        )
    elif re.search(r'"(d|k|p|q)"\s*:', probes["keys"].body):
        yield _error("private-keys", "/.well-known/jwks.json has a private key", "run: daypass key rotate --now")
    if probes["forged_host"].status < 400:
        yield _error(
            "forged-proxy-header",
            "a forged X-Forwarded-Host is believed: another site's page can send requests as the user",
            "have the proxy overwrite X-Forwarded-Host, -For and -Proto with its own",
        )
    allowed = probes["foreign_origin"].header("access-control-allow-origin")
    if allowed in ("*", FOREIGN_ORIGIN):
        yield _error("cors-open", f"pages of any origin may use the service ({allowed})", "list --allowed-origins")
    if "no-store" not in probes["logout"].header("cache-control"):
        yield _warning("cached", "answers may be stored by caches", "do not let the proxy change Cache-Control")
    if probes["metrics"].status == 200:
        yield _error(
            "metrics-open", "/metrics is open to everybody", "use --metrics-token-file, or block it in the proxy"
        )
    if facts.server_now is not None and abs(facts.now - facts.server_now) > MINUTE:
        seconds = abs(facts.now - facts.server_now) // SECOND
        yield _warning(
            "clock", f"the clock of the service differs from this machine's by {seconds} s", "use NTP on both"
        )


FORGED_HOST = "forged.invalid"
FOREIGN_ORIGIN = "https://foreign.invalid"


def _repeats_itself(secret: str) -> bool:
    """Return whether a secret is a text of up to 16 characters, repeated, with up to 16 more characters at the end."""
    for length in range(1, min(_SHORT, len(secret) // 2) + 1):
        part, rest = secret[:length], secret[length:]
        repeated = rest.startswith(part)
        while rest.startswith(part):
            rest = rest[length:]
        if repeated and len(rest) <= _SHORT:
            return True
    return False
