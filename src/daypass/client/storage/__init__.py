"""Where a session is kept between runs, and shared between processes and machines.

`Storage` says what a storage is. `PostgresStorage` and `RedisStorage` are for many machines; each is imported when it
is used.
"""

from typing import TYPE_CHECKING, Any

from daypass.client.storage.base import Storage
from daypass.client.storage.file import FileStorage
from daypass.client.storage.keyring import KeyringStorage
from daypass.client.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from daypass.client.storage.postgres import PostgresStorage
    from daypass.client.storage.redis import RedisStorage

__all__ = [
    "FileStorage",
    "KeyringStorage",
    "MemoryStorage",
    "PostgresStorage",
    "RedisStorage",
    "Storage",
]


def __getattr__(name: str) -> Any:
    if name == "PostgresStorage":
        from daypass.client.storage.postgres import PostgresStorage

        return PostgresStorage
    if name == "RedisStorage":
        from daypass.client.storage.redis import RedisStorage

        return RedisStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
