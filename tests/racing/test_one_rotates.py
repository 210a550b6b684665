"""Of many callers with the same token at the same time, one changes the store, and all get the same answer."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from daypass import Session, TokenReused
from daypass.rotation import Age, Relation

from .calls import Given, Outcome, Refresh, W
from .presenters import Tasks, Threads
from .stores import STORES
from .world import World

THREADS, TASKS = 16, 100
ROUNDS = 150


def together(world: World, *tokens: str) -> list[Outcome]:
    """Present the tokens at once, each by as many presenters, spread over all nodes."""
    count = TASKS if isinstance(world.presenters, Tasks) else THREADS
    calls = [Refresh(world.now, number, tokens[number % len(tokens)]) for number in range(count)]
    return world.at_once(*calls)


def codes(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Return how often each event was emitted."""
    return Counter(code for outcome in outcomes for code in outcome.codes)


def one(verdict: str, others: str, outcomes: list[Outcome]) -> None:
    """Assert that one outcome is of this verdict and the rest of the other."""
    assert Counter({verdict: 1, others: len(outcomes) - 1}) == codes(outcomes)


def successor_of(outcomes: list[Outcome]) -> str:
    """Return the one refresh token that all callers got."""
    (given,) = {(outcome.answer.refresh_token, outcome.answer.replaces) for outcome in outcomes}
    assert given[1] is True
    return str(given[0])


@pytest.mark.parametrize("rounds", [8])
def test_exactly_one_rotates(world: World, rounds: int) -> None:
    """At a first refresh and at each one after it, one rotates and all others get the same successor."""
    token = world.start().refresh_token
    for generation in range(1, rounds + 1):
        outcomes = together(world, token)
        one("rotated", "repeated", outcomes)
        token = successor_of(outcomes)
        assert generation == world.row(outcomes[0].answer.session.id).generation
        world.now += W + 1


@pytest.mark.parametrize("store", STORES)
def test_exactly_one_rotates_where_nothing_delays_them(store: str, tmp_path: Path) -> None:
    """Threads that meet in the very same instructions, again and again: one rotates."""
    threads = Threads(store, tmp_path)
    threads.distant = False
    world = World(threads)
    token = world.start().refresh_token
    for _ in range(ROUNDS):
        outcomes = threads.at_once([Refresh(world.now, node, token) for node in range(THREADS)])
        one("rotated", "repeated", outcomes)
        token = successor_of(outcomes)
        world.now += W + 1
    world.close()


def test_within_the_grace_period_nothing_is_written(world: World) -> None:
    """At its very end all who repeat get the same successor still, and all who hold it are held."""
    login = world.start()
    second = world.refresh(login.refresh_token).answer.refresh_token
    row = world.row(login.session.id)
    world.now += W
    outcomes = together(world, login.refresh_token)
    assert {"repeated"} == set(codes(outcomes))
    assert second == successor_of(outcomes)
    outcomes = together(world, second)
    assert {"held"} == set(codes(outcomes))
    assert second == successor_of(outcomes)
    assert row == world.row(login.session.id)


def test_exactly_one_branches(world: World) -> None:
    """One millisecond later one of them branches, and all others get the new successor; the lost one replaces none."""
    login = world.start()
    lost = world.refresh(login.refresh_token).answer.refresh_token
    for _ in range(4):
        world.now += W + 1
        outcomes = together(world, login.refresh_token)
        one("branched", "repeated", outcomes)
        branched = successor_of(outcomes)
        assert branched != lost
        held = together(world, lost)
        assert {"held"} == set(codes(held))
        assert {(lost, False)} == {(outcome.answer.refresh_token, outcome.answer.replaces) for outcome in held}
        lost = branched


def test_of_two_successors_one_wins(world: World) -> None:
    """When the lost successor and the new one come at once, one rotates: its holders go on, the others are stale."""
    login = world.start()
    for _ in range(6):
        lost = world.refresh(login.refresh_token).answer.refresh_token
        world.now += W + 1
        branched = world.refresh(login.refresh_token).answer.refresh_token
        world.now += W + 1
        outcomes = together(world, lost, branched)
        half = len(outcomes) // 2
        assert Counter({"rotated": 1, "repeated": half - 1, "stale": half}) == codes(outcomes)
        served = [outcome for outcome in outcomes if isinstance(outcome.answer, Given)]
        login = Given(successor_of(served), replaces=True, session=served[0].answer.session)
        world.now += W + 1


def test_a_token_and_its_successor_at_once(world: World) -> None:
    """After the grace period one rotates or one branches, whichever comes first: the session continues either way."""
    login = world.start()
    token, following = login.refresh_token, world.refresh(login.refresh_token).answer.refresh_token
    for _ in range(8):
        world.now += W + 1
        told = codes(together(world, token, following))
        assert (1, 0, 0) == (told["rotated"] + told["branched"], told["reused"], told["rejected"])
        assert set(told) in ({"rotated", "repeated", "stale"}, {"branched", "repeated", "held"})
        if told["rotated"]:
            token, following = following, world.refresh(following).answer.refresh_token
        else:
            following = world.refresh(token).answer.refresh_token


