"""The rotation rule: what a presented refresh token gets. This file holds the whole rule, and nothing else.

No I/O, no clock, no randomness here: `judge` takes the stored position of a session, the presented token, the time and
the grace period, and returns a verdict.

How it works. Of each session the server remembers only the last refresh token *presented*: its generation, its branch,
and when it was first presented (``rotated_at``). Its successor is derived from these three and the refresh key. So
presenting the same token again gives the same successor: a lost response, a second tab or a retry costs nothing and
forks nothing. Only when the successor itself is presented do we know that it arrived; then the session moves on.

A presented token has one of five relations to the stored position (`Relation`), and is presented within the grace
period of the last rotation or after it (`Age`). `TABLE` gives the verdict for each pair:

- *Successor.* The response arrived, so the session advances (*rotate*). But no session rotates twice within the grace
  period (*hold*); otherwise responses still in transit would arrive two generations late.
- *Same.* The response was lost, or two requests came at once: the same successor again (*repeat*). After the grace
  period a new successor is drawn (*branch*) instead. So a token that leaked long ago and its owner's token diverge
  here, and whichever party presents its successor second is detected as *reuse*.
- *Future.* We issued it (its MAC proves that) but the store does not know it: the store lost its last writes. The token
  is proof enough to continue from (*heal*).
- *Past.* Older, or on an abandoned branch. Within the grace period it is a message that was in transit (*stale*); after
  it, no honest client still has it (*reuse*).
- *Long past.* Three generations behind or more. No message is in transit for that long, so it is *reuse* at any time.
  Otherwise a thief who refreshes as often as possible could keep the owner *stale* forever, undetected.

On *hold*, the client gets a new access token, and the same refresh token again if it is the current one (`is_current`).
After a branch there may be an older refresh token that is still usable. If it were returned too, late responses could
keep swapping the two in one cookie jar until one is used and the other is dead. So its holder gets no refresh token and
keeps the one in the jar.

A session may be *bound* to a key: its row has the key's thumbprint. The first check is whether the request proves that
it has this key. A request that does not changes nothing and gets nothing, whatever its token (*unproven*). So a thief
without the key can neither refresh nor disturb the owner.

All of this was found, and is checked, by exhaustive exploration: see ``docs/rotation.md``.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol


class Presented(Protocol):
    """What the rule needs of a presented token; `daypass.refresh_token.RefreshToken` provides it."""

    @property
    def generation(self) -> int: ...  # noqa: D102 - the protocol's docstring describes them all

    @property
    def branch(self) -> bytes: ...  # noqa: D102

    @property
    def parent(self) -> bytes: ...  # noqa: D102


class Position(Protocol):
    """What the rule needs of a stored session; `daypass.session.Session` provides it."""

    @property
    def generation(self) -> int: ...  # noqa: D102

    @property
    def branch(self) -> bytes: ...  # noqa: D102

    @property
    def rotated_at(self) -> int: ...  # noqa: D102

    @property
    def key_thumbprint(self) -> str | None: ...  # noqa: D102


class Relation(StrEnum):
    """The relation of a presented token to the stored position."""

    SUCCESSOR = "successor"
    SAME = "same"
    FUTURE = "future"
    PAST = "past"
    LONG_PAST = "long past"


class Age(StrEnum):
    """Whether a token is presented within the grace period of the last rotation, or after it."""

    WITHIN = "within"
    AFTER = "after"


class Verdict(StrEnum):
    """The verdict on a presented token; the value is the code of the event."""

    ROTATE = "rotated"
    HOLD = "held"
    REPEAT = "repeated"
    BRANCH = "branched"
    HEAL = "healed"
    STALE = "stale"
    REUSE = "reused"
    UNPROVEN = "proof_refused"


ISSUING = frozenset((Verdict.ROTATE, Verdict.HOLD, Verdict.REPEAT, Verdict.BRANCH, Verdict.HEAL))
"""The verdicts that issue new tokens. No other verdict does, even if the table grows."""

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
"""The ``rotated_at`` of a new session: long enough ago that its first refresh is not held."""


def relate(session: Position, token: Presented) -> Relation:
    """Return the relation of ``token`` to the stored position of its session."""
    if token.generation == session.generation + 1 and token.parent == session.branch:
        return Relation.SUCCESSOR
    if token.generation == session.generation and token.branch == session.branch:
        return Relation.SAME
    if token.generation >= session.generation + 2:
        return Relation.FUTURE
    return Relation.LONG_PAST if token.generation <= session.generation - LONG_PAST else Relation.PAST


def is_proven(session: Position, proof: str | None) -> bool:
    """Return whether a request with this ``proof`` may use ``session``: any may if the session is not bound."""
    return session.key_thumbprint is None or session.key_thumbprint == proof


def judge(session: Position, token: Presented, now: int, grace_period: int, proof: str | None = None) -> Verdict:
    """Return the verdict on an authentic ``token`` of a live ``session``.

    Args:
        session: the stored position.
        token: the fields of the presented token; its MAC has been verified.
        now: the time, in milliseconds since the epoch. Clocks of nodes differ: a time before the last rotation counts
            as within the grace period.
        grace_period: in milliseconds; 0 is the strict mode.
        proof: the thumbprint of the key that the request has proven to have, None without a proof.
    """
    if not is_proven(session, proof):
        return Verdict.UNPROVEN
    age = Age.WITHIN if now - session.rotated_at <= grace_period else Age.AFTER
    return TABLE[relate(session, token), age]


def is_current(held: Presented, successor: Presented) -> bool:
    """Return whether a token on *hold* is the current ``successor``, which may be returned again."""
    return held.branch == successor.branch


def position_after(session: Position, token: Presented, verdict: Verdict, now: int) -> tuple[int, bytes, int]:
    """Return the stored position after ``verdict``: generation, branch and ``rotated_at``.

    Do not write a position that is unchanged. After *reuse* the session is revoked, and its position stays.
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
    """The stored positions from which a token rotates, in a form that one conditional write can check.

    A position matches when its generation and branch equal these, its ``rotated_at`` is *before* ``rotated_before``,
    and it has no ``key_thumbprint`` or the one in ``proof``.
    """

    generation: int
    branch: bytes
    rotated_before: int
    proof: str | None = None


def expectation(token: Presented, now: int, grace_period: int, proof: str | None = None) -> Expectation:
    """Return the only positions for which `judge` says *rotate* for ``token``: the same rule, inverted."""
    return Expectation(token.generation - 1, token.parent, now - grace_period, proof)
