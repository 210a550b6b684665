"""The counts of the demonstration, and its timeline. No I/O here; times in milliseconds, monotonic."""

import threading
from array import array
from bisect import bisect_right
from collections import Counter
from dataclasses import asdict, dataclass, field

from daypass.client.events import ClientEvent, EventKind
from daypass.duration import SECOND


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures at one moment.

    Attributes:
        requests: the users' requests; a replay is not counted again.
        expiries: access tokens that expired while their user was at work.
        refreshes: those that got a new access token.
        replays: requests that were refused for an expired access token and sent again.
        failures: those that a user would have seen.
        p50_ms: half of the requests took at most this long, refresh and replay included.
        p99_ms: 99 in 100 took at most this long.
    """

    requests: int
    expiries: int
    refreshes: int
    replays: int
    failures: int
    p50_ms: float
    p99_ms: float

    @property
    def convincing(self) -> bool:
        """Whether at least two access tokens expired, and no user saw it."""
        return self.failures == 0 and self.expiries >= 2

    def as_dict(self) -> dict[str, int | float]:
        """Return the figures by their names."""
        return asdict(self)


@dataclass(slots=True)
class Lane:
    """One user on one device.

    Attributes:
        name: the user's name.
        story: what they do, in a few words.
        tokens: when each access token came and when it expires.
        moments: the events that the timeline shows.
    """

    name: str
    story: str
    tokens: list[tuple[int, int]] = field(default_factory=list)
    requests: "array[int]" = field(default_factory=lambda: array("q"))
    moments: list[tuple[int, EventKind]] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def token_left(self, at: int) -> float | None:
        """Return the rest of the current access token's lifetime at a time, 0 to 1; None before the first."""
        index = bisect_right(self.tokens, (at, 2**63)) - 1
        if index < 0:
            return None
        came, ends = self.tokens[index]
        return max(0.0, (ends - at) / (ends - came))

    def happened(self, start: int, end: int) -> set[EventKind]:
        """Return what happened in a span of time."""
        first = bisect_right(self.moments, start, key=lambda moment: moment[0])
        return {kind for at, kind in self.moments[first:] if at <= end}

    def asked(self, start: int, end: int) -> bool:
        """Return whether a request was answered in a span of time."""
        return bisect_right(self.requests, end) > bisect_right(self.requests, start)


class Tally:
    """Counts for all lanes; any thread may report."""

    def __init__(self, started: int) -> None:
        self.started = started
        self.lanes: list[Lane] = []
        self._took = array("d")
        self._lock = threading.Lock()

    def add(self, lane: Lane) -> Lane:
        """Add a lane."""
        self.lanes.append(lane)
        return lane

    def request(self, lane: Lane, at: int, took: float, problem: str | None) -> None:
        """Count a request that was answered at ``at`` and took so many milliseconds."""
        with self._lock:
            self._took.append(took)
            lane.requests.append(at)
            if problem is not None:
                lane.failures.append((at, problem))

    def event(self, lane: Lane, event: ClientEvent, at: int) -> None:
        """Note an event of a client."""
        with self._lock:
            lane.moments.append((at, event.kind))
            if event.lifetime is not None:
                lane.tokens.append((at, at + event.lifetime))

    def summary(self, now: int) -> Summary:
        """Return the figures as they are at ``now``."""
        with self._lock:
            took = sorted(self._took)
            kinds = Counter(kind for lane in self.lanes for _, kind in lane.moments)
            return Summary(
                requests=len(took),
                expiries=sum(ends <= now for lane in self.lanes for _, ends in lane.tokens),
                refreshes=kinds[EventKind.REFRESHED],
                replays=kinds[EventKind.REPLAYED],
                failures=sum(len(lane.failures) for lane in self.lanes),
                p50_ms=_quantile(took, 0.50),
                p99_ms=_quantile(took, 0.99),
            )

    def seconds(self, now: int) -> float:
        """Return how long the demonstration has run."""
        return (now - self.started) / SECOND


def _quantile(values: list[float], share: float) -> float:
    return round(values[min(len(values) - 1, int(len(values) * share))], 2) if values else 0.0
