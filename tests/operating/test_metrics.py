"""`/metrics`, JSON logs and request ids of the running service; and that no secret is in any of them."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.processes import PASSWORD, SECRET, Service, add_user, daypass, running

TOKEN = "a token for the metrics, 0123456789".replace(" ", "-")
DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("metrics")
    add_user(made)
    (made / "token").write_text(TOKEN)
    (made / "token").chmod(0o600)
    return made


@pytest.fixture(scope="module")
def written(folder: Path) -> dict[str, str]:
    """Drive the service through what it does, and give all that it wrote or said of itself, by where."""
    options = ("--metrics-token-file", "token", "--log-format", "json", "--grace-period", "0s")
    sent: list[str] = [PASSWORD, SECRET, TOKEN, "a wrong password"]
    with running(*options, folder=folder, given={"DAYPASS_SECRET": SECRET}) as service, service.client() as client:
        sent += drive(service, folder)
        answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        assert 200 == answer.status_code
        service.end()
        metrics, logs = answer.text, service.stderr
    events = daypass("events", "--json", "--since", "1h", "--store", "sqlite:///app.db", folder=folder).stdout
    return {"metrics": metrics, "logs": logs, "events": events, "secrets": "\n".join(sent)}


def drive(service: Service, folder: Path) -> list[str]:
    """Log in, refresh, steal, log out and fail in every way; return the tokens."""
    with service.client() as client:
        first = service.login(client)
        tokens = [first.json()["accessToken"], cookie(client)]
        for _ in range(3):
            tokens += [client.post("/auth/refresh").json()["accessToken"], cookie(client)]
        client.get("/auth/me", headers={"authorization": f"Bearer {tokens[0]}"})
        client.get("/auth/me", headers={"authorization": f"Bearer {tokens[0]}x"})
        client.get(f"/auth/{tokens[1]}?token={tokens[2]}", headers={"x-request-id": "proxy-0001"})
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


def test_a_scrape_counts_what_happened(written: dict[str, str]) -> None:
    """Parsed by Prometheus' own library: events by code, requests by route and status, and how long they took."""
    found = samples(written["metrics"])
    events = {
        code: found.get(("daypass_events_total", code, "")) for code in ("started", "rotated", "reused", "logged_out")
    }
    assert {"started": 2, "rotated": 3, "reused": 1, "logged_out": 1} == events
    assert (2, 1) == tuple(found["daypass_requests_total", "/auth/login", status] for status in ("200", "401"))
    assert found["daypass_requests_total", "other", "404"] >= 1
    assert 4 == found["daypass_request_seconds_count", "/auth/refresh", ""]
    assert 4 == found["daypass_request_seconds_bucket", "/auth/refresh", "+Inf"]
    assert 0 == found["daypass_audit_lost_total", "", ""]


def test_each_request_is_a_line_of_json_with_an_id(written: dict[str, str]) -> None:
    """The id of a proxy is kept, and route names have no part that a client chose."""
    lines = [json.loads(line) for line in written["logs"].splitlines()]
    requests = [line for line in lines if line["logger"] == "daypass.requests"]
    assert ("other", 404) == next(
        (line["route"], line["status"]) for line in requests if line["request_id"] == "proxy-0001"
    )
    assert len(requests) - 1 == len({line["request_id"] for line in requests} - {"proxy-0001"})
    assert {"/auth/login", "/auth/refresh", "/auth/me", "/auth/logout", "other"} == {line["route"] for line in requests}


@pytest.mark.parametrize("place", ["metrics", "logs", "events"])
def test_no_secret_is_written_anywhere(written: dict[str, str], place: str) -> None:
    """No token, part of one, password or secret is in the metrics, the logs or the audit trail."""
    secrets = written["secrets"].splitlines()
    parts = [part for secret in secrets for part in secret.split(".") if len(part) > 12]
    assert len(parts) > 20
    assert written[place]
    assert [] == [part for part in parts if part in written[place]]


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


def test_rules_and_dashboard_ask_for_metrics_that_exist(written: dict[str, str]) -> None:
    """Each metric in the alerts and in the dashboard is one that the service has."""
    yaml = pytest.importorskip("yaml")
    rules = yaml.safe_load((DEPLOY / "prometheus" / "daypass.rules.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((DEPLOY / "grafana" / "daypass.json").read_text())
    asked = [rule["expr"] for rule in alerts]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    there = {name for name, _, _ in samples(written["metrics"])} | {"daypass_clock_difference_seconds"}
    assert set() == {name for text in asked for name in re.findall(r"daypass_\w+", text)} - there
    assert all(rule["annotations"]["summary"] and rule["annotations"]["description"] for rule in alerts)
