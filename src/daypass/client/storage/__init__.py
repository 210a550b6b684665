"""Where a session is kept between runs, and shared between processes.

`Storage` says what a storage is; `daypass.client.storage.base` has its two locks.
"""

from daypass.client.storage.base import Storage
from daypass.client.storage.file import FileStorage
from daypass.client.storage.keyring import KeyringStorage
from daypass.client.storage.memory import MemoryStorage

__all__ = [
    "FileStorage",
    "KeyringStorage",
    "MemoryStorage",
    "Storage",
]
