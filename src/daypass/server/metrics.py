"""`GET /metrics` for Prometheus: the counts of the process, read on request. It needs a bearer token."""

import hmac
import math
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from daypass import __version__
from daypass.duration import SECOND
from daypass.issuer import AsyncDaypass
from daypass.keys import REFRESH, KeyRecord, in_use
from daypass.store_steps import ReadKeys
from daypass.stores import AsyncStore
from daypass.tally import BUCKETS

KEYS_READ_EVERY = 60 * SECOND


class Counted(Collector):
    """The counts of one process as metrics.

    Args:
        auth: the issuer.
        keys: the keys in the store.
        process: identifies the process among several at one address.
    """

    def __init__(self, auth: AsyncDaypass, keys: tuple[KeyRecord, ...], process: str) -> None:
        self._auth = auth
        self._keys = keys
        self._process = process

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        tally, process = self._auth.tally, self._process
        build = InfoMetricFamily("daypass_build", "The version of Daypass.")
        build.add_metric([], {"version": __version__})
        yield build
        events = CounterMetricFamily("daypass_events", "Events, by code.", labels=("process", "code"))
        for code, count in dict(tally.events).items():
            events.add_metric((process, code), count)
        yield events
        requests = CounterMetricFamily("daypass_requests", "Requests.", labels=("process", "route", "status"))
        for (route, status), count in dict(tally.requests).items():
            requests.add_metric((process, route, str(status)), count)
        yield requests
        seconds = HistogramMetricFamily(
            "daypass_request_seconds", "How long requests took.", labels=("process", "route")
        )
        for route, times in dict(tally.times).items():
            bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
            sums = accumulate(map(float, times))
            seconds.add_metric((process, route), list(zip(bounds, sums, strict=True)), tally.seconds[route])
        yield seconds
        lost = CounterMetricFamily(
            "daypass_audit_lost", "Records that are not in the audit trail.", labels=("process",)
        )
        lost.add_metric((process,), self._auth.audit_lost)
        yield lost
        ages = GaugeMetricFamily("daypass_key_age_seconds", "Age of the key in use.", labels=("kind",))
        now = self._auth.now()
        for algorithm in {record.algorithm for record in self._keys}:
            key = in_use([record for record in self._keys if record.algorithm == algorithm], now)
            kind = "refresh" if algorithm == REFRESH else "signing"
            ages.add_metric((kind,), math.floor(max(0, now - key.used_from) / SECOND))
        yield ages
        if tally.clock_difference is not None:
            clock = GaugeMetricFamily(
                "daypass_clock_difference_seconds", "This machine's clock less the store's.", labels=("process",)
            )
            clock.add_metric((process,), tally.clock_difference / SECOND)
            yield clock


class MetricsEndpoint:
    """The endpoint.

    Args:
        auth: the issuer.
        store: the store with the keys.
        token: the bearer token that a request must have.
        process: identifies the process among several at one address.
    """

    def __init__(self, auth: AsyncDaypass, store: AsyncStore, token: str, process: str) -> None:
        self._auth = auth
        self._store = store
        self._expected = f"Bearer {token}".encode()
        self._process = process
        self._keys: tuple[KeyRecord, ...] = ()
        self._keys_read_at = 0

    async def answer(self, request: Request) -> Response:
        """Answer with the metrics; 401 without the token."""
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._expected):
            return PlainTextResponse(
                "Send the token as: Authorization: Bearer …\n", 401, {"www-authenticate": "Bearer"}
            )
        now = self._auth.now()
        if abs(now - self._keys_read_at) >= KEYS_READ_EVERY:
            self._keys_read_at = now
            self._keys = await self._read_keys()
        registry = CollectorRegistry()
        registry.register(Counted(self._auth, self._keys, self._process))
        return Response(
            generate_latest(registry), media_type=CONTENT_TYPE_LATEST, headers={"cache-control": "no-store"}
        )

    async def _read_keys(self) -> tuple[KeyRecord, ...]:
        from daypass.errors import StoreError

        try:
            return await self._store.perform(ReadKeys())
        except StoreError:  # metrics are most needed while the store is down
            return self._keys
