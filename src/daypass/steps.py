"""What a flow may ask for, as data: of the store, of the application, of the issuer's keys.

A flow says ``answer = yield from Find(session_id)`` and whoever drives it gives the answer. A store performs the store
steps; each is atomic, by itself, against all others from any process.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from daypass.access_token import AccessToken
from daypass.keys import KeyRecord, KeyRing
from daypass.model import Account, EndReason, Event, Session, User
from daypass.rotation import Expectation

A = TypeVar("A")
Flow = Generator["Step[Any]", Any, A]


class Step(Generic[A]):
    """A question that is answered with an ``A``."""

    __slots__ = ()

    def __iter__(self) -> Generator["Step[A]", A, A]:
        """Ask, by ``yield from``."""
        return (yield self)


class StoreStep(Step[A]):
    """A step that a store performs, atomically."""

    __slots__ = ()


# ---- sessions


@dataclass(frozen=True, slots=True)
class Insert(StoreStep[None]):
    """Add a new session; one that is there already stays as it is."""

    session: Session


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

    It moves to ``generation`` and ``branch`` with ``rotated_at = now``, and its expiry to the earlier of
    ``now + idle_ttl`` and ``created_at + absolute_ttl``; all in milliseconds.
    """

    session_id: str
    expected: Expectation
    generation: int
    branch: bytes = field(repr=False)
    now: int
    idle_ttl: int
    absolute_ttl: int

    def moved(self, session: Session) -> Session | None:
        """Return ``session`` as it is once it was moved on, None when it does not stand where it is expected."""
        expected, end = self.expected, session.created_at + self.absolute_ttl
        stands = (session.generation, session.branch) == (expected.generation, expected.branch)
        if not stands or session.rotated_at >= expected.rotated_before or not session.is_live(self.now):
            return None
        if self.now >= end:
            return None
        expires_at = min(self.now + self.idle_ttl, end)
        return replace(
            session, generation=self.generation, branch=self.branch, rotated_at=self.now, expires_at=expires_at
        )


@dataclass(frozen=True, slots=True)
class Swap(StoreStep[bool]):
    """Replace ``old`` by ``new`` if generation, branch and ``rotated_at`` are still ``old``'s and it is not ended.

    The position, the expiry and the ending are replaced; True when they were.
    """

    old: Session
    new: Session


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


@dataclass(frozen=True, slots=True)
class EndAll(StoreStep[tuple[str, ...]]):
    """End all of a user's live sessions save ``keep``; answered with the ids of those ended by this step."""

    subject: str
    at: int
    reason: EndReason
    keep: str | None = None


@dataclass(frozen=True, slots=True)
class ListSessions(StoreStep[tuple[Session, ...]]):
    """List a user's sessions that are live at ``now``, the newest login first."""

    subject: str
    now: int


# ---- what ended, what is over


@dataclass(frozen=True, slots=True)
class Ending:
    """That a session was ended, and when: milliseconds since the epoch."""

    session_id: str
    ended_at: int


@dataclass(frozen=True, slots=True)
class ReadEndings(StoreStep[tuple[Ending, ...]]):
    """Read which sessions were ended after ``since``, by whomever, in any order."""

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
    is swept twice, or half, does no harm. A session is over by the predicate `is_over`.

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


# ---- keys


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
    """Write something that changes nothing: what cannot be written, or read, raises."""


@dataclass(frozen=True, slots=True)
class Migrate(StoreStep[int]):
    """Make what the store needs, or bring it up to date; any number of nodes may do so at once, and again.

    Answered with the version of its schema from now on; 0 for a store that has none.
    """


# ---- built-in users


@dataclass(frozen=True, slots=True)
class AddAccount(StoreStep[bool]):
    """Add a user; False, and nothing is changed, when the address or the name is taken."""

    account: Account


@dataclass(frozen=True, slots=True)
class FindAccount(StoreStep[Account | None]):
    """Find a user by address or name, whatever its case."""

    identifier: str


@dataclass(frozen=True, slots=True)
class LoadAccount(StoreStep[Account | None]):
    """Find a user by subject."""

    subject: str


@dataclass(frozen=True, slots=True)
class SetPasswordHash(StoreStep[None]):
    """Replace a user's password hash."""

    subject: str
    password_hash: str = field(repr=False)


# ---- of the application and the issuer


@dataclass(frozen=True, slots=True)
class Now(Step[int]):
    """Ask for the time: milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Subscribe(Step[bool]):
    """Begin to listen to what the store announces; False for one that does not.

    Raises:
        StoreError: it cannot be listened to now.
    """


@dataclass(frozen=True, slots=True)
class Listen(Step[bool]):
    """Wait until the store announces something, or for ``span`` milliseconds; where it is not listened to, just that.

    Raises:
        StoreError: it can no longer be listened to.
    """

    span: int


@dataclass(frozen=True, slots=True)
class Authenticate(Step[User | None]):
    """Ask the application who has these credentials, by a function of the name (or address) and the password."""

    check: Callable[[str, str], Any]
    identifier: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Count(Step[int]):
    """Ask whoever counts requests; answered with how many milliseconds there may be none more, 0 when there may be one.

    Attributes:
        ask: asks, with ``key``, ``rate`` and ``now``.
        key: what is counted.
        rate: how often it may be.
        now: milliseconds since the epoch.
        waits: whether it has to be waited for, which an event loop does in a thread.
    """

    ask: Callable[[str, Any, int], int]
    key: str
    rate: Any
    now: int
    waits: bool


@dataclass(frozen=True, slots=True)
class LoadUser(Step[User | None]):
    """Ask the application for its user."""

    subject: str


@dataclass(frozen=True, slots=True)
class Ask(Step[Any]):
    """Ask the application by a function of its own, of one text; whoever asks sees to it that the answer will do.

    The function may be async, and is called in a thread when it is not, as in `Authenticate`.

    Attributes:
        name: what the function is called, in an error.
        function: is asked.
        text: what it is asked about.
    """

    name: str
    function: Callable[[str], Any]
    text: str


@dataclass(frozen=True, slots=True)
class Verify(Step[AccessToken]):
    """Ask what an access token says; the answer may be one of the errors of `daypass.Daypass.verify`."""

    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Emit(Step[None]):
    """Tell what happened."""

    event: Event


@dataclass(frozen=True, slots=True)
class Keys(Step[KeyRing]):
    """Ask for the keys; ``anew`` when one of them is missing, which may have been added since they were read.

    Answered with the same ring as before when they were read but a moment ago.
    """

    anew: bool = False
