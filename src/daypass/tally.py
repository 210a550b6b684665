"""The counters of one process: events by code, requests by route and status, and their durations. No I/O.

Prometheus, OpenTelemetry and the audit trail read the counts when they need them. A request only adds.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the histogram of times, in seconds; one more bucket takes what is longer."""


class Tally:
    """The counts of a process; threads may share it.

    Attributes:
        events: the number of events of each code.
        requests: the number of requests of each route and status.
        seconds: the total duration of the requests of each route.
        times: the number of requests of each route in each of `BUCKETS`.
        clock_difference: how far this machine's clock is ahead of the store's, in milliseconds; None if not known.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Reset in a forked child."""
        self._lock = threading.Lock()
        self.events: Counter[str] = Counter()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, float] = {}
        self.times: dict[str, list[int]] = {}
        self.clock_difference: int | None = None

    def count_event(self, code: str) -> None:
        """Count an event."""
        with self._lock:
            self.events[code] += 1

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request and how long it took; ``route`` has no part that a client can choose."""
        with self._lock:
            self.requests[route, status] += 1
            self.seconds[route] = self.seconds.get(route, 0.0) + seconds
            times = self.times.get(route)
            if times is None:
                times = self.times[route] = [0] * (len(BUCKETS) + 1)
            times[bisect_left(BUCKETS, seconds)] += 1

    def counts(self) -> Mapping[str, int]:
        """Return the counts until now, by their stored names: ``rotated``, ``/auth/refresh 200``, ``t3``.

        The last is the number of requests of all routes in the bucket of that number.
        """
        with self._lock:
            times = [sum(column) for column in zip(*self.times.values(), strict=True)]
            return {
                **self.events,
                **{f"{route} {status}": count for (route, status), count in self.requests.items()},
                **{f"t{number}": count for number, count in enumerate(times)},
            }

    def state(self) -> Mapping[str, int]:
        """Return the current values, by name."""
        return {} if self.clock_difference is None else {"clock": self.clock_difference}
