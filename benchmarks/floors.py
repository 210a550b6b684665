"""One plain conditional update of one row: the least that a refresh asks of a store, by that store's usual driver."""

import sqlite3
import threading
from collections.abc import Awaitable, Callable

import psycopg
import redis
import redis.asyncio
from psycopg_pool import AsyncConnectionPool

Update = Callable[[int], Awaitable[None]]

ROWS = 16
POOL = 10
BRANCH = b"1" * 8
SCRIPT = """
if redis.call('HGET', KEYS[1], 'b') ~= ARGV[1] or tonumber(redis.call('HGET', KEYS[1], 't')) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('HINCRBY', KEYS[1], 'g', 1)
redis.call('HSET', KEYS[1], 't', ARGV[2])
return 1
"""


def blocking_sqlite_update(path: str, synchronous: str) -> Callable[[int], None]:
    """Return an update through the standard library's module, for threads."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("CREATE TABLE s (id BLOB PRIMARY KEY, g INTEGER, b BLOB, t INTEGER) WITHOUT ROWID")
    connection.executemany("INSERT INTO s VALUES (?, 0, ?, 0)", ((_id(row), BRANCH) for row in range(ROWS)))
    statement = "UPDATE s SET g = g + 1, t = ? WHERE id = ? AND b = ? AND t < ? RETURNING g"

    lock = threading.Lock()

    def update(turn: int) -> None:
        with lock:
            connection.execute(statement, (turn, _id(turn), BRANCH, turn)).fetchone()

    return update


def sqlite_update(path: str, synchronous: str) -> Update:
    """Return the same for an event loop, in its own thread."""
    blocking = blocking_sqlite_update(path, synchronous)

    async def update(turn: int) -> None:
        blocking(turn)

    return update


def postgres_update(url: str) -> Update:
    """Return an update through psycopg and its pool."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS s")
        connection.execute("CREATE TABLE s (id BYTEA PRIMARY KEY, g BIGINT, b BYTEA, t BIGINT) WITH (fillfactor = 50)")
        for row in range(ROWS):
            connection.execute("INSERT INTO s VALUES (%s, 0, %s, 0)", (_id(row), BRANCH))
    pool = AsyncConnectionPool(url, min_size=POOL, max_size=POOL, open=False, kwargs={"autocommit": True})
    statement = "UPDATE s SET g = g + 1, t = %s WHERE id = %s AND b = %s AND t < %s RETURNING g"

    async def update(turn: int) -> None:
        await pool.open()  # which does nothing when it is
        async with pool.connection() as connection:
            await (await connection.execute(statement, (turn, _id(turn), BRANCH, turn), prepare=True)).fetchone()

    return update


def redis_update(url: str) -> Update:
    """Return an update through redis-py and its pool."""
    with redis.Redis.from_url(url, protocol=2) as setting_up:
        for row in range(ROWS):
            setting_up.hset(f"floor:{row}", mapping={"g": 0, "b": BRANCH, "t": 0})
    script = redis.asyncio.Redis.from_url(url, protocol=2).register_script(SCRIPT)

    async def update(turn: int) -> None:
        await script(keys=[f"floor:{turn % ROWS}"], args=[BRANCH, turn])

    return update


def _id(turn: int) -> bytes:
    return bytes([turn % ROWS] * 16)
