"""``daypass request``."""

import argparse
import sys

from daypass.cli.login import add_session_options
from daypass.cli.output import fail, require
from daypass.cli.parser import describe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(
        parser,
        request,
        "Send a request with a fresh access token, and print the response body.",
        "daypass request GET /api/orders\ndaypass request POST /api/orders --data - < order.json",
    )
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("target", metavar="URL", help="URL, or a path on the session's origin")
    parser.add_argument("--data", metavar="TEXT", help="request body; - reads standard input")
    parser.add_argument("--header", metavar="HEADER", action="append", default=[], help="such as 'Accept: text/plain'")
    add_session_options(parser)


def request(options: argparse.Namespace) -> int:
    """Send a request with a fresh access token, and print the response body."""
    require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    body = sys.stdin.buffer.read() if options.data == "-" else options.data and options.data.encode()
    answer = commands.request(
        options.method, options.target, url=options.url, account=options.account, headers=options.header, body=body
    )
    sys.stdout.buffer.write(answer.body)
    sys.stdout.flush()
    return 0 if answer.status < 400 else fail(f"{answer.status} {answer.reason}")
