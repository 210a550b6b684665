"""Where a session is kept between runs, and shared between processes.

A storage keeps one text, reads and writes it as a whole, and has two locks:

- `Storage.refreshing` lets one process refresh at a time. Who has it reads the text again before it sends, and usually
  finds that another process has refreshed already. The wait is bounded: a holder that is stuck delays the others by
  that much, one that is killed not at all.
- `Storage.changing` is held only while a text is compared and written, so a logout never waits for a refresh.

Neither is held during a user's request, and a valid token needs neither.
"""

import os
import stat
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import sha256
from importlib.util import find_spec
from io import FileIO
from pathlib import Path
from typing import Any

from daypass.errors import ConfigurationError
from daypass.forks import survive_forks

__all__ = [
    "FileStorage",
    "KeyringStorage",
    "MemoryStorage",
    "Storage",
]

CHANGING_AT_MOST = 2.0
"""Seconds that a compare-and-write waits for another's, which takes a moment."""

_POLL = 0.02


class Storage(ABC):
    """Keeps one session's text. Subclass it and implement `load` and `save`.

    It is then shared by the threads of a process; override the two locks to share it between processes. The text has
    tokens in it: keep it from others. Every method may be called from any thread. Whatever `save` raises is reported as
    the event ``storage_failed``: the tokens stay in memory and are written later.
    """

    def __init__(self) -> None:
        self.recover_from_fork()
        survive_forks(self)

    @abstractmethod
    def load(self) -> str | None:
        """Return the text that was saved last; ``None`` if there is nothing.

        Raises:
            OSError: it cannot be read now.
        """

    @abstractmethod
    def save(self, text: str | None) -> None:
        """Keep this text instead of what there was; ``None`` keeps nothing. All of it or nothing of it is written.

        Raises:
            OSError: it cannot be written now.
        """

    def refreshing(self, seconds: float) -> AbstractContextManager[bool]:
        """Wait for the turn to refresh, for so many seconds at most; yield whether the lock was acquired."""
        return _hold(self._turn, seconds)

    def changing(self) -> AbstractContextManager[bool]:
        """Wait for the turn to compare and write, `CHANGING_AT_MOST` seconds at most; yield whether it was acquired."""
        return _hold(self._moment, CHANGING_AT_MOST)

    def recover_from_fork(self) -> None:
        """In a forked child: the threads that held the parent's locks are not here."""
        self._turn = threading.Lock()
        self._moment = threading.Lock()


class MemoryStorage(Storage):
    """Keeps a session in memory: for several `DaypassAuth`, of whatever library, that share one."""

    def __init__(self) -> None:
        super().__init__()
        self._text: str | None = None

    def load(self) -> str | None:
        """Return the text."""
        return self._text

    def save(self, text: str | None) -> None:
        """Keep the text."""
        self._text = text


class LockedByFile(Storage):
    """A storage whose locks are files, for all processes of a machine. They are the kernel's: they end with a process.

    Args:
        lock: the path of the lock file; a second one, for writing, is beside it.

    Raises:
        ConfigurationError: ``filelock`` is not installed.
    """

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        if find_spec("filelock") is None:  # not imported before something is written: reading needs no lock
            raise ConfigurationError('sessions in files need: pip install "daypass[storage]"')
        super().__init__()

    def refreshing(self, seconds: float) -> AbstractContextManager[bool]:
        """Wait for the lock file."""
        return _hold_file(self._lock, seconds)

    def changing(self) -> AbstractContextManager[bool]:
        """Wait for the lock file of writers."""
        return _hold_file(self._lock.with_name(f"{self._lock.name}.write"), CHANGING_AT_MOST)


