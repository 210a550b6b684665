"""``python -m tests.storm``: a long storm and its report. Exit status 0: all promises held; 2: nothing was proven."""

import argparse
import asyncio
import dataclasses
import signal
import sys
import time

from .databases import KINDS
from .storm import storm
from .weather import LONG, beside_a_server


def main() -> int:
    parser = argparse.ArgumentParser(prog="make storm", description="Torture the rotation rule on real processes.")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run's schedule")
    parser.add_argument("--store", choices=KINDS, default="sqlite", help="a server is killed too, again and again")
    parser.add_argument("--seconds", type=float, default=LONG.seconds)
    parser.add_argument("--users", type=int, help=f"{LONG.users}, or as many as there is room for beside a server")
    options = parser.parse_args()
    scale = LONG if options.store == "sqlite" else beside_a_server(LONG)
    users = scale.users if options.users is None else options.users
    scale = dataclasses.replace(scale, seconds=options.seconds, users=users, thefts=min(scale.thefts, users // 4))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that its processes are ended too
    report = asyncio.run(storm(options.seed, scale, options.store))
    sys.stdout.write(report.table() + "\n")
    if report.held:
        sys.stdout.write("every promise held\n")
        return 0
    if report.overdue:
        sys.stdout.write("nothing is proven: the machine was too slow; take fewer --users\n")
        return 2
    sys.stdout.write("A PROMISE WAS BROKEN\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
