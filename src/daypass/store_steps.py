"""The steps that a store performs. Each is atomic with respect to all others, from any process."""

from dataclasses import field, replace

from daypass.flow import A, Step
from daypass.keys import KeyRecord
from daypass.rotation import Expectation, is_proven
from daypass.session import NOWHERE, Device, EndReason, Session
from daypass.user import Account
from daypass.value import value


class StoreStep(Step[A]):
    """A step that a store performs, atomically."""

    __slots__ = ()


@value(frozen=True, slots=True)
class Insert(StoreStep[None]):
    """Add a new session; if it exists already, leave it as it is."""

    session: Session


@value(frozen=True, slots=True)
class Admitted:
    """The answer to `Admit`.

    Attributes:
        inserted: whether the session was added.
        surplus: ids of the oldest live sessions, those above the limit; the caller ends them.
        known_device: whether the user has logged in from this device before, or has no known device yet.
    """

    inserted: bool
    surplus: tuple[str, ...] = ()
    known_device: bool = True


UNLIMITED = 2**31 - 1
"""A number of sessions that no user has."""

DEVICES = 32
"""How many devices of a user are remembered, at least; each takes `DEVICE_SIZE` bytes."""

DEVICE_SIZE = 8


@value(frozen=True, slots=True)
class Admit(StoreStep[Admitted]):
    """Add a new session if its user may have one more, and remember its device.

    Concurrent logins of one user are serialized: each sees the others. Without ``evict``, a session is not added if
    ``maximum`` others are live. With ``evict`` it is added, and the answer names the surplus, which the caller ends.

    Attributes:
        session: the new session.
        maximum: how many live sessions the user may have.
        evict: whether the oldest sessions are ended to make room.
        device: `DEVICE_SIZE` bytes that identify the device; empty if there is nothing to remember.
    """

    session: Session
    maximum: int = UNLIMITED
    evict: bool = True
    device: bytes = b""


@value(frozen=True, slots=True)
class Advanced:
    """The answer to `Advance`.

    Attributes:
        session: as it is now; None if it does not exist.
        moved: whether this step moved it.
        rotated_at: when it was rotated before, if this step moved it; otherwise 0.
        account: of its user, if the step has ``with_account`` and the store read it; None otherwise, which says
            nothing of the user.
    """

    session: Session | None
    moved: bool
    rotated_at: int = 0
    account: Account | None = None


@value(frozen=True, slots=True)
class Advance(StoreStep[Advanced]):
    """Move a session on if it is live at ``now`` and its position is ``expected``; otherwise return it. One round trip.

    It moves to ``generation`` and ``branch`` with ``rotated_at = now``; all times are milliseconds. Its expiry becomes
    ``now`` plus the shorter of ``idle_ttl`` and its own idle time, or stays as it was if the step is ``passive``. It is
    never later than ``created_at + absolute_ttl`` or the session's own ``ends_at``. The user agent and the address of
    ``device``, where known, replace those of the session.

    ``with_account`` also reads the built-in user of the session, where the store can do so in the same round trip.
    """

    session_id: str
    expected: Expectation
    generation: int
    branch: bytes = field(repr=False)
    now: int
    idle_ttl: int
    absolute_ttl: int
    passive: bool = False
    device: Device = NOWHERE
    with_account: bool = False

    def moved(self, session: Session) -> Session | None:
        """Return ``session`` after the move; None if its position is not the expected one."""
        expected = self.expected
        stands = (session.generation, session.branch) == (expected.generation, expected.branch)
        stands = stands and is_proven(session, expected.proof)
        if not stands or session.rotated_at >= expected.rotated_before or not session.is_live(self.now):
            return None
        return self.after(session) if self.now < session.created_at + self.absolute_ttl else None

    def after(self, session: Session) -> Session:
        """Return ``session`` after the move."""
        expires_at = next_expiry(session, self.now, self.idle_ttl, self.absolute_ttl, passive=self.passive)
        moved = replace(
            session, generation=self.generation, branch=self.branch, rotated_at=self.now, expires_at=expires_at
        )
        return moved.used_from(self.device)


def next_expiry(session: Session, now: int, idle_ttl: int, absolute_ttl: int, *, passive: bool = False) -> int:
    """Return when a session expires after a refresh at ``now``."""
    idle_ttl = idle_ttl if session.idle_ttl is None else min(idle_ttl, session.idle_ttl)
    idle_end = session.expires_at if passive else now + idle_ttl
    end = session.created_at + absolute_ttl
    return min(idle_end, end if session.ends_at is None else min(end, session.ends_at))


@value(frozen=True, slots=True)
class Swap(StoreStep[bool]):
    """Replace ``old`` by ``new`` if position and ``key_thumbprint`` still match ``old`` and the session has not ended.

    The position is generation, branch and ``rotated_at``. The step replaces the position, the expiry, the ending, the
    user agent and the address; answered with True if it did.
    """

    old: Session
    new: Session


@value(frozen=True, slots=True)
class Amend(StoreStep[bool]):
    """Replace a session's extras by ``new`` if they are still ``old`` and it has not ended; True if it did."""

    session_id: str
    old: str | None = field(repr=False)
    new: str | None = field(repr=False)


@value(frozen=True, slots=True)
class Bind(StoreStep[bool]):
    """Bind a session to a key: write its thumbprint, and the extras ``new``, which hold the key; True if it did.

    It does not if the session is bound already, has ended, or has other extras than ``old``. No step unbinds.
    """

    session_id: str
    key_thumbprint: str
    old: str | None = field(repr=False)
    new: str = field(repr=False)


@value(frozen=True, slots=True)
class Find(StoreStep[Session | None]):
    """Find the session, even if it has ended or expired."""

    session_id: str


