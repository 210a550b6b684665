"""``daypass demo``."""

import argparse

from daypass.cli.output import require
from daypass.cli.parser import describe
from daypass.duration import SECOND, milliseconds


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(
        parser,
        demo,
        "Watch sessions whose access tokens expire every few seconds.",
        "daypass demo\ndaypass demo --for 20 --json",
    )
    parser.add_argument("--for", dest="seconds", metavar="SECONDS", help="end after this time")
    parser.add_argument("--json", action="store_true", help="print only the summary, as JSON")


def demo(options: argparse.Namespace) -> int:
    """Show real sessions whose access tokens expire every few seconds."""
    require("demo", "argon2", "httpx2", "rich", "starlette", "uvicorn")
    from daypass.demo.show import show

    return show(None if options.seconds is None else _seconds(options.seconds), as_json=options.json)


def _seconds(text: str) -> float:
    return milliseconds(f"{text}s" if text.replace(".", "", 1).isdecimal() else text) / SECOND
