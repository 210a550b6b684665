"""OpenTelemetry in the library: what spans and metrics contain, by the SDK's in-memory exporters, and what not."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from daypass import AsyncDaypass, ConfigurationError, Daypass, DaypassError, User
from daypass.errors import CredentialsRejected, StoreUnavailable, TokenReused
from daypass.opentelemetry import instrument
from daypass.stores.memory import MemoryStore
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore
from daypass.testing.clock import Clock

USER = User("user-1", "ada", "ada@example.com")
PASSWORD = "correct horse battery staple"
SECRET = "a master secret that is long enough, and stands nowhere"


class Exported:
    """Providers of the SDK, and what reaches their exporters."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def instrument(self, auth: Any) -> None:
        instrument(auth, tracer_provider=self.tracers, meter_provider=self.meters)

    def spans(self) -> list[ReadableSpan]:
        """Return the spans since the last call, in the order in which they began."""
        found = sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
        self.exporter.clear()
        return found

    def names(self) -> list[str]:
        return [span.name for span in self.spans()]

    def metrics(self) -> dict[tuple[str, str], float]:
        """Return the values by name and label."""
        data = self.reader.get_metrics_data()
        assert data is not None
        found = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.data.data_points:
                labels = dict(point.attributes or {})
                label = labels.get("daypass.event.code") or labels.get("daypass.key.kind", "")
                found[metric.name, str(label)] = point.value  # type: ignore[union-attr]  # none is a histogram
        return found


@pytest.fixture
def exported() -> Iterator[Exported]:
    made = Exported()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


def check(_: str, password: str) -> User | None:
    return USER if password == PASSWORD else None


def issuer(store: Any, **options: Any) -> Daypass:
    chosen: dict[str, Any] = {"issuer": "https://issuer.example", "secret": SECRET, "load_user": lambda _: USER}
    return Daypass(store, authenticate=check, **chosen | options)


def verdict(span: ReadableSpan) -> object:
    return (span.attributes or {}).get("daypass.verdict")


def test_a_refresh_is_a_span_with_its_verdict_and_its_steps(exported: Exported, tmp_path: Any) -> None:
    """The trip to the store and the application's own functions are spans in it, by the semantic conventions."""
    clock = Clock()
    auth = issuer(SqliteStore(tmp_path / "app.db"), clock=clock)
    exported.instrument(auth)
    tokens = auth.login("ada", PASSWORD)
    assert ["daypass.login", "daypass.authenticate", "store insert"] == exported.names()
    clock.now += 1
    auth.refresh(tokens.refresh_token)
    operation, trip, loading = exported.spans()
    assert ("daypass.refresh", "rotated") == (operation.name, verdict(operation))
    assert tokens.session.id == (operation.attributes or {})["session.id"]
    assert ["daypass.rotated"] == [event.name for event in operation.events]
    assert ("store advance", SpanKind.CLIENT) == (trip.name, trip.kind)
    assert {"db.system.name": "sqlite", "db.operation.name": "advance"} == dict(trip.attributes or {})
    assert "daypass.load_user" == loading.name
    assert {operation.context.span_id} == {each.parent.span_id for each in (trip, loading) if each.parent}
    auth.close()


def test_each_operation_is_one_span(exported: Exported) -> None:
    """A part of an operation is not a separate span; the upkeep has no spans."""
    auth = issuer(MemoryStore())
    exported.instrument(auth)
    with auth:
        tokens = auth.start(USER)
        auth.verify(tokens.access_token)
        auth.confirm(tokens.session.id, amr=["pwd"])
        auth.end_session(USER.subject, tokens.session.id)
        auth.logout(auth.start(USER).refresh_token)
        auth.end_all(USER.subject)
    named = [name for name in exported.names() if name.startswith("daypass.") and name != "daypass.load_user"]
    assert ["login", "confirm", "end_session", "login", "logout", "end_all"] == [
        name.removeprefix("daypass.") for name in named
    ]


def test_a_rejection_is_no_error_and_a_store_that_is_down_is(exported: Exported) -> None:
    """A stolen token and a wrong password are answers, with their verdict; what failed has the status of an error."""

    class Failing(MemoryStore):
        down = False

        def perform(self, step: Any) -> Any:
            if self.down:
                raise StoreUnavailable("the password of the database is hunter2")
            return super().perform(step)

    store, clock = Failing(), Clock()
    auth = issuer(store, clock=clock, grace_period=0)
    exported.instrument(auth)
    tokens = [auth.start(USER)]
    for _ in range(4):
        clock.now += 60_000
        tokens.append(auth.refresh(tokens[-1].refresh_token))
    exported.spans()
    with pytest.raises(TokenReused):
        auth.refresh(tokens[0].refresh_token)
    with pytest.raises(CredentialsRejected):
        auth.login("ada", "wrong")
    store.down = True
    with pytest.raises(StoreUnavailable):
        auth.refresh(tokens[-1].refresh_token)
    operations = [span for span in exported.spans() if span.name in ("daypass.refresh", "daypass.login")]
    assert ["reused", "login_failed", None] == list(map(verdict, operations))
    unset, error = StatusCode.UNSET, StatusCode.ERROR
    assert [("token_reused", unset), ("invalid_credentials", unset), ("temporarily_unavailable", error)] == [
        ((span.attributes or {})["error.type"], span.status.status_code) for span in operations
    ]
    assert "hunter2" not in "".join(span.to_json() for span in operations)


