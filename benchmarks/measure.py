"""How the benchmarks measure: each thing against its floor, in turns, in the same run, because machines drift.

They measure CPU time, so that other work on the machine counts as little as possible.
"""

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 15
SLICE = 0.1


def microseconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call, in µs, over a slice of time."""
    calls, started = 0, time.thread_time()
    deadline = started + SLICE
    while (now := time.thread_time()) < deadline:
        for _ in range(20):
            call()
        calls += 20
    return (now - started) / calls * 1e6


def in_turns(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median µs of each call, measured in turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            taken[name].append(microseconds(call))
    return {name: statistics.median(values) for name, values in taken.items()}


def row(name: str, value: str, floor: str, ratio: str, budget: str, *, met: bool | None = None) -> None:
    """Print a row; with its verdict, if there is a budget that decides one."""
    verdict = "" if met is None else "met" if met else "MISSED"
    print(f"{name:<44} {value:>14} {floor:>14} {ratio:>9}   {budget:<24} {verdict}".rstrip(), flush=True)


def head(title: str) -> None:
    print(f"\n{title}")
    row("", "measured", "floor", "ratio", "budget")
