"""OpenTelemetry in the service: the SDK that exports traces and metrics by OTLP/HTTP, and a span for each request.

One `Telemetry` belongs to one application, so that a reload replaces both. No provider is global.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, format_span_id, format_trace_id
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daypass.issuer import AsyncDaypass
from daypass.opentelemetry import SCHEMA, add_metrics, add_spans
from daypass.server.logs import trace_ids
from daypass.server.observing import OTHER, Routes, method_of
from daypass.tally import BUCKETS, Tally

_PATIENCE = 3.0
"""Seconds that the last export may take when the application ends."""

_VERSION = version("daypass")

Headers = Iterable[tuple[bytes, bytes]]


class Telemetry:
    """Exports the traces and metrics of one issuer.

    The SDK's own variables are in force: ``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_TRACES_SAMPLER``,
    ``OTEL_METRIC_EXPORT_INTERVAL``, ``OTEL_EXPORTER_OTLP_HEADERS``, … and ``OTEL_TRACES_EXPORTER=none`` or
    ``OTEL_METRICS_EXPORTER=none``, which turns one of them off.

    Args:
        auth: the issuer.
        endpoint: the URL of the collector, without ``/v1/traces``.
        process: identifies the process.

    Attributes:
        tracer: makes the spans; None if there are no traces.
    """

    def __init__(self, auth: AsyncDaypass, endpoint: str, process: str) -> None:
        base = endpoint.rstrip("/")
        own = {"service.name": "daypass", "service.version": _VERSION, "service.instance.id": process}
        resource = Resource.create(own).merge(OTELResourceDetector().detect())
        self._ends: list[Callable[[], object]] = []
        self.tracer: Tracer | None = None
        if _is_on("TRACES"):
            tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
            tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces")))
            self._ends.append(tracers.shutdown)
            self.tracer = tracers.get_tracer("daypass", _VERSION, SCHEMA)
            add_spans(auth, self.tracer)
        if _is_on("METRICS"):
            reader = PeriodicExportingMetricReader(_Exporter(f"{base}/v1/metrics", auth.tally))
            meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
            self._ends.append(partial(meters.shutdown, _PATIENCE * 1000))
            add_metrics(auth, meters)

    async def close(self) -> None:
        """Export what is left, and end; a collector that does not answer is not waited for."""
        ended = threading.Event()

        def end() -> None:
            for each in self._ends:
                with suppress(Exception):
                    each()
            ended.set()

        threading.Thread(target=end, name="daypass-telemetry", daemon=True).start()
        until = time.monotonic() + _PATIENCE
        while not ended.is_set() and time.monotonic() < until:  # noqa: ASYNC110 - the thread may outlive this loop
            await asyncio.sleep(0.02)


def _is_on(signal: str) -> bool:
    return os.environ.get(f"OTEL_{signal}_EXPORTER", "").lower() != "none"


# ---- requests


class _HeaderGetter(Getter[Headers]):
    """Reads the headers of an ASGI request."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        name = key.lower().encode()
        return [value.decode("latin-1") for each, value in carrier if each == name] or None

    def keys(self, carrier: Headers) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_HEADERS = _HeaderGetter()


class Tracing:
    """Middleware: a span for each request, in the trace that the request names (``traceparent``).

    It reads no path, query, cookie, body or other header, because they may hold tokens.

    Args:
        app: the application.
        tracer: makes the spans.
        routes: the names of the requests.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer, routes: Routes) -> None:
        self._app = app
        self._tracer = tracer
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within a span."""
        if not self._routes.counts(scope):
            await self._app(scope, receive, send)
            return
        method, route = method_of(scope), self._routes.of(scope["path"])
        known = {} if route == OTHER else {"http.route": route}
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"], **known}
        name = method.replace("_OTHER", "HTTP") + (f" {route}" if known else "")
        with self._tracer.start_as_current_span(
            name,
            extract(scope["headers"], getter=_HEADERS),
            SpanKind.SERVER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            status, context = 500, span.get_span_context()
            token = trace_ids.set((format_trace_id(context.trace_id), format_span_id(context.span_id)))

            async def answer(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await self._app(scope, receive, answer)
            finally:
                trace_ids.reset(token)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_attribute("error.type", str(status))
                    span.set_status(Status(StatusCode.ERROR))


# ---- durations


class _Exporter(OTLPMetricExporter):
    """Adds the durations of requests, which `Tally` has counted already, to what the meters say.

    Args:
        endpoint: where it is sent.
        tally: the counters.
    """

    def __init__(self, endpoint: str, tally: Tally) -> None:
        super().__init__(endpoint)
        self._tally = tally
        self._since = time.time_ns()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Export metrics."""
        whole = with_durations(metrics_data, self._tally, self._since, time.time_ns())
        return super().export(whole, timeout_millis, **kwargs)


def with_durations(data: MetricsData, tally: Tally, since: int, now: int) -> MetricsData:
    """Return metrics with ``http.server.request.duration``, whose counting began at ``since``; in nanoseconds."""
    points = [
        HistogramDataPoint(
            _attributes(*request),
            since,
            now,
            times.count,
            times.seconds,
            times.buckets,
            BUCKETS,
            *_extremes(times.buckets),
        )
        for request, times in tally.summed(lambda request: request).items()
    ]
    if not points:
        return data
    histogram = Histogram(points, AggregationTemporality.CUMULATIVE)
    metric = Metric("http.server.request.duration", "Duration of HTTP server requests.", "s", histogram)
    resource = data.resource_metrics[0]
    scope = replace(resource.scope_metrics[0], metrics=[*resource.scope_metrics[0].metrics, metric])  # its only one
    return MetricsData([replace(resource, scope_metrics=[scope])])


def _attributes(method: str, route: str, status: int) -> dict[str, str | int]:
    known = {} if route == OTHER else {"http.route": route}
    failed = {"error.type": str(status)} if status >= 500 else {}
    return {"http.request.method": method, "http.response.status_code": status, **known, **failed}


def _extremes(buckets: Sequence[int]) -> tuple[float, float]:
    """Return the bounds of the first and the last bucket that has something: the counters know nothing more exact."""
    used = [number for number, count in enumerate(buckets) if count]
    bounds = (0.0, *BUCKETS, BUCKETS[-1])
    return bounds[used[0]], bounds[used[-1] + 1]
