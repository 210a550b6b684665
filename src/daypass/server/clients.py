"""The service's OAuth clients in a file, TOML: reading it, and adding one. It holds hashes of secrets, no secret."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from daypass.errors import ConfigurationError
from daypass.web.clients import Client, Clients

_KEYS = frozenset(("id", "name", "secret_hash", "scope", "introspects"))
_KINDS: dict[str, type | tuple[type, ...]] = {"name": str, "introspects": bool, "secret_hash": (str, list)}


def read(path: Path) -> tuple[Client, ...]:
    """Return the clients in a file, in the order in which they stand there.

    Raises:
        ConfigurationError: it cannot be read, or describes no clients.
    """
    clients = _parsed(path, _text(path))
    if not clients:
        raise ConfigurationError(f"{path} has no clients; add one: daypass client add NAME --file {path}")
    return clients


def add(
    path: Path, name: str, *, client_id: str | None, public: bool, scope: str | None, introspects: bool
) -> tuple[Client, str | None]:
    """Add a new client to a file, which is made with mode 0600 where it is missing; return it and its secret.

    What stands in the file stays as it is. The secret, None for a public client, is kept nowhere.

    Raises:
        ConfigurationError: the client is not possible, its id is taken, or the file cannot be read or written; nothing
            was changed.
    """
    if not name.strip() or not name.isprintable():
        raise ConfigurationError(f"{name!r} is no name for a client")
    client, secret = Client.register(name, client_id=client_id, public=public, scope=scope, introspects=introspects)
    before = _text(path) if path.exists() else ""
    entry = ("" if not before or before.endswith("\n") else "\n") + ("\n" if before else "") + _entry(client)
    _parsed(path, before + entry)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(entry)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}; nothing was added") from None
    return client, secret


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"the clients file {path} cannot be read: {reason}") from None


def _parsed(path: Path, text: str) -> tuple[Client, ...]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    entries = content.pop("client", [])
    if content or not isinstance(entries, list):
        raise ConfigurationError(f"{path} has to be made of [[client]] sections, and nothing else")
    clients = tuple(_client(path, number, entry) for number, entry in enumerate(entries, 1))
    Clients(clients)
    return clients


def _client(path: Path, number: int, entry: Any) -> Client:
    where = f"client {number} in {path}"
    unknown = sorted(set(entry) - _KEYS) if isinstance(entry, dict) else []
    if unknown or not isinstance(entry, dict):
        raise ConfigurationError(
            f"{where}: {', '.join(unknown) or 'it'} is unknown; there are {', '.join(sorted(_KEYS))}"
        )
    for name, kind in _KINDS.items():
        if name in entry and not isinstance(entry[name], kind):
            raise ConfigurationError(f"{where}: {name} is of the wrong kind")
    hashes = entry.get("secret_hash")
    try:
        return Client(
            entry.get("id", ""),
            tuple(hashes) if isinstance(hashes, list) else hashes,
            entry.get("scope"),
            entry.get("introspects", False),
            entry.get("name"),
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _entry(client: Client) -> str:
    """Return a client as it stands in the file; a string of JSON's is one of TOML's."""
    parts: dict[str, object] = {"id": client.id, "name": client.name}
    if client.secret_hash is not None:
        parts["secret_hash"] = client.secret_hash
    if client.scope is not None:
        parts["scope"] = client.scope
    if client.introspects:
        parts["introspects"] = True
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in parts.items()]
    return "\n".join(["[[client]]", *lines, ""])
