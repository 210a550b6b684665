"""`/metrics`, traces, JSON logs and request ids of the running service; and that no secret is in any of them."""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daypass import ConfigurationError
from daypass.server import settings
from tests.operating.otlp import Collector, attributes
from tests.server.processes import PASSWORD, SECRET, Service, add_user, daypass, running

TOKEN = "a token for the metrics, 0123456789".replace(" ", "-")
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("metrics")
    add_user(made)
    (made / "token").write_text(TOKEN)
    (made / "token").chmod(0o600)
    return made


@dataclass
class Written:
    """What a service wrote or said of itself.

    Attributes:
        places: as text, by where.
        collector: what it exported.
        secrets: each token, password and secret that it was given or gave.
    """

    places: dict[str, str]
    collector: Collector
    secrets: list[str]


@pytest.fixture(scope="module")
def written(folder: Path) -> Written:
    """Drive the service through its operations, and give everything that it wrote."""
    options = ["--metrics-token-file", "token", "--log-format", "json", "--grace-period", "0s"]
    secrets: list[str] = [PASSWORD, SECRET, TOKEN, "a wrong password"]
    given = {"DAYPASS_SECRET": SECRET}
    store = ("--store", "sqlite:///app.db")
    with Collector() as collector:
        options += ["--otlp-endpoint", collector.url]
        with running(*options, folder=folder, given=given) as service, service.client() as client:
            secrets += drive(service, folder)
            answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
            assert 200 == answer.status_code
            assert 0 == service.end()
            places = {"metrics": answer.text, "logs": service.stderr, "telemetry": collector.sent}
    commands = {
        "events": ("events", "--json", "--since", "1h", *store),
        "doctor": ("doctor", *store),
        "store stats": ("store", "stats", *store),
        "store check": ("store", "check", *store),
        "config": ("config", *store),
    }
    for name, command in commands.items():
        done = daypass(*command, folder=folder, given=given)
        places[name] = done.stdout + done.stderr
    return Written(places, collector, secrets)


def drive(service: Service, folder: Path) -> list[str]:
    """Log in, refresh, steal, log out and fail in every way; return the tokens."""
    with service.client() as client:
        first = service.login(client)
        tokens = [first.json()["accessToken"], cookie(client)]
        for _ in range(3):
            tokens += [client.post("/auth/refresh").json()["accessToken"], cookie(client)]
        client.get("/auth/me", headers={"authorization": f"Bearer {tokens[0]}"})
        client.get("/auth/me", headers={"authorization": f"Bearer {tokens[0]}x"})
        client.get(
            f"/auth/{tokens[1]}?token={tokens[2]}",
            headers={"x-request-id": "proxy-0001", "traceparent": TRACEPARENT, "baggage": f"token={tokens[1]}"},
        )
        client.cookies.clear()
        client.post("/auth/refresh", json={"refreshToken": tokens[1]})
        service.login(client, password="a wrong password")
        service.login(client)
        tokens.append(cookie(client))
        client.post("/auth/logout")
    return tokens


def cookie(client: object) -> str:
    return str(next(iter(client.cookies.values())))  # type: ignore[attr-defined]


def samples(text: str) -> dict[tuple[str, str, str], float]:
    """Return the samples of a scrape by name, code or route, and status."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            key = (
                sample.name,
                labels.get("code") or labels.get("route", ""),
                labels.get("status") or labels.get("le", ""),
            )
            found[key] = sample.value
    return found


def test_a_scrape_counts_what_happened(written: Written) -> None:
    """Parsed by Prometheus' own library: events by code, requests by route and status, and how long they took."""
    found = samples(written.places["metrics"])
    events = {
        code: found.get(("daypass_events_total", code, "")) for code in ("started", "rotated", "reused", "logged_out")
    }
    assert {"started": 2, "rotated": 3, "reused": 1, "logged_out": 1} == events
    assert (2, 1) == tuple(found["daypass_requests_total", "/auth/login", status] for status in ("200", "401"))
    assert found["daypass_requests_total", "other", "404"] >= 1
    assert 4 == found["daypass_request_seconds_count", "/auth/refresh", ""]
    assert 4 == found["daypass_request_seconds_bucket", "/auth/refresh", "+Inf"]
    assert 0 == found["daypass_audit_lost_total", "", ""]


def test_each_request_is_a_line_of_json_with_an_id(written: Written) -> None:
    """The id of a proxy is kept, and route names have no part that a client chose."""
    lines = [json.loads(line) for line in written.places["logs"].splitlines()]
    requests = [line for line in lines if line["logger"] == "daypass.requests"]
    assert ("other", 404) == next(
        (line["route"], line["status"]) for line in requests if line["request_id"] == "proxy-0001"
    )
    assert len(requests) - 1 == len({line["request_id"] for line in requests} - {"proxy-0001"})
    assert {"/auth/login", "/auth/refresh", "/auth/me", "/auth/logout", "other"} == {line["route"] for line in requests}


PLACES = ("metrics", "logs", "telemetry", "events", "doctor", "store stats", "store check", "config")


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_written_anywhere(written: Written, place: str) -> None:
    """No token, part of one, password or secret is in metrics, traces, logs, the audit trail or what commands print."""
    parts = [part for secret in written.secrets for part in secret.split(".") if len(part) > 12]
    assert len(parts) > 20
    assert written.places[place]
    assert [] == [part for part in parts if part in written.places[place]]


