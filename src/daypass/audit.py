"""The audit trail of one process: accepts events at once, and writes them to the store in the background.

A request only appends to a queue. The upkeep writes the queue, many records in one step, about once a second. While the
store is down the records wait. The queue is bounded; lost records are counted, and a record states their number.
"""

import json
import threading
from collections import deque
from collections.abc import Mapping

from daypass.duration import DAY, HOUR, MINUTE, SECOND
from daypass.errors import ConfigurationError, StoreError
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.operator_steps import EVENTS_AT_ONCE, MINUTE_COUNTS, AuditRecord, DropEvents, NoteEvents
from daypass.tally import Tally

DROPPED = "dropped"
"""The code of the record that says how many others were lost."""

WAITING_AT_MOST = 10_000
NOISY_A_SECOND = 50
"""How many records a second there may be of events that anyone can cause without logging in."""

COUNTS_KEPT = 2 * DAY
_DROP_EVERY = 1 * HOUR
_LONGEST_TEXT = 500

_NOT_KEPT = frozenset((EventCode.ROTATED, EventCode.UNAVAILABLE))
"""Too many to be kept, and counted each minute."""

_NOISY = frozenset((EventCode.LOGIN_FAILED, EventCode.REJECTED, EventCode.LIMITED))


class AuditTrail:
    """The queue of records that wait to be written; threads may share it.

    Args:
        kept: how long records are kept, in milliseconds; None if this process removes none.
        tally: the counters of this process; they are written each minute.
        node: a random name of this process, hexadecimal digits.

    Attributes:
        lost: how many records were dropped because too many waited, or came in one second.
    """

    def __init__(self, kept: int | None, tally: Tally, node: str) -> None:
        self._kept = kept
        self._tally = tally
        self.reset(node)

    def reset(self, node: str) -> None:
        """Reset in a forked child, which must not write its parent's records."""
        self._node = node[:8]
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._number = 0
        self._waiting: deque[AuditRecord] = deque()
        self._noisy_since, self._noisy = 0, 0
        self.lost = self._lost_told = 0
        self._counted_at: int | None = None
        self._counts: dict[str, int] = {}
        self._dropped_at = 0

    def add(self, event: Event) -> None:
        """Queue an event, if the audit trail keeps events of its kind."""
        if event.code in _NOT_KEPT:
            return
        with self._lock:
            if event.code in _NOISY and self._is_too_noisy(event.at):
                self.lost += 1
                return
            actor, address = _text(event.actor), _text(event.address)
            self._put(event.at, event.code.value, event.session_id, event.subject, event.reason, actor, address)

    def write(self, now: int) -> Flow[None]:
        """Write the queue and the counts of the last minute; remove old records. Records that fail stay queued."""
        if not self._writing.acquire(blocking=False):  # another thread is writing
            return
        try:
            self._count(now)
            yield from self._write_all(now)
            if self._kept is not None and abs(now - self._dropped_at) >= _DROP_EVERY:
                self._dropped_at = now
                while (yield from DropEvents(now - self._kept, now - COUNTS_KEPT)) == EVENTS_AT_ONCE:
                    pass
        except (StoreError, ConfigurationError):  # the upkeep reports a store that is down
            return
        finally:
            self._writing.release()

    def _write_all(self, now: int) -> Flow[None]:
        while True:
            with self._lock:
                if not self._waiting:  # otherwise it would displace another record
                    self._tell_lost(now)
                batch = tuple(self._waiting)[:EVENTS_AT_ONCE]
            if not batch:
                return
            yield from NoteEvents(batch)
            with self._lock:
                written = {record.id for record in batch}
                while self._waiting and self._waiting[0].id in written:  # others may have been dropped meanwhile
                    self._waiting.popleft()

    def _tell_lost(self, now: int) -> None:
        if self.lost > self._lost_told:
            count, self._lost_told = self.lost - self._lost_told, self.lost
            self._put(now, DROPPED, None, None, str(count), None, None)

    def _count(self, now: int) -> None:
        """Add a record of the counts since the last one, once a minute."""
        if self._counted_at is None:
            self._counted_at, self._counts = now, dict(self._tally.counts())
        elif now - self._counted_at >= MINUTE or now < self._counted_at:
            counts = self._tally.counts()
            since = {name: count - self._counts.get(name, 0) for name, count in counts.items()}
            self._counted_at, self._counts = now, dict(counts)
            content = _json({name: count for name, count in since.items() if count} | self._tally.state())
            with self._lock:
                self._put(now, MINUTE_COUNTS, None, None, content, None, None, longest=10_000)

    def _is_too_noisy(self, at: int) -> bool:
        if abs(at - self._noisy_since) >= SECOND:
            self._noisy_since, self._noisy = at, 0
        self._noisy += 1
        return self._noisy > NOISY_A_SECOND

    def _put(
        self,
        at: int,
        code: str,
        session_id: str | None,
        subject: str | None,
        reason: str | None,
        actor: str | None,
        address: str | None,
        longest: int = _LONGEST_TEXT,
    ) -> None:
        self._number += 1
        record_id = f"{self._node}{self._number:08x}"
        reason = _text(reason, longest)
        self._waiting.append(AuditRecord(at, record_id, code, session_id, _text(subject), reason, actor, address))
        if len(self._waiting) > WAITING_AT_MOST:
            self._waiting.popleft()
            self.lost += 1


def _text(text: str | None, longest: int = _LONGEST_TEXT) -> str | None:
    """Return the text in a form that every database can store: bounded, without NUL and lone surrogates."""
    if text is None:
        return None
    return text[:longest].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))
