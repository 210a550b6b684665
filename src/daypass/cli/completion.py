"""``daypass completion``: completes these commands in a shell, by shtab."""

import argparse

from daypass.cli.output import require, say
from daypass.cli.parser import describe

SHELLS = ("bash", "zsh", "tcsh")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(
        parser,
        completion,
        "Print a script that completes the commands and options of daypass in a shell.",
        "daypass completion bash > ~/.local/share/bash-completion/completions/daypass\n"
        'daypass completion zsh > "${fpath[1]}/_daypass"',
    )
    parser.add_argument("shell", choices=SHELLS)


def completion(options: argparse.Namespace) -> int:
    """Print the script."""
    require("completion", "shtab")
    import shtab  # type: ignore[import-untyped,unused-ignore]  # typed in part

    from daypass.cli import parser_of

    return say(shtab.complete(parser_of(), options.shell).rstrip())
