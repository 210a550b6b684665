"""Other rules that are in use, and the shipping one, in the same small worlds: for the comparison in docs/rotation.md.

Each is written as it is commonly built: a table of used tokens, no *hold*, and a token that the table does not know
is refused like one that was used. Ours is the shipping function.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from daypass import refresh_token
from daypass.refresh_token import RefreshToken
from daypass.rotation import Age, Position, Presented, Relation, Verdict, relate

from .explorer import Limits, Result, explore
from .promises import HONEST, THEFT, THEFT_APART, Promise, jar_goes_on, nobody_is_logged_out
from .variants import with_verdicts
from .world import SHIPPING, TICK, Apart, Kind, Move, Rule, Settings, State, Step, World

_AS_USUAL = {(relation, age): Verdict.REUSE for relation in Relation for age in Age} | {
    (Relation.SUCCESSOR, age): Verdict.ROTATE for age in Age
}


def _last_child_wins() -> Rule:
    """Return the rule by which only the child that was drawn last may be used: the others are dead."""
    forks = DESIGNS["grace that forks"].judge

    def judge(session: Position, token: Presented, now: int, grace_period: int) -> Verdict:
        if relate(session, token) is Relation.SUCCESSOR:
            assert isinstance(token, RefreshToken)
            last = refresh_token.successor(token.secret, session)
            return Verdict.ROTATE if token.branch == last.branch else Verdict.REUSE
        return forks(session, token, now, grace_period)

    return Rule(judge, None)


DESIGNS: dict[str, Rule] = {
    "strict single use": with_verdicts(_AS_USUAL),
    "grace that forks": with_verdicts(_AS_USUAL | {(Relation.SAME, Age.WITHIN): Verdict.BRANCH}),
    "grace without bound": with_verdicts(_AS_USUAL | {(Relation.SAME, age): Verdict.REPEAT for age in Age}),
}
DESIGNS["last child wins"] = _last_child_wins()
DESIGNS["Daypass"] = SHIPPING


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


def jar_is_good_at_rest(world: World, before: State, step: Step, after: State) -> str | None:
    """When nothing is under way, the jar's token is good; see `jar_goes_on`."""
    return None if after.net else jar_goes_on(world, world.start, step, after)


@dataclass(frozen=True, slots=True)
class Situation:
    """What happens to the users of a design, and what they expect of it."""

    settings: Settings
    promises: Sequence[Promise]
    kind: type[World] = World


_ONE = Settings(delay=1, grace=3, room=1, patient=True)
_TWO = Settings(delay=1, grace=3, room=2)
_AT_REST = (nobody_is_logged_out, jar_is_good_at_rest)

SITUATIONS: dict[str, Situation] = {
    "lost answer": Situation(_ONE, HONEST),
    "two tabs": Situation(_TWO, _AT_REST, InOrder),
    "late answer": Situation(_TWO, (jar_is_good_at_rest,), NothingLost),
    "lost writes": Situation(replace(_ONE, lost_writes=1), _AT_REST, NothingLost),
    "thief within W": Situation(Settings(delay=1, grace=3, thief=True), THEFT),
    "thief": Situation(Settings(delay=1, grace=3, thief=True, apart=Apart.ALL), THEFT_APART),
}


def explored(design: str, situation: str) -> Result:
    """Return what the explorer finds for a design in a situation."""
    where = SITUATIONS[situation]
    return explore(where.kind(where.settings, DESIGNS[design]), where.promises, Limits(seconds=60))
