"""Secrets in files: reads them, and creates the master secret beside an embedded database."""

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from daypass.errors import ConfigurationError


def read(path: Path) -> list[str]:
    """Return the secrets in a file, one a line, newest first.

    Raises:
        ConfigurationError: it cannot be read, is empty, or is readable by others than its owner.
    """
    lines = read_text(path).split()
    if not lines:
        raise ConfigurationError(f"the secret file {path} is empty; make one with: openssl rand -base64 32 > {path}")
    return lines


def given(variable: str, file: str | None, environment: Mapping[str, str]) -> list[str] | None:
    """Return the secrets in a file or a variable, several separated by white space; None if neither is given.

    Raises:
        ConfigurationError: the file cannot be read, or both are given.
    """
    found = environment.get(variable, "").split()
    if file and found:
        raise ConfigurationError(f"both {variable} and a secret file are given; remove one of them")
    return read(Path(file)) if file else found or None


def read_text(path: Path) -> str:
    """Return the text of a file that only its owner can read, without white space around it.

    Raises:
        ConfigurationError: it cannot be read, or is readable by others than its owner.
    """
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"the secret file {path} cannot be read: {reason}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"the secret file {path} can be read by others; run: chmod 600 {path}")
    return text.strip()


def read_or_make(path: Path) -> tuple[list[str], bool]:
    """Return the secrets in a file, and whether it was created now: with mode 0600, if it was missing.

    Processes that start at the same time all get the same secret.

    Raises:
        ConfigurationError: it can be neither read nor created.
    """
    try:
        made = not path.exists() and _make(path)
    except OSError as error:
        raise ConfigurationError(
            f"the secret file {path} cannot be made: {error.strerror}; give a secret instead"
        ) from None
    return read(path), made


def _make(path: Path) -> bool:
    """Create the file atomically; return False if another process created it first."""
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