def test_spans_and_metrics_hold_no_token_and_nobodys_name(exported: Exported) -> None:
    """Whatever is asked, and however it ends."""
    auth = issuer(MemoryStore())
    exported.instrument(auth)
    tokens = auth.login("ada", PASSWORD)
    newer = auth.refresh(tokens.refresh_token)
    for wrong in ("dpr_" + "x" * 76, tokens.refresh_token[:-1] + "_"):
        with pytest.raises(DaypassError):
            auth.refresh(wrong)
    auth.logout(newer.refresh_token)
    data = exported.reader.get_metrics_data()
    assert data is not None
    shown = "".join(span.to_json() for span in exported.spans()) + data.to_json()
    secrets = [PASSWORD, SECRET, USER.subject, "ada", tokens.refresh_token, newer.refresh_token]
    secrets += tokens.access_token.split(".") + newer.access_token.split(".")
    assert [] == [secret for secret in secrets if secret in shown]


def test_an_async_refresh_belongs_to_its_request(exported: Exported, tmp_path: Any) -> None:
    """Parallel requests have one trace each, which continues the caller's; cancelling one loses no span."""

    async def use() -> None:
        auth = AsyncDaypass(
            AsyncSqliteStore(tmp_path / "app.db"),
            issuer="https://issuer.example",
            secret=SECRET,
            load_user=lambda _: USER,
        )
        exported.instrument(auth)
        tokens = [await auth.start(USER) for _ in range(8)]
        exported.spans()
        tracer = exported.tracers.get_tracer("test")

        async def request(number: int) -> None:
            with tracer.start_as_current_span(f"request {number}"):
                await auth.refresh(tokens[number].refresh_token)

        asked = [asyncio.create_task(request(number)) for number in range(8)]
        await asyncio.sleep(0)
        asked[0].cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        while auth.tally.events["rotated"] < 8:  # noqa: ASYNC110 - nothing signals the end of a cancelled refresh
            await asyncio.sleep(0.001)
        assert not get_current_span().get_span_context().is_valid
        await auth.close()

    asyncio.run(use())
    spans = exported.spans()
    roots = {span.context.trace_id: span.name for span in spans if span.parent is None}
    assert 8 == len(roots)
    for trace_id in roots:
        own = [span.name for span in spans if span.context.trace_id == trace_id]
        assert ["daypass.refresh", "store advance", "daypass.load_user"] == own[1:]


def test_metrics_are_the_counts_that_the_process_has_anyway(exported: Exported) -> None:
    """Read when they are collected: events before `instrument` too, the age of the keys, what the trail lost."""
    clock = Clock()
    auth = issuer(MemoryStore(), clock=clock, audit_ttl="1d")
    tokens = auth.start(USER)
    exported.instrument(auth)
    clock.now += 60_000
    auth.refresh(tokens.refresh_token)
    auth.tally.clock_difference = 1500
    found = exported.metrics()
    assert (1, 1) == (found["daypass.events", "started"], found["daypass.events", "rotated"])
    assert (60, 60) == (found["daypass.key.age", "signing"], found["daypass.key.age", "refresh"])
    assert (0, 1.5) == (found["daypass.audit.lost", ""], found["daypass.clock.difference", ""])


def test_issuers_of_one_process_have_separate_metrics(exported: Exported) -> None:
    """Each has its own values, under its own name; a closed one is not read any more."""
    issuers = [issuer(MemoryStore(), issuer=f"https://{name}.example") for name in ("a", "b")]
    for auth in issuers:
        exported.instrument(auth)
        auth.start(USER)

    def names() -> list[str]:
        data = exported.reader.get_metrics_data()
        assert data is not None
        (events,) = (
            each for each in data.resource_metrics[0].scope_metrics[0].metrics if each.name == "daypass.events"
        )
        started = [each for each in events.data.data_points if "started" in (each.attributes or {}).values()]
        return sorted(str((each.attributes or {})["daypass.issuer"]) for each in started)

    assert ["https://a.example", "https://b.example"] == names()
    gone = weakref.ref(issuers.pop())
    del auth
    gc.collect()
    assert gone() is None
    assert ["https://a.example"] == names()


def test_a_trace_that_is_not_sampled_changes_nothing() -> None:
    """The operations work, and nothing is exported."""
    exporter, tracers = InMemorySpanExporter(), TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    auth = issuer(MemoryStore())
    instrument(auth, tracer_provider=tracers)
    assert auth.refresh(auth.start(USER).refresh_token).access_token
    assert () == exporter.get_finished_spans()


def test_instrumenting_twice_or_something_else_is_refused() -> None:
    """The message says what to do."""
    auth = issuer(MemoryStore())
    instrument(auth)
    with pytest.raises(ConfigurationError, match="call instrument once"):
        instrument(auth)
    with pytest.raises(ConfigurationError, match="not a MemoryStore"):
        instrument(MemoryStore())  # type: ignore[arg-type]
