"""The rotation rule keeps its promises in every interleaving of small worlds; `promises` has the exact statements."""

from collections import Counter
from dataclasses import replace

import pytest

from daypass.rotation import TABLE, Expectation, Presented, Relation, Verdict, expectation

from .explorer import Case, Limits, Result, Search, explore
from .promises import found_after, promises_of
from .world import SHIPPING, TICK, Apart, RuleContradictsItself, Settings, State, World
from .worlds import QUICK, TABS, THIEF

_RESULTS: dict[str, Result] = {}


def _explored(name: str) -> Result:
    """Return what there is in a world of `QUICK`, explored once for all tests."""
    if name not in _RESULTS:
        world = World(QUICK[name])
        _RESULTS[name] = explore(world, promises_of(world))
    return _RESULTS[name]


@pytest.mark.parametrize("name", QUICK)
def test_no_trace_breaks_a_promise(name: str) -> None:
    """Every state that can be reached was seen, whatever the length of the trace, and no promise is broken in any."""
    result = _explored(name)

    assert result.broken is None, str(result)
    assert result.finished


def test_every_row_of_the_table_is_met() -> None:
    """The explorer has been everywhere: each row of the table decides something, and nothing else decides."""
    met: Counter[Case] = Counter()
    for name in QUICK:
        met.update(_explored(name).cases)

    with_key = {each for each in met if each[-1] is not Verdict.UNPROVEN}
    assert {(*case, verdict) for case, verdict in TABLE.items()} == with_key


def test_a_thief_without_the_key_tries_every_relation() -> None:
    """In the world of a bound session the thief presents tokens of each relation, within and after the grace period."""
    tried = {case[:2] for case in _explored("bound to a key, thief without it").cases if case[-1] is Verdict.UNPROVEN}

    assert {case for case in TABLE if case[0] is not Relation.FUTURE} == tried


@pytest.mark.parametrize(
    ("settings", "bound"),
    [
        (Settings(delay=1), 3),
        (Settings(delay=2), 6),
        (Settings(delay=3), 9),
        (Settings(delay=2, slow_nodes=True), 6),
        (Settings(delay=2, skew=1), 7),
        (Settings(delay=2, skew=2), 8),
        (Settings(delay=3, skew=1), 10),
        (Settings(delay=2, round_trip=False), 8),
        (Settings(delay=3, round_trip=False), 12),
        (Settings(delay=1, round_trip=False, slow_nodes=True), 5),
        (Settings(delay=2, round_trip=False, slow_nodes=True), 10),
    ],
)
def test_the_exact_bound(settings: Settings, bound: int) -> None:
    """W has to be three times the longest round trip, plus the clock skew, and not less, whatever a tick is.

    If an answer has a separate D it is four times, and five times if nodes are slow as well. Two ticks less break it:
    in the trace a branch comes one tick after a repetition, and a rotation one tick more than W after the branch.
    """
    enough = World(replace(settings, grace=bound - 1))
    too_short = World(replace(settings, grace=bound - 2))

    assert explore(enough, promises_of(enough)).broken is None
    assert explore(too_short, promises_of(too_short)).broken is not None


def test_tabs_that_refresh_while_writes_are_lost_may_be_logged_out() -> None:
    """The limit of promise 3: it is for a client that refreshes one at a time, and does not hold for more tabs."""
    world = World(replace(TABS, lost_writes=3))

    assert explore(world, promises_of(world)).broken is not None


def test_a_thief_who_comes_again_within_the_grace_period_stays() -> None:
    """The limit of promise 2: uses that were apart once do not count when later ones are within W of each other."""
    world = World(replace(THIEF, apart=Apart.FIRST))

    assert explore(world, promises_of(world)).broken == "owner and thief have both been given two new tokens"


@pytest.mark.parametrize("wins", [0, 1, 2])
def test_a_thief_who_never_rests_makes_the_owner_stale_for_a_while(wins: int) -> None:
    """The limit of promise 2: who was left behind and comes within W of a rotation is *stale* at first.

    A thief who refreshes every W is found by the owner's first use after three rotations, and not sooner.
    """
    world = World(THIEF)

    assert explore(world, [found_after(wins)]).broken is not None


# ---- the explorer's own short cuts


class _Plain(World):
    """A world without symmetry: two states are one only if they are equal."""

    def key(self, state: State) -> tuple[object, ...]:
        return state


@pytest.mark.parametrize(
    "settings",
    [
        Settings(delay=1, grace=1, room=2, races=True, slow_nodes=True),
        Settings(delay=1, grace=1, slow_nodes=True, lost_writes=2),
        Settings(delay=1, grace=1, thief=True, hoard=True),
        Settings(delay=1, grace=2, thief=True, apart=Apart.ALL),
    ],
)
def test_symmetry_hides_nothing(settings: Settings) -> None:
    """Merging states that differ only in names and dates reaches the same states as keeping them apart."""
    limits = Limits(depth=9)
    world, plain = World(settings), _Plain(settings)
    folded = Search(world, [])
    folded.run(limits)
    unfolded = Search(plain, [])
    unfolded.run(limits)

    assert {World.key(plain, state) for state in unfolded.states} == {world.key(state) for state in folded.states}
    assert len(folded.states) < len(unfolded.states)


@pytest.mark.parametrize("room", [1, 2, 3])
def test_any_number_of_tabs_contains_each_number(room: int) -> None:
    """Where there is no bound on messages, whatever a bounded number of tabs can make of jar and store is seen."""
    settings = replace(TABS, slow_nodes=False)
    one, many = World(replace(settings, room=room)), World(settings)
    few, all_of_them = Search(one, []), Search(many, [])
    few.run(Limits(seconds=60))
    all_of_them.run(Limits())

    def seen(search: Search) -> set[object]:
        return {search.world.key(state._replace(net=())) for state in search.states}

    assert seen(few) <= seen(all_of_them)


def test_the_conditional_write_and_the_judge_are_compared() -> None:
    """Where the conditional write and `judge` differ on *rotate*, no exploration ends well: they are one rule."""

    def too_early(token: Presented, now: int, grace_period: int) -> Expectation:
        return expectation(token, now, grace_period - TICK)

    world = World(TABS, replace(SHIPPING, expectation=too_early))

    with pytest.raises(RuleContradictsItself):
        explore(world, promises_of(world))
