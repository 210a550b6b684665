"""A storage in a file that survives crashes."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from daypass.client.storage.file_lock import LockedByFile, make_folder
from daypass.errors import ConfigurationError


class FileStorage(LockedByFile):
    """Keeps a session in a file that only its owner can read (0600); a crash never loses it.

    A new file is written beside the old one and replaces it. If that is not possible (a file that is mounted by itself
    in a container; a read-only folder; a full disk), the text is written into the file as a new line, and the last
    complete line counts.

    Args:
        path: the path of the file, or of a symbolic link to it. Its folder is created (0700) if it is missing, and the
            lock files are beside the file.

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
            ConfigurationError: other users may read it, or it is not text; check the file before you use it.
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
        make_folder(self.path.parent)
        try:
            self._replace(text)
        except OSError:
            if not self.path.exists():
                raise
            with self.path.open("r+b", buffering=0) as file:
                write_in_place(file, text)

    @contextmanager
    def changing(self) -> Iterator[bool]:
        """Wait for the lock file of writers, and remove temporary files of writers that were killed."""
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
        except OSError:  # the file is mounted, or its folder is read-only
            os.truncate(self.path, 0)


def last_line(text: str) -> str | None:
    """Return the last complete line; a file that was replaced has one line and no line break."""
    lines = text.split("\n")
    complete = [line for line in lines[:-1] if line.strip("\0 \r")]
    return (complete[-1] if complete else lines[-1]) or None


def write_in_place(file: FileIO, text: str) -> None:
    """Write the text as a new last line; then move it to the beginning, if it fits in front of itself.

    At any moment the last complete line is the old text or the new one. On a full disk, if no line can be added, a new
    text that is not longer overwrites the old one, which is useless by now.

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
