"""`daypass doctor` finds each planted fault, says what to do, and finds nothing on a sound deployment."""

import argparse
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from daypass import Daypass
from daypass.duration import DAY, HOUR, MINUTE, SECOND
from daypass.keys import REFRESH, KeyRecord
from daypass.server import doctor
from daypass.server.doctor import FOREIGN_ORIGIN, Probe, ServiceFacts, StoreFacts, UrlFacts, examine_store, examine_url
from daypass.server.examination import look_at_store
from daypass.stores.postgres import PostgresStore
from daypass.stores.redis import RedisStore
from daypass.testing.clock import START
from tests.server.processes import SECRET, add_user, daypass, running
from tests.servers import postgres
from tests.servers import redis as redis_servers

STRONG = "kFq3vQ0u2b8XJmYt5hZs1nWc7eRgLpAd9oTiUyBx6E4="
KEYS = (
    KeyRecord("a", "ES256", "wrapped", START - DAY, START - DAY),
    KeyRecord("b", REFRESH, "wrapped", START - DAY, START - DAY),
)
SOUND = {"schema": "8", "sweep_due_at": str(START - MINUTE)}
SQLITE = {**SOUND, "journal_mode": "wal", "synchronous": "2", "integrity": "ok"}
POSTGRES = {
    **SOUND,
    "fsync": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "synchronous_commit": "on",
    "in_recovery": "false",
    "default_transaction_read_only": "off",
    "superuser": "false",
    "ssl": "true",
    "address": "10.0.0.7",
    "connections": "20",
    "max_connections": "100",
}
REDIS = {**SOUND, "aof_enabled": "1", "maxmemory": "1000", "used_memory": "100", "role": "master", "evicted_keys": "0"}
SETTINGS = {"sqlite": SQLITE, "postgresql": POSTGRES, "redis": REDIS}


def store(kind: str = "sqlite", settings: Mapping[str, str] | None = None, **fields: Any) -> StoreFacts:
    facts = StoreFacts(
        kind, SETTINGS[kind] | dict(settings or {}), 8, KEYS, START, START, secrets=[STRONG], listens=True
    )
    return replace(facts, **fields)


def url(**fields: Any) -> UrlFacts:
    """Return the facts of a sound service, with other probes or values for ``fields``."""
    cookie = "__Secure-daypass=; Path=/auth; HttpOnly; Secure; SameSite=Strict; Max-Age=0"
    probes = {
        "ready": Probe(200, [("strict-transport-security", "max-age=31536000")]),
        "keys": Probe(200, [], '{"keys":[{"kty":"EC","x":"1","y":"2"}]}'),
        "logout": Probe(204, [("set-cookie", cookie), ("cache-control", "no-store")]),
        "forged_host": Probe(403, []),
        "foreign_origin": Probe(401, []),
        "metrics": Probe(404, []),
        "oidc": Probe(404, []),
    }
    changed = {name: fields.pop(name) for name in list(fields) if name in probes}
    facts = UrlFacts("https://auth.example.com", START, probes | changed, START, START + 60 * DAY)
    return replace(facts, **fields)


def login_with(redirect_uri: str) -> Probe:
    """Return the response to a login whose callback is at ``redirect_uri``."""
    return Probe(303, [("location", f"https://login.example.com/authorize?redirect_uri={redirect_uri}")])


def service(**fields: Any) -> ServiceFacts:
    return replace(ServiceFacts(30_000, 10_000, 1, "memory:"), **fields)


def cookie(text: str) -> Probe:
    return Probe(204, [("set-cookie", text), ("cache-control", "no-store")])


