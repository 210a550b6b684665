"""Runs a storm, and reports its results."""

import asyncio
import collections
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .crowd import Crowd, Theft
from .databases import Database, database
from .network import Network
from .weather import Scale, Weather

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a storm.

    Attributes:
        seconds: how long it took.
        crowd: the users and their counts.
        befell: the number of messages by fate.
        killed: how often a node was killed and restarted.
        events: the nodes' events, counted by code.
        store: the kind of the store.
        struck: how often the database server was killed and restarted.
        away: seconds in all for which it could not be reached.
        overdue: requests that took longer than their client waits, because the machine was too slow.
    """

    seconds: float
    crowd: Crowd
    befell: "collections.Counter[str]"
    killed: int
    events: "collections.Counter[str]"
    store: str
    struck: int
    away: float
    overdue: int

    @property
    def undetected(self) -> list[Theft]:
        """The thieves who got a token and were not found."""
        return [theft for theft in self.crowd.thefts.values() if theft.uses and not theft.found]

    @property
    def found(self) -> list[Theft]:
        """The thieves who were found."""
        return [theft for theft in self.crowd.thefts.values() if theft.found]

    @property
    def keyless_uses(self) -> list[Theft]:
        """The thieves who got a token of a session that is bound to a key; there must be none."""
        return [theft for theft in self.crowd.thefts.values() if theft.bound and theft.uses]

    @property
    def held(self) -> bool:
        """Whether the promises held, and enough happened to prove it."""
        outlived = any(theft.outlived for theft in self.found)
        unbound = sum(not theft.bound for theft in self.crowd.thefts.values())
        idle = self.crowd.refreshes < self.crowd.scale.users or len(self.found) < unbound / 4
        honest = not self.crowd.logged_out and not self.crowd.kept_late and not self.keyless_uses
        return honest and not self.undetected and not outlived and not idle

    def table(self) -> str:
        """Return the report as text."""
        crowd, found = self.crowd, self.found
        owner_uses = collections.Counter(theft.owner_uses for theft in found)
        uses = collections.Counter(theft.uses for theft in found)
        rows: list[tuple[str, object]] = [
            ("seed", crowd.weather.seed),
            ("store", self.store),
            ("seconds", f"{self.seconds:.0f}"),
            ("users, tabs each", f"{crowd.scale.users}, {crowd.scale.tabs}"),
            ("refreshes", f"{crowd.refreshes:,}"),
            *sorted(self.befell.items()),
            ("no answer in time", crowd.unanswered),
            ("held up by a slow machine", self.overdue),
            ("told 503", crowd.unavailable),
            ("told stale", crowd.stale),
            ("nodes killed", self.killed),
            ("database server killed", self.struck),
            ("  seconds it was away", f"{self.away:.1f}"),
            *((f"event {code}", f"{count:,}") for code, count in sorted(self.events.items())),
            ("honest users logged out", len(crowd.logged_out)),
            ("passive refreshes", f"{crowd.passive:,}"),
            ("tabs of users who had left and were logged out", crowd.expired),
            ("users who had left and were not logged out", len(crowd.kept_late)),
            ("thieves", len(crowd.thefts)),
            ("  of sessions that are bound to a key", sum(theft.bound for theft in crowd.thefts.values())),
            ("    who got a token", len(self.keyless_uses)),
            ("proofs refused", crowd.unproven),
            ("thieves found", len(found)),
            ("  after so many refreshes by the thief", _distribution(uses)),
            ("  after so many by the owner since", _distribution(owner_uses)),
            ("thieves who got nothing and gave up", len(crowd.thefts) - len(found) - len(self.undetected)),
            ("thieves not found", len(self.undetected)),
            ("refreshes given after a theft was found", sum(theft.outlived for theft in found)),
        ]
        return "\n".join(f"{name:<46} {value}" for name, value in rows)


def _distribution(counts: "collections.Counter[int]") -> str:
    return ", ".join(f"{value}: {count}" for value, count in sorted(counts.items())) or "none"


async def storm(seed: int, scale: Scale, store: str = "sqlite") -> Report:
    """Run one storm on a store of this kind."""
    weather = Weather(seed, scale)
    with (
        tempfile.TemporaryDirectory(prefix="daypass-storm-") as folder,
        database(store, Path(folder), scale) as shared,
        _nodes(Path(folder), scale, shared.url) as nodes,
    ):
        network = Network([node.port for node in nodes], weather)
        server = await network.serve()
        crowd = Crowd(server.sockets[0].getsockname()[1], scale, weather)
        started = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(crowd.run())
            tasks.create_task(_kill(nodes, weather))
            if store != "sqlite":
                tasks.create_task(_strike(shared, weather))
        server.close()
        await network.calm_down()
        events = collections.Counter(
            line.split(" ", 1)[0] for node in nodes for line in node.events.read_text().splitlines()
        )
        return Report(
            seconds=time.monotonic() - started,
            crowd=crowd,
            befell=network.seen,
            killed=sum(node.kills for node in nodes),
            events=events,
            store=store,
            struck=shared.kills,
            away=shared.away,
            overdue=network.overdue,
        )


class Node:
    """One issuer process with its port."""

    def __init__(self, folder: Path, number: int, scale: Scale, url: str) -> None:
        self.events = folder / f"events-{number}"
        self.port = 0
        self.kills = 0
        self._skew = scale.skew if number == scale.nodes - 1 else 0.0
        self._url, self._scale = url, scale
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        scale = self._scale
        arguments = [self._url, self.events, self.port, scale.grace_period, scale.session_idle_ttl, self._skew]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.storm.node", *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        self.port = int(process.stdout.readline().rpartition(":")[2])
        return process

    def kill(self) -> None:
        """Kill it, and restart it."""
        self.kills += 1
        self._end(signal.SIGKILL)
        self._process = self._start()

    def stop(self) -> None:
        """Shut it down."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        os.kill(self._process.pid, how)
        self._process.communicate()


@contextmanager
def _nodes(folder: Path, scale: Scale, url: str) -> Iterator[list[Node]]:
    nodes: list[Node] = []
    try:
        for number in range(scale.nodes):
            nodes.append(Node(folder, number, scale, url))  # noqa: PERF401 - if one fails to start, others are ended
        yield nodes
    finally:
        for node in nodes:
            node.stop()


async def _kill(nodes: list[Node], weather: Weather) -> None:
    started = time.monotonic()
    for at, number in weather.kills():
        await asyncio.sleep(max(0.0, started + at - time.monotonic()))
        await asyncio.to_thread(nodes[number].kill)


async def _strike(shared: Database, weather: Weather) -> None:
    started = time.monotonic()
    for at, outage in weather.strikes():
        await asyncio.sleep(max(0.0, started + at - time.monotonic()))
        await asyncio.to_thread(shared.kill, outage)
