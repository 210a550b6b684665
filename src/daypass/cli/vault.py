"""The ``daypass vault`` commands. Thin: each reads its options, calls one method of `Vault` and prints the result."""

import argparse
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daypass.cli.output import ago, fail, require, say, say_json, say_rows, show_page, warn
from daypass.cli.parser import add_json, command, group
from daypass.clock import iso_time
from daypass.errors import ConfigurationError

if TYPE_CHECKING:
    from daypass.client.messages import Grant
    from daypass.client.oauth import OAuth
    from daypass.client.vault import Connection, Rewrapped, Vault, VaultEvent

NOT_REVOKED = 3
"""The exit status of ``remove`` when the row is gone and the token may still be good at the provider."""

_URL, _SECRET, _SECRET_FILE = "DAYPASS_VAULT_URL", "DAYPASS_VAULT_SECRET", "DAYPASS_VAULT_SECRET_FILE"
_PROVIDERS = "DAYPASS_VAULT_PROVIDERS"
_HEADINGS = ("CONNECTION", "STATE", "EXPIRES", "REFRESHED", "WHY")

_EPILOG = """\
settings, as options or in the environment:
  DAYPASS_VAULT_URL          the database: postgresql://user@host/database, redis://host:6379/0
  DAYPASS_VAULT_SECRET       at least 32 bytes; several, newest first, separated by spaces
  DAYPASS_VAULT_SECRET_FILE  or a file of them, one a line; mode 0600
  DAYPASS_VAULT_PROVIDERS    file of the providers: how to log in, refresh and revoke

exit status: 0 it worked; 1 it failed; 2 wrong arguments; 3 removed, but not revoked at the provider
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    commands = group(parser)
    listing = command(
        commands, "list", list_, "list the connections",
        "daypass vault list\ndaypass vault list --provider xero --state needs_login\n"
        "daypass vault list --json | jq -r 'select(.state == \"needs_login\") | .connection'",
        _EPILOG,
    )  # fmt: skip
    listing.add_argument("--provider", metavar="NAME", help="only connections to this provider")
    listing.add_argument("--state", choices=("live", "refreshing", "needs_login"), help="only those in this state")
    showing = command(
        commands, "show", show, "show one connection: state, expiry, last refresh, last error; never a token",
        "daypass vault show xero/tenant-42",
        _EPILOG,
    )  # fmt: skip
    putting = command(
        commands, "put", put, "log in at a provider, and keep the tokens; or keep tokens that you have",
        "daypass vault put xero/tenant-42\ndaypass vault put github/bot --device\n"
        "daypass vault put xero/tenant-42 --stdin < answer-of-the-token-endpoint.json",
        _EPILOG,
    )  # fmt: skip
    how = putting.add_mutually_exclusive_group()
    how.add_argument("--device", action="store_true", help="log in with a browser on another device")
    how.add_argument("--stdin", action="store_true", help="read the tokens as JSON from standard input")
    removing = command(
        commands, "remove", remove, "revoke a connection's tokens at the provider, and delete it",
        "daypass vault remove xero/tenant-42\ndaypass vault remove xero/tenant-42 --only-if-revoked",
        _EPILOG,
    )  # fmt: skip
    removing.add_argument(
        "--only-if-revoked", action="store_true", help="keep the connection if it cannot be revoked now, to try again"
    )
    rewrapping = command(
        commands, "rewrap", rewrap, "seal all connections under the newest secret, while workers run",
        "DAYPASS_VAULT_SECRET=\"$NEW $OLD\" daypass vault rewrap",
        _EPILOG,
    )  # fmt: skip
    keeping = command(
        commands, "keep", keep, "refresh connections before their refresh tokens die of disuse",
        "daypass vault keep --metrics 127.0.0.1:9464\ndaypass vault keep --once      # from cron",
        _EPILOG,
    )  # fmt: skip
    keeping.add_argument(
        "--once", action="store_true", help="one pass; status 1 if a connection could not be refreshed"
    )
    keeping.add_argument("--every", metavar="TIME", default="10m", help="time between two passes (10m)")
    keeping.add_argument("--batch", metavar="NUMBER", type=int, default=20, help="connections taken at a time (20)")
    keeping.add_argument("--workers", metavar="NUMBER", type=int, default=4, help="connections refreshed at a time (4)")
    keeping.add_argument("--metrics", metavar="ADDRESS", help="serve counters for Prometheus at this host:port")
    for parser in (showing, putting, removing):
        parser.add_argument("connection", metavar="PROVIDER/NAME")
    for parser in (putting, removing, rewrapping, keeping):
        parser.add_argument(
            "--secret-file", metavar="FILE", help=f"file of the vault's secrets, newest first ({_SECRET_FILE})"
        )
    for parser in (putting, removing, keeping):
        parser.add_argument("--providers", metavar="FILE", help=f"file of the providers ({_PROVIDERS})")
    for parser in (listing, showing, putting, removing, rewrapping, keeping):
        parser.add_argument("--vault", metavar="URL", help=f"the database ({_URL})")
        add_json(parser)


def list_(options: argparse.Namespace) -> int:
    """List the connections."""
    with _opened(options, sealed=False) as vault:
        found = (each for each in vault.connections(options.provider) if options.state in (None, each.state.value))
        if options.json:
            for each in found:
                say_json(_fields(each))
            return 0
        return say_rows(_HEADINGS, map(_row, found), _for_people)


def show(options: argparse.Namespace) -> int:
    """Show one connection."""
    provider, name = _names(options)
    with _opened(options, sealed=False) as vault:
        found = vault.show(provider, name)
    if found is None:
        return fail(f"there is no connection {options.connection!r} in the vault; see: daypass vault list")
    fields = _fields(found)
    if options.json:
        return say_json(fields)
    for field, value in fields.items():
        say(f"{field:14}{'' if value is None else value}".rstrip())
    return 0


def put(options: argparse.Namespace) -> int:
    """Log in at a provider, and keep the tokens."""
    provider, name = _names(options)
    with _opened(options) as vault:
        tokens = _read_tokens() if options.stdin else _tokens_of(_log_in(options, provider))
        vault.put(provider, name, **tokens)
    return say_json({"connection": options.connection}) if options.json else say(f"Kept {options.connection}")


def remove(options: argparse.Namespace) -> int:
    """Revoke a connection's tokens, and delete it."""
    provider, name = _names(options)
    with _opened(options) as vault:
        removed = vault.remove(provider, name, only_if_revoked=options.only_if_revoked)
    if options.json:
        say_json({"connection": options.connection, "revoked": removed.revoked, "reason": removed.reason})
    else:
        say(f"Removed {options.connection}")
    if removed.reason is not None:
        warn(f"{options.connection} was not revoked at the provider: {removed.reason}")
        return NOT_REVOKED
    return 0


