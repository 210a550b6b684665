"""The steps for operators: the audit trail, the contents of a store, the state of its database; and marks.

A mark is a short text under a key, which is kept for some time. Logins at an OpenID Connect provider need marks, and
so do DPoP proofs that all nodes accept only once.

Not every store needs them: a store that performs them is also an `OperatorStore`.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

from daypass.flow import Step
from daypass.value import value

A = TypeVar("A")

MINUTE_COUNTS = "minute"
"""The code of a record for programs: the counts of one process in one minute."""

MARKS_AT_ONCE = 16
"""How many expired marks one `AddMark` removes at most."""

EXPIRED_ONCE_AT_ONCE = 2 * MARKS_AT_ONCE
"""How many expired marks an `AddMarkOnce` removes at most, if it removes any."""

EVENTS_AT_ONCE = 500
"""How many records one step writes, reads or drops at most."""


class OperatorStep(Step[A]):
    """A step that a store performs for operators."""

    __slots__ = ()


@runtime_checkable
class OperatorStore(Protocol):
    """A store that keeps an audit trail, and reports its own state."""

    def perform_operator(self, step: OperatorStep[A]) -> A:
        """Perform ``step`` and return its answer; raises the errors of `daypass.stores.Store.perform`."""


@runtime_checkable
class AsyncOperatorStore(Protocol):
    """`OperatorStore` for async stores."""

    async def perform_operator(self, step: OperatorStep[A]) -> A:
        """Perform ``step`` and return its answer; raises the errors of `daypass.stores.Store.perform`."""


@value(frozen=True, slots=True)
class AuditRecord:
    """A line of the audit trail. It never holds a token, password or secret.

    Attributes:
        at: when, in milliseconds since the epoch, by the clock of the process.
        id: 16 hexadecimal digits: the process, and the number of the record in that process. So a record that is
            written twice, because the first result was lost, is stored once.
        code: what happened: the value of an `EventCode`; ``dropped`` for lost records, with their number as the reason;
            or `MINUTE_COUNTS`, with JSON as the reason.
        session_id: the session, if known.
        subject: the user, if known.
        reason: why.
        actor: the subject who acted as the user, or the operator who acted on the session.
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


@value(frozen=True, slots=True)
class NoteEvents(OperatorStep[None]):
    """Add records to the audit trail; existing ones stay as they are."""

    records: tuple[AuditRecord, ...]


@value(frozen=True, slots=True)
class ReadEvents(OperatorStep[tuple[AuditRecord, ...]]):
    """Read a part of the audit trail, in the order of ``at`` and ``id``.

    Attributes:
        since: only records from this time on.
        until: only records up to this time.
        codes: only these; empty for all except `MINUTE_COUNTS`.
        subject: only those of this user.
        session_id: only those of this session.
        after: the ``(at, id)`` of the last record of the page before, None for the first page.
        newest_first: the order.
        limit: how many records at most; fewer mean that there are no more.
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
        """Return whether a record matches the filters, whatever page it is on."""
        if not self.since <= record.at <= self.until:
            return False
        if not (record.code in self.codes if self.codes else record.code != MINUTE_COUNTS):
            return False
        mine = self.session_id in (None, record.session_id)
        return mine and self.subject in (None, record.subject)


@value(frozen=True, slots=True)
class DropEvents(OperatorStep[int]):
    """Remove up to `EVENTS_AT_ONCE` old records of the audit trail; answered with how many were removed.

    Attributes:
        before: remove records of events up to this time.
        counts_before: remove records of `MINUTE_COUNTS` up to this time.
    """

    before: int
    counts_before: int

    def drops(self, record: AuditRecord) -> bool:
        """Return whether a record is old enough."""
        return record.at <= self.before or (record.code == MINUTE_COUNTS and record.at <= self.counts_before)


@value(frozen=True, slots=True)
class ReadStats(OperatorStep[Mapping[str, int]]):
    """Count the contents of the store, by name: ``sessions``, ``keys``, ``users``, ``events``. It may take a while."""

    now: int


@value(frozen=True, slots=True)
class ReadSettings(OperatorStep[Mapping[str, str]]):
    """Read the settings and the health of the database; the names are the database's own.

    ``sweep_due_at`` is when the next sweep is due, in milliseconds since the epoch.
    """


@value(frozen=True, slots=True)
class AddMark(OperatorStep[None]):
    """Add a mark; if the key has this value already, only its time changes. Some expired marks are removed.

    Attributes:
        key: what it belongs to: a hash, as hexadecimal digits.
        value: ASCII.
        until: when it expires, in milliseconds since the epoch.
        now: the time.
    """

    key: str
    value: str
    until: int
    now: int


@value(frozen=True, slots=True)
class AddMarkOnce(OperatorStep[bool]):
    """Add a mark unless its key has one; answered with whether it was added. Expired marks count as gone.

    One conditional write: if many nodes add the same mark at the same time, one of them gets True. `ReadMarks` need not
    find such marks. So that expired marks do not pile up, each sixteenth step may remove some. The rest is removed by
    `daypass.store_steps.Sweep`.

    Attributes:
        key: 32 hexadecimal digits, evenly distributed.
        by: what no other caller has: a step that is sent again, because its answer was lost, may be answered with True.
        until: when it expires, in milliseconds since the epoch.
        now: the time.
    """

    key: str
    by: str
    until: int
    now: int

    @property
    def removes_expired(self) -> bool:
        """Whether this step is one of those that remove expired marks: one in sixteen."""
        return self.key.startswith("0")


@value(frozen=True, slots=True)
class InStore(OperatorStep[A]):
    """Ask another store than the issuer's to perform a step.

    Attributes:
        store: an `OperatorStore`, or an `AsyncOperatorStore` for async callers.
        step: the step.
    """

    store: Any
    step: OperatorStep[A]


@value(frozen=True, slots=True)
class ReadMarks(OperatorStep[tuple[str, ...]]):
    """Read the values of a key's marks that have not expired at ``now``, sorted."""

    key: str
    now: int


CHECKED_AT_ONCE = 500
"""How many rows or keys one `Check` looks at, about."""


@value(frozen=True, slots=True)
class Fault:
    """Something in a store that should not be there, or is missing.

    Attributes:
        check: its name, in `daypass.stores.integrity.CHECKS`.
        where: which row, key or object; never a token, password or secret.
    """

    check: str
    where: str


@value(frozen=True, slots=True)
class Checked:
    """The answer to `Check`.

    Attributes:
        faults: what was found in this part.
        looked_at: how many rows, keys or objects there were in it.
        place: where the next part begins; empty after the last one.
    """

    faults: tuple[Fault, ...]
    looked_at: int
    place: str


@value(frozen=True, slots=True)
class Check(OperatorStep[Checked]):
    """Check a part of the store, and change nothing. The store may be in use: look again at what has a fault.

    Attributes:
        now: milliseconds since the epoch.
        place: empty for the first part, then as it was answered.
    """

    now: int
    place: str = ""
