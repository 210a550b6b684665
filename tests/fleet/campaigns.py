"""The campaigns: failures of a fleet, what is counted, and the results that it must have."""

import contextlib
import os
import random
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from daypass.client.clock import boot_id, monotonic_ms, wall_ms
from daypass.client.endpoints import Endpoints
from daypass.client.messages import Grant
from daypass.client.record import Now, write_record
from daypass.client.storage.base import Facts
from daypass.client.storage.row import Row
from daypass.client.storage.shared import Rows
from daypass.client.timing import Timing
from daypass.client.tokens import tokens_from
from daypass.errors import StoreError
from daypass.testing.loopback import serving
from tests.fleet.databases import Database, running
from tests.fleet.fleet import Fleet
from tests.fleet.issuer import REFUSED, Issuer
from tests.fleet.machine import Job, key_of, open_rows, storage_of

STRICT = {"ahead": 0, "pause": 50, "backoff": 100, "longest_backoff": 1_000}


@dataclass
class Size:
    """The size of the campaigns.

    Attributes:
        workers: the number of workers on each of the three machines.
        expiries: how often the token of the one connection expires.
        kills: how many workers are killed during a refresh.
        rounds: how often the database fails.
        connections: the number of connections that expire at their own times.
        seconds: for how long they do.
        lifetime: the lifetime of their access tokens in seconds.
        deadline: the limit of a refresh in milliseconds, at servers that repeat safely; the lease is a quarter longer.
    """

    workers: int = 8
    expiries: int = 20
    kills: int = 200
    rounds: int = 3
    connections: int = 10_000
    seconds: float = 120
    lifetime: float = 100
    deadline: int = 2_400

    @property
    def quick(self) -> dict[str, int]:
        """The timing of clients whose server repeats safely."""
        return STRICT | {"deadline": self.deadline, "strict_deadline": self.deadline, "attempt": self.deadline - 200}


SHORT = Size(workers=2, expiries=3, kills=2, rounds=1, connections=60, seconds=4, lifetime=1, deadline=1_000)


class World:
    """A database, an OAuth server and its connections."""

    def __init__(self, database: Database, issuer: Issuer, url: str, connections: int) -> None:
        self.database = database
        self.issuer = issuer
        self.url = url
        self.rows: Rows = open_rows(database.url, 8)
        self.connections = connections
        self.lost: Counter[str] = Counter()
        for number in range(connections):
            self.log_in(number)

    def job(self, **options: object) -> Job:
        """Return the workers' job here."""
        return Job(self.database.url, self.url, "", connections=self.connections, **options)  # type: ignore[arg-type]  # by name

    def row(self, number: int) -> Row:
        """Return the row of a connection."""
        found, _ = self.rows.read(key_of(number))
        assert found is not None
        return found

    def check(self, number: int) -> Row:
        """Return the row of a connection. If the connection was lost, count the reason, and connect it again."""
        row = self.row(number)
        if row.reason is not None:
            self.lost[row.reason] += 1
            self.log_in(number)
        return row

    def log_in(self, number: int) -> None:
        """Connect an account."""
        access_token, refresh_token = self.issuer.begin()
        lifetime = int((self.issuer.expires_in or 0) * 1000 * random.uniform(0.2, 1))
        now = Now(monotonic_ms(), wall_ms(), boot_id())
        tokens = tokens_from(
            Grant(access_token, lifetime, refresh_token, grace=int(self.issuer.grace * 1000)),
            f"login-{secrets.token_hex(4)}",
            now.monotonic,
            0,
            Timing(),
        )
        text = write_record(tokens, secrets.token_hex(4), now, Endpoints().server(f"{self.url}/auth"))
        storage_of(self.rows, number).replace(lambda _: True, text, Facts(lifetime))


@contextmanager
def world(kind: str, connections: int = 1, **issuer: object) -> Iterator[World]:
    """Run a database and an OAuth server."""
    server = Issuer(**issuer)
    with running(kind) as database, serving(server) as url:
        made = World(database, server, url, connections)
        yield made
        made.rows.close()


def expiries(kind: str, size: Size) -> dict[str, object]:
    """Let the token of one connection expire repeatedly, at a strict server that takes 200 ms to refresh."""
    with world(kind, expires_in=min(2, size.lifetime), latency=0.2) as here:
        with Fleet(here.job(timing=STRICT), size.workers) as fleet:
            _until(lambda: here.issuer.counts["rotated"] >= size.expiries, size.expiries * 4 + 30)
            fleet.end()
            counts = fleet.counts()
        found = _found(here, counts)
        rotated, row = here.issuer.counts["rotated"], here.row(0)
    assert (size.expiries, size.expiries, row.refreshes) == (rotated, found["refreshes"], size.expiries), found
    assert (0, 0, {}) == (counts["failed"], here.issuer.refused, found["lost"]), found
    return found


def kills(kind: str, size: Size, *, grace: float = 300, connections: int = 8) -> dict[str, object]:
    """Kill a worker at a random time in each of many refreshes, and count the lost connections."""
    connections = min(connections, size.workers)
    with world(kind, connections, expires_in=1, latency=0.2, grace=grace) as here:
        with Fleet(here.job(timing=size.quick), size.workers) as fleet:
            killed = _kill_holders(here, fleet, size.kills)
            _until(lambda: all(not here.row(each).lease_until for each in range(connections)), 20, strict=False)
            time.sleep(1)
            fleet.end()
            counts = fleet.counts()
        found = _found(here, counts) | {"killed": killed}
        found["repeats"] = sum(here.row(each).repeats for each in range(connections))
    assert size.kills == killed, found
    if grace:
        assert (0, {}) == (here.issuer.refused, found["lost"]), found
    else:  # a lost response, which the server does not repeat
        assert sum(here.lost.values()) <= size.kills, found
    return found


