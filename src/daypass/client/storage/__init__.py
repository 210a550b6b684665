"""Where a session is kept between runs, and shared between processes and machines.

`Storage` says what a storage is. `PostgresStorage` and `RedisStorage` are for many machines. Each is imported when it
is used (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from daypass.client.storage.base import Storage

if TYPE_CHECKING:
    from daypass.client.storage.file import FileStorage
    from daypass.client.storage.keyring import KeyringStorage
    from daypass.client.storage.memory import MemoryStorage
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
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{name.removesuffix('Storage').lower()}")
    value = globals()[name] = getattr(module, name)
    return value
