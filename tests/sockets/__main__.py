"""``python -m tests.sockets``: the whole campaign and its report. Exit status 0: all promises held."""

import argparse
import asyncio
import sys
from dataclasses import fields

from .campaign import Scale, campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="make sockets", description="Ten thousand WebSockets over ten expiries.")
    for each in fields(Scale):
        parser.add_argument(f"--{each.name}", type=int, default=each.default, help=f"default {each.default}")
    parser.add_argument("--no-memory", action="store_true", help="do not measure what a socket costs")
    options = vars(parser.parse_args())
    memory = not options.pop("no_memory")
    report = asyncio.run(campaign(Scale(**options), memory=memory))
    sys.stdout.write(report.table() + "\n")
    sys.stdout.write("every promise held\n" if report.held else "A PROMISE WAS BROKEN\n")
    return 0 if report.held else 1


if __name__ == "__main__":
    sys.exit(main())
