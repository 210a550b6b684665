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
    """Add a new session."""

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


# ---- signing keys


@dataclass(frozen=True, slots=True)
class ReadKeys(StoreStep[tuple[KeyRecord, ...]]):
    """Read the signing keys, newest first."""


@dataclass(frozen=True, slots=True)
class AddFirstKey(StoreStep[None]):
    """Add a signing key, unless the store has one of that algorithm: of many nodes that start at once, one succeeds."""

    record: KeyRecord


@dataclass(frozen=True, slots=True)
class Rewrap(StoreStep[None]):
    """Replace what a signing key is wrapped in, if that is still ``old``."""

    kid: str
    old: str = field(repr=False)
    new: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Probe(StoreStep[None]):
    """Write something that changes nothing: what cannot be written, or read, raises."""


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
class Authenticate(Step[User | None]):
    """Ask the application who has these credentials, by a function of the name (or address) and the password."""

    check: Callable[[str, str], Any]
    identifier: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoadUser(Step[User | None]):
    """Ask the application for its user."""

    subject: str


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
    """Ask for the signing keys."""
