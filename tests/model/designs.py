"""Other rules that are in use, and the shipping one, in the same small worlds; and what no rule here promises.

The others are written with one row for each session, like ours. They have no *hold*, and every token is reuse that is
neither the successor nor covered by the design's grace: one that the database does not know, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from daypass import refresh_token
from daypass.refresh_token import RefreshToken
from daypass.rotation import Age, Position, Presented, Relation, Verdict, relate

from .explorer import Result, explore
from .promises import HONEST, THEFT, THEFT_APART, Promise, found_after, jar_goes_on, nobody_is_logged_out
from .variants import Case, with_verdicts
from .world import SHIPPING, TICK, Apart, Kind, Move, Rule, Settings, State, Step, World
from .world import THIEF as THIEF_PARTY
from .worlds import LOST_WRITES, TABS, THIEF

_AS_USUAL: Mapping[Case, Verdict] = {
    (relation, age): Verdict.ROTATE if relation is Relation.SUCCESSOR else Verdict.REUSE
    for relation in Relation
    for age in Age
}


def _with_again(verdicts: dict[Age, Verdict]) -> Rule:
    """Return the usual rule, with these verdicts on the token that was presented last."""
    return with_verdicts({**_AS_USUAL, **{(Relation.SAME, age): verdict for age, verdict in verdicts.items()}})


_STRICT = _with_again({})
_FORKS = _with_again({Age.WITHIN: Verdict.BRANCH})
_WITHOUT_BOUND = _with_again({Age.WITHIN: Verdict.REPEAT, Age.AFTER: Verdict.REPEAT})


def _judge_last_child(session: Position, token: Presented, now: int, grace_period: int) -> Verdict:
    """Judge as grace that forks does, but of the children of a token only the last is good."""
    if relate(session, token) is Relation.SUCCESSOR:
        assert isinstance(token, RefreshToken)
        last = refresh_token.successor(token.secret, session)
        return Verdict.ROTATE if token.branch == last.branch else Verdict.REUSE
    return _FORKS.judge(session, token, now, grace_period)


DESIGNS: Mapping[str, Rule] = MappingProxyType(
    {
        "strict single use": _STRICT,
        "grace that forks": _FORKS,
        "grace without bound": _WITHOUT_BOUND,
        "last child wins": Rule(_judge_last_child, None),
        "Daypass": SHIPPING,
    }
)


class NothingLost(World):
    """A world in which every message arrives, and none twice."""

    def moves(self, state: State) -> Iterator[tuple[Step, State]]:
        due = any(message.deadline < state.now + TICK for message in state.net)
        for step, after in super().moves(state):
            if step.move not in (Move.LOSE, Move.COPY) and not (due and step.move is Move.TICK):
                yield step, after


class InOrder(NothingLost):
    """And each answer arrives before the server does anything else."""

    def moves(self, state: State) -> Iterator[tuple[Step, State]]:
        answered = any(message.kind is Kind.ANSWER for message in state.net)
        for step, after in super().moves(state):
            if not answered or step.move in (Move.SEND, Move.ARRIVE):
                yield step, after


class AtOnce(NothingLost):
    """And each request is served before anything else happens."""

    def moves(self, state: State) -> Iterator[tuple[Step, State]]:
        asked = any(message.kind is Kind.REQUEST for message in state.net)
        for step, after in super().moves(state):
            if not asked or step.move is Move.SERVE:
                yield step, after


def jar_is_good_at_rest(world: World, before: State, step: Step, after: State) -> str | None:
    """When nothing is under way, the jar's token is good: `jar_goes_on` where nothing can be lost."""
    return None if after.net else jar_goes_on(world, world.start, step, after)


@dataclass(frozen=True, slots=True)
class Situation:
    """What happens to the users of a rule, and what they expect."""

    settings: Settings
    promises: Sequence[Promise]
    kind: type[World] = World

    def explored(self, rule: Rule = SHIPPING) -> Result:
        """Return what the explorer finds in it."""
        return explore(self.kind(self.settings, rule), self.promises)


_MANY = 3

_ONE = Settings(delay=1, grace=3, room=1, patient=True)
_TWO = Settings(delay=1, grace=3, room=2)
_AT_REST = (nobody_is_logged_out, jar_is_good_at_rest)

SITUATIONS: Mapping[str, Situation] = MappingProxyType(
    {
        "lost answer": Situation(_ONE, HONEST),
        "two tabs": Situation(_TWO, _AT_REST, InOrder),
        "late answer": Situation(_TWO, _AT_REST, AtOnce),
        "lost writes": Situation(replace(_ONE, lost_writes=1), _AT_REST, NothingLost),
        "thief, at any time": Situation(replace(_ONE, thief=True), THEFT),
        "thief, more than W apart": Situation(replace(_ONE, thief=True, apart=Apart.ALL), THEFT_APART),
    }
)
"""One cause of trouble each. A client that refreshes one at a time, or two tabs; D is one tick and W three."""


def _thief_is_alone(world: World, before: State, step: Step, after: State) -> str | None:
    """Fail when the thief has refreshed alone, again and again."""
    if after.theft is None or after.theft.winner != THIEF_PARTY or after.theft.wins < _MANY:
        return None
    return "the thief goes on, and nothing tells him from the owner"


def _shared(world: World, before: State, step: Step, after: State) -> str | None:
    """Fail when both parties hold a token that was made after the theft."""
    if before.theft is None or step.outcome is None or step.outcome.answer is None:
        return None
    ways = world.ways(before, step.outcome.answer)
    return "owner and thief are given the same token" if ways[step.party] < 0 <= ways[1 - step.party] else None


LIMITS: Mapping[str, Situation] = MappingProxyType(
    {
        "tabs and lost writes": Situation(replace(TABS, lost_writes=1), HONEST),
        "thief within W, once": Situation(THIEF, (_shared,)),
        "thief within W, again and again": Situation(replace(THIEF, apart=Apart.FIRST), THEFT_APART),
        "owner behind a thief, no rotation since": Situation(THIEF, (found_after(0),)),
        "owner behind a thief, one rotation since": Situation(THIEF, (found_after(1),)),
        "owner behind a thief, two rotations since": Situation(THIEF, (found_after(2),)),
        "thief instead of the owner": Situation(THIEF, (_thief_is_alone,)),
        "W = 0, two tabs": Situation(replace(_TWO, grace=0), _AT_REST, InOrder),
        "W = 0, late request": Situation(replace(_TWO, grace=0), _AT_REST, NothingLost),
    }
)
"""What the shipping rule does not promise: in each of them the explorer finds a trace."""

STRICT_MODE: Mapping[str, Situation] = MappingProxyType(
    {
        "lost answer": Situation(replace(_ONE, grace=0), HONEST),
        "lost writes": Situation(replace(LOST_WRITES, grace=0, room=1, slow_nodes=False), HONEST),
        "thief, at any time": Situation(replace(_ONE, grace=0, thief=True), THEFT),
        "thief, more than W apart": Situation(replace(_ONE, grace=0, thief=True, apart=Apart.ALL), THEFT_APART),
    }
)
"""What holds even with a grace period of 0, for a client that refreshes one at a time."""
