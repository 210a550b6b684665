"""A store checks itself: nothing is found in one that is used as usual, and each planted fault is found where it is."""

# ruff: noqa: S608 - statements of a test, put together from its own numbers

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from daypass import Daypass, Device, SessionRevoked, User
from daypass.account_steps import AddAccount
from daypass.cli.store import parts
from daypass.duration import DAY, HOUR, MINUTE
from daypass.operator_steps import CHECKED_AT_ONCE, AddMark, AddMarkOnce, AuditRecord, Check, NoteEvents
from daypass.session import EndReason
from daypass.store_steps import AddKey, End, EndEveryone, Insert, Migrate, Swept
from daypass.stores import sql
from daypass.stores.integrity import CHECKS
from daypass.stores.postgres import PostgresStore
from daypass.stores.redis import RedisStore
from daypass.stores.sql_check import expected_objects
from daypass.stores.sqlite import SqliteStore
from daypass.testing import START, account, key, session, sweep
from daypass.testing.clock import Clock
from tests.servers import postgres
from tests.servers import redis as servers

SECRET = "a master secret that is long enough, and stands nowhere"


def found(store: Any, now: int = START) -> dict[str, list[str]]:
    """Check all parts of a store; return where each fault is, by its check."""
    faults: dict[str, list[str]] = {}
    place, parts = "", 0
    while True:
        checked = store.perform_operator(Check(now, place))
        for fault in checked.faults:
            faults.setdefault(fault.check, []).append(fault.where)
        place, parts = checked.place, parts + 1
        assert parts < 1000
        if not place:
            return {name: sorted(set(places)) for name, places in faults.items()}


def use(store: Any) -> int:
    """Do with a store what a service does in a day; return the time."""
    clock = Clock()
    user = User(account().subject, "user1")
    auth = Daypass(
        store,
        issuer="https://issuer.example",
        secret=SECRET,
        load_user=lambda _: user,
        clock=clock,
        notice_devices=True,
        audit_ttl="30d",
    )
    store.perform_account(AddAccount(account()))
    store.perform_account(AddAccount(account(2, username=None, scope="read")))
    store.perform_operator(AddMark("ab" * 16, "value", START + DAY, START))
    store.perform_operator(AddMarkOnce("cd" * 16, "caller", START + DAY, START))
    tokens = [auth.start(user, device=Device(user_agent=f"Browser {chr(65 + number)}")) for number in range(6)]
    auth.end_everyone()
    clock.now += MINUTE
    tokens = [
        auth.start(user, device=Device(user_agent="Browser " + "x" * 100), claims={"org": "acme"}) for _ in "1234"
    ]
    clock.now += MINUTE
    auth.refresh(tokens[0].refresh_token)
    auth.logout(tokens[1].refresh_token)
    auth.end_session(user.subject, tokens[2].session.id)
    auth.rotate_keys()
    auth.purge()
    auth._write_trail()
    return clock.now


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def sqlite_store(sqlite_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(sqlite_path)) as store:
        yield store


@pytest.fixture
def postgres_url(postgres_at: Callable[[int], str]) -> str:
    return postgres.tables(postgres_at(postgres.VERSIONS[-1]))


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(postgres_url)) as store:
        yield store


@pytest.fixture
def prefix(redis_server: str) -> Iterator[str]:
    with servers.prefix(redis_server) as made:
        yield made


@pytest.fixture
def redis_store(redis_server: str, prefix: str) -> Iterator[RedisStore]:
    with closing(RedisStore(redis_server, prefix=prefix)) as store:
        yield store


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
def test_nothing_is_found_in_a_store_as_usual(kind: str, request: pytest.FixtureRequest) -> None:
    """After logins, refreshes, endings of every kind, a purge, users, keys, marks and a trail."""
    store = request.getfixturevalue(f"{kind}_store")
    assert {} == found(store, use(store))


def test_nothing_is_found_in_a_cluster(redis_cluster: str) -> None:
    """Keys on several servers are looked at one by one."""
    with servers.prefix(redis_cluster) as name, closing(RedisStore(redis_cluster, prefix=name)) as store:
        assert {} == found(store, use(store))


# ---- SQL


