"""How soon callers that wait for one refresh go on once it is done: ten thousand tasks, five hundred threads.

All of them ask the same auth for a token, and its refresh ends when the last of them waits. Measured is the time from
the moment when the refresh returns until the last caller has the new token. Few processes have more threads than that,
and waking one takes Python a tenth of a millisecond, whatever it waits for.

    python benchmarks/waiting.py
"""

import asyncio
import statistics
import threading
import time
from collections.abc import Callable

from measure import head, row

from daypass.client.httpx import DaypassAuth

TASKS = 10_000
THREADS = 500
ROUNDS = 5
MOST = 100
"""Milliseconds."""


class Refresh:
    """A refresh that ends when it is told to."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.ended_at = 0.0

    def __call__(self, _: str | None) -> str:
        self.may_end.wait(60)
        self.ended_at = time.perf_counter()
        return "new"


def session(refresh: Refresh) -> DaypassAuth:
    """Return an auth whose access token has expired."""
    auth = DaypassAuth("http://127.0.0.1:1/auth", strategy=refresh)
    auth.start(access_token="old", refresh_token="r", expires_in=0.001)
    time.sleep(0.002)
    return auth


def with_tasks() -> float:
    """Return how many milliseconds tasks take."""
    refresh = Refresh()
    auth = session(refresh)
    ended = [0.0]

    async def wait() -> None:
        assert await auth.atoken() == "new"
        ended[0] = time.perf_counter()

    async def all_of_them() -> None:
        tasks = [asyncio.create_task(wait()) for _ in range(TASKS)]
        await asyncio.sleep(0.1)
        refresh.may_end.set()
        await asyncio.wait(tasks)
        assert not any(task.exception() for task in tasks)

    asyncio.run(all_of_them())
    return (ended[0] - refresh.ended_at) * 1e3


def with_threads() -> float:
    """Return how many milliseconds threads take."""
    refresh = Refresh()
    auth = session(refresh)
    ended: list[float] = []

    def wait() -> None:
        assert auth.token() == "new"
        ended.append(time.perf_counter())

    threads = [threading.Thread(target=wait) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    refresh.may_end.set()
    for thread in threads:
        thread.join()
    assert len(ended) == THREADS
    return (max(ended) - refresh.ended_at) * 1e3


def main() -> None:
    head("Callers that wait for one refresh (ms until the last one has its token)")
    kinds: dict[str, Callable[[], float]] = {
        f"{TASKS:,} tasks": with_tasks,
        f"{THREADS:,} threads": with_threads,
    }
    for name, wait in kinds.items():
        taken = statistics.median(wait() for _ in range(ROUNDS))
        row(name, f"{taken:.0f}", "", "", f"≤ {MOST} ms", met=taken <= MOST)


if __name__ == "__main__":
    main()