class FileStorage(LockedByFile):
    """Keeps a session in a file that only its owner can read (0600), so written that a crash never loses it.

    A new file is written beside the old one and takes its place. Where that cannot be done (a file that is mounted by
    itself, as in a container; a folder that is read-only; a full disk) the text is written into the file as a new line,
    and the last complete line counts.

    Args:
        path: of the file, or of a symbolic link to it. Its folder is made (0700) if it is missing, and the lock files
            are beside the file.

    Raises:
        ConfigurationError: the path is a folder, or ``filelock`` is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().resolve()
        if self.path.is_dir():
            raise ConfigurationError(f"{self.path} is a folder: give FileStorage the path of a file")
        super().__init__(self.path.with_name(f"{self.path.name}.lock"))

    def __repr__(self) -> str:
        return f"<FileStorage {self.path}>"

    def load(self) -> str | None:
        """Return the file's text.

        Raises:
            ConfigurationError: others than its owner may read it, or it is not text; look at it before it is used.
            OSError: it cannot be read now.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise ConfigurationError(f"others may read {self.path}: run chmod 600 {self.path}")
                return last_line(file.read())
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{self.path} is not a Daypass session: remove it, then log in again") from error

    def save(self, text: str | None) -> None:
        """Write the text, or remove the file.

        Raises:
            OSError: it can neither be replaced nor written in place.
        """
        if text is None:
            self._remove()
            return
        _make_folder(self.path.parent)
        try:
            self._replace(text)
        except OSError:
            if not self.path.exists():
                raise
            with self.path.open("r+b", buffering=0) as file:
                write_in_place(file, text)

    @contextmanager
    def changing(self) -> Iterator[bool]:
        """Wait for the lock file of writers, and remove the drafts of those that were killed while they wrote."""
        with super().changing() as came:
            if came:
                for draft in self.path.parent.glob(f"{self._draft_prefix}*"):
                    with suppress(OSError):
                        draft.unlink()
            yield came

    @property
    def _draft_prefix(self) -> str:
        return f".{self.path.name}."

    def _replace(self, text: str) -> None:
        descriptor, draft = tempfile.mkstemp(prefix=self._draft_prefix, dir=self.path.parent)  # its mode is 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(draft).unlink()
            raise

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError:  # it is mounted, or its folder is read-only
            os.truncate(self.path, 0)


def last_line(text: str) -> str | None:
    """Return the last line that was written to its end; a file that was replaced has one line and no line break."""
    lines = text.split("\n")
    complete = [line for line in lines[:-1] if line.strip("\0 \r")]
    return (complete[-1] if complete else lines[-1]) or None


def write_in_place(file: FileIO, text: str) -> None:
    """Write the text as a new last line; then move it to the beginning, as soon as it fits in front of itself.

    At each moment the last complete line is the old text or the new one. On a full disk, where no line can be added, a
    new text that is not longer overwrites the old one, which is not of use any more.

    Raises:
        OSError: the text cannot be written; the old one is still there.
    """
    line = f"{text}\n".encode()
    end = file.seek(0, os.SEEK_END)
    try:
        _write_at(file, end, line if not end or _ends_with_line_break(file, end) else b"\n" + line)
    except OSError:
        file.truncate(end)
        if len(line) > end:
            raise
    if len(line) <= end:
        _write_at(file, 0, line)
        file.truncate()


def _ends_with_line_break(file: FileIO, end: int) -> bool:
    file.seek(end - 1)
    return bool(file.read(1) == b"\n")


def _write_at(file: FileIO, position: int, data: bytes) -> None:
    file.seek(position)
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


class KeyringStorage(LockedByFile):
    """Keeps a session in the system's keyring.

    Args:
        service: what the keyring files it under.
        username: whose session it is.
        keyring: a backend of the ``keyring`` library; the system's own unless given.

    Raises:
        ConfigurationError: ``keyring`` is not installed, or this system has no keyring.
    """

    def __init__(self, service: str = "daypass", username: str = "session", *, keyring: Any = None) -> None:
        try:
            from keyring import errors, get_keyring
            from platformdirs import user_state_path
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                'the system keyring needs a package; run: pip install "daypass[keyring]"'
            ) from error
        self._failure: type[Exception] = errors.KeyringError
        self._keyring = get_keyring() if keyring is None else keyring
        if self._keyring.priority <= 0:
            raise ConfigurationError("this system has no keyring that is safe to use; keep the session in a file")
        self._service, self._username = service, username
        name = sha256(f"{service}\0{username}".encode()).hexdigest()[:32]
        super().__init__(user_state_path("daypass") / "locks" / f"{name}.lock")

    def __repr__(self) -> str:
        return f"<KeyringStorage {self._service} {self._username}>"

    def load(self) -> str | None:
        """Return the keyring's text."""
        try:
            text: str | None = self._keyring.get_password(self._service, self._username)
        except self._failure as error:
            raise OSError(f"the keyring cannot be read ({type(error).__name__})") from None
        return text

    def save(self, text: str | None) -> None:
        """Put the text into the keyring, or remove it there."""
        try:
            if text is not None:
                self._keyring.set_password(self._service, self._username, text)
            elif self.load() is not None:
                self._keyring.delete_password(self._service, self._username)
        except self._failure as error:
            raise OSError(f"the keyring cannot be written ({type(error).__name__})") from None


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _file_lock(path: Path) -> Any:
    """Return a new lock: each is used once, by one thread of one process, so none is inherited by a forked child."""
    from filelock import FileLock

    return FileLock(path, mode=0o600, poll_interval=_POLL)


@contextmanager
def _hold(lock: threading.Lock, seconds: float) -> Iterator[bool]:
    came = lock.acquire(timeout=max(0.0, seconds))
    try:
        yield came
    finally:
        if came:
            lock.release()


@contextmanager
def _hold_file(path: Path, seconds: float) -> Iterator[bool]:
    _make_folder(path.parent)
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
