"""The counters of one process: events by code; requests and their durations by method, route and status. No I/O.

Prometheus, OpenTelemetry and the audit trail read the counts when they need them. A request only adds.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

KeyT = TypeVar("KeyT")

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the histogram of times, in seconds; one more bucket takes what is longer."""

Request = tuple[str, str, int]
"""Method, route and status."""


class Times:
    """How long some requests took.

    Attributes:
        seconds: in all.
        buckets: how many took as long as each of `BUCKETS` allows, and not the one before; the last, longer.
    """

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)

    @property
    def count(self) -> int:
        """The number of these requests."""
        return sum(self.buckets)

    def add(self, other: "Times") -> None:
        """Add other requests."""
        self.seconds += other.seconds
        self.buckets = [one + another for one, another in zip(self.buckets, other.buckets, strict=True)]


class Tally:
    """The counts of a process; threads may share it.

    Attributes:
        events: the number of events of each code.
        requests: how many requests there were, and how long they took.
        process: what people know the process by: ``host`` and ``pid``.
        clock_difference: how far this machine's clock is ahead of the store's, in milliseconds; None if not known.
    """

    def __init__(self) -> None:
        self.process: dict[str, object] = {}
        self.reset()

    def reset(self) -> None:
        """Reset in a forked child."""
        self._lock = threading.Lock()
        self.events: Counter[str] = Counter()
        self.requests: dict[Request, Times] = {}
        self.clock_difference: int | None = None

    def count_event(self, code: str) -> None:
        """Count an event."""
        with self._lock:
            self.events[code] += 1

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request and how long it took; ``method`` and ``route`` have no part that a client can choose."""
        with self._lock:
            times = self.requests.get((method, route, status))
            if times is None:
                times = self.requests[method, route, status] = Times()
            times.seconds += seconds
            times.buckets[bisect_left(BUCKETS, seconds)] += 1

    def summed(self, key: Callable[[Request], KeyT]) -> dict[KeyT, Times]:
        """Return the requests, summed up by ``key`` of each."""
        summed: dict[KeyT, Times] = {}
        with self._lock:
            for request, times in self.requests.items():
                summed.setdefault(key(request), Times()).add(times)
        return summed

    def counts(self) -> Mapping[str, int]:
        """Return the counts until now, by their stored names: ``rotated``, ``/auth/refresh 200``, ``t3``.

        The last is the number of requests of all routes in the bucket of that number.
        """
        by_route = self.summed(lambda request: f"{request[1]} {request[2]}")
        in_all = Times()
        for times in by_route.values():
            in_all.add(times)
        counts = {**self.events, **{name: times.count for name, times in by_route.items()}}
        return counts | {f"t{number}": count for number, count in enumerate(in_all.buckets) if by_route}

    def state(self) -> dict[str, object]:
        """Return the current values, by name, and what people know the process by."""
        return self.process | ({} if self.clock_difference is None else {"clock": self.clock_difference})
