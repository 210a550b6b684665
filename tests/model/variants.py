"""Rotation rules that are wrong, each in one way: what the explorer has to find out, or it is no explorer."""

from dataclasses import dataclass, replace

from daypass import rotation
from daypass.rotation import ISSUING, TABLE, Age, Position, Presented, Relation, Verdict, relate

from .world import SHIPPING, Held, Rule, Settings
from .worlds import BOUND, LOST_WRITES, TABS, THIEF, THIEF_APART

Case = tuple[Relation, Age]


def with_verdicts(verdicts: dict[Case, Verdict]) -> Rule:
    """Return the shipping rule with other verdicts in some rows of its table."""
    table = {**TABLE, **verdicts}

    def judge(session: Position, token: Presented, now: int, grace_period: int) -> Verdict:
        age = Age.WITHIN if now - session.rotated_at <= grace_period else Age.AFTER
        return table[relate(session, token), age]

    # the conditional write covers one row of the table; for other rows that say *rotate*, a second trip is needed
    rotates = [case for case, verdict in table.items() if verdict is Verdict.ROTATE]
    by_expectation = rotates == [(Relation.SUCCESSOR, Age.AFTER)]
    return Rule(judge, rotation.expectation if by_expectation else None)


def with_verdict(relation: Relation, age: Age, verdict: Verdict) -> Rule:
    """Return the shipping rule with another verdict in one row of its table."""
    return with_verdicts({(relation, age): verdict})


def found_when_behind(generations: int) -> Rule:
    """Return the shipping rule with one more row: a token that many generations behind is always *reuse*."""

    def judge(session: Position, token: Presented, now: int, grace_period: int) -> Verdict:
        if token.generation <= session.generation - generations:
            return Verdict.REUSE
        return rotation.judge(session, token, now, grace_period)

    return replace(SHIPPING, judge=judge)


def without_key_unless(*, issues: bool) -> Rule:
    """Return a rule that checks the proof of a bound session's request too late, or not at all.

    Args:
        issues: whether it gives tokens without a proof; if not, it requires one only where it would give them.
    """

    def unproven(session: Position, token: Presented, now: int, grace_period: int) -> Verdict:
        verdict = rotation.judge(session, token, now, grace_period)
        return Verdict.UNPROVEN if verdict in ISSUING and not issues else verdict

    return replace(SHIPPING, unproven=unproven)


STRICT_SINGLE_USE = with_verdicts({(Relation.SAME, age): Verdict.REUSE for age in Age})
"""What RFC 9700 describes without more: a token that comes a second time is reuse."""

GRACE_WITHOUT_BOUND = with_verdict(Relation.SAME, Age.AFTER, Verdict.REPEAT)
"""The same successor, however late a token comes again."""

NO_HOLD = with_verdict(Relation.SUCCESSOR, Age.WITHIN, Verdict.ROTATE)
"""A session may rotate again at once."""

HOLD_GIVES_THE_TOKEN_AGAIN = replace(SHIPPING, held=Held.THE_TOKEN_AGAIN)
"""*hold* answers with the presented token, so that a late answer puts it back into the jar."""

HOLD_GIVES_THE_NEWEST = replace(with_verdict(Relation.SUCCESSOR, Age.WITHIN, Verdict.REPEAT), held=Held.THE_TOKEN_AGAIN)
"""*hold* answers with the newest of the successors, also to who comes with an older one."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A broken rule, or a grace period that is too short, and what the explorer has to find.

    Attributes:
        name: which rule it is.
        rule: the rule.
        settings: the world in which it breaks.
        breaks: what goes wrong, as the explorer says it.
        steps: how long the shortest trace is.
    """

    name: str
    rule: Rule
    settings: Settings
    breaks: str
    steps: int


_DEAD = "the jar holds a dead token for good"
_NO_NEW = "the jar's token is never exchanged for a new one"
_UNTRUE = "the jar's own token is refused as stale"
_OUT = "an honest user is logged out"
_TWO = "owner and thief have both been given two new tokens"
_LOSER = "the party that was left behind is given a token"
_MISSED = "the party that was left behind came more than W after the last rotation, and is not found"
_STARVED = "the other has rotated 3 times since, and the owner's dead token is only stale"
_SHARED = "both parties are given the same token, more than W apart"


