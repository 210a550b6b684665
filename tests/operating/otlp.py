"""A collector of OpenTelemetry on loopback: receives traces and metrics by OTLP/HTTP, as protobuf, and keeps them."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS: dict[str, Any] = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


class Collector(ThreadingHTTPServer):
    """The collector; use it with ``with``.

    Attributes:
        spans: what has come, as protobuf.
        metrics: the same of metrics, each export.
        sent: all of it as text, with the headers of the requests.
        resource: the attributes of the process that sent it.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.sent = ""
        self.resource: dict[str, object] = {}
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def receive(self, path: str, body: bytes) -> None:
        request = _KINDS[path].FromString(body)
        self.sent += str(request)
        for group in (*getattr(request, "resource_spans", ()), *getattr(request, "resource_metrics", ())):
            self.resource = attributes(group.resource)
            for scope in (*getattr(group, "scope_spans", ()), *getattr(group, "scope_metrics", ())):
                self.spans += getattr(scope, "spans", ())
                self.metrics += getattr(scope, "metrics", ())

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Collector
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.sent += str(self.headers)
        self.server.receive(
            self.path, gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        )
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def attributes(holder: Any) -> dict[str, object]:
    """Return the attributes of a span, a data point or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}
