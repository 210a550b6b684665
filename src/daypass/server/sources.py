"""The sources of settings: options, then the environment (``DAYPASS_…``), then ``daypass.toml``, then defaults.

It imports no third-party library, because every command looks here for the store.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from daypass.errors import ConfigurationError
from daypass.unknown_options import refuse_unknown

FILE = Path("daypass.toml")
"""Read from the working directory, if it is there and no other file is named."""

STORE = "sqlite:///daypass.db"
"""The store, unless one is given."""

_NOT_OURS = re.compile(
    r"DAYPASS_(TEST_.*|VAULT_.*|CLIENT_SECRET|SERVICE_(HOST|PORT)(_.*)?|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)"
)
"""Variables of the tests, the vault and the shell, and those that Kubernetes sets for a service called "daypass"."""


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"DAYPASS_{name.upper()}"


def file_path(options: Mapping[str, Any]) -> Path | None:
    """Return the configuration file: the named one, or `FILE` if it exists; otherwise None."""
    named = options.get("config") or os.environ.get(variable("config"))
    return Path(named) if named else FILE if FILE.exists() else None


def read_file(path: Path | None) -> dict[str, Any]:
    """Return the content of a configuration file; nothing for None.

    Raises:
        ConfigurationError: it cannot be read, or is not TOML.
    """
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"the configuration file {path} cannot be read: {reason}") from None


def unknown_variables(names: Iterable[str]) -> list[str]:
    """Return a sentence for each ``DAYPASS_…`` variable that is not a setting."""
    known = [variable(name) for name in names]
    ours = (name for name in os.environ if name.startswith("DAYPASS_") and not _NOT_OURS.fullmatch(name))
    return [text for name in ours if (text := unknown(name, known, "environment variable"))]


def unknown(name: str, known: Iterable[str], kind: str) -> str | None:
    """Return what is wrong with a name, None if it is known."""
    try:
        refuse_unknown([name], known, kind)
    except ConfigurationError as error:
        return str(error)
    return None


def text(name: str, options: Mapping[str, Any], default: str | None = None) -> str | None:
    """Return one setting that is text; no other setting is read.

    Raises:
        ConfigurationError: the configuration file cannot be read, or the setting in it is not text.
    """
    given = options.get(name) or os.environ.get(variable(name))
    if given:
        return str(given)
    path = file_path(options)
    value = read_file(path).get(name, default)
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, in quotes ({name} in {path})")
    return value


def store_url(options: Mapping[str, Any]) -> str:
    """Return the URL of the service's store; raises the errors of `text`."""
    return text("store", options, STORE) or STORE
