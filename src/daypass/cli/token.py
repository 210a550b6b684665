"""``daypass token``: print a fresh access token; explain any token."""

import argparse
import sys

from daypass.cli.login import add_session_options
from daypass.cli.output import fail, require, say, say_fields, say_json
from daypass.cli.parser import add_json, add_secret_file, add_store, command, describe, group
from daypass.errors import ConfigurationError

INVALID = 3
"""The exit status of ``inspect`` for a token that is refused."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(
        parser,
        token,
        "Print a fresh access token; safe in many shells at once.",
        'daypass token\ncurl -H "Authorization: Bearer $(daypass token)" https://api.example.com/orders',
    )
    add_session_options(parser)
    inspecting = command(
        group(parser, required=False),
        "inspect",
        inspect,
        "explain a token: what it is, whose, and valid or why not; its secret is not printed",
        "daypass token inspect < token.txt\ndaypass token inspect --store sqlite:///daypass.db --json < token.txt",
        "The token is read from standard input, because other users of this machine can read a command line.\n"
        "With the store (and the secret, for a refresh token) of the service the token is checked; without them\n"
        "it is only read.\n\nexit status: 0 valid, or not checked; 1 it failed; 3 the token is refused",
    )
    inspecting.add_argument("--no-store", action="store_true", help="only read the token; check nothing")
    add_store(inspecting)
    add_secret_file(inspecting)
    add_json(inspecting)


def token(options: argparse.Namespace) -> int:
    """Print a fresh access token."""
    require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    return say(commands.token(options.url, options.account))


def inspect(options: argparse.Namespace) -> int:
    """Explain a token."""
    from daypass import token_inspection
    from daypass.cli.opening import given_secret, opened
    from daypass.clock import system_clock

    if sys.stdin.isatty():
        sys.stderr.write("Paste the token, then press Enter: ")
        sys.stderr.flush()
    text = sys.stdin.readline().strip().removeprefix("Bearer ").strip()
    if not text:
        raise ConfigurationError("no token was given: write it to standard input, as in: daypass token inspect < file")
    now = system_clock()
    if options.no_store:
        found = token_inspection.read(text, now)
    else:
        with opened(options) as store:
            found = token_inspection.inspect(text, now, store, given_secret(options))
    if options.json:
        say_json(found.fields())
    else:
        say_fields(found.fields())
    if found.valid is False:
        fail(f"the token is refused: {found.reason}")
        return INVALID
    return 0
