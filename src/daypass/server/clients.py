"""The service's OAuth clients in a TOML file: reading, adding and removing them. It holds only hashes of secrets."""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from daypass.errors import ConfigurationError
from daypass.unknown_options import refuse_unknown
from daypass.web.clients import Client, Clients

_KEYS = frozenset(("id", "name", "secret_hash", "scope", "introspects"))
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "name": (str, "text"),
    "introspects": (bool, "true or false"),
    "secret_hash": ((str, list), "text, or a list of two"),
}


def read(path: Path) -> tuple[Client, ...]:
    """Return the clients in a file, in the file's order.

    Raises:
        ConfigurationError: it cannot be read, or its content is wrong or empty.
    """
    clients = _parsed(path, _text(path))
    if not clients:
        raise ConfigurationError(f"{path} has no clients; add one: daypass client add NAME --file {path}")
    return clients


def add(
    path: Path, name: str, *, client_id: str | None, public: bool, scope: str | None, introspects: bool
) -> tuple[Client, str | None]:
    """Add a new client to a file; return it and its secret, None for a public client.

    The file is created, with mode 0600, if it is missing; its content is kept. The secret is not stored anywhere.

    Raises:
        ConfigurationError: the client or its id is invalid, or the file cannot be read or written; nothing was changed.
    """
    if not name.strip() or not name.isprintable():
        raise ConfigurationError(f"invalid client name {name!r}: it must be printable and not empty")
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


def remove(path: Path, client_id: str) -> Client:
    """Remove a client from a file, and return it; comments and the other clients stay as they are.

    Raises:
        ConfigurationError: the client does not exist, or the file cannot be read or written; nothing was changed.
    """
    before = _text(path)
    clients = _parsed(path, before)
    place = next((number for number, client in enumerate(clients) if client.id == client_id), None)
    if place is None:
        raise ConfigurationError(f"{path} has no client {client_id!r}; see: daypass client list --file {path}")
    head, *sections = re.split(r"^(?=[ \t]*\[\[[ \t]*client[ \t]*\]\])", before, flags=re.MULTILINE)
    after = "".join((head, *sections[:place], *sections[place + 1 :]))
    left = (*clients[:place], *clients[place + 1 :])
    if len(sections) != len(clients) or _parsed(path, after) != left:
        raise ConfigurationError(f"{path} is not written as daypass client add does: remove the section by hand")
    _replace(path, after)
    return clients[place]


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically, keeping its mode; a reader sees either the old text or the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}; nothing was removed") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"the clients file {path} cannot be read: {reason}") from None


def _parsed(path: Path, text: str) -> tuple[Client, ...]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    entries = content.pop("client", [])
    if content or not isinstance(entries, list):
        raise ConfigurationError(f"{path} must consist of [[client]] sections")
    clients = tuple(_client(path, number, entry) for number, entry in enumerate(entries, 1))
    Clients(clients)
    return clients


def _client(path: Path, number: int, entry: Any) -> Client:
    where = f"client {number} in {path}"
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where} must be a [[client]] section")
    try:
        refuse_unknown(entry, _KEYS, "setting")
        for name, (kind, called) in _KINDS.items():
            if name in entry and not isinstance(entry[name], kind):
                raise ConfigurationError(f"{name} must be {called}")
        hashes = entry.get("secret_hash")
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
    """Return a client as text for the file; a JSON string is a TOML string too."""
    parts: dict[str, object] = {"id": client.id, "name": client.name}
    if client.secret_hash is not None:
        parts["secret_hash"] = client.secret_hash
    if client.scope is not None:
        parts["scope"] = client.scope
    if client.introspects:
        parts["introspects"] = True
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in parts.items()]
    return "\n".join(["[[client]]", *lines, ""])
