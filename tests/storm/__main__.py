"""``python -m tests.storm``: a long storm, its report, and exit status 0 when every promise held."""

import argparse
import asyncio
import dataclasses
import sys
import time

from .storm import storm
from .weather import LONG


def main() -> int:
    parser = argparse.ArgumentParser(prog="make storm", description="Torture the rotation rule on real processes.")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run's schedule")
    parser.add_argument("--seconds", type=float, default=LONG.seconds)
    parser.add_argument("--users", type=int, default=LONG.users)
    options = parser.parse_args()
    thefts = min(LONG.thefts, options.users // 4)
    scale = dataclasses.replace(LONG, seconds=options.seconds, users=options.users, thefts=thefts)
    report = asyncio.run(storm(options.seed, scale))
    sys.stdout.write(report.table() + "\n")
    sys.stdout.write("every promise held\n" if report.held else "A PROMISE WAS BROKEN\n")
    return 0 if report.held else 1


if __name__ == "__main__":
    sys.exit(main())