PLANTED: dict[str, list[StoreFacts | UrlFacts]] = {
    "file-mode": [store(modes={"app.db": 0o644}), store(modes={"app.db.secret": 0o640})],
    "secret-missing": [store(missing_secret="app.db.secret")],
    "secret-wrong": [store(wrong_secret=True)],
    "secret-weak": [
        store(secrets=["a" * 40]),
        store(secrets=[STRONG, "changeme" * 6]),
        store(secrets=["0123456789" * 4]),
    ],
    "schema-old": [store(settings={"schema": "3"})],
    "schema-new": [store(settings={"schema": "9"})],
    "purge-late": [store(settings={"sweep_due_at": str(START - DAY)})],
    "no-keys": [store(keys=())],
    "key-old": [store(keys=[replace(KEYS[0], used_from=START - 121 * DAY)])],
    "key-ahead": [store(keys=[replace(KEYS[0], used_from=START + DAY), KEYS[0]])],
    "clock": [
        store(store_now=START - 10 * SECOND),
        store(store_now=START + HOUR),
        store(node_clocks={"process 1": -6000}),
        url(server_now=START - HOUR),
    ],
    "pooler": [store("postgresql", listens=False)],
    "sqlite-journal": [store(settings={"journal_mode": "delete"})],
    "sqlite-synchronous": [store(settings={"synchronous": "1"})],
    "sqlite-damaged": [store(settings={"integrity": "row 1 missing from index"})],
    "postgres-fsync": [store("postgresql", {"fsync": "off"})],
    "postgres-full-page-writes": [store("postgresql", {"full_page_writes": "off"})],
    "postgres-autovacuum": [store("postgresql", {"autovacuum": "off"})],
    "postgres-synchronous-commit": [store("postgresql", {"synchronous_commit": "off"})],
    "postgres-read-only": [
        store("postgresql", {"in_recovery": "true"}),
        store("postgresql", {"default_transaction_read_only": "on"}),
    ],
    "postgres-superuser": [store("postgresql", {"superuser": "true"})],
    "postgres-plain": [store("postgresql", {"ssl": "false"})],
    "postgres-connections": [store("postgresql", {"connections": "95"})],
    "redis-appendonly": [store("redis", {"aof_enabled": "0"})],
    "redis-eviction": [
        store("redis", {"maxmemory_policy": "allkeys-lru"}),
        store("redis", {"maxmemory_policy": "volatile-ttl"}),
    ],
    "redis-full": [store("redis", {"used_memory": "950"})],
    "redis-replica": [store("redis", {"role": "slave"})],
    "redis-disk": [store("redis", {"aof_last_write_status": "err"})],
    "redis-evicted": [store("redis", {"evicted_keys": "3"})],
    "no-https": [url(url="http://auth.example.com")],
    "no-hsts": [url(ready=Probe(200, [])), url(ready=Probe(200, [("strict-transport-security", "max-age=60")]))],
    "certificate": [url(certificate_until=START + 3 * DAY)],
    "not-ready": [url(ready=Probe(503, [("strict-transport-security", "max-age=31536000")]))],
    "no-public-keys": [url(keys=Probe(404, []))],
    "private-keys": [url(keys=Probe(200, [], '{"keys":[{"kty":"EC","d":"secret"}]}'))],
    "cookie-httponly": [url(logout=cookie("daypass=; Secure; SameSite=Strict"))],
    "cookie-secure": [url(logout=cookie("daypass=; HttpOnly; SameSite=Strict"))],
    "cookie-samesite": [
        url(logout=cookie("daypass=; HttpOnly; Secure")),
        url(logout=cookie("d=; HttpOnly; Secure; SameSite=None")),
    ],
    "cookie-domain": [url(logout=cookie("daypass=; HttpOnly; Secure; SameSite=Strict; Domain=example.com"))],
    "forged-proxy-header": [url(forged_host=Probe(204, []))],
    "cors-open": [
        url(foreign_origin=Probe(401, [("access-control-allow-origin", each)])) for each in ("*", FOREIGN_ORIGIN)
    ],
    "cached": [url(logout=Probe(204, []))],
    "grace-short": [store(service=service(grace_period=29_999)), store(service=service(client_timeout=15_000))],
    "rate-limits-apart": [
        store(service=service(workers=2)),
        store(service=service(), node_clocks={"process 1": 0, "process 2": 0}),
    ],
    "settings": [store(invalid_settings="invalid port '80x'")],
    "metrics-open": [url(metrics=Probe(200, []))],
    "oidc-provider": [url(oidc=Probe(503, []))],
    "oidc-redirect": [url(oidc=login_with("https%3A%2F%2Fother.example.com%2Fauth%2Foidc%2Fcallback"))],
}


def findings(facts: StoreFacts | UrlFacts) -> list[doctor.Finding]:
    return examine_store(facts) if isinstance(facts, StoreFacts) else examine_url(facts)


@pytest.mark.parametrize("check", PLANTED)
def test_a_planted_fault_is_found(check: str) -> None:
    """It reports this fault and no other, with what to do."""
    for facts in PLANTED[check]:
        found = findings(facts)
        assert [check] == [finding.check for finding in found]
        assert found[0].do


@pytest.mark.parametrize(
    "facts",
    [
        *map(store, SETTINGS),
        url(),
        url(url="http://localhost:8000", ready=Probe(200, [])),
        url(oidc=login_with("https%3A%2F%2Fauth.example.com%2Fauth%2Foidc%2Fcallback")),
    ],
)
def test_nothing_is_found_on_a_sound_deployment(facts: StoreFacts | UrlFacts) -> None:
    """Each store as it should be, and the service behind HTTPS or on this machine."""
    assert [] == findings(facts)


# ---- real ones


def checks(folder: Path, *arguments: str, status: int = 0, given: Mapping[str, str] | None = None) -> list[str]:
    done = daypass("doctor", "--json", *arguments, folder=folder, given=given)
    assert status == done.returncode, done.stderr
    return [json.loads(line)["check"] for line in done.stdout.splitlines()]