ROWS = (
    "UPDATE daypass_sessions SET end_reason = 'boredom', ended_at = 1 WHERE subject = 'user-0'",
    "UPDATE daypass_sessions SET extras = '{' WHERE subject = 'user-2'",
    f"UPDATE daypass_sessions SET created_at = {START + DAY} WHERE subject = 'user-3'",
    f"UPDATE daypass_sessions SET expires_at = {START - DAY - 1} WHERE subject = 'user-4'",
    "UPDATE daypass_sessions SET generation = -1 WHERE subject = 'user-5'",
    "UPDATE daypass_keys SET algorithm = 'none' WHERE kid = 'kid-2'",
    f"UPDATE daypass_sweep SET due_at = {START + 2 * DAY}",
    "UPDATE daypass_accounts SET folded_email = 'somebody@else.example' WHERE subject = 'subject-2'",
    "UPDATE daypass_accounts SET folded_username = NULL WHERE subject = 'subject-3'",
    f"UPDATE daypass_events SET at = {START + DAY}",
    "INSERT INTO daypass_subjects (subject, logins, devices, seen_at) VALUES ('user-1', 1, {blob}, 0)",
)


def fill(store: Any) -> None:
    """Put in what the faults are planted in."""
    for number in range(6):
        store.perform(Insert(session(number, subject=f"user-{number}")))
    store.perform(AddKey(key(2)))
    for number in range(1, 4):
        store.perform_account(AddAccount(account(number)))
    store.perform(Insert(session(9, subject=account().subject)))
    store.perform_operator(NoteEvents((AuditRecord(START, "0" * 16, "started"),)))


def of(number: int) -> str:
    return f"{number:032x}"


FOUND_IN_ROWS = {
    "session-unreadable": [of(0), of(2)],
    "session-ahead": [of(3)],
    "session-past": [of(4)],
    "session-unreachable": [of(5)],
    "session-without-user": [of(1), of(2), of(3), of(5)],
    "key-unreadable": ["kid-2"],
    "key-missing": ["refresh key"],
    "sweep-ahead": [str(START + 2 * DAY)],
    "user-unreachable": ["subject-2", "subject-3"],
    "event-ahead": [f"{START + DAY} {'0' * 16}"],
    "devices-unreadable": ["user-1"],
}


def plant_in_sqlite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement.replace("{blob}", "x'00'"))


def plant_in_postgres(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.replace("{blob}", "'\\x00'").encode())


def test_faults_in_rows_are_found_in_sqlite(sqlite_store: SqliteStore, sqlite_path: Path) -> None:
    """Each in its row; nothing is changed by looking."""
    fill(sqlite_store)
    plant_in_sqlite(sqlite_path, *ROWS)
    assert FOUND_IN_ROWS == found(sqlite_store)
    assert FOUND_IN_ROWS == found(sqlite_store)


def test_faults_in_rows_are_found_in_postgres(postgres_store: PostgresStore, postgres_url: str) -> None:
    """Each in its row."""
    fill(postgres_store)
    plant_in_postgres(postgres_url, *ROWS)
    assert FOUND_IN_ROWS == found(postgres_store)


OBJECTS = {
    "DROP INDEX daypass_sessions_live": "index daypass_sessions_live (subject, created_at, id)",
    "DROP INDEX daypass_events_subject": "index daypass_events_subject (subject, at)",
    "DROP TABLE daypass_marks": "primary key daypass_marks (key, value)",
    "ALTER TABLE daypass_sessions DROP COLUMN scope": "column daypass_sessions.scope",
}


def test_missing_objects_are_found_in_sqlite(sqlite_store: SqliteStore, sqlite_path: Path) -> None:
    """Tables, columns and indexes, with their columns; and a row that must be there once."""
    fill(sqlite_store)
    plant_in_sqlite(sqlite_path, "DELETE FROM daypass_sweep")
    assert ["daypass_sweep: 0"] == found(sqlite_store)["row-count"]
    plant_in_sqlite(sqlite_path, *OBJECTS)
    assert set(OBJECTS.values()) <= set(found(sqlite_store)["object-missing"])


def test_missing_and_invalid_objects_are_found_in_postgres(postgres_at: Callable[[int], str]) -> None:
    """Also a constraint, and an index that the database does not use since it could not be built."""
    url = postgres.empty(postgres_at(postgres.VERSIONS[-1]))  # other tests use the tables of `postgres_url`
    with closing(PostgresStore(url)) as store:
        store.perform(Migrate())
        assert {} == found(store)
    unique = "ALTER TABLE daypass_keys DROP CONSTRAINT daypass_keys_algorithm_follows_key"
    invalid = "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = CAST('daypass_sessions_ended' AS regclass)"
    plant_in_postgres(url, unique, invalid, *OBJECTS)
    with closing(PostgresStore(url)) as store:
        faults = found(store)
    assert {"unique daypass_keys (algorithm, follows)", *OBJECTS.values()} <= set(faults["object-missing"])
    assert ["index daypass_sessions_ended (ended_at)"] == faults["index-invalid"]