def outages(kind: str, size: Size) -> dict[str, object]:
    """Restart, freeze and, if possible, fail over the database, while workers refresh at a strict server."""
    with world(kind, expires_in=min(2, size.lifetime), latency=0.2) as here:
        with Fleet(here.job(timing=STRICT), size.workers) as fleet:
            for _ in range(size.rounds):
                if kind in ("postgres", "redis"):
                    _refreshed(here, 2)
                    here.database.restart()
                    _refreshed(here, 2)
                    with here.database.frozen():
                        time.sleep(4)
            if kind in ("postgres-standby", "sentinel"):
                _refreshed(here, 2)
                here.database.fail_over()
            _refreshed(here, 2)
            fleet.end()
            counts = fleet.counts()
        found = _found(here, counts)
    assert (0, {}) == (here.issuer.refused, found["lost"]), found
    assert 0 == sum(count for what, count in counts.items() if what.startswith("failed: LoginRequired")), found
    return found


def stopped(kind: str, size: Size) -> dict[str, object]:
    """Stop the lease's holder for longer than the lease. When it goes on, it must write nothing."""
    late = 0
    with world(kind, expires_in=1, latency=0.3, grace=60) as here:
        with Fleet(here.job(timing=size.quick), size.workers) as fleet:
            for _ in range(size.rounds):
                pid = _holder(here, fleet, 0)
                fence = here.row(0).fence
                os.kill(pid, signal.SIGSTOP)
                _until(lambda fence=fence: here.row(0).fence > fence, 60)  # type: ignore[misc]  # mypy infers no lambda with a default
                _refreshed(here, 1)
                row = here.row(0)
                os.kill(pid, signal.SIGCONT)
                time.sleep(1.5)
                late += here.row(0).fence >= row.fence
            _refreshed(here, 2)
            fleet.end()
            counts = fleet.counts()
        found = _found(here, counts) | {"stopped": size.rounds, "overtaken": late}
    assert (size.rounds, 0, {}) == (late, here.issuer.refused, found["lost"]), found
    return found


def many(kind: str, size: Size) -> dict[str, object]:
    """Let many connections expire at their own times: each expiry costs one refresh."""
    with world(kind, size.connections, expires_in=size.lifetime) as here:
        job = here.job(timing=STRICT, calls=False, pause=0.0)
        with Fleet(job, size.workers) as fleet:
            time.sleep(size.seconds)
            fleet.end()
            counts = fleet.counts()
        rows = [here.row(number) for number in range(size.connections)]
        found = _found(here, counts) | {"early": here.issuer.too_early}
    assert found["refreshes"] == here.issuer.counts["rotated"] == sum(row.refreshes for row in rows), found
    assert (0, 0, {}) == (here.issuer.refused, counts["failed"], found["lost"]), found
    return found


CAMPAIGNS: dict[str, Callable[[str, Size], dict[str, object]]] = {
    "expiries": expiries,
    "kills": kills,
    "outages": outages,
    "stopped": stopped,
    "many": many,
}


def _found(here: World, counts: Counter[str]) -> dict[str, object]:
    for number in range(here.connections):
        here.check(number)
    return {
        "refreshes": here.issuer.counts["refreshes"],
        "rotated": here.issuer.counts["rotated"],
        "repeated": here.issuer.counts["repeated"],
        "refused": {each: here.issuer.counts[each] for each in REFUSED if here.issuer.counts[each]},
        "cut": here.issuer.counts["cut"],
        "lost": dict(here.lost),
        **{name: count for name, count in sorted(counts.items()) if count},
    }


def _kill_holders(here: World, fleet: Fleet, kills: int) -> int:
    """Kill the lease's holder in each refresh of every connection; return how many were killed.

    After a kill the next holder may finish, before another one is killed.
    """
    left, changing = [kills], threading.Lock()

    def hunt(number: int) -> None:
        while True:
            with changing:
                if not left[0]:
                    return
                left[0] -= 1
            while True:
                pid = _holder(here, fleet, number)
                time.sleep(random.uniform(0, 0.3))
                before = here.row(number).refreshes
                with changing:
                    if fleet.kill(pid):
                        break
            _until(lambda: here.check(number).reason or here.row(number).refreshes > before, 120)  # noqa: B023 - called at once

    with ThreadPoolExecutor(here.connections) as hunters:
        list(hunters.map(hunt, range(here.connections)))
    return kills - left[0]


def _holder(here: World, fleet: Fleet, number: int) -> int:
    """Wait until a worker holds the lease; return its process."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with contextlib.suppress(StoreError):
            row = here.check(number)
            pid = int((row.intent_by or ":0").rpartition(":")[2])
            if row.lease_until and fleet.is_worker(pid):
                return pid
        time.sleep(0.02)
    raise AssertionError(f"nobody refreshes connection {number}")


def _refreshed(here: World, times: int) -> None:
    wanted = here.issuer.counts["rotated"] + times
    _until(lambda: here.issuer.counts["rotated"] >= wanted, 120)


def _until(holds: Callable[[], object], seconds: float, *, strict: bool = True) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, StoreError):
            if holds():
                return
        time.sleep(0.02)
    assert not strict, f"it did not happen within {seconds:g} s"
