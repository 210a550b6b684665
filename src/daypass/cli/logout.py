"""``daypass logout``."""

import argparse

from daypass.cli.login import add_session_options
from daypass.cli.output import require, say
from daypass.cli.parser import describe


def add(parser: argparse.ArgumentParser) -> None:
    """Add what follows the word."""
    describe(parser, logout, "Log out, here and on the server.", "daypass logout")
    add_session_options(parser)


def logout(options: argparse.Namespace) -> int:
    """Log out, here and on the server."""
    require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    ended = commands.logout(options.url, options.account)
    return say("Logged out" if ended else "Logged out here; the session could not be ended on the server")
