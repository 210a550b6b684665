"""Run campaigns: ``python -m tests.fleet --database postgres redis --campaign expiries kills``."""

import argparse
import json
import signal
import sys
import time
from dataclasses import fields

from tests.fleet.campaigns import CAMPAIGNS, Size, kills
from tests.fleet.databases import KINDS
from tests.servers import postgres

EVERYWHERE = ("postgres", "redis")
OUTAGES = ("postgres", "redis", "postgres-standby", "sentinel")


def main() -> int:
    """Run the campaigns of the command line; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet")
    parser.add_argument(
        "--campaign", nargs="+", choices=[*CAMPAIGNS, "strict-kills"], default=[*CAMPAIGNS, "strict-kills"]
    )
    parser.add_argument("--database", nargs="+", choices=KINDS)
    for each in fields(Size):
        parser.add_argument(f"--{each.name}", type=type(each.default), default=each.default)
    given = parser.parse_args()
    size = Size(**{each.name: getattr(given, each.name) for each in fields(Size)})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end too
    wrong = 0
    for name in given.campaign:
        for kind in given.database or (OUTAGES if name == "outages" else EVERYWHERE):
            start = time.monotonic()
            try:
                campaign = CAMPAIGNS.get(name) or (lambda kind, size: kills(kind, size, grace=0))
                found = json.dumps(campaign(kind, size))
            except AssertionError as error:
                wrong, found = 1, f"WRONG {error}"
            print(f"{name} {kind} ({time.monotonic() - start:.0f} s): {found}", flush=True)  # noqa: T201 - the report
    postgres.clean()
    return wrong


if __name__ == "__main__":
    sys.exit(main())
