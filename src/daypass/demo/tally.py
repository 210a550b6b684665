"""What the demonstration counts, and when what happened to whom. No I/O here; times in milliseconds, monotonic."""

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
        requests: that the users made; a replay is not counted again.
        expiries: access tokens whose time ran out while their user was at work.
        refreshes: that got a new access token.
        replays: requests that were refused for an expired access token and sent again.
        failures: that a user would have seen.
        p50_ms: half of the requests took no longer, refresh and replay included.
        p99_ms: 99 in 100 took no longer.
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
        """Whether access tokens expired, twice at least, and no user saw it."""
        return self.failures == 0 and self.expiries >= 2

    def as_dict(self) -> dict[str, int | float]:
        """Return the figures by their names."""
        return asdict(self)


@dataclass(slots=True)
class Lane:
    """One user on one device.

    Attributes:
        name: whose it is.
        story: what they do, in a few words.
        tokens: when each access token came and when it runs out.
        moments: when something happened that the timeline shows.
    """

    name: str
    story: str
    tokens: list[tuple[int, int]] = field(default_factory=list)
    requests: "array[int]" = field(default_factory=lambda: array("q"))
    moments: list[tuple[int, EventKind]] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def token_left(self, at: int) -> float | None:
        """Return what was left at a time of the access token then in use, 0 to 1; None before the first."""
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
    """Counts for all lanes; whichever thread something happens in may tell it."""

    def __init__(self, started: int) -> None:
        self.started = started
        self.lanes: list[Lane] = []
        self._took = array("d")
        self._lock = threading.Lock()

    def add(self, lane: Lane) -> Lane:
        """Take a lane in."""
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
        """Note what a client tells of itself."""
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
        """Return how long it has been going on."""
        return (now - self.started) / SECOND


def _quantile(values: list[float], share: float) -> float:
    return round(values[min(len(values) - 1, int(len(values) * share))], 2) if values else 0.0