def spans(written: Written, name: str) -> list[Any]:
    return [span for span in written.collector.spans if span.name == name]


def test_each_request_is_a_trace(written: Written) -> None:
    """The request, its refresh, the trip to the store; with the verdict, the route and the status."""
    request, *others = spans(written, "POST /auth/refresh")
    (refresh,) = (each for each in spans(written, "daypass.refresh") if each.parent_span_id == request.span_id)
    (advance,) = (each for each in spans(written, "store advance") if each.parent_span_id == refresh.span_id)
    assert {request.trace_id} == {refresh.trace_id, advance.trace_id}
    expected = {"http.request.method": "POST", "http.route": "/auth/refresh", "http.response.status_code": 200}
    assert expected == {name: attributes(request)[name] for name in expected}
    assert "rotated" == attributes(refresh)["daypass.verdict"]
    assert "sqlite" == attributes(advance)["db.system.name"]
    assert (3, 401) == (len(others), attributes(others[-1])["http.response.status_code"])
    assert {"daypass", "service.instance.id"} <= {
        written.collector.resource["service.name"],
        *written.collector.resource,
    }


def test_a_trace_goes_on_from_the_request(written: Written) -> None:
    """By the header ``traceparent``; the log lines have the same id."""
    (span,) = (each for each in written.collector.spans if each.trace_id.hex() == TRACE)
    assert ("GET", "b7ad6b7169203331") == (span.name, span.parent_span_id.hex())
    lines = [json.loads(line) for line in written.places["logs"].splitlines()]
    (line,) = (line for line in lines if line.get("request_id") == "proxy-0001")
    assert (TRACE, span.span_id.hex()) == (line["trace_id"], line["span_id"])


def test_both_kinds_of_metrics_are_the_same_counts(written: Written) -> None:
    """Prometheus and OpenTelemetry read one tally: events, requests and their durations."""
    found = samples(written.places["metrics"])
    metrics = {metric.name: metric for metric in written.collector.metrics}
    for point in metrics["daypass.events"].sum.data_points:
        code = str(attributes(point)["daypass.event.code"])
        assert found["daypass_events_total", code, ""] == (point.as_int or point.as_double)
    durations = metrics["http.server.request.duration"].histogram.data_points
    for point in durations:
        labels = attributes(point)
        route, status = str(labels.get("http.route", "other")), str(labels["http.response.status_code"])
        same = [each for each in durations if attributes(each).get("http.route", "other") == route]
        same = [each for each in same if str(attributes(each)["http.response.status_code"]) == status]
        assert found["daypass_requests_total", route, status] == sum(each.count for each in same)
        assert point.count == sum(point.bucket_counts)
    assert {"daypass.key.age", "daypass.audit.lost"} <= metrics.keys()


def test_a_collector_that_is_down_stops_nothing(folder: Path) -> None:
    """Requests are answered, and the service ends in time with status 0."""
    with running("--otlp-endpoint", "http://127.0.0.1:9", folder=folder, given={"DAYPASS_SECRET": SECRET}) as service:
        with service.client() as client:
            assert 200 == service.login(client).status_code
            assert 200 == client.post("/auth/refresh").status_code
        began = time.monotonic()
        assert 0 == service.end()
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("url", "told"),
    [("collector:4318", "invalid URL"), ("http://collector:4317", "the port of OTLP over gRPC")],
)
def test_an_endpoint_that_cannot_work_is_refused(url: str, told: str) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigurationError, match=told):
        settings.read({"otlp_endpoint": url})


def test_metrics_need_the_token(folder: Path) -> None:
    """Without it 401; where none is configured there is no such page; one that is too short is refused."""
    given = {"DAYPASS_SECRET": SECRET}
    with running("--metrics-token-file", "token", folder=folder, given=given) as service, service.client() as client:
        assert [401, 401] == [
            client.get("/metrics", headers=headers).status_code
            for headers in ({}, {"authorization": f"Bearer {TOKEN}x"})
        ]
    with running(folder=folder, given=given) as service, service.client() as client:
        assert 404 == client.get("/metrics").status_code
    (folder / "short").write_text("short")
    (folder / "short").chmod(0o600)
    refused = daypass("serve", "--metrics-token-file", "short", folder=folder)
    assert (1, True) == (refused.returncode, "openssl rand -hex 32" in refused.stderr)


def test_rules_and_dashboard_ask_for_metrics_that_exist(written: Written) -> None:
    """Each metric in the alerts and in the dashboard is one that the service has."""
    yaml = pytest.importorskip("yaml")
    rules = yaml.safe_load((DEPLOY / "prometheus" / "daypass.rules.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((DEPLOY / "grafana" / "daypass.json").read_text())
    asked = [rule["expr"] for rule in alerts]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    there = {name for name, _, _ in samples(written.places["metrics"])} | {"daypass_clock_difference_seconds"}
    assert set() == {name for text in asked for name in re.findall(r"daypass_\w+", text)} - there
    assert all(rule["annotations"]["summary"] and rule["annotations"]["description"] for rule in alerts)
