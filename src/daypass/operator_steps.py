"""The steps for operators: the audit trail, and what there is in a store and how its database is set up.

They are not part of what every store has to do: a store that performs them is an `OperatorStore` besides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from daypass.flow import Step

A = TypeVar("A")

MINUTE_COUNTS = "minute"
"""The code of a record that no person reads: what one process counted in one minute."""

EVENTS_AT_ONCE = 500
"""How many records one step writes, reads or drops at most."""


class OperatorStep(Step[A]):
    """A step that a store performs for operators."""

    __slots__ = ()


@runtime_checkable
class OperatorStore(Protocol):
    """A store that keeps an audit trail, and tells about itself."""

    def perform_operator(self, step: OperatorStep[A]) -> A:
        """Perform ``step`` and return its answer; raises as `daypass.stores.Store.perform` does."""


@runtime_checkable
class AsyncOperatorStore(Protocol):
    """The same for an async store."""

    async def perform_operator(self, step: OperatorStep[A]) -> A:
        """Perform ``step`` and return its answer; raises as `daypass.stores.Store.perform` does."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A line of the audit trail. No token, password or secret is ever in it.

    Attributes:
        at: when, in milliseconds since the epoch, by the clock of the process.
        id: 16 hexadecimal digits: the process, and the number of the record there. So a record that is written again,
            because nobody knows whether it was written, is there once.
        code: what happened: the value of an `EventCode`; ``dropped`` for records that were lost, whose number is the
            reason; or `MINUTE_COUNTS`, whose reason is JSON.
        session_id: to which session, if one is known.
        subject: whose it is, if known.
        reason: why.
        actor: the subject who acted as the user.
        address: the client's IP address, if known.
    """

    at: int
    id: str
    code: str
    session_id: str | None = None
    subject: str | None = None
    reason: str | None = None
    actor: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class NoteEvents(OperatorStep[None]):
    """Add records to the audit trail; those that are there already stay as they are."""

    records: tuple[AuditRecord, ...]


@dataclass(frozen=True, slots=True)
class ReadEvents(OperatorStep[tuple[AuditRecord, ...]]):
    """Read some of the audit trail, in the order of ``at`` and ``id``.

    Attributes:
        since: records from then on.
        until: records until then.
        codes: only these; empty for all but `MINUTE_COUNTS`.
        subject: only those of this user.
        session_id: only those of this session.
        after: the ``(at, id)`` of the last record of the page before, None for the first page.
        newest_first: the order.
        limit: at most so many; fewer mean that there are no more.
    """

    since: int = 0
    until: int = 2**62
    codes: tuple[str, ...] = ()
    subject: str | None = None
    session_id: str | None = None
    after: tuple[int, str] | None = None
    newest_first: bool = False
    limit: int = EVENTS_AT_ONCE

    def admits(self, record: AuditRecord) -> bool:
        """Tell whether a record is one of those that are asked for, whatever page it is on."""
        if not self.since <= record.at <= self.until:
            return False
        if not (record.code in self.codes if self.codes else record.code != MINUTE_COUNTS):
            return False
        mine = self.session_id in (None, record.session_id)
        return mine and self.subject in (None, record.subject)


@dataclass(frozen=True, slots=True)
class DropEvents(OperatorStep[int]):
    """Remove up to `EVENTS_AT_ONCE` old records of the audit trail; answered with how many were removed.

    Attributes:
        before: records of events until then.
        counts_before: records of `MINUTE_COUNTS` until then.
    """

    before: int
    counts_before: int

    def drops(self, record: AuditRecord) -> bool:
        """Tell whether a record is old enough."""
        return record.at <= self.before or (record.code == MINUTE_COUNTS and record.at <= self.counts_before)


@dataclass(frozen=True, slots=True)
class ReadStats(OperatorStep[Mapping[str, int]]):
    """Count what there is in the store, by name: ``sessions``, ``keys``, ``users``, ``events``. It may take a while."""

    now: int


@dataclass(frozen=True, slots=True)
class ReadSettings(OperatorStep[Mapping[str, str]]):
    """Read how the database is set up and whether it is sound, by name; the names are those of the database.

    ``sweep_due_at`` is when the next sweep is due, in milliseconds since the epoch.
    """
