"""What a refresh costs a store, and what a session takes, at ten thousand sessions and at the full number.

Both databases are there at once and are asked in turn, so that the machine's drift falls on both alike. A refresh is
the step `Advance` on a session that nobody has touched since it was filled in, as at random as users come: its cost
when one waits for the other, and when sixteen threads ask at once; a checkpoint of the log, which comes now and then,
is in the mean. Then a whole application refreshes others of these sessions over HTTP, and the CPU time of the database
counts as well.

    python benchmarks/scale.py sqlite --sessions 10000000
"""

import argparse
import asyncio
import contextlib
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from measure import head, row

sys.path.insert(0, str(Path(__file__).parent))

from filling import KINDS, NOW, Place, born, newest
from load import Client, load
from refreshing import serving

from daypass import Daypass, User
from daypass.rotation import Expectation
from daypass.store_steps import Advance

SMALL = 10_000
WARMING = 12
ROUNDS = 18
STEPS = 200
DAY = 86_400_000
TOKENS = 50_000
LEAST = 1_200
"""Ten times what Keycloak's documentation says of one vCPU."""


def visits(sessions: int) -> Iterator[int]:
    """Yield numbers of sessions, none of them twice; their ids are at random anyway."""
    return iter(range(0, sessions, sessions // SMALL))


def advance(number: int) -> Advance:
    """Return the step that refreshes a session for the first time since it was filled in."""
    session = born(number)
    return Advance(
        session_id=session.id,
        expected=Expectation(session.generation, session.branch, NOW - 30_000),
        generation=session.generation + 1,
        branch=hashlib.sha256(session.branch).digest()[:8],
        now=NOW,
        idle_ttl=30 * DAY,
        absolute_ttl=180 * DAY,
    )


def cost(place: Place, steps: list[Advance], threads: int) -> float:
    """Return microseconds for each step; every one of them has to move its session."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: time.sleep(0.01), range(threads)))  # all of them are there
        started = time.perf_counter()
        if threads == 1:
            moved = [place.store.perform(step).moved for step in steps]
        else:
            moved = list(pool.map(lambda step: place.store.perform(step).moved, steps))
        took = time.perf_counter() - started
    assert all(moved), f"{moved.count(False)} of {len(moved)} sessions were not where they were put"
    return took / len(steps) * 1e6


def measured(kind: str, sessions: int, folder: Path) -> None:
    """Print the rows of one kind of store."""
    with KINDS[kind](folder) as places:
        small, full = places.filled("few", SMALL), places.filled("many", sessions)
        numbers = {place: visits(count) for place, count in ((small, SMALL), (full, sessions))}
        costs: dict[tuple[Place, int], list[float]] = {}
        logged: dict[Place, list[float]] = {}
        busy: dict[Place, list[float]] = {}
        for threads, rounds in ((0, WARMING), (1, ROUNDS), (16, ROUNDS)):
            for _ in range(rounds):
                for place in (small, full):
                    steps = [advance(number) for number in islice(numbers[place], STEPS)]
                    if not threads:  # a log that is written for the first time has to grow
                        cost(place, steps, 1)
                        continue
                    before = (place.log(), place.cpu()) if place.log and place.cpu else None
                    costs.setdefault((place, threads), []).append(cost(place, steps, threads))
                    if before and place.log and place.cpu:
                        logged.setdefault(place, []).append((place.log() - before[0]) / len(steps))
                        busy.setdefault(place, []).append((place.cpu() - before[1]) / len(steps) * 1e6)
        for threads, name in ((1, "one at a time"), (16, "sixteen at once")):
            little, much = (statistics.mean(costs[place, threads]) for place in (small, full))
            row(
                f"{kind}: µs a refresh, {name}",
                f"{much:,.0f}",
                f"{little:,.0f}",
                f"{much / little:.2f}",
                "≤ 1.3",
                met=much <= 1.3 * little,
            )
        if logged:
            little, much = (statistics.mean(logged[place]) for place in (small, full))
            row(f"{kind}: bytes of log a refresh", f"{much:,.0f}", f"{little:,.0f}", "", "")
            little, much = (statistics.mean(busy[place]) for place in (small, full))
            row(f"{kind}: µs of the server's CPU a refresh", f"{much:,.0f}", f"{little:,.0f}", "", "")
        per_cpu(kind, sessions, full)
        limit = "≤ 250" if kind == "sqlite" else ""
        row(f"{kind}: bytes a session", f"{full.size() / sessions:,.0f}", f"{small.size() / SMALL:,.0f}", "", limit)


def per_cpu(kind: str, sessions: int, place: Place) -> None:
    """Print how many refreshes one processor can do in all: the application's and the database's time, over HTTP."""
    with contextlib.closing(Daypass(place.store, issuer="https://a", secret="0" * 32, load_user=User)) as auth:
        key = auth.run(auth._upkeep.keys(NOW)).refresh_key(NOW)
    given = [newest(number, key) for number in range(1, sessions, sessions // TOKENS)]  # none of `visits`
    tokens = iter(given)
    store = {"sqlite": "sqlite-full"}.get(kind, kind)
    with serving("daypass", store, place.url) as (address, pid):
        spent = place.cpu() if place.cpu else 0.0
        found = asyncio.run(load(address, pid, login=False, client=partial(Client, tokens=tokens)))
        done = len(given) - len(list(tokens))
        database = (place.cpu() - spent) / done * 1e6 if place.cpu else 0.0
    assert found.bad == 0, f"{found.bad} answers were no refresh"
    each = 1e6 / (found.cpu + database)
    row(f"{kind}: CPU µs over HTTP, application, database", f"{found.cpu:.0f}", f"{database:.0f}", "", "")
    row(f"{kind}: refreshes a second and vCPU, in all", f"{each:,.0f}", "", "", f"≥ {LEAST:,}", met=each >= LEAST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--sessions", type=int, default=10_000_000, help="a power of ten")
    options = parser.parse_args()
    head(f"{options.kind} with {options.sessions:,} sessions, against {SMALL:,}")
    with tempfile.TemporaryDirectory() as folder:
        measured(options.kind, options.sessions, Path(folder))


if __name__ == "__main__":
    main()
