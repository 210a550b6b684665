"""OpenTelemetry: a span for each login, refresh and logout, and the issuer's counters as metrics.

    from daypass.opentelemetry import instrument

    instrument(auth)

It needs ``opentelemetry-api``. What is exported, and where to, is the application's SDK: ``daypass[opentelemetry]`` has
one. An issuer that is not instrumented imports nothing of it, and runs no other code. Spans and metrics hold no token,
password, secret, name or address.
"""

import re
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, TypeVar

from opentelemetry import metrics, trace
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from daypass import __version__
from daypass.errors import ConfigurationError, DaypassError, StoreError
from daypass.event import Event, EventCode
from daypass.flow import Flow, Step
from daypass.issuer.base import Issuer
from daypass.measures import MEASURES, AnyIssuer, Measure
from daypass.rotation import Verdict
from daypass.steps import Authenticate, Emit, LoadUser
from daypass.store_steps import StoreStep

__all__ = ["instrument"]

A = TypeVar("A")

SCHEMA = "https://opentelemetry.io/schemas/1.37.0"

OPERATIONS = {
    "login": "login",
    "start": "login",
    "impersonate": "impersonate",
    "confirm": "confirm",
    "confirm_by": "confirm",
    "bind": "bind",
    "refresh_text": "refresh",
    "refresh": "refresh",
    "logout_text": "logout",
    "logout": "logout",
    "logout_everywhere": "logout",
    "end_session": "end_session",
    "end_all": "end_all",
    "end_everyone": "end_everyone",
}
"""The flows that get a span, and what it is called; one that is part of another has no span of its own."""

_QUESTIONS: dict[type[Step[Any]], str] = {Authenticate: "daypass.authenticate", LoadUser: "daypass.load_user"}
"""The application's functions that get a span."""

_SYSTEMS = {"Sqlite": "sqlite", "Postgres": "postgresql", "Redis": "redis"}
_VERDICTS = frozenset(
    {*map(EventCode, Verdict), EventCode.REJECTED, EventCode.STARTED, EventCode.LOGIN_FAILED, EventCode.LOGGED_OUT}
)
_WORD = re.compile(r"(?<!^)(?=[A-Z])")

_inside: ContextVar[bool] = ContextVar("daypass_inside_a_span", default=False)
"""Whether a flow with a span is running its own code, not waiting for an answer: another flow is then part of it."""

_observed: "weakref.WeakKeyDictionary[MeterProvider, weakref.WeakSet[AnyIssuer]]" = weakref.WeakKeyDictionary()