def test_a_real_service_is_sound_inside_and_outside(tmp_path: Path) -> None:
    """On loopback, with SQLite, as the documentation starts it."""
    add_user(tmp_path)
    with running(folder=tmp_path) as service:
        assert [] == checks(tmp_path, service.address)
        assert [] == checks(tmp_path, "--store", "sqlite:///app.db")


def alter(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        database = sqlite3.connect(path)
        with database:
            database.execute(statement)
        database.close()

    return change


REAL: dict[str, Callable[[Path], object]] = {
    "file-mode": lambda path: path.chmod(0o644),
    "secret-missing": lambda path: path.with_name("app.db.secret").unlink(),
    "secret-wrong": lambda path: path.with_name("app.db.secret").write_text(STRONG),
    "purge-late": alter("UPDATE daypass_sweep SET due_at = 1"),
    "key-old": alter("UPDATE daypass_keys SET used_from = 1, created_at = 1"),
    "key-ahead": alter("UPDATE daypass_keys SET used_from = used_from + 999999999"),
    "no-keys": alter("DELETE FROM daypass_keys"),
}


@pytest.mark.parametrize("check", REAL)
def test_a_fault_of_a_real_database_is_found(tmp_path: Path, check: str) -> None:
    """The fault is made in the file or beside it, after a service has used it."""
    from daypass.clock import system_clock
    from daypass.stores.sqlite import SqliteStore

    path = tmp_path / "app.db"
    with Daypass(f"sqlite:///{path}", issuer="http://localhost", load_user=lambda _: None) as auth:
        auth.jwks()
    REAL[check](path)
    database = SqliteStore(path)
    assert {check} == {each.check for each in examine_store(look_at_store(database, None, system_clock()))}
    database.close()


def test_faults_of_real_settings_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `daypass serve` would read them here, from its file."""
    from daypass.cli.doctor import examine

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAYPASS_RATE_LIMITS", raising=False)
    with Daypass(f"sqlite:///{tmp_path}/app.db", issuer="http://localhost", load_user=lambda _: None) as auth:
        auth.jwks()

    def found(content: str, timeout: str = "10s") -> list[str]:
        (tmp_path / "daypass.toml").write_text(f'store = "sqlite:///app.db"\n{content}')
        given = {"url": None, "store": None, "secret_file": None, "config": None, "client_timeout": timeout}
        return [each.check for each in examine(argparse.Namespace(**given))]

    assert [] == found("")
    assert ["grace-short"] == found('grace_period = "10s"')
    assert ["grace-short"] == found("", timeout="11s")
    assert ["rate-limits-apart"] == found("workers = 2")
    assert ["settings"] == found("port = 99999")


def test_a_real_redis_without_a_log_is_found(redis_server: str) -> None:
    """What the server says of itself is read and judged."""
    with redis_servers.prefix(redis_server) as prefix:
        real = RedisStore(redis_server, prefix=prefix)
        facts = look_at_store(real, SECRET, START)
        found = {each.check for each in examine_store(replace(facts, store_now=START))}
        real.close()
    assert found <= {"redis-appendonly", "no-keys", "purge-late"}
    assert ("redis-appendonly" in found) == (facts.settings["aof_enabled"] == "0")


def test_a_real_postgres_is_looked_at(postgres_at: Callable[[int], str]) -> None:
    """Its settings, its clock and whether announcements arrive."""
    real = PostgresStore(postgres.tables(postgres_at(postgres.VERSIONS[0])))
    facts = look_at_store(real, SECRET, START)
    real.close()
    assert facts.listens
    assert facts.store_now is not None
    expected = {"fsync", "full_page_writes", "synchronous_commit", "autovacuum", "ssl", "superuser", "max_connections"}
    assert set() == expected - facts.settings.keys()


@pytest.fixture
def broken_proxy() -> Iterator[str]:
    """A proxy that passes forged headers on, breaks the cookie, and shows everyone everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("access-control-allow-origin", "*")
            self.send_header("set-cookie", "daypass=; Domain=localhost")
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_faults_are_seen_from_outside(tmp_path: Path, broken_proxy: str) -> None:
    """By real requests; the exit status is 3, and 1 if there is no answer."""
    assert {
        "cookie-httponly",
        "cookie-samesite",
        "cookie-domain",
        "forged-proxy-header",
        "cors-open",
        "metrics-open",
        "no-public-keys",
        "cached",
    } == set(checks(tmp_path, broken_proxy, status=3))
    assert [] == checks(tmp_path, "http://127.0.0.1:9", status=1)
    assert [] == checks(tmp_path, "auth.example.com", status=1)
