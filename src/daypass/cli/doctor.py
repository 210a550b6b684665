"""``daypass doctor``: finds faults of a deployment, from outside and in the store."""

import argparse
from typing import TYPE_CHECKING

from daypass.cli.opening import given_secret, opened
from daypass.cli.output import say, say_records
from daypass.cli.parser import add_json, add_secret_file, add_store, describe

if TYPE_CHECKING:
    from daypass.server.doctor import Finding

FOUND = 3
"""The exit status when there is at least one error."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(
        parser,
        doctor,
        "Look for faults of a deployment: from outside, given its URL; else in the store and beside it.",
        "daypass doctor https://auth.example.com\ndaypass doctor --store postgresql://app@db.example.com/app\n"
        "daypass doctor --json | jq -r .check",
        "It changes nothing.\n\nexit status: 0 no errors (there may be warnings); 1 it could not look; 3 errors;\n"
        "with --strict, 3 for warnings too",
    )
    parser.add_argument("url", metavar="URL", nargs="?", help="the service as its users know it")
    parser.add_argument(
        "--config", metavar="FILE", help="configuration file of the service (daypass.toml, if it exists)"
    )
    parser.add_argument(
        "--client-timeout", metavar="TIME", default="10s", help="how long a request of your clients may take (10s)"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 3 for warnings too")
    parser.add_argument("--insecure", action="store_true", help="accept any certificate of the service")
    add_store(parser)
    add_secret_file(parser)
    add_json(parser)


def doctor(options: argparse.Namespace) -> int:
    """Look for faults."""
    found = examine(options)
    if not found and not options.json:
        return say("No faults were found")
    say_records(
        ({"severity": each.severity.value, "check": each.check, "found": each.found, "do": each.do} for each in found),
        as_json=options.json,
    )
    return FOUND if options.strict and found else status_of(found)


def examine(options: argparse.Namespace) -> "list[Finding]":
    """Return the faults of the service at the given URL, otherwise those of the store."""
    from daypass.clock import system_clock
    from daypass.duration import milliseconds
    from daypass.server import examination
    from daypass.server.doctor import examine_store, examine_url

    if options.url is not None:
        return examine_url(examination.look_at_url(options.url, system_clock(), insecure=options.insecure))
    timeout = milliseconds(options.client_timeout)
    with opened(options) as store:
        facts = examination.look_at_store(store, given_secret(options), system_clock())
    return examine_store(examination.look_at_settings(facts, vars(options), timeout))


def status_of(found: "list[Finding]") -> int:
    """Return the exit status."""
    return FOUND if any(each.severity == "error" for each in found) else 0