def _row(relation: Relation, age: Age, verdict: Verdict, settings: Settings, breaks: str, steps: int) -> Variant:
    name = f"{relation}, {age}: {verdict.name} for {TABLE[relation, age].name}"
    return Variant(name, with_verdict(relation, age, verdict), settings, breaks, steps)


_SUCCESSOR, _SAME, _FUTURE, _PAST = Relation.SUCCESSOR, Relation.SAME, Relation.FUTURE, Relation.PAST
_LONG_PAST = Relation.LONG_PAST
_WITHIN, _AFTER = Age.WITHIN, Age.AFTER

VARIANTS: tuple[Variant, ...] = (
    Variant("strict single use", STRICT_SINGLE_USE, TABS, _DEAD, 1),
    Variant("grace without bound", GRACE_WITHOUT_BOUND, THIEF, _SHARED, 7),
    Variant("no proof asked", without_key_unless(issues=True), BOUND, "a thief without the key is given a token", 1),
    Variant(
        "proof asked last", without_key_unless(issues=False), BOUND, "a thief without the key changes something", 1
    ),
    Variant("no hold", NO_HOLD, TABS, _DEAD, 6),
    Variant("hold gives the token again", HOLD_GIVES_THE_TOKEN_AGAIN, TABS, _DEAD, 18),
    Variant("hold gives the newest", HOLD_GIVES_THE_NEWEST, TABS, _DEAD, 15),
    Variant("W less than 2 D", SHIPPING, replace(TABS, delay=2, grace=3), _DEAD, 14),
    Variant("W less than 3 D", SHIPPING, replace(TABS, delay=2, grace=4), _DEAD, 17),
    Variant("reuse when one generation behind", found_when_behind(1), TABS, _OUT, 9),
    Variant("reuse when two generations behind", found_when_behind(2), LOST_WRITES, _OUT, 18),
    _row(_SUCCESSOR, _WITHIN, Verdict.ROTATE, TABS, _DEAD, 6),
    _row(_SUCCESSOR, _WITHIN, Verdict.REPEAT, TABS, _DEAD, 15),
    _row(_SUCCESSOR, _WITHIN, Verdict.BRANCH, TABS, _DEAD, 21),
    _row(_SUCCESSOR, _WITHIN, Verdict.HEAL, TABS, _DEAD, 6),
    _row(_SUCCESSOR, _WITHIN, Verdict.STALE, TABS, _UNTRUE, 3),
    _row(_SUCCESSOR, _WITHIN, Verdict.REUSE, TABS, _OUT, 3),
    _row(_SUCCESSOR, _AFTER, Verdict.HOLD, TABS, _NO_NEW, 1),
    _row(_SUCCESSOR, _AFTER, Verdict.REPEAT, TABS, _NO_NEW, 1),
    _row(_SUCCESSOR, _AFTER, Verdict.BRANCH, THIEF_APART, _TWO, 18),
    _row(_SUCCESSOR, _AFTER, Verdict.STALE, TABS, _DEAD, 1),
    _row(_SUCCESSOR, _AFTER, Verdict.REUSE, TABS, _OUT, 1),
    _row(_SAME, _WITHIN, Verdict.ROTATE, TABS, _DEAD, 11),
    _row(_SAME, _WITHIN, Verdict.BRANCH, TABS, _DEAD, 11),
    _row(_SAME, _WITHIN, Verdict.HEAL, TABS, _DEAD, 11),
    _row(_SAME, _WITHIN, Verdict.STALE, TABS, _UNTRUE, 2),
    _row(_SAME, _WITHIN, Verdict.REUSE, TABS, _OUT, 2),
    _row(_SAME, _AFTER, Verdict.HOLD, TABS, _NO_NEW, 1),
    _row(_SAME, _AFTER, Verdict.REPEAT, THIEF, _SHARED, 7),
    _row(_SAME, _AFTER, Verdict.STALE, TABS, _DEAD, 1),
    _row(_SAME, _AFTER, Verdict.REUSE, TABS, _DEAD, 1),
    _row(_FUTURE, _WITHIN, Verdict.REPEAT, LOST_WRITES, _DEAD, 25),
    _row(_FUTURE, _WITHIN, Verdict.STALE, LOST_WRITES, _UNTRUE, 18),
    _row(_FUTURE, _WITHIN, Verdict.REUSE, LOST_WRITES, _OUT, 18),
    _row(_FUTURE, _AFTER, Verdict.HOLD, LOST_WRITES, _NO_NEW, 5),
    _row(_FUTURE, _AFTER, Verdict.REPEAT, LOST_WRITES, _DEAD, 23),
    _row(_FUTURE, _AFTER, Verdict.BRANCH, LOST_WRITES, _DEAD, 10),
    _row(_FUTURE, _AFTER, Verdict.STALE, LOST_WRITES, _DEAD, 5),
    _row(_FUTURE, _AFTER, Verdict.REUSE, LOST_WRITES, _DEAD, 5),
    _row(_PAST, _WITHIN, Verdict.ROTATE, TABS, _DEAD, 12),
    _row(_PAST, _WITHIN, Verdict.HOLD, THIEF, _LOSER, 8),
    _row(_PAST, _WITHIN, Verdict.REPEAT, THIEF, _LOSER, 8),
    _row(_PAST, _WITHIN, Verdict.BRANCH, TABS, _DEAD, 16),
    _row(_PAST, _WITHIN, Verdict.HEAL, TABS, _DEAD, 12),
    _row(_PAST, _WITHIN, Verdict.REUSE, TABS, _OUT, 9),
    _row(_PAST, _AFTER, Verdict.ROTATE, THIEF, _LOSER, 12),
    _row(_PAST, _AFTER, Verdict.HOLD, THIEF, _LOSER, 12),
    _row(_PAST, _AFTER, Verdict.REPEAT, THIEF, _LOSER, 12),
    _row(_PAST, _AFTER, Verdict.BRANCH, THIEF, _LOSER, 12),
    _row(_PAST, _AFTER, Verdict.HEAL, THIEF, _LOSER, 12),
    _row(_PAST, _AFTER, Verdict.STALE, THIEF, _MISSED, 12),
    _row(_LONG_PAST, _WITHIN, Verdict.ROTATE, THIEF, _LOSER, 18),
    _row(_LONG_PAST, _WITHIN, Verdict.HOLD, THIEF, _LOSER, 18),
    _row(_LONG_PAST, _WITHIN, Verdict.REPEAT, THIEF, _LOSER, 18),
    _row(_LONG_PAST, _WITHIN, Verdict.BRANCH, THIEF, _LOSER, 18),
    _row(_LONG_PAST, _WITHIN, Verdict.HEAL, THIEF, _LOSER, 18),
    _row(_LONG_PAST, _WITHIN, Verdict.STALE, THIEF, _STARVED, 23),
    _row(_LONG_PAST, _AFTER, Verdict.ROTATE, THIEF, _LOSER, 22),
    _row(_LONG_PAST, _AFTER, Verdict.HOLD, THIEF, _LOSER, 22),
    _row(_LONG_PAST, _AFTER, Verdict.REPEAT, THIEF, _LOSER, 22),
    _row(_LONG_PAST, _AFTER, Verdict.BRANCH, THIEF, _LOSER, 22),
    _row(_LONG_PAST, _AFTER, Verdict.HEAL, THIEF, _LOSER, 22),
    _row(_LONG_PAST, _AFTER, Verdict.STALE, THIEF, _MISSED, 22),
)
"""Each of them breaks a promise."""

HARMLESS: tuple[tuple[Relation, Age, Verdict], ...] = (
    (_SUCCESSOR, _AFTER, Verdict.HEAL),  # the same by a second trip
    (_SAME, _WITHIN, Verdict.HOLD),  # a lost answer is made good only after W, and a write is needed for it
    (_SAME, _AFTER, Verdict.ROTATE),  # the same under another name
    (_SAME, _AFTER, Verdict.HEAL),  # the same under another name
    (_FUTURE, _WITHIN, Verdict.ROTATE),  # the same under another name
    (_FUTURE, _WITHIN, Verdict.HOLD),  # it heals after W
    (_FUTURE, _WITHIN, Verdict.BRANCH),  # it continues from the older row, and holds for longer
    (_FUTURE, _AFTER, Verdict.ROTATE),  # the same under another name
)
"""What no promise forbids, in any of the worlds; most of it is the same thing under another name."""
