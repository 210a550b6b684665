"""``daypass user``: the built-in users of the ready-made service."""

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from daypass.cli.opening import confirmed, emit, issuer_on, opened
from daypass.cli.output import require, say, say_fields, say_json, say_records
from daypass.cli.parser import add_json, add_store, command, group
from daypass.cli.passwords import read_password
from daypass.errors import ConfigurationError

if TYPE_CHECKING:
    from daypass.account_steps import AccountStore
    from daypass.issuer import Daypass
    from daypass.stores import Store
    from daypass.user import Account

_COLUMNS = ("email", "username", "created_at", "disabled_at", "subject")
_ENDS = "All sessions of the user end: refresh tokens are refused at once, access tokens within a second."


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    commands = group(parser)
    adding = command(
        commands,
        "add",
        add_user,
        "add a user; asks for the password, or reads it from standard input",
        "daypass user add ada@example.com --username ada",
    )
    adding.add_argument("email")
    adding.add_argument("--username", metavar="NAME")
    adding.add_argument("--scope", metavar="SCOPE", help="what the user may do, such as 'read daypass:admin'")
    listing = command(commands, "list", list_users, "list all users", "daypass user list --json | jq -r .email")
    one = [
        command(commands, name, call, text, f"daypass user {name} ada@example.com", more)
        for name, call, text, more in (
            ("show", show, "show a user", ""),
            ("disable", disable, "log a user out, and refuse further logins", _ENDS),
            ("enable", enable, "let a disabled user log in again", ""),
            ("password", set_password, "replace a password; asks for it, or reads it from standard input", _ENDS),
            ("remove", remove, "remove a user for good; asks before", _ENDS),
        )
    ]
    for each in one:
        each.add_argument("user", metavar="USER", help="email address, name, or subject")
    scoping = command(
        commands,
        "scope",
        set_scope,
        "replace what a user may do; without words, remove it",
        "daypass user scope ada@example.com read daypass:admin\ndaypass user scope ada@example.com",
        "Access tokens have it from the next refresh on. daypass:admin opens the page for operators at /admin.",
    )
    scoping.add_argument("user", metavar="USER", help="email address, name, or subject")
    scoping.add_argument("scope", metavar="WORD", nargs="*")
    one[-1].add_argument("--yes", action="store_true", help="do not ask")
    add_store(adding, listing, scoping, *one)
    add_json(adding, listing, scoping, *one)


def add_user(options: argparse.Namespace) -> int:
    """Add a built-in user."""
    require("server", "argon2")
    from daypass.clock import system_clock
    from daypass.event import Event, EventCode
    from daypass.server import users

    with opened(options, existing=False) as store, issuer_on(store) as auth:
        password = read_password()
        account = users.add(store, options.email, options.username, password, system_clock(), options.scope)
        emit(auth, Event(EventCode.USER_ADDED, account.created_at, subject=account.subject))
    return _say_done(options, f"Added {account.email} with subject {account.subject}", account)


def list_users(options: argparse.Namespace) -> int:
    """List all users."""
    require("server", "argon2")
    from daypass.operator_fields import user_fields
    from daypass.server import users

    with opened(options) as store:
        found = map(user_fields, users.everyone(users.accounts_in(store)))
        return say_records(found, as_json=options.json, columns=_COLUMNS)


def show(options: argparse.Namespace) -> int:
    """Show one user."""
    from daypass.operator_fields import user_fields

    with _found(options) as (_, _, account):
        return say_json(user_fields(account)) if options.json else say_fields(user_fields(account))


def disable(options: argparse.Namespace) -> int:
    """Disable a user, and end their sessions."""
    from daypass.account_steps import SetDisabled
    from daypass.clock import system_clock

    with _found(options) as (store, accounts, account):
        now = system_clock()
        accounts.perform_account(SetDisabled(account.subject, now))
        ended = _end_sessions(store, account, "disabled")
    return _say_done(options, f"Disabled {account.email}; ended sessions: {ended}", account)


def enable(options: argparse.Namespace) -> int:
    """Let a disabled user log in again."""
    from daypass.account_steps import SetDisabled

    with _found(options) as (store, accounts, account):
        accounts.perform_account(SetDisabled(account.subject, None))
        _tell(store, account, "enabled")
    return _say_done(options, f"Enabled {account.email}", account)


def set_password(options: argparse.Namespace) -> int:
    """Replace a user's password, and end their sessions."""
    from daypass.server import users

    with _found(options) as (store, accounts, account):
        users.set_password(accounts, account, read_password())
        ended = _end_sessions(store, account, "password")
    return _say_done(options, f"Replaced the password of {account.email}; ended sessions: {ended}", account)


def set_scope(options: argparse.Namespace) -> int:
    """Replace what a user may do."""
    from daypass import scope as scopes
    from daypass.account_steps import SetScope

    scope = scopes.checked(" ".join(options.scope) or None)
    with _found(options) as (store, accounts, account):
        accounts.perform_account(SetScope(account.subject, scope))
        _tell(store, account, "scope")
    told = f"{account.email} has no scope any more" if scope is None else f"{account.email} has the scope {scope}"
    return _say_done(options, told, account)


def remove(options: argparse.Namespace) -> int:
    """Remove a user, and end their sessions."""
    from daypass.account_steps import RemoveAccount

    with _found(options) as (store, accounts, account):
        if not options.yes and not confirmed(f"This removes {account.email} for good. Type yes to go on: "):
            raise ConfigurationError("this removes a user for good; write --yes to confirm. Nothing was changed")
        accounts.perform_account(RemoveAccount(account.subject))
        ended = _end_sessions(store, account, None)
    return _say_done(options, f"Removed {account.email}; ended sessions: {ended}", account)


def _end_sessions(store: "Store", account: "Account", change: str | None) -> int:
    """End all sessions of a user who was changed, or removed if ``change`` is None; return how many."""
    with issuer_on(store) as auth:
        _emit(auth, account, change)
        return auth.end_all(account.subject)


def _tell(store: "Store", account: "Account", change: str) -> None:
    with issuer_on(store) as auth:
        _emit(auth, account, change)


def _emit(auth: "Daypass", account: "Account", change: str | None) -> None:
    from daypass.event import Event, EventCode

    code = EventCode.USER_REMOVED if change is None else EventCode.USER_CHANGED
    emit(auth, Event(code, auth.now(), subject=account.subject, reason=change))


@contextlib.contextmanager
def _found(options: argparse.Namespace) -> "Iterator[tuple[Store, AccountStore, Account]]":
    """Open the store, and find the user that the command names."""
    require("server", "argon2")
    from daypass.account_steps import FindAccount, LoadAccount
    from daypass.server import users

    with opened(options) as store:
        accounts = users.accounts_in(store)
        found = accounts.perform_account(FindAccount(options.user)) or accounts.perform_account(
            LoadAccount(options.user)
        )
        if found is None:
            raise ConfigurationError(f"there is no user {options.user!r}; see: daypass user list. Nothing was changed")
        yield store, accounts, found


def _say_done(options: argparse.Namespace, text: str, account: "Account") -> int:
    return say_json({"subject": account.subject, "email": account.email}) if options.json else say(text)
