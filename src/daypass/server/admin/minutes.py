"""The counts that each process writes to the audit trail once a minute, added up: what the plots show.

The store is asked only while somebody looks at the page, and each record is read once. So what this keeps is bounded,
whatever the number of processes: one total for each interval of a plot, and the last record of each process.
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from daypass.duration import DAY, HOUR, MINUTE, SECOND
from daypass.flow import Flow
from daypass.operator_steps import MINUTE_COUNTS, AuditRecord, ReadEvents
from daypass.tally import BUCKETS

LATE = 2 * MINUTE
"""How late a record may come: clocks of nodes differ, and each node writes once a second."""

READ_EVERY = 2 * SECOND
GONE_AFTER = 3 * MINUTE
"""A process that has written nothing for this long has ended, or cannot reach the store."""

MOST_PROCESSES = 500

EVENTS = (
    *("started", "login_failed"),
    *("rotated", "held", "repeated", "branched", "healed", "stale"),
    *("reused", "suspected", "proof_refused"),
    *("unavailable", "limited"),
)
"""The events that the plots show."""

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

_AT_ONCE = 100
"""How many records are read and added up at once: about 3 ms, in which no other request is answered."""

_TIMES = tuple(f"t{number}" for number in range(len(BUCKETS) + 1))
_FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a plot shows: ``count`` intervals, each ``width`` milliseconds long."""

    width: int
    count: int

    def first(self, now: int) -> int:
        """Return when the first interval begins; the last one is over and complete."""
        return (now - MINUTE) // self.width * self.width - self.count * self.width


SPANS = {"hour": Span(MINUTE, 60), "day": Span(10 * MINUTE, 144)}


@dataclass(frozen=True, slots=True)
class Minute:
    """What one process counted in one minute.

    Attributes:
        at: the end of the minute, by the clock of the process.
        process: a random name.
        content: counts by name, and what the process says of itself.
    """

    at: int
    process: str
    content: Mapping[str, Any]

    @classmethod
    def of(cls, record: AuditRecord) -> "Minute":
        """Return what a record of `MINUTE_COUNTS` says; nothing if it was cut, because it was too long."""
        try:
            content = json.loads(record.reason or "{}")
        except ValueError:
            content = {}
        return cls(record.at, record.id[:8], content)

    def shown(self) -> Iterator[tuple[str, int]]:
        """Yield the counts that are shown; responses of status 500 and above are ``failed``."""
        for name, count in self.content.items():
            if name in EVENTS or name in _TIMES:
                yield name, count
            elif name.startswith("/") and name[-4:-2] == " 5":
                yield _FAILED, count


class Minutes:
    """The counts of all processes on a store, in the last hour and in the last day."""

    def __init__(self) -> None:
        self._totals: dict[str, dict[int, Counter[str]]] = {name: {} for name in SPANS}
        self._latest: dict[str, Minute] = {}
        self._seen: dict[tuple[int, str], None] = {}
        self._reading = False
        self._read_at = 0

    def read(self, now: int) -> Flow[None]:
        """Read the records that were written since the last time; does nothing while another caller reads."""
        if self._reading or 0 <= now - self._read_at < READ_EVERY:
            return
        self._reading = True
        try:
            since = max(self._read_at - LATE, now - DAY - HOUR)
            step = ReadEvents(since=since, codes=(MINUTE_COUNTS,), limit=_AT_ONCE)
            while len(page := (yield from step)) == step.limit:
                self._add_all(page)
                step = replace(step, after=(page[-1].at, page[-1].id))
            self._add_all(page)
            self._read_at = now
            self._forget(now)
        finally:
            self._reading = False

    def _add_all(self, records: tuple[AuditRecord, ...]) -> None:
        for record in records:
            if (record.at, record.id) not in self._seen:
                self._seen[record.at, record.id] = None
                self._add(Minute.of(record))

    def _add(self, minute: Minute) -> None:
        self._latest.pop(minute.process, None)
        self._latest[minute.process] = minute
        middle = minute.at - MINUTE // 2
        for name, span in SPANS.items():
            totals = self._totals[name].setdefault(middle // span.width * span.width, Counter())
            totals.update(dict(minute.shown()))

    def _forget(self, now: int) -> None:
        self._seen = {key: None for key in self._seen if key[0] >= now - 2 * LATE}
        for name, span in SPANS.items():
            first = span.first(now)
            known = self._totals[name].items()
            self._totals[name] = {at: each for at, each in known if first <= at < first + 2 * span.width * span.count}
        recent = [each for each in self._latest.values() if each.at >= now - DAY]
        self._latest = {each.process: each for each in recent[-MOST_PROCESSES:]}

    def plot(self, name: str, now: int) -> dict[str, Any]:
        """Return what the plots of a span show: for each series one value for each interval.

        Args:
            name: one of `SPANS`.
            now: milliseconds since the epoch.
        """
        span = SPANS[name]
        first = span.first(now)
        nothing: Counter[str] = Counter()
        totals = [self._totals[name].get(first + number * span.width, nothing) for number in range(span.count)]
        times = [[each[bucket] for bucket in _TIMES] for each in totals]
        return {
            "first": first,
            "width": span.width,
            "events": {event: [each[event] for each in totals] for event in EVENTS},
            "failed": [each[_FAILED] for each in totals],
            "requests": [sum(each) for each in times],
            "latency": {name: [quantile(each, share) for each in times] for name, share in QUANTILES.items()},
            "overall": {
                name: quantile([sum(column) for column in zip(*times, strict=True)], share)
                for name, share in QUANTILES.items()
            },
        }

    def processes(self, now: int) -> list[dict[str, Any]]:
        """Return the processes that wrote something in the last hour, those that still run first."""
        found = [each for each in self._latest.values() if each.at >= now - HOUR]
        fields = [
            {
                "process": each.process,
                "host": each.content.get("host"),
                "pid": each.content.get("pid"),
                "clock": each.content.get("clock"),
                "requests": sum(each.content.get(bucket, 0) for bucket in _TIMES),
                "seen": max(0, now - each.at),
                "alive": each.at >= now - GONE_AFTER,
            }
            for each in found
        ]
        return sorted(fields, key=lambda each: (not each["alive"], str(each["host"]), each["pid"] or 0))


def quantile(times: list[int], share: float) -> float | None:
    """Return the time in milliseconds that a share of requests did not exceed; None without requests.

    Within a bucket the requests count as evenly spread, as Prometheus does it. A time beyond the last bound is given
    as that bound.
    """
    whole = sum(times)
    if not whole:
        return None
    sums = [sum(times[: number + 1]) for number in range(len(times))]
    bucket = bisect_left(sums, share * whole)
    if bucket >= len(BUCKETS):
        return BUCKETS[-1] * SECOND
    below = BUCKETS[bucket - 1] if bucket else 0.0
    before = sums[bucket] - times[bucket]
    within = (share * whole - before) / times[bucket]
    return round((below + (BUCKETS[bucket] - below) * within) * SECOND, 2)
