"""The steps that a store performs. Each is atomic, by itself, against all others from any process."""

from dataclasses import dataclass, field, replace

from daypass.flow import A, Step
from daypass.keys import KeyRecord
from daypass.rotation import Expectation, is_proven
from daypass.session import NOWHERE, Device, EndReason, Session


class StoreStep(Step[A]):
    """A step that a store performs, atomically."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Insert(StoreStep[None]):
    """Add a new session; one that is there already stays as it is."""

    session: Session


@dataclass(frozen=True, slots=True)
class Admitted:
    """The answer to `Admit`.

    Attributes:
        inserted: whether the session was added.
        surplus: ids of live sessions that are more than the user may have, without the newest ones; to be ended.
        known_device: whether the user has logged in from this device before, or from none that is known.
    """

    inserted: bool
    surplus: tuple[str, ...] = ()
    known_device: bool = True


UNLIMITED = 2**31 - 1
"""A number of sessions that no user has."""

DEVICES = 32
"""How many devices of a user are remembered, at least; each takes `DEVICE_SIZE` bytes."""

DEVICE_SIZE = 8


@dataclass(frozen=True, slots=True)
class Admit(StoreStep[Admitted]):
    """Add a new session if its user may have one more, and remember the device that it is on.

    Logins of one user that come at once are put in order: none overlooks another. Without ``evict``, a session is not
    added if ``maximum`` others are live. With ``evict`` it is, and the answer names the surplus, which the caller ends.

    Attributes:
        session: the new session.
        maximum: how many live sessions the user may have.
        evict: whether the oldest sessions make room.
        device: `DEVICE_SIZE` bytes that stand for the device; empty if there is nothing to remember.
    """

    session: Session
    maximum: int = UNLIMITED
    evict: bool = True
    device: bytes = b""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The answer to `Advance`.

    Attributes:
        session: as it is now; None when there is none.
        moved: whether this step moved it.
        rotated_at: when it had been rotated before, if this step moved it; else 0.
    """

    session: Session | None
    moved: bool
    rotated_at: int = 0


@dataclass(frozen=True, slots=True)
class Advance(StoreStep[Advanced]):
    """Move a session on that is live at ``now`` and stands at ``expected``, or else find it: in one round trip.

    It moves to ``generation`` and ``branch`` with ``rotated_at = now``; all times are milliseconds. Its expiry becomes
    ``now`` plus the shorter of ``idle_ttl`` and its own, and stays as it was if the step is ``passive``; but it is not
    later than ``created_at + absolute_ttl`` and its own ``ends_at``. The user agent and the address of ``device``
    replace those of the session, where they are known.
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

    def moved(self, session: Session) -> Session | None:
        """Return ``session`` as it is once it was moved on, None when it does not stand where it is expected."""
        expected = self.expected
        stands = (session.generation, session.branch) == (expected.generation, expected.branch)
        stands = stands and is_proven(session, expected.proof)
        if not stands or session.rotated_at >= expected.rotated_before or not session.is_live(self.now):
            return None
        return self.after(session) if self.now < session.created_at + self.absolute_ttl else None

    def after(self, session: Session) -> Session:
        """Return ``session`` as it is once it was moved on."""
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


@dataclass(frozen=True, slots=True)
class Swap(StoreStep[bool]):
    """Replace ``old`` by ``new`` if its position and ``key_thumbprint`` are still ``old``'s and it is not ended.

    The position is generation, branch and ``rotated_at``. It, the expiry, the ending, the user agent and the address
    are replaced; True when they were.
    """

    old: Session
    new: Session


@dataclass(frozen=True, slots=True)
class Amend(StoreStep[bool]):
    """Replace a session's extras by ``new`` if they are still ``old`` and it is not ended; True when they were."""

    session_id: str
    old: str | None = field(repr=False)
    new: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bind(StoreStep[bool]):
    """Bind a session to a key: write its thumbprint, and the extras ``new``, which have the key; True when it was done.

    Not done if the session is bound already, if it is ended, or if its extras are no longer ``old``. No step unbinds.
    """

    session_id: str
    key_thumbprint: str
    old: str | None = field(repr=False)
    new: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Find(StoreStep[Session | None]):
    """Find the session, ended or expired ones too."""

    session_id: str


@dataclass(frozen=True, slots=True)
class End(StoreStep[Session | None]):
    """End the session, if it is not yet ended and belongs to ``subject`` where one is given.

    Answered with the session as ended by this step, None when there was nothing to end.
    """

    session_id: str
    at: int
    reason: EndReason
    subject: str | None = None


PAGE = 1000
"""How many sessions one `ListSessions` or `EndAll` handles at most, unless the step says otherwise."""