def test_an_index_that_does_not_fit_its_table_is_found_in_sqlite(sqlite_store: SqliteStore, sqlite_path: Path) -> None:
    """SQLite's own check is run for each table."""
    fill(sqlite_store)
    sqlite_store.close()
    with closing(sqlite3.connect(sqlite_path)) as database:
        database.execute("PRAGMA writable_schema = ON")
        other = "sql = replace(sql, 'IS NOT NULL', 'IS NULL')"
        database.execute(f"UPDATE sqlite_schema SET {other} WHERE name = 'daypass_sessions_ended'")
        database.commit()
    faults = found(sqlite_store)
    assert any("daypass_sessions_ended" in where for where in faults["damaged"])


def test_a_schema_of_another_version_is_found(sqlite_store: SqliteStore, sqlite_path: Path) -> None:
    """A newer one is checked as far as this Daypass knows it."""
    fill(sqlite_store)
    ahead = f"UPDATE daypass_everyone SET ended_until = {START + DAY}"
    plant_in_sqlite(sqlite_path, "UPDATE daypass_schema SET current = current + 1", "DELETE FROM daypass_keys", ahead)
    assert {"schema-new", "key-missing", "everyone-ahead"} == found(sqlite_store).keys()


def test_many_rows_are_looked_at_page_by_page(sqlite_store: SqliteStore, sqlite_path: Path) -> None:
    """No part has more rows than it may have, and the last row of all is looked at."""
    many = 2 * CHECKED_AT_ONCE + 1
    sessions = [session(number) for number in range(many - 1)]
    sessions.append(session(many - 1, ended_at=START + DAY, end_reason=EndReason.ENDED))
    sqlite_store.perform(Insert(sessions[0]))
    with closing(sqlite3.connect(sqlite_path)) as database, database:
        database.executemany(sql.INSERT, map(sql.session_parameters, sessions))
    sizes, place = [], "sessions:"
    while place.startswith("sessions"):
        checked = sqlite_store.perform_operator(Check(START, place))
        sizes.append(checked.looked_at)
        place = checked.place
    assert [CHECKED_AT_ONCE, CHECKED_AT_ONCE, 1] == sizes
    assert [of(many - 1)] == found(sqlite_store)["session-ahead"]


def test_both_databases_have_the_same_objects(postgres_url: str) -> None:
    """What is expected is read from SQLite's own tables, so PostgreSQL's must have the same names."""
    with psycopg.connect(postgres_url) as connection:
        there = {row[0] for row in connection.execute(sql.OBJECTS_OF_POSTGRES.encode())}
    assert expected_objects() == {each for each in there if "daypass_schema." not in each}


# ---- Redis


