"""`GET /metrics` for Prometheus: the counts of the process, read on request. It needs a bearer token."""

import hmac
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
from daypass.issuer import AsyncDaypass
from daypass.measures import MEASURES, Measure
from daypass.tally import BUCKETS, Tally

_BOUNDS = (*map(str, BUCKETS), "+Inf")


class Counted(Collector):
    """The counts of one process as metrics.

    Args:
        auth: the issuer.
        process: identifies the process among several at one address.
    """

    def __init__(self, auth: AsyncDaypass, process: str) -> None:
        self._auth = auth
        self._process = process

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        build = InfoMetricFamily("daypass_build", "The version of Daypass.")
        build.add_metric([], {"version": __version__})
        yield build
        for measure in MEASURES:
            family = self._family(measure)
            if family.samples:
                yield family
        yield from self._requests(self._auth.tally)

    def _family(self, measure: Measure) -> Metric:
        name = f"daypass_{measure.name.replace('.', '_')}" + ("_seconds" if measure.unit == "s" else "")
        make = CounterMetricFamily if measure.counts else GaugeMetricFamily
        process = {"process": self._process} if measure.of_process else {}
        family = make(name, measure.text, labels=(*process, *measure.labels))
        for labels, value in measure.read(self._auth):
            family.add_metric((*process.values(), *labels), value)
        return family

    def _requests(self, tally: Tally) -> Iterator[Metric]:
        requests = CounterMetricFamily("daypass_requests", "Requests.", labels=("process", "route", "status"))
        for (route, status), times in tally.summed(lambda request: request[1:]).items():
            requests.add_metric((self._process, route, str(status)), times.count)
        yield requests
        seconds = HistogramMetricFamily(
            "daypass_request_seconds", "How long requests took.", labels=("process", "route")
        )
        for route, times in tally.summed(lambda request: request[1]).items():
            sums = accumulate(map(float, times.buckets))
            seconds.add_metric((self._process, route), list(zip(_BOUNDS, sums, strict=True)), times.seconds)
        yield seconds


class MetricsEndpoint:
    """The endpoint.

    Args:
        auth: the issuer.
        token: the bearer token that a request must have.
        process: identifies the process among several at one address.
    """

    def __init__(self, auth: AsyncDaypass, token: str, process: str) -> None:
        self._expected = f"Bearer {token}".encode()
        self._registry = CollectorRegistry()
        self._registry.register(Counted(auth, process))

    async def answer(self, request: Request) -> Response:
        """Answer with the metrics; 401 without the token."""
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._expected):
            return PlainTextResponse(
                "Send the token as: Authorization: Bearer …\n", 401, {"www-authenticate": "Bearer"}
            )
        return Response(
            generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST, headers={"cache-control": "no-store"}
        )