def instrument(
    auth: AnyIssuer, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> None:
    """Give an issuer spans and metrics; call it once, at any time.

    Args:
        auth: the `Daypass` or `AsyncDaypass`.
        tracer_provider: where spans go; the global one by default.
        meter_provider: where metrics go; the global one by default.

    Raises:
        ConfigurationError: it is not an issuer, or has spans already; nothing was changed.
    """
    if not isinstance(auth, Issuer):
        raise ConfigurationError(f"instrument needs a Daypass or an AsyncDaypass, not a {type(auth).__name__}")
    if not OPERATIONS.keys().isdisjoint(vars(auth.flows)):
        raise ConfigurationError("this issuer is instrumented already: call instrument once for each issuer")
    add_spans(auth, trace.get_tracer("daypass", __version__, tracer_provider, SCHEMA))
    add_metrics(auth, meter_provider or metrics.get_meter_provider())


def add_spans(auth: AnyIssuer, tracer: Tracer) -> None:
    """Give an issuer spans; `instrument` calls it."""
    tracing = _Tracing(tracer, _system_of(auth.store_type))
    for name, operation in OPERATIONS.items():
        setattr(auth.flows, name, tracing.around(getattr(auth.flows, name), operation))


def _system_of(store: type) -> str | None:
    names = " ".join(each.__name__ for each in store.__mro__)
    return next((system for name, system in _SYSTEMS.items() if name in names), None)


# ---- spans


class _Tracing:
    """Runs flows inside spans. Each step of a flow passes through here, so its span covers the time of its answer.

    No span becomes the current one of its caller: a flow may go on in another task than the one that began it.

    Args:
        tracer: makes the spans.
        system: the database of the store, by the name of the semantic conventions; None for a store without one.
    """

    def __init__(self, tracer: Tracer, system: str | None) -> None:
        self._tracer = tracer
        self._store = {} if system is None else {"db.system.name": system}
        self._kind = SpanKind.INTERNAL if system is None else SpanKind.CLIENT

    def around(self, function: Callable[..., Flow[A]], operation: str) -> Callable[..., Flow[A]]:
        """Return the function whose flows run inside a span."""

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Flow[A]:
            return self._traced(function(*arguments, **named), f"daypass.{operation}")

        return call

    def _traced(self, flow: Flow[A], name: str) -> Flow[A]:
        if _inside.get():
            return (yield from flow)
        with self._span(name, get_current()) as span:
            return (yield from self._watched(flow, span, trace.set_span_in_context(span)))

    def _watched(self, flow: Flow[A], span: Span, parent: Context) -> Flow[A]:
        go_on: Callable[[Any], Step[Any]] = flow.send
        given: Any = None
        while True:
            token = _inside.set(True)
            try:
                step = go_on(given)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
            finally:
                _inside.reset(token)
            if isinstance(step, Emit):
                _note(step.event, span)
            try:
                with self._of(step, parent):
                    go_on, given = flow.send, (yield step)
            except GeneratorExit:
                flow.close()
                raise
            except Exception as error:
                go_on, given = flow.throw, error

    def _of(self, step: Step[Any], parent: Context) -> AbstractContextManager[object]:
        """Return the span of a step; most steps have none."""
        if isinstance(step, StoreStep):
            name = _WORD.sub("_", type(step).__name__).lower()
            return self._span(f"store {name}", parent, self._kind, {**self._store, "db.operation.name": name})
        question = _QUESTIONS.get(type(step))
        return nullcontext() if question is None else self._span(question, parent)

    @contextmanager
    def _span(
        self,
        name: str,
        parent: Context,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: dict[str, str] | None = None,
    ) -> Generator[Span, None, None]:
        span = self._tracer.start_span(name, parent, kind, attributes)
        try:
            yield span
        except Exception as error:  # its text may be the application's, and hold anything
            span.set_attribute("error.type", _type_of(error))
            if isinstance(error, StoreError) or not isinstance(error, DaypassError):
                span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()


def _note(event: Event, span: Span) -> None:
    """Write an event into the span of its operation."""
    if not span.is_recording():
        return
    if event.session_id is not None:
        span.set_attribute("session.id", event.session_id)
    if event.code in _VERDICTS:
        span.set_attribute("daypass.verdict", event.code.value)
    span.add_event(f"daypass.{event.code.value}")


def _type_of(error: Exception) -> str:
    code: str | None = getattr(error, "code", None) if isinstance(error, DaypassError) else None
    return code or type(error).__qualname__


# ---- metrics


def add_metrics(auth: AnyIssuer, provider: MeterProvider) -> None:
    """Read the counters of an issuer whenever metrics are collected; `instrument` calls it."""
    known = _observed.get(provider)
    if known is not None:
        known.add(auth)
        return
    issuers = _observed[provider] = weakref.WeakSet((auth,))
    meter = provider.get_meter("daypass", __version__, SCHEMA)
    for measure in MEASURES:
        create = meter.create_observable_counter if measure.counts else meter.create_observable_gauge
        create(f"daypass.{measure.name}", [partial(_read, issuers, measure)], measure.unit, measure.text)


def _read(
    issuers: "weakref.WeakSet[AnyIssuer]",
    measure: Measure,
    _: CallbackOptions,
) -> Iterator[Observation]:
    for auth in issuers:
        for labels, value in measure.read(auth):
            own = dict(zip(measure.labels.values(), labels, strict=True))
            yield Observation(value, {"daypass.issuer": auth.names.issuer} | own)