def test_faults_are_found_in_redis(redis_store: RedisStore, redis_server: str, prefix: str) -> None:
    """Keys of another type or shape, with a time to live, unknown; entries that point nowhere; what is missing."""
    for number in range(8):
        redis_store.perform(Insert(session(number, subject=f"user-{number}")))
    for number in (1, 6, 7):
        redis_store.perform(End(of(number), START, EndReason.ENDED))
    redis_store.perform(AddKey(key(1)))
    for number in range(1, 4):
        redis_store.perform_account(AddAccount(account(number)))
    redis_store.perform_operator(NoteEvents((AuditRecord(START + DAY, "0" * 16, "started"),)))
    ids = [bytes.fromhex(of(number)) for number in range(8)]
    named = [b"%s:{00}:s:%s" % (prefix.encode(), raw_id) for raw_id in ids]
    with closing(redis.Redis.from_url(redis_server)) as client:
        client.hdel(named[0], "b")
        client.zrem(f"{prefix}:{{00}}:ended", ids[1])
        client.zrem(f"{prefix}:u:user-2", ids[2])
        client.expire(named[3], 1000)
        client.zadd(f"{prefix}:u:user-3", {ids[0][:15] + b"\xff": START - HOUR, b"short": START - HOUR})
        client.zadd(f"{prefix}:{{00}}:ended", {ids[4]: START, bytes(15) + b"\xfe": START})
        client.hset(named[5], "x", START - 2 * DAY)
        client.delete(named[6])
        client.set(f"{prefix}:u:user-9", "text")
        client.set(f"{prefix}:elsewhere", "text")
        client.zadd(f"{prefix}:d:user-1", {b"device": START})
        client.zadd(f"{prefix}:{{events}}", {b"x" * 16 + b"[": START - 1})
        client.set(f"{prefix}:{{00}}:everyone", START - HOUR)
        client.hset(f"{prefix}:{{sweep}}", "due", START + 2 * DAY)
        client.set(f"{prefix}:{{schema}}:version", 99)
        client.hset(f"{prefix}:{{accounts}}:names", "user1", "subject-2")
        client.hdel(f"{prefix}:{{accounts}}:a:subject-2", "email")
        client.delete(f"{prefix}:{{accounts}}:a:subject-3")
        client.hset(f"{prefix}:{{keys}}", "k:kid-1", "none 1 1")
    assert {
        "session-unreadable": [of(0)],
        "ending-missing": [of(1)],
        "session-unlisted": [of(2)],
        "key-expires": [f"session {of(3)}"],
        "index-dangling": [
            f"{prefix}:u:user-3: {of(0xFF)}",
            f"{prefix}:u:user-3: {b'short'.hex()}",
            f"{prefix}:u:user-6: {of(6)}",
        ],
        "ending-wrong": [of(4)],
        "ending-dangling": [of(6), of(0xFE)],
        "session-past": [of(5)],
        "key-type": [f"{prefix}:u:user-9: string, not zset"],
        "key-unknown": [f"{prefix}:elsewhere"],
        "devices-unreadable": [f"{prefix}:d:user-1"],
        "event-unreadable": [f"{START - 1} {'x' * 16}"],
        "event-ahead": [f"{START + DAY} {'0' * 16}"],
        "everyone-differs": [f"0, {START - HOUR}"],
        "sweep-ahead": [str(START + 2 * DAY)],
        "schema-new": ["schema 99"],
        "user-unreachable": ["subject-1"],
        "user-unreadable": ["subject-2"],
        "name-dangling": ["subject-3"],
        "key-unreadable": ["kid-1"],
        "key-missing": ["refresh key"],
    } == found(redis_store, START + MINUTE + 1)


def test_lost_keys_and_an_end_of_everyone_to_come_are_found_in_redis(redis_store: RedisStore) -> None:
    """Both log everybody out."""
    redis_store.perform(Insert(session()))
    redis_store.perform(EndEveryone(START + 2 * HOUR))
    assert {"everyone-ahead", "key-missing"} == found(redis_store).keys()


def test_a_purge_repairs_what_it_is_said_to_repair(redis_store: RedisStore, redis_server: str, prefix: str) -> None:
    """A session that is missing in its user's list is back in it."""
    redis_store.perform(Insert(session()))
    redis_store.perform(AddKey(key()))
    with closing(redis.Redis.from_url(redis_server)) as client:
        client.delete(f"{prefix}:u:user-1")
    assert "session-unlisted" in found(redis_store)
    swept: Swept = redis_store.perform(sweep(START, regardless=True))
    assert swept.whole
    assert "session-unlisted" not in found(redis_store)


def test_each_check_says_what_to_do() -> None:
    """A severity that exists, what it is, and what to do."""
    assert all(severity in ("error", "warning") and found_text and do for severity, found_text, do in CHECKS.values())


def test_a_store_in_use_has_no_faults(redis_store: RedisStore) -> None:
    """Sessions come, move and go while they are looked at; what is found is looked at again."""
    auth = Daypass(
        redis_store, issuer="https://issuer.example", secret=SECRET, load_user=lambda _: User("1"), grace_period=0
    )
    ended = threading.Event()

    def use_it() -> None:
        while not ended.is_set():
            tokens = auth.start(User("1"))
            with suppress(SessionRevoked):  # the other thread ends all sessions of the user
                tokens = auth.refresh(tokens.refresh_token)
            auth.logout(tokens.refresh_token)
            auth.end_all("1")

    threads = [threading.Thread(target=use_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [] == [fault for _ in range(3) for part in parts(redis_store) for fault in part.faults]
    finally:
        ended.set()
        for thread in threads:
            thread.join()