def rewrap(options: argparse.Namespace) -> int:
    """Seal all connections under the newest secret."""
    with _opened(options) as vault, _stopping() as stop:
        done = vault.rewrap(on_progress=_progress, stop=stop)
        stopped = stop.is_set()
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    if options.json:
        say_json(asdict(done) | {"finished": not stopped})
    else:
        say(f"Rewrapped {done.rewrapped} of {done.seen} connections")
    for failure in done.failures:
        warn(failure)
    if done.failed:
        return fail(f"{done.failed} connections could not be opened, and are as they were")
    return fail("interrupted: run it again to go on") if stopped else 0


def keep(options: argparse.Namespace) -> int:
    """Refresh connections before their refresh tokens expire unused."""
    on_event = _say_event if options.json else None
    with (
        _opened(options, on_event=on_event) as vault,
        _stopping() as stop,
        _serving(options.metrics, vault),
    ):
        every = None if options.once else options.every
        kept = vault.keep(every=every, stop=stop, batch=options.batch, workers=options.workers)
    if options.json:
        say_json(asdict(kept))
    else:
        say(f"Refreshed {kept.refreshed}, failed {kept.failed}, needing a login {kept.needs_login}")
    return 1 if options.once and kept.failed + kept.needs_login else 0


@contextmanager
def _opened(options: argparse.Namespace, *, sealed: bool = True, on_event: Any = None) -> Iterator["Vault"]:
    """Open the vault.

    Args:
        options: of the command.
        sealed: whether rows are opened or sealed; otherwise no secret is needed.
        on_event: of the `Vault`.
    """
    from daypass.client.vault import Vault

    url = options.vault or os.environ.get(_URL)
    if not url:
        raise ConfigurationError(f"the vault's database is missing: write --vault postgresql://…, or set {_URL}")
    secret = _secret(options) if sealed else secrets.token_bytes(32)  # never used to seal or open
    vault = Vault(url, secret=secret, providers=_providers(options), on_event=on_event)
    try:
        yield vault
    finally:
        vault.close()


