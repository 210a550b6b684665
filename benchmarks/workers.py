"""``daypass serve`` with one worker and with two: refreshes a second, CPU for one, and the slowest at half the load.

The service is the command as it is, with a built-in user. The load first refreshes without a pause, which gives the
most that the service can do; then half as often. Workers, load and database share the machine, so that two workers can
only be twice as fast where there are cores for all of them. The CPU time of all workers for one refresh shows what they
cost each other anyway.

    python benchmarks/workers.py [sqlite-full] [postgres]
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from load import Load, load
from measure import head, row
from refreshing import place

ROUNDS = 3
STORES = ("sqlite-full", "postgres")
DAYPASS = str(Path(sys.executable).with_name("daypass"))
MOST = 10.0
"""Milliseconds that 99 of 100 refreshes of two workers may take at half the load."""

FASTER = 1.8
CORES = 4
"""For two workers, the load and the database."""


@contextlib.contextmanager
def service(store: str, url: str, workers: int) -> Iterator[tuple[str, int]]:
    """Run the service; give its address and its process id."""
    named = f"sqlite:///{url}" if store.startswith("sqlite") else url
    settings = {"DAYPASS_STORE": named, "DAYPASS_RATE_LIMITS": "off", "DAYPASS_GRACE_PERIOD": "0"}
    environment = {**os.environ, **settings, "DAYPASS_SECRET": "0" * 32}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [DAYPASS, "user", "add", "ann@example.com", "--username", "ann"],
            input="correct horse\n",
            text=True,
            env=environment,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        process = subprocess.Popen(
            [DAYPASS, "serve", "--port", "0", "--workers", str(workers)],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            yield process.stdout.readline().rpartition(" ")[2].strip(), process.pid
        finally:
            process.terminate()
            process.communicate()


def measured(store: str, workers: int) -> tuple[Load, Load]:
    """Return what the service does under full load, and under half of it."""
    with place(store) as url, service(store, url, workers) as (address, pid):
        full = asyncio.run(load(address, pid, login=True))
        half = asyncio.run(load(address, pid, login=True, rate=full.rate / 2))
    assert (full.bad, half.bad) == (0, 0), "answers were no refresh"
    return full, half


def report(store: str) -> None:
    """Print the rows of a store."""
    pairs = [(measured(store, 2), measured(store, 1)) for _ in range(ROUNDS)]
    faster = statistics.median(two.rate / one.rate for (two, _), (one, _) in pairs)
    enough = (os.cpu_count() or 1) >= CORES
    two, one = (statistics.median(full.rate for full, _ in side) for side in zip(*pairs, strict=True))
    budget = f"≥ {FASTER} of one worker" if enough else f"{os.cpu_count()} cores for all"
    met = faster >= FASTER if enough and store == "postgres" else None
    row(f"{store}: a second, by 2 workers and by 1", f"{two:,.0f}", f"{one:,.0f}", f"{faster:.2f}", budget, met=met)
    two, one = (statistics.median(full.cpu for full, _ in side) for side in zip(*pairs, strict=True))
    dearer = statistics.median(two.cpu / one.cpu for (two, _), (one, _) in pairs)
    most = 2 / FASTER
    row(
        f"{store}: CPU µs, by 2 workers and by 1",
        f"{two:.0f}",
        f"{one:.0f}",
        f"{dearer:.2f}",
        f"≤ {most:.2f} of one worker",
        met=dearer <= most,
    )
    tail = statistics.median(half.tail for (_, half), _ in pairs)
    rate = statistics.median(half.rate for (_, half), _ in pairs)
    row(f"{store}: 99 of 100 at {rate:,.0f} a second, ms", f"{tail:.1f}", "", "", f"≤ {MOST:.0f} ms", met=tail <= MOST)


def main(stores: list[str]) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    head("daypass serve with two workers")
    for store in stores:
        report(store)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="*", metavar="STORE", help=", ".join(STORES))
    main(parser.parse_args().stores or list(STORES))
