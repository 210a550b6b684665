"""The `daypass` command: its subcommands, and the module of each, imported when needed."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from daypass.cli.output import fail
from daypass.cli.parser import Parser, Version
from daypass.errors import DaypassError

CLOSED_PIPE = 141
"""The exit status when the reader of the output is gone, as in ``daypass events | head``."""


@dataclass(frozen=True, slots=True)
class Word:
    """A subcommand.

    Attributes:
        name: its name.
        module: in `daypass.cli`; its function ``add`` completes the parser.
        text: its line in the list of commands.
        aliases: other names for it.
    """

    name: str
    module: str
    text: str
    aliases: tuple[str, ...] = ()


WORDS = (
    Word("serve", "service", "run the ready-made service"),
    Word("config", "config", "show the settings of the service, and where each comes from"),
    Word("user", "users", "users of the ready-made service"),
    Word("client", "clients", "OAuth clients of the ready-made service"),
    Word("session", "sessions", "sessions of users", ("sessions",)),
    Word("key", "keys", "keys that sign and check tokens", ("keys",)),
    Word("events", "events", "the audit trail: what happened to sessions, keys and users"),
    Word("doctor", "doctor", "look for faults of a deployment, and say what to do"),
    Word("store", "store", "the database of sessions"),
    Word("login", "login", "log in; asks for the password, or reads it from standard input"),
    Word("token", "token", "print a fresh access token; safe in many shells at once"),
    Word("request", "request", "send a request with a fresh access token"),
    Word("logout", "logout", "log out, here and on the server"),
    Word("vault", "vault", "tokens of other services, kept once for all machines"),
    Word("demo", "demo", "watch sessions whose access tokens expire every few seconds"),
    Word("completion", "completion", "print what completes these commands in a shell"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0 if it worked, 1 if it failed, 2 for wrong arguments."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    options, unknown = parser_of(words).parse_known_args(words)
    if unknown:
        options.parser.refuse(unknown[0])
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except DaypassError as error:
        return fail(str(error))
    except BrokenPipeError:
        sys.stderr.close()  # otherwise Python complains that it cannot flush standard output
        return CLOSED_PIPE
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return fail("interrupted")


def parser_of(words: Sequence[str] | None = None) -> Parser:
    """Return the parser for a command line, with only its own command's options; for None, with all of them."""
    parser = Parser(prog="daypass", description="Keeps users logged in.")
    parser.add_argument("--version", action=Version, help="show the version and exit")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for word in WORDS:
        under = commands.add_parser(word.name, help=word.text, aliases=word.aliases)
        under.set_defaults(parser=under)
        if words is None or not {word.name, *word.aliases}.isdisjoint(words):
            import_module(f"daypass.cli.{word.module}").add(under)
    return parser