def _secret(options: argparse.Namespace) -> list[str]:
    from daypass import secret_file

    found = secret_file.given(_SECRET, options.secret_file or os.environ.get(_SECRET_FILE), os.environ)
    if not found:
        raise ConfigurationError(
            f"the vault's secret is missing: set {_SECRET}, or write --secret-file FILE. Make one with: openssl rand "
            "-base64 32"
        )
    return found


def _providers(options: argparse.Namespace) -> "dict[str, OAuth]":
    from daypass.client.vault.configuration import read_providers

    path = getattr(options, "providers", None) or os.environ.get(_PROVIDERS)
    return read_providers(Path(path)) if path and hasattr(options, "providers") else {}


def _names(options: argparse.Namespace) -> tuple[str, str]:
    provider, slash, name = options.connection.partition("/")
    if not slash:
        raise ConfigurationError(f"invalid connection {options.connection!r}: write PROVIDER/NAME, as xero/tenant-42")
    return provider, name


def _log_in(options: argparse.Namespace, provider: str) -> "Grant":
    require("oauth", "authlib", "httpx2")
    from daypass.client import oauth_login

    found = _providers(options)
    if provider not in found:
        raise ConfigurationError(
            f"how to log in at {provider!r} is not known: write a table [{provider}] in the file of providers "
            f"(--providers FILE, or {_PROVIDERS})"
        )
    return oauth_login.first_grant(found[provider], show_page, device=options.device)


def _tokens_of(grant: "Grant") -> dict[str, Any]:
    if grant.refresh_token is None:
        raise ConfigurationError(
            "the provider gave no refresh token, and nothing was kept: ask for one with scope, as 'offline_access', or "
            "with authorization_parameters"
        )
    lifetime = None if grant.lifetime is None else grant.lifetime / 1000
    return {"refresh_token": grant.refresh_token, "access_token": grant.access_token, "expires_in": lifetime}


def _read_tokens() -> dict[str, Any]:
    try:
        given = json.load(sys.stdin)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not isinstance(given.get("refresh_token"), str):
        raise ConfigurationError(
            'the tokens are not JSON with a refresh token: expected {"refresh_token": "…", "access_token": "…", '
            '"expires_in": 1800}; the last two may be missing. Nothing was changed'
        )
    return {name: given.get(name) for name in ("refresh_token", "access_token", "expires_in")}


def _fields(found: "Connection") -> dict[str, Any]:
    return {
        "connection": f"{found.provider}/{found.name}" if found.provider else found.name,
        "state": found.state.value,
        "reason": found.reason,
        "expires_at": None if found.expires_at is None else iso_time(found.expires_at),
        "refreshed_at": None if found.refreshed_at is None else iso_time(found.refreshed_at),
        "last_error": found.last_error,
        "refreshes": found.refreshes,
        "key": found.key_id,
    }


def _row(found: "Connection") -> list[str]:
    fields = _fields(found)
    why = found.reason or found.last_error
    shown = (fields["connection"], fields["state"], fields["expires_at"], fields["refreshed_at"], why)
    return [each or "" for each in shown]


def _for_people(row: Any) -> list[str]:
    from daypass.client.clock import wall_ms

    connection, state, expires, refreshed, why = row
    now = wall_ms()
    return [connection, state, *(_ago(each, now) for each in (expires, refreshed)), why]


def _ago(text: str, now: int) -> str:
    from datetime import datetime

    return ago(int(datetime.fromisoformat(text).timestamp() * 1000), now) if text else ""


def _progress(done: "Rewrapped") -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done.seen} seen, {done.rewrapped} rewrapped, {done.failed} failed")
        sys.stderr.flush()


def _say_event(event: "VaultEvent") -> None:
    say_json(asdict(event))


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and Ctrl-C set; running work is finished."""
    stop = threading.Event()
    before = {each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _serving(address: str | None, vault: "Vault") -> Iterator[None]:
    """Serve the vault's counters at ``address``, if given."""
    if address is None:
        yield
        return
    from daypass.client.vault.metrics import serving

    with serving(address, vault.metrics) as where:
        warn(f"counters for Prometheus are at {where}")
        yield
