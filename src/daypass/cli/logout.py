"""``daypass logout``."""

import argparse

from daypass.cli.login import add_session_options
from daypass.cli.output import fail, require, say
from daypass.cli.parser import describe

_HERE_ALONE = "Logged out here alone: the server did not end the other sessions. Log in, and try again"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(parser, logout, "Log out, here and on the server.", "daypass logout")
    add_session_options(parser)
    parser.add_argument("--everywhere", action="store_true", help="end all sessions of this user, on every device")


def logout(options: argparse.Namespace) -> int:
    """Log out, here and on the server."""
    require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    ended = commands.logout(options.url, options.account, everywhere=options.everywhere)
    if options.everywhere:
        return say("Logged out on every device") if ended else fail(_HERE_ALONE)
    return say("Logged out" if ended else "Logged out here; the session could not be ended on the server")