@value(frozen=True, slots=True)
class End(StoreStep[Session | None]):
    """End the session, if it has not ended and belongs to ``subject`` (where given).

    With ``needs_proof`` a session that is bound to a key ends only if ``proof`` is that key's thumbprint. Answered with
    the session as this step ended it, None if there was nothing to end.
    """

    session_id: str
    at: int
    reason: EndReason
    subject: str | None = None
    needs_proof: bool = False
    proof: str | None = None


PAGE = 1000
"""How many sessions one `ListSessions` or `EndAll` handles at most, unless the step says otherwise."""


@value(frozen=True, slots=True)
class EndAll(StoreStep[tuple[str, ...]]):
    """End up to ``limit`` of a user's live sessions, all except ``keep``; answered with the ids of those it ended.

    Fewer ids than ``limit`` mean that no live session is left. Otherwise the caller repeats the step.
    """

    subject: str
    at: int
    reason: EndReason
    keep: str | None = None
    limit: int = PAGE


@value(frozen=True, slots=True)
class EndEveryone(StoreStep[None]):
    """End every session of every user that was created at ``at`` or before.

    The store keeps the latest ``at`` that it was given. It need not change the sessions: from now on, every answer
    shows a session with ``created_at <= at`` as ended (`Session.ended_by_all`), and no step moves, swaps, lists or ends
    it. A session that ended before keeps its own ending. `Sweep` may use what is stored.
    """

    at: int


@value(frozen=True, slots=True)
class ListSessions(StoreStep[tuple[Session, ...]]):
    """List up to ``limit`` of a user's sessions that are live at ``now``, the newest login first.

    The order is ``created_at``, then ``id``, both descending. ``after`` is the ``(created_at, id)`` of the last session
    of the page before, None for the first page.
    """

    subject: str
    now: int
    limit: int = PAGE
    after: tuple[int, str] | None = None


@value(frozen=True, slots=True)
class Ending:
    """Which session was ended, and when: milliseconds since the epoch."""

    session_id: str
    ended_at: int


@value(frozen=True, slots=True)
class Endings:
    """The answer to `ReadEndings`.

    Attributes:
        endings: the sessions that were ended one by one, in any order.
        everyone_at: the latest `EndEveryone`, 0 if there was none.
    """

    endings: tuple[Ending, ...]
    everyone_at: int = 0


@value(frozen=True, slots=True)
class ReadEndings(StoreStep[Endings]):
    """Read which sessions were ended after ``since``, and when everyone was last ended (whatever ``since`` is)."""

    since: int


@value(frozen=True, slots=True)
class Swept:
    """The answer to `Sweep`.

    Attributes:
        removed: how many sessions this step removed.
        due_at: when the next batch is due.
        whole: whether this step reached the last of the sessions.
    """

    removed: int
    due_at: int
    whole: bool = False


@value(frozen=True, slots=True)
class Sweep(StoreStep[Swept]):
    """Look at the next few sessions and remove the obsolete ones; the store remembers the place.

    It does nothing if the next batch is not due yet: nodes that share a store share one sweep. It need not be atomic:
    sweeping a batch twice, or half of it, does no harm. `is_over` decides whether a session is removed; `is_forgotten`
    decides about the devices that `Admit` has noted of a user.

    Attributes:
        now: milliseconds since the epoch; decides what is due.
        before: remove what was obsolete by then; earlier than ``now``, because clocks of nodes differ.
        absolute_ttl: how long after its login an ended session is kept, so that late reuse is still detected.
        access_ttl: how long after its end an ended session must at least be readable (`ReadEndings`).
        batch: roughly how many sessions to look at.
        pause: time until the next batch is due.
        rest: time until the next batch is due after the last session was reached.
        regardless: sweep even if no batch is due.
    """

    now: int
    before: int
    absolute_ttl: int
    access_ttl: int
    batch: int
    pause: int
    rest: int
    regardless: bool = False

    def is_over(self, session: Session) -> bool:
        """Return whether ``session`` can be removed without loss."""
        if session.ended_at is None:
            return session.expires_at <= self.before
        return session.created_at + self.absolute_ttl <= self.before

    def is_forgotten(self, seen_at: int) -> bool:
        """Return whether the devices of a user who last logged in at ``seen_at`` are no longer remembered (`Admit`)."""
        return seen_at + self.absolute_ttl <= self.before


@value(frozen=True, slots=True)
class ReadKeys(StoreStep[tuple[KeyRecord, ...]]):
    """Read the keys, newest first."""


@value(frozen=True, slots=True)
class AddKey(StoreStep[None]):
    """Add a key, if ``newest`` is still the newest key of its algorithm; None means that the store has no key.

    If several nodes add one at once, only one succeeds.
    """

    record: KeyRecord
    newest: str | None = None


@value(frozen=True, slots=True)
class RemoveKey(StoreStep[None]):
    """Remove a key; no error if it does not exist."""

    kid: str


@value(frozen=True, slots=True)
class Rewrap(StoreStep[None]):
    """Replace the wrapped form of a key, if it is still ``old``."""

    kid: str
    old: str = field(repr=False)
    new: str = field(repr=False)


@value(frozen=True, slots=True)
class Probe(StoreStep[None]):
    """Read and write a meaningless value; raises if the store cannot do either now."""


@value(frozen=True, slots=True)
class ReadClock(StoreStep[int | None]):
    """Read the store's own clock: milliseconds since the epoch, None for a store without one."""


@value(frozen=True, slots=True)
class Migrate(StoreStep[int]):
    """Create what the store needs, or upgrade it; any number of nodes may do so at once, and again.

    Answered with the version of its schema after this step; 0 for a store without a schema.
    """
