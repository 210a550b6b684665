"""The option parser of all commands: no abbreviations, the nearest name for a typo, examples in each help."""

import argparse
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from daypass.cli.output import say

Call = Callable[[argparse.Namespace], int]
Commands = Any
"""What ``add_subparsers`` returns; its class is private."""


class Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest option, and accepts no abbreviations, which new options would break."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, allow_abbrev=False)

    def refuse(self, unknown: str) -> NoReturn:
        """Print the usage and a suggestion, and exit with status 2."""
        name = unknown.partition("=")[0]
        options = [word for action in self._actions for word in action.option_strings]
        near = [word for word in options if word.startswith(name)] or get_close_matches(name, options, n=1)
        self.error(f"unknown argument {unknown}" + (f": did you mean {near[0]}?" if near else ""))


class Version(argparse.Action):
    """Looks up the version only when needed: that takes longer than most commands."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print the version and exit."""
        from importlib.metadata import version

        say(f"daypass {version('daypass')}")
        parser.exit()


def describe(parser: argparse.ArgumentParser, call: Call, text: str, examples: str, more: str = "") -> None:
    """Describe a command and show examples of it, one a line; ``more`` follows them."""
    parser.set_defaults(command=call, parser=parser)
    parser.description = text
    shown = "\n".join(f"  {line}" for line in examples.splitlines())
    parser.epilog = f"examples:\n{shown}" + (f"\n\n{more}" if more else "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def group(parser: argparse.ArgumentParser, *, required: bool = True) -> Commands:
    """Return the group of a command's subcommands, such as ``list`` of ``daypass key``."""
    return parser.add_subparsers(metavar="COMMAND", required=required)


def command(
    commands: Commands, name: str, call: Call, text: str, examples: str, more: str = "", aliases: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: the group, from `group`.
        name: the command's name.
        call: runs it, and returns its exit status.
        text: its description in the list of commands.
        examples: examples, one a line.
        more: text after the examples in its help.
        aliases: other names for it.
    """
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, aliases=aliases)
    describe(parser, call, f"{text[0].upper()}{text[1:]}.", examples, more)
    return parser


def add_json(*parsers: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    for parser in parsers:
        parser.add_argument("--json", action="store_true", help="print JSON, one object a line")


def add_store(*parsers: argparse.ArgumentParser) -> None:
    """Add ``--store``."""
    for parser in parsers:
        parser.add_argument("--store", metavar="URL", help="the store of the service (sqlite:///daypass.db)")


def add_secret_file(*parsers: argparse.ArgumentParser) -> None:
    """Add ``--secret-file``."""
    for parser in parsers:
        parser.add_argument("--secret-file", metavar="FILE", help="file of the master secrets, newest first; mode 0600")
