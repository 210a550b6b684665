"""All our stores pass the contract, sync and async."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.stores.postgres import AsyncPostgresStore, PostgresStore
from daypass.stores.redis import AsyncRedisStore, RedisStore
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore
from daypass.testing import AccountStoreContract, AsyncStoreContract, OperatorStoreContract, StoreContract
from tests.servers import postgres

from ..servers import redis as servers


def emptied(url: str) -> str:
    """Return the URL of a Redis server after what other tests left was removed: a sweep looks at all keys.

    A server that is not the tests' own keeps what it has.
    """
    if "DAYPASS_TEST_REDIS" not in os.environ:
        with redis.Redis.from_url(url.partition("?")[0]) as client:
            client.flushall()
    return url


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestAsyncMemory(AsyncStoreContract):
    @pytest.fixture
    def async_store(self) -> AsyncMemoryStore:
        return AsyncMemoryStore()


class TestSqlite(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SqliteStore]:
        store = SqliteStore(tmp_path / "app.db")
        yield store
        store.close()


class TestAsyncSqlite(AsyncStoreContract):
    @pytest.fixture
    def async_store(self, tmp_path: Path) -> AsyncSqliteStore:
        return AsyncSqliteStore(tmp_path / "app.db")


@pytest.mark.parametrize("version", postgres.VERSIONS)
class TestPostgres(StoreContract):
    @pytest.fixture
    def store(self, postgres_at: Callable[[int], str], version: int) -> Iterator[PostgresStore]:
        store = PostgresStore(postgres.tables(postgres_at(version)))
        yield store
        store.close()


@pytest.mark.parametrize("version", postgres.VERSIONS)
class TestAsyncPostgres(AsyncStoreContract):
    @pytest.fixture
    def async_store(self, postgres_at: Callable[[int], str], version: int) -> AsyncPostgresStore:
        return AsyncPostgresStore(postgres.tables(postgres_at(version)))


class TestRedis(StoreContract):
    @pytest.fixture
    def store(self, redis_server: str) -> Iterator[RedisStore]:
        with servers.prefix(emptied(redis_server)) as prefix:
            store = RedisStore(redis_server, prefix=prefix)
            yield store
            store.close()


class TestAsyncRedis(AsyncStoreContract):
    @pytest.fixture
    def async_store(self, redis_server: str) -> Iterator[AsyncRedisStore]:
        with servers.prefix(emptied(redis_server)) as prefix:
            yield AsyncRedisStore(redis_server, prefix=prefix)


class TestRedisCluster(StoreContract):
    @pytest.fixture
    def store(self, redis_cluster: str) -> Iterator[RedisStore]:
        with servers.prefix(redis_cluster) as prefix:
            store = RedisStore(redis_cluster, prefix=prefix)
            yield store
            store.close()


class TestAsyncRedisCluster(AsyncStoreContract):
    @pytest.fixture
    def async_store(self, redis_cluster: str) -> Iterator[AsyncRedisStore]:
        with servers.prefix(redis_cluster) as prefix:
            yield AsyncRedisStore(redis_cluster, prefix=prefix)


class TestMemoryAccounts(AccountStoreContract):
    store = TestMemory.store


class TestSqliteAccounts(AccountStoreContract):
    store = TestSqlite.store


@pytest.mark.parametrize("version", postgres.VERSIONS[:1])
class TestPostgresAccounts(AccountStoreContract):
    store = TestPostgres.store


class TestRedisAccounts(AccountStoreContract):
    store = TestRedis.store


class TestAsyncMemoryAccounts(AccountStoreContract):
    async_store = TestAsyncMemory.async_store
    store = AsyncStoreContract.store


class TestAsyncSqliteAccounts(AccountStoreContract):
    async_store = TestAsyncSqlite.async_store
    store = AsyncStoreContract.store


@pytest.mark.parametrize("version", postgres.VERSIONS[:1])
class TestAsyncPostgresAccounts(AccountStoreContract):
    async_store = TestAsyncPostgres.async_store
    store = AsyncStoreContract.store


class TestAsyncRedisAccounts(AccountStoreContract):
    async_store = TestAsyncRedis.async_store
    store = AsyncStoreContract.store


class TestMemoryOperators(OperatorStoreContract):
    store = TestMemory.store


class TestSqliteOperators(OperatorStoreContract):
    store = TestSqlite.store


@pytest.mark.parametrize("version", postgres.VERSIONS[:1])
class TestPostgresOperators(OperatorStoreContract):
    store = TestPostgres.store


class TestRedisOperators(OperatorStoreContract):
    store = TestRedis.store


class TestRedisClusterOperators(OperatorStoreContract):
    store = TestRedisCluster.store


class TestAsyncMemoryOperators(OperatorStoreContract):
    async_store = TestAsyncMemory.async_store
    store = AsyncStoreContract.store


class TestAsyncSqliteOperators(OperatorStoreContract):
    async_store = TestAsyncSqlite.async_store
    store = AsyncStoreContract.store


@pytest.mark.parametrize("version", postgres.VERSIONS[:1])
class TestAsyncPostgresOperators(OperatorStoreContract):
    async_store = TestAsyncPostgres.async_store
    store = AsyncStoreContract.store


class TestAsyncRedisOperators(OperatorStoreContract):
    async_store = TestAsyncRedis.async_store
    store = AsyncStoreContract.store
