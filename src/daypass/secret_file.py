"""The master secret in a file: read it, and make one beside an embedded database."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from daypass.errors import ConfigurationError


def read(path: Path) -> list[str]:
    """Return the secrets in a file, one a line, newest first.

    Raises:
        ConfigurationError: it cannot be read, is empty, or others than its owner may read it.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"the secret file {path} cannot be read: {reason}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"the secret file {path} can be read by others; run: chmod 600 {path}")
    if not lines:
        raise ConfigurationError(f"the secret file {path} is empty; make one with: openssl rand -base64 32 > {path}")
    return lines


def read_or_make(path: Path) -> tuple[list[str], bool]:
    """Return the secrets in a file, and whether it was made now: with mode 0600, if it is missing.

    Processes that start at the same time all get the same secret.

    Raises:
        ConfigurationError: it can be neither read nor made.
    """
    try:
        made = not path.exists() and _make(path)
    except OSError as error:
        raise ConfigurationError(
            f"the secret file {path} cannot be made: {error.strerror}; give a secret instead"
        ) from None
    return read(path), made


def _make(path: Path) -> bool:
    """Make the file, complete from the start; return False if another process made it first."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
            return True
    finally:
        draft.unlink()
    return False
