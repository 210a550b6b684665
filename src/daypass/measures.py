"""The metrics of an issuer for every exporter: their names, units, and how each is read. No library is needed.

The durations of requests are in `daypass.tally`, because they are a histogram.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from daypass.duration import SECOND
from daypass.issuer.base import Issuer

AnyIssuer = Issuer[Any, Any, Any]
Value = tuple[tuple[str, ...], float]
"""A value of each label, and the number."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric.

    Attributes:
        name: with dots, without ``daypass``.
        unit: of UCUM, as OpenTelemetry has them: ``s``, ``{event}``.
        text: what it is.
        read: yields its values.
        counts: whether it only grows.
        labels: OpenTelemetry's names of its labels, by Prometheus' name.
        of_process: whether it differs between the processes of one service.
    """

    name: str
    unit: str
    text: str
    read: Callable[[AnyIssuer], Iterator[Value]]
    counts: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    of_process: bool = True


def _events(auth: AnyIssuer) -> Iterator[Value]:
    for code, count in dict(auth.tally.events).items():
        yield (str(code),), count


def _audit_lost(auth: AnyIssuer) -> Iterator[Value]:
    yield (), auth.audit_lost


def _key_ages(auth: AnyIssuer) -> Iterator[Value]:
    for kind, age in auth.key_ages().items():
        yield (kind,), age // SECOND


def _clock_difference(auth: AnyIssuer) -> Iterator[Value]:
    if auth.tally.clock_difference is not None:
        yield (), auth.tally.clock_difference / SECOND


MEASURES = (
    Measure("events", "{event}", "Events, by code.", _events, labels={"code": "daypass.event.code"}),
    Measure("audit.lost", "{record}", "Records that are not in the audit trail.", _audit_lost),
    Measure(
        "key.age",
        "s",
        "Age of the key in use.",
        _key_ages,
        counts=False,
        labels={"kind": "daypass.key.kind"},
        of_process=False,
    ),
    Measure("clock.difference", "s", "This machine's clock less the store's.", _clock_difference, counts=False),
)
