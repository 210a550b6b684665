"""The rotation rule: what a presented refresh token is worth. The whole rule is in this file, and nothing else.

No I/O, no clock, no randomness here: `judge` takes the stored position of a session, the presented token, the time and
the grace period, and returns a verdict.

How it works. The server remembers of a session only the last refresh token *presented*: its generation, its branch,
and when it was first presented (``rotated_at``). What was handed out for it, its successor, is derived from these
three and the refresh key, so the same token presented again is given the same successor: a lost answer, a second tab
and a retry cost nothing and fork nothing. Only when the successor itself is presented do we know that it arrived, and
the session moves on.

A presented token stands in one of five relations to the stored position (`Relation`), and comes within the grace
period of the last rotation or after it (`Age`). `TABLE` gives the verdict for each pair:

- *Successor.* The answer arrived, so the session advances (*rotate*); but no session rotates twice within the grace
  period (*hold*), or else answers that are still under way would find themselves two generations back.
- *Same.* The answer was lost, or two asked at once: the same successor again (*repeat*). After the grace period a new
  successor is drawn (*branch*) instead, so that a token that leaked long ago and its owner's diverge from here, and
  whoever uses his second is found out as *reuse*.
- *Future.* We issued it (its MAC says so) and the store does not remember: it lost its last writes. The token is
  proof enough to go on from (*heal*).
- *Past.* Older, or on a branch that was abandoned. Within the grace period it is a message that was under way
  (*stale*); after it, nobody honest has it any more (*reuse*).
- *Long past.* Three generations behind or more. No message is under way for that long, so it is *reuse* at any time;
  else a thief who refreshes as often as he may would leave the owner *stale* for ever, and never be found.

Who is held gets a new access token, and the same refresh token again if it is the one that anybody would be given now
(`is_current`). After a branch there may be an older one, which may still be used; but if it were given out again, late
answers could go on swapping the two in one jar until one is used and the other is dead. So its holder gets none and
keeps what the jar holds.

A session may be *bound* to a key: its row has the key's thumbprint. Whether a request proves that it has this key is
asked before all else. One that does not changes nothing and gets nothing, whatever its token is (*unproven*): so a
thief without the key neither refreshes nor disturbs the owner.

All of this was found, and is held to, by exhaustive exploration: see ``docs/rotation.md``.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol


class Presented(Protocol):
    """What the rule needs of a presented token; a `daypass.refresh_token.RefreshToken` has it."""

    @property
    def generation(self) -> int: ...  # noqa: D102 - the protocol's docstring tells of them all

    @property
    def branch(self) -> bytes: ...  # noqa: D102

    @property
    def parent(self) -> bytes: ...  # noqa: D102


class Position(Protocol):
    """What the rule needs of a stored session; a `daypass.session.Session` has it."""

    @property
    def generation(self) -> int: ...  # noqa: D102

    @property
    def branch(self) -> bytes: ...  # noqa: D102

    @property
    def rotated_at(self) -> int: ...  # noqa: D102

    @property
    def key_thumbprint(self) -> str | None: ...  # noqa: D102


class Relation(StrEnum):
    """How a presented token stands to the stored position."""

    SUCCESSOR = "successor"
    SAME = "same"
    FUTURE = "future"
    PAST = "past"
    LONG_PAST = "long past"


class Age(StrEnum):
    """Whether a token comes within the grace period of the last rotation, or after it."""

    WITHIN = "within"
    AFTER = "after"


class Verdict(StrEnum):
    """What happens to a presented token; the value is the code of the event."""

    ROTATE = "rotated"
    HOLD = "held"
    REPEAT = "repeated"
    BRANCH = "branched"
    HEAL = "healed"
    STALE = "stale"
    REUSE = "reused"
    UNPROVEN = "proof_refused"


ISSUING = frozenset((Verdict.ROTATE, Verdict.HOLD, Verdict.REPEAT, Verdict.BRANCH, Verdict.HEAL))
"""The verdicts that give new tokens. No other one does, whatever is added to the table."""

TABLE = MappingProxyType(
    {
        (Relation.SUCCESSOR, Age.WITHIN): Verdict.HOLD,
        (Relation.SUCCESSOR, Age.AFTER): Verdict.ROTATE,
        (Relation.SAME, Age.WITHIN): Verdict.REPEAT,
        (Relation.SAME, Age.AFTER): Verdict.BRANCH,
        (Relation.FUTURE, Age.WITHIN): Verdict.HEAL,
        (Relation.FUTURE, Age.AFTER): Verdict.HEAL,
        (Relation.PAST, Age.WITHIN): Verdict.STALE,
        (Relation.PAST, Age.AFTER): Verdict.REUSE,
        (Relation.LONG_PAST, Age.WITHIN): Verdict.REUSE,
        (Relation.LONG_PAST, Age.AFTER): Verdict.REUSE,
    }
)

LONG_PAST = 3
"""So many generations behind, a token is under way no more: fewer would log out honest users (a client whose store
has lost its last writes, with two generations; two tabs, with one)."""

NEVER_ROTATED = 0
"""The ``rotated_at`` of a new session: so long ago that its first refresh is not held back."""


def relate(session: Position, token: Presented) -> Relation:
    """Tell how ``token`` stands to the stored position of its session."""
    if token.generation == session.generation + 1 and token.parent == session.branch:
        return Relation.SUCCESSOR
    if token.generation == session.generation and token.branch == session.branch:
        return Relation.SAME
    if token.generation >= session.generation + 2:
        return Relation.FUTURE
    return Relation.LONG_PAST if token.generation <= session.generation - LONG_PAST else Relation.PAST


def is_proven(session: Position, proof: str | None) -> bool:
    """Tell whether a request with this ``proof`` may do something with ``session``: any may, unless it is bound."""
    return session.key_thumbprint is None or session.key_thumbprint == proof


def judge(session: Position, token: Presented, now: int, grace_period: int, proof: str | None = None) -> Verdict:
    """Return the verdict on an authentic ``token`` of a live ``session``.

    Args:
        session: the stored position.
        token: the fields of the presented token; its MAC has been verified.
        now: the time, in milliseconds since the epoch. Clocks of nodes differ: a time before the last rotation
            counts as within the grace period.
        grace_period: in milliseconds; 0 is the strict mode.
        proof: the thumbprint of the key that the request has proven to have; None for none.
    """
    if not is_proven(session, proof):
        return Verdict.UNPROVEN
    age = Age.WITHIN if now - session.rotated_at <= grace_period else Age.AFTER
    return TABLE[relate(session, token), age]


def is_current(held: Presented, successor: Presented) -> bool:
    """Tell whether a token that is held is the ``successor`` that is given out at present, and may be given again."""
    return held.branch == successor.branch


def position_after(session: Position, token: Presented, verdict: Verdict, now: int) -> tuple[int, bytes, int]:
    """Return the stored position after ``verdict``: generation, branch and ``rotated_at``.

    A position that is unchanged is not to be written. After *reuse* the session is revoked where it stands.
    """
    match verdict:
        case Verdict.ROTATE | Verdict.HEAL:
            return token.generation, token.branch, now
        case Verdict.BRANCH:
            return session.generation, session.branch, now
        case Verdict.HOLD | Verdict.REPEAT | Verdict.STALE | Verdict.REUSE | Verdict.UNPROVEN:
            return session.generation, session.branch, session.rotated_at


@dataclass(frozen=True, slots=True)
class Expectation:
    """The stored positions for which a token rotates, in a form that one conditional write can check.

    A position matches when its generation and branch are these, its ``rotated_at`` is *before* ``rotated_before``, and
    its ``key_thumbprint`` is none or ``proof``.
    """

    generation: int
    branch: bytes
    rotated_before: int
    proof: str | None = None


def expectation(token: Presented, now: int, grace_period: int, proof: str | None = None) -> Expectation:
    """Return the one kind of position from which `judge` says *rotate* for ``token``: the same rule, turned around."""
    return Expectation(token.generation - 1, token.parent, now - grace_period, proof)
