"""``daypass session``: see and end the sessions of users."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from daypass.cli.opening import confirmed, issuer_on, opened
from daypass.cli.output import fail, say, say_fields, say_json, say_records
from daypass.cli.parser import add_json, add_store, command, group
from daypass.errors import ConfigurationError

if TYPE_CHECKING:
    from daypass.session import Session
    from daypass.stores import Store

_COLUMNS = ("session", "last_used_at", "device", "address", "created_at", "expires_at")
_EVERYONE = "This logs out every user. Type yes to go on: "
_WHOSE = "subject; of a built-in user also the email address or the name"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    commands = group(parser)
    listing = command(
        commands,
        "list",
        list_sessions,
        "list the live sessions of a user, the newest login first",
        "daypass session list ada@example.com\ndaypass session list 4711 --json | jq -r .session",
    )
    listing.add_argument("user", metavar="USER", help=_WHOSE)
    showing = command(
        commands,
        "show",
        show,
        "show one session, ended or not",
        "daypass session show 3fb1c5ce2b8d4c0f9f0e6c3d2a1b4c5d",
        "The id of a session is the claim sid of its access tokens, and in each line of daypass events.",
    )
    showing.add_argument("session", metavar="ID")
    ending = command(
        commands,
        "end",
        end,
        "end a session, all sessions of a user, or those of everyone",
        "daypass session end 3fb1c5ce2b8d4c0f9f0e6c3d2a1b4c5d\ndaypass session end --user ada@example.com\n"
        "daypass session end --everyone",
        "Refresh tokens are refused at once, access tokens within a second.\n\n"
        "exit status: 0 ended; 1 it failed, or there was no such live session",
    )
    which = ending.add_mutually_exclusive_group(required=True)
    which.add_argument("session", metavar="ID", nargs="?")
    which.add_argument("--user", metavar="USER", help=_WHOSE)
    which.add_argument("--everyone", action="store_true", help="log out every user, on every device")
    everyone = command(
        commands,
        "end-everyone",
        end_everyone,
        "log out every user, on every device",
        "daypass session end-everyone --yes",
    )
    for each in (ending, everyone):
        each.add_argument("--yes", action="store_true", help="do not ask")
    add_store(listing, showing, ending, everyone)
    add_json(listing, showing, ending, everyone)


def list_sessions(options: argparse.Namespace) -> int:
    """List the live sessions of a user."""
    from daypass.operator_fields import session_fields

    with opened(options) as store:
        found = (session_fields(each) for each in _live(store, subject_of(store, options.user)))
        return say_records(found, as_json=options.json, columns=_COLUMNS)


def show(options: argparse.Namespace) -> int:
    """Show one session."""
    from daypass.operator_fields import session_fields
    from daypass.store_steps import Find

    with opened(options) as store:
        session = store.perform(Find(options.session))
    if session is None:
        return fail(f"there is no session {options.session!r} in the store")
    return say_json(session_fields(session)) if options.json else say_fields(session_fields(session))


def end(options: argparse.Namespace) -> int:
    """End sessions."""
    if options.everyone:
        return end_everyone(options)
    from daypass.store_steps import Find

    with opened(options) as store, issuer_on(store) as auth:
        if options.session is not None:
            session = store.perform(Find(options.session))
            ended = 0 if session is None else int(auth.end_session(session.subject, session.id))
        else:
            ended = auth.end_all(subject_of(store, options.user))
    if options.json:
        say_json({"ended": ended})
    elif ended:
        say("Ended 1 session" if ended == 1 else f"Ended {ended} sessions")
    return 0 if ended else fail("nothing was ended: there is no such live session")


def end_everyone(options: argparse.Namespace) -> int:
    """End all sessions of all users."""
    if not options.yes and not confirmed(_EVERYONE):
        raise ConfigurationError("this logs out every user; write --yes to confirm. Nothing was changed")
    with opened(options) as store, issuer_on(store) as auth:
        auth.end_everyone()
    if options.json:
        return say_json({"ended": "everyone"})
    return say("Ended all sessions; every user has to log in again")


def subject_of(store: "Store", user: str) -> str:
    """Return the subject of a built-in user with this address or name; otherwise ``user`` is a subject itself."""
    from daypass.account_steps import AccountStore, FindAccount

    account = store.perform_account(FindAccount(user)) if isinstance(store, AccountStore) else None
    return user if account is None else account.subject


def _live(store: "Store", subject: str) -> Iterator["Session"]:
    from daypass.clock import system_clock
    from daypass.store_steps import PAGE, ListSessions

    now, after = system_clock(), None
    while True:
        page = store.perform(ListSessions(subject, now, after=after))
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].created_at, page[-1].id
