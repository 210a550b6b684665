"""Every store of ours passes the contract, sync and async."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore
from daypass.testing import AsyncStoreContract, StoreContract


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
