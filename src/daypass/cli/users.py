"""``daypass user``: the built-in users of the ready-made service."""

import argparse

from daypass.cli.opening import opened
from daypass.cli.output import require, say
from daypass.cli.parser import add_store, command, group
from daypass.cli.passwords import read_password


def add(parser: argparse.ArgumentParser) -> None:
    """Add what follows the word."""
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
    add_store(adding)


def add_user(options: argparse.Namespace) -> int:
    """Add a built-in user."""
    require("server", "argon2")
    from daypass.clock import system_clock
    from daypass.server import users

    with opened(options, existing=False) as store:
        account = users.add(store, options.email, options.username, read_password(), system_clock())
    return say(f"Added {account.email} with subject {account.subject}")
