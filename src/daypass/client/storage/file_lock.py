"""File locks for all processes of one machine. The kernel releases them when a process ends."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from daypass.client.storage.base import CHANGING_AT_MOST, Storage
from daypass.errors import ConfigurationError

_POLL = 0.02


class LockedByFile(Storage):
    """A storage with file locks, for all processes of a machine. The kernel releases them when a process ends.

    Args:
        lock: the path of the lock file; a second lock file, for writing, is beside it.

    Raises:
        ConfigurationError: ``filelock`` is not installed.
    """

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        if find_spec("filelock") is None:  # imported only for writing: reading needs no lock
            raise ConfigurationError('sessions in files need: pip install "daypass[storage]"')
        super().__init__()

    def refreshing(self, seconds: float) -> AbstractContextManager[bool]:
        """Wait for the lock file."""
        return _hold_file(self._lock, seconds)

    def changing(self) -> AbstractContextManager[bool]:
        """Wait for the lock file of writers."""
        return _hold_file(self._lock.with_name(f"{self._lock.name}.write"), CHANGING_AT_MOST)


def make_folder(folder: Path) -> None:
    """Create the folder, only for its owner, if it is missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _file_lock(path: Path) -> Any:
    """Return a new lock. Each is used once by one thread, so a forked child inherits no lock."""
    from filelock import FileLock

    return FileLock(path, mode=0o600, poll_interval=_POLL)


@contextmanager
def _hold_file(path: Path, seconds: float) -> Iterator[bool]:
    make_folder(path.parent)
    lock = _file_lock(path)
    try:
        lock.acquire(timeout=max(0.0, seconds))
        came = True
    except TimeoutError:
        came = False
    try:
        yield came
    finally:
        if came:
            lock.release()