@dataclass(frozen=True, slots=True)
class EndAll(StoreStep[tuple[str, ...]]):
    """End up to ``limit`` of a user's live sessions, all except ``keep``; answered with the ids of those it ended.

    Fewer ids than ``limit`` mean that no live session is left. Otherwise the caller repeats the step.
    """

    subject: str
    at: int
    reason: EndReason
    keep: str | None = None
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class EndEveryone(StoreStep[None]):
    """End every session that was created at ``at`` or before, of all users, at once.

    The store keeps the latest ``at`` that it was given. It need not change the sessions: from now on, every answer
    shows a session with ``created_at <= at`` as ended (`Session.ended_by_all`), and no step moves, swaps, lists or ends
    it. A session that had been ended before keeps its own ending. `Sweep` may go by what is stored.
    """

    at: int


@dataclass(frozen=True, slots=True)
class ListSessions(StoreStep[tuple[Session, ...]]):
    """List up to ``limit`` of a user's sessions that are live at ``now``, the newest login first.

    The order is ``created_at``, then ``id``, both descending. ``after`` is the ``(created_at, id)`` of the last session
    of the page before, None for the first page.
    """

    subject: str
    now: int
    limit: int = PAGE
    after: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """That a session was ended, and when: milliseconds since the epoch."""

    session_id: str
    ended_at: int


@dataclass(frozen=True, slots=True)
class Endings:
    """The answer to `ReadEndings`.

    Attributes:
        endings: the sessions that were ended one by one, in any order.
        everyone_at: the latest `EndEveryone`, 0 if there was none.
    """

    endings: tuple[Ending, ...]
    everyone_at: int = 0


@dataclass(frozen=True, slots=True)
class ReadEndings(StoreStep[Endings]):
    """Read which sessions were ended after ``since``, and when everyone was (whatever ``since`` is)."""

    since: int


@dataclass(frozen=True, slots=True)
class Swept:
    """The answer to `Sweep`.

    Attributes:
        removed: how many sessions this step removed.
        due_at: before this time nothing is to be done.
        whole: whether this step has looked at the last of the sessions.
    """

    removed: int
    due_at: int
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Sweep(StoreStep[Swept]):
    """Look at the next few sessions, and remove those of them that are over; the store keeps the place.

    Unless the next batch is not due yet: nodes that share a store share one sweep. It need not be atomic: a batch that
    is swept twice, or half, does no harm. A session is over by the predicate `is_over`; what `Admit` has noted of a
    user goes by `is_forgotten`.

    Attributes:
        now: milliseconds since the epoch; for what is due.
        before: what was over by then is removed; earlier than ``now``, because clocks of nodes differ.
        absolute_ttl: an ended session is remembered for so long after its login, so that late reuse is still known.
        access_ttl: that it was ended has to be read (`ReadEndings`) for so long after its end, at least.
        batch: so many sessions are looked at, or about so many.
        pause: until the next batch is due.
        rest: until the next one is due once all sessions have been looked at.
        regardless: do it whether it is due or not.
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
        """Tell whether nothing is lost with ``session``."""
        if session.ended_at is None:
            return session.expires_at <= self.before
        return session.created_at + self.absolute_ttl <= self.before

    def is_forgotten(self, seen_at: int) -> bool:
        """Tell whether the devices of a user who last logged in at ``seen_at`` are no longer remembered (`Admit`)."""
        return seen_at + self.absolute_ttl <= self.before


@dataclass(frozen=True, slots=True)
class ReadKeys(StoreStep[tuple[KeyRecord, ...]]):
    """Read the keys, newest first."""


@dataclass(frozen=True, slots=True)
class AddKey(StoreStep[None]):
    """Add a key, if ``newest`` is still the newest of its algorithm; None stands for there being none.

    So of many nodes that would add one at once, one does.
    """

    record: KeyRecord
    newest: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveKey(StoreStep[None]):
    """Remove a key; one that is not there is no error."""

    kid: str


@dataclass(frozen=True, slots=True)
class Rewrap(StoreStep[None]):
    """Replace what a key is wrapped in, if that is still ``old``."""

    kid: str
    old: str = field(repr=False)
    new: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Probe(StoreStep[None]):
    """Read and really write something of no meaning; raises if the store cannot do either now."""


@dataclass(frozen=True, slots=True)
class ReadClock(StoreStep[int | None]):
    """Read the store's own clock: milliseconds since the epoch, None for a store that has none."""


@dataclass(frozen=True, slots=True)
class Migrate(StoreStep[int]):
    """Make what the store needs, or bring it up to date; any number of nodes may do so at once, and again.

    Answered with the version of its schema from now on; 0 for a store that has none.
    """