def test_exactly_one_heals(world: World) -> None:
    """When the store lost its last writes, one presenter of a token from the future heals, and the rest repeat."""
    login = world.start()
    row = world.row(login.session.id)
    token = login.refresh_token
    for _ in range(3):
        token = world.refresh(token).answer.refresh_token
        world.now += W + 1
    world.roll_back(login.session.id, row)
    outcomes = together(world, token)
    one("healed", "repeated", outcomes)
    assert 4 == world.row(login.session.id).generation


@pytest.mark.parametrize(("later", "expected"), [(0, {"stale"}), (1, {"reused", "rejected"})])
def test_a_branch_of_which_the_store_knows_nothing(world: World, later: int, expected: set[str]) -> None:
    """A token of the right generation with another parent rotates nothing: its branch was abandoned."""
    login = world.start()
    second = world.refresh(login.refresh_token).answer
    world.now += W + 1
    third = world.refresh(second.refresh_token).answer.refresh_token
    world.roll_back(login.session.id, second.session)
    world.now += W + 1
    other = world.refresh(login.refresh_token).answer.refresh_token
    world.now += W + 1
    world.refresh(other)
    world.now += W + later
    assert expected == set(codes(together(world, third)))


@pytest.mark.parametrize("generations", [2, 4])
def test_exactly_one_finds_reuse(world: World, generations: int) -> None:
    """Of all callers with a token that was used long ago, one revokes the session, and all get that error."""
    login = world.start()
    token = login.refresh_token
    for _ in range(generations):
        token = world.refresh(token).answer.refresh_token
        world.now += W + 1
    outcomes = together(world, login.refresh_token)
    one("reused", "rejected", outcomes)
    assert {TokenReused} == {outcome.answer for outcome in outcomes}
    assert {"token_reused"} == {event.reason for each in outcomes for event in each.told if event.code == "rejected"}


def test_a_thief_and_the_owner_at_once(world: World) -> None:
    """When an old token and the newest one come together, the session is revoked, whichever is first."""
    for _ in range(4):
        login = world.start()
        token = login.refresh_token
        for _ in range(3):
            token = world.refresh(token).answer.refresh_token
            world.now += W + 1
        told = codes(together(world, login.refresh_token, token))
        assert 1 == told["reused"]
        assert "reuse" == world.row(login.session.id).end_reason
        assert told["rotated"] <= 1


def test_every_row_of_the_table_is_met(world: World) -> None:
    """Many callers meet each of the rule's ten cases at once: every outcome is the rule's."""

    def started(refreshed: int) -> tuple[list[str], list[Session]]:
        login = world.start()
        tokens, rows = [login.refresh_token], [login.session]
        for _ in range(refreshed):
            world.now += W + 1
            given = world.refresh(tokens[-1]).answer
            tokens.append(given.refresh_token)
            rows.append(given.session)
        return tokens, rows

    def future(tokens: list[str], rows: list[Session]) -> str:
        world.roll_back(rows[0].id, rows[1])
        return tokens[-1]

    cases: dict[Relation, Callable[[list[str], list[Session]], str]] = {
        Relation.SUCCESSOR: lambda tokens, rows: tokens[-1],
        Relation.SAME: lambda tokens, rows: tokens[-2],
        Relation.FUTURE: future,
        Relation.PAST: lambda tokens, rows: tokens[-3],
        Relation.LONG_PAST: lambda tokens, rows: tokens[-5],
    }
    found = {}
    for relation, choose in cases.items():
        for age in Age:
            tokens, rows = started(5)
            token = choose(tokens, rows)
            world.now = world.row(rows[0].id).rotated_at + W + (age is Age.AFTER)
            found[relation, age] = "/".join(sorted(codes(together(world, token))))
    assert {
        (Relation.SUCCESSOR, Age.WITHIN): "held",
        (Relation.SUCCESSOR, Age.AFTER): "repeated/rotated",
        (Relation.SAME, Age.WITHIN): "repeated",
        (Relation.SAME, Age.AFTER): "branched/repeated",
        (Relation.FUTURE, Age.WITHIN): "healed/repeated",
        (Relation.FUTURE, Age.AFTER): "healed/repeated",
        (Relation.PAST, Age.WITHIN): "stale",
        (Relation.PAST, Age.AFTER): "rejected/reused",
        (Relation.LONG_PAST, Age.WITHIN): "rejected/reused",
        (Relation.LONG_PAST, Age.AFTER): "rejected/reused",
    } == found
