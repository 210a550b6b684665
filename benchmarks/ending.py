"""How soon services elsewhere refuse the access token of a session that has ended: one in Python, one in Node.

    python benchmarks/ending.py               # 100 sessions, one after another

The issuer, the service in Python and the service in Node are three processes. Measured is the time from the call that
ends a session until the service refuses its token; it may be a second at most.
"""

import logging
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from daypass import RemoteVerifier, SessionRevoked
from daypass.ending_feed import FeedState
from tests.browser import npm
from tests.verifier.test_node import ENDINGS, service
from tests.verifier.world import ANN, SERVICE_SECRET, World, becomes

MOST = 1000.0
"""Milliseconds that are promised."""


def verify(issuer: str, client_secret: str, asked: "Connection[Any, Any]") -> None:
    """Be a service in Python: for each access token that comes, tell when it is known, and when it is refused."""
    verifier = RemoteVerifier(issuer, endings=True, client_id="service", client_secret=client_secret)
    while access_token := asked.recv():
        verifier.verify(access_token)
        asked.send(becomes(lambda: verifier.endings is FeedState.LISTENING))
        try:
            while True:
                verifier.verify(access_token)
                time.sleep(0.001)
        except SessionRevoked:
            asked.send(time.monotonic())


def ended(world: World, tokens: Any, until: Callable[[], float]) -> float:
    """End a session at some moment; return after how many milliseconds it was refused."""
    time.sleep(random.random())  # noqa: S311 - no secret
    started = time.monotonic()
    world.node.logout(tokens.refresh_token)
    return (until() - started) * 1000


def in_python(world: World, rounds: int) -> list[float]:
    """Return how long each of so many sessions was still good in the service in Python, in milliseconds."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=verify, args=(world.address, SERVICE_SECRET, there))
    process.start()
    taken = []
    for _ in range(rounds):
        tokens = world.node.start(ANN)
        here.send(tokens.access_token)
        assert here.recv(), "the service does not hear of endings"
        taken.append(ended(world, tokens, here.recv))
    here.send(None)
    process.join()
    return taken


def in_node(world: World, rounds: int) -> list[float]:
    """Return the same for the service in Node."""
    taken = []
    with service(npm.NODE, world, endings=ENDINGS) as asked:
        for _ in range(rounds):
            tokens = world.node.start(ANN)
            asked.asked(tokens.access_token)
            assert becomes(lambda: asked.state == "listening"), "the service does not hear of endings"

            def refused(access_token: str = tokens.access_token) -> float:
                while asked.code(access_token) != "session_revoked":
                    time.sleep(0.001)
                return time.monotonic()

            taken.append(ended(world, tokens, refused))
    return taken


def main(rounds: int = 100) -> int:
    logging.disable()  # the server's, about streams that its end cuts off
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        with world.serving():
            measured = {"Python": in_python(world, rounds), "Node": in_node(world, rounds)}
        world.node.close()
    print(f"{'service in':<12} {'median ms':>10} {'p99 ms':>10} {'most ms':>10}   promised: {MOST:.0f}")
    for name, taken in measured.items():
        p99 = statistics.quantiles(taken, n=100)[98]
        print(f"{name:<12} {statistics.median(taken):>10.1f} {p99:>10.1f} {max(taken):>10.1f}")
    return int(max(max(taken) for taken in measured.values()) > MOST)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
