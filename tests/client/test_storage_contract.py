"""Every storage passes the contract that is published for those who write their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from daypass.client.storage import FileStorage, KeyringStorage, MemoryStorage, PostgresStorage, RedisStorage, Storage
from daypass.testing.storage_contract import OpenStorage, SharedStorageContract, StorageContract
from tests.client.test_storage import Drawer, Own
from tests.servers import postgres, redis

SECRET = "a secret of the tests, of at least 32 bytes"


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    def open_storage(self) -> OpenStorage:
        storage = MemoryStorage()
        return lambda: storage


class TestOwnStorage(StorageContract):
    @pytest.fixture
    def open_storage(self) -> OpenStorage:
        storage = Own()
        return lambda: storage


class TestFileStorage(StorageContract):
    @pytest.fixture
    def open_storage(self, tmp_path: Path) -> OpenStorage:
        return lambda: FileStorage(tmp_path / "session.json")


class TestKeyringStorage(StorageContract):
    @pytest.fixture
    def open_storage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenStorage:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        drawer = Drawer()
        return lambda: KeyringStorage(username="ada", keyring=drawer)


class Opened:
    """Opens storages, and closes them in the end."""

    def __init__(self, kind: type[PostgresStorage | RedisStorage], url: str) -> None:
        self._kind, self._url = kind, url
        self._opened: list[PostgresStorage | RedisStorage] = []

    def __call__(self) -> Storage:
        self._opened.append(self._kind(self._url, "xero/tenant-42", secret=SECRET))
        return self._opened[-1]

    def close(self) -> None:
        for each in self._opened:
            each.close()


class TestPostgresStorage(SharedStorageContract):
    @pytest.fixture
    def open_storage(self, postgres_url: str) -> Iterator[OpenStorage]:
        with closing(Opened(PostgresStorage, postgres.empty(postgres_url))) as opened:
            yield opened


class TestRedisStorage(SharedStorageContract):
    @pytest.fixture
    def open_storage(self, redis_server: str) -> Iterator[OpenStorage]:
        with (
            redis.prefix(redis_server) as prefix,
            closing(Opened(RedisStorage, f"{redis_server}?prefix={prefix}")) as opened,
        ):
            yield opened


class TestRedisStorageInCluster(SharedStorageContract):
    @pytest.fixture
    def open_storage(self, redis_cluster: str) -> Iterator[OpenStorage]:
        with (
            redis.prefix(redis_cluster) as prefix,
            closing(Opened(RedisStorage, f"{redis_cluster}?prefix={prefix}")) as opened,
        ):
            yield opened


def run_in_project(database: dict[str, Any]) -> None:
    """Run the tests of a Django project in a process of their own: Django has one set of settings in a process."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/client/django_storage.py"],
        env=os.environ | {"DATABASE": json.dumps(database), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def test_django_storage_on_sqlite(tmp_path: Path) -> None:
    """In the project's own database, by the ORM."""
    run_in_project({"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3")})


def test_django_storage_on_postgresql(postgres_url: str) -> None:
    """The same, in PostgreSQL."""
    url = urlsplit(postgres.empty(postgres_url))
    run_in_project(
        {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": str(url.hostname),
            "PORT": str(url.port),
            "USER": str(url.username),
            "NAME": url.path[1:],
            "OPTIONS": dict(parse_qsl(url.query)[-1:]),
        }
    )
