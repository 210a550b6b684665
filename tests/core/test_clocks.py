"""A node whose clock is wrong destroys nothing: it compares its clock with the store's, and says so."""

from collections.abc import Callable
from typing import Any

import pytest

from daypass import Daypass, Event, EventCode, StoreUnavailable, TokenExpired, TokenReused, TokenStale, User
from daypass.clock import system_clock
from daypass.clock_check import clock_error
from daypass.duration import DAY, HOUR, MINUTE
from daypass.flow import Step
from daypass.keys import REFRESH
from daypass.steps import StoreClock
from daypass.store_steps import Find, ReadKeys
from daypass.stores.memory import MemoryStore
from daypass.testing import Clock

YEAR = 365 * DAY
W = 30_000


class Node(Daypass):
    """An issuer whose store has a separate clock; the test sets both."""

    store_clock: Callable[[], int | None]

    def _answer(self, step: Step[Any]) -> Any:
        return self.store_clock() if isinstance(step, StoreClock) else super()._answer(step)

    def _begin(self) -> None:
        """Begin no upkeep: a test does it."""

    def turn(self) -> Any:
        """Do what the upkeep does in one turn; return the error that it met."""
        return self.run(self._upkeep._turn(self._clock()))


class World:
    """One store, and nodes whose clocks differ from the store's."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), Clock()
        self.events: list[Event] = []

    def node(self, off: int = 0, *, store_has_clock: bool = True, **options: Any) -> Node:
        node = Node(
            self.store,
            issuer="https://issuer.example",
            load_user=User,
            secret="s" * 32,
            clock=lambda: self.clock.now + off,
            on_event=self.events.append,
            **options,
        )
        node.store_clock = self.clock if store_has_clock else lambda: None
        return node

    def codes(self) -> list[EventCode]:
        return [event.code for event in self.events]


@pytest.fixture
def world() -> World:
    return World()


AHEAD = pytest.mark.parametrize("off", [6 * MINUTE, HOUR, YEAR, 10 * YEAR], ids=lambda off: f"+{off // MINUTE}m")


@AHEAD
def test_a_node_that_is_ahead_sweeps_nothing_and_removes_no_key(world: World, off: int) -> None:
    """It emits one event; a node with the right clock still accepts every session."""
    right, wrong = world.node(), world.node(off)
    sessions = [right.start(User("1")) for _ in range(3)]
    right.rotate_keys()
    before = world.store.perform(ReadKeys())
    for _ in range(5):
        assert wrong.turn() is None
        world.clock.advance(2 * MINUTE)
    with pytest.raises(StoreUnavailable, match="ahead of the store's"):
        wrong.purge()
    with pytest.raises(StoreUnavailable, match="ahead of the store's"):
        wrong.rotate_keys()
    assert before == world.store.perform(ReadKeys())
    assert 1 == world.codes().count(EventCode.CLOCK_OFF)
    assert ["1"] * 3 == [right.refresh(each.refresh_token).user.subject for each in sessions]


@pytest.mark.parametrize("off", [-YEAR, -6 * MINUTE, 6 * MINUTE, YEAR])
def test_a_new_store_gets_no_keys_by_a_wrong_clock(world: World, off: int) -> None:
    """There is nothing to go on with, so it is 503; when the clock is right, there are keys."""
    with pytest.raises(StoreUnavailable, match="clock"):
        world.node(off).start(User("1"))
    assert () == world.store.perform(ReadKeys())
    assert "1" == world.node().start(User("1")).user.subject


@AHEAD
def test_an_expiry_by_a_wrong_clock_is_not_final(world: World, off: int) -> None:
    """503, and never 401: the session may be alive, and a node whose clock is right refreshes it."""
    right, wrong = world.node(idle_ttl=360, access_ttl=60), world.node(off, idle_ttl=360, access_ttl=60)
    token = right.start(User("1")).refresh_token
    with pytest.raises(StoreUnavailable, match="set the clock right"):
        wrong.refresh(token)
    assert "1" == right.refresh(token).user.subject
    world.clock.advance(HOUR)
    with pytest.raises(TokenExpired):
        right.refresh(token)


def test_a_reuse_by_a_wrong_clock_is_not_final(world: World) -> None:
    """To a clock that is an hour ahead, a late request of an honest client looks like a theft: nothing is ended."""
    right, wrong = world.node(), world.node(HOUR)
    first = right.start(User("1"))
    second = right.refresh(first.refresh_token)
    world.clock.advance(W + 1)
    right.refresh(second.refresh_token)
    with pytest.raises(StoreUnavailable, match="set the clock right"):
        wrong.refresh(first.refresh_token)
    found = world.store.perform(Find(first.session.id))
    assert found is not None
    assert found.ended_at is None
    world.clock.advance(W + 1)
    with pytest.raises(TokenReused):
        right.refresh(first.refresh_token)


def test_a_wrong_clock_matters_only_where_it_would_end_a_session(world: World) -> None:
    """Refreshes are answered as ever; so is a token of three generations ago, which is reuse at any time."""
    right, wrong, behind = world.node(), world.node(HOUR), world.node(-HOUR)
    first = right.start(User("1"))
    right.refresh(first.refresh_token)
    token = wrong.refresh(first.refresh_token).refresh_token
    world.clock.advance(2 * HOUR)
    token = right.refresh(token).refresh_token
    with pytest.raises(TokenStale):
        behind.refresh(first.refresh_token)
    for _ in range(2):
        world.clock.advance(2 * HOUR)
        token = right.refresh(token).refresh_token
    with pytest.raises(TokenReused):
        wrong.refresh(first.refresh_token)


@pytest.mark.parametrize("off", [-4 * MINUTE, 4 * MINUTE])
def test_a_few_minutes_are_no_error(world: World, off: int) -> None:
    """Synchronized clocks differ by less, and work continues."""
    node = world.node(off)
    token = node.start(User("1")).refresh_token
    assert node.turn() is None
    assert EventCode.CLOCK_OFF not in world.codes()
    assert "1" == node.refresh(token).user.subject


@pytest.mark.parametrize("algorithm", ["ES256", REFRESH])
def test_keys_of_a_clock_that_was_years_ahead_do_not_stop_rotation(world: World, algorithm: str) -> None:
    """A store without a clock may hold keys of 2036: they are not used, and keys are replaced as before."""
    world.node(store_has_clock=False).start(User("1"))
    world.node(10 * YEAR, store_has_clock=False).rotate_keys()
    node = world.node(store_has_clock=False)
    used = []
    token = node.start(User("1")).refresh_token
    for number in range(40):
        world.clock.advance(10 * DAY)
        node.turn()
        token = node.refresh(token).refresh_token if number < 15 else node.start(User("1")).refresh_token
        ring = node.run(node._upkeep.keys(world.clock.now))
        now = world.clock.now
        key: Any = ring.signing_key(now) if algorithm == "ES256" else ring.refresh_key(now)
        assert key.used_from <= now
        used.append(key.used_from)
    assert len(set(used)) >= 4


def test_a_sweep_that_is_due_in_years_is_done(world: World) -> None:
    """A node that was ahead has left its mark: the next sweep by a right clock does not wait for that."""
    node, ahead = world.node(store_has_clock=False), world.node(10 * YEAR, store_has_clock=False)
    ahead.turn()
    session = node.start(User("1")).session
    world.clock.advance(40 * DAY)
    node.turn()
    assert None is world.store.perform(Find(session.id))


@pytest.mark.parametrize("store", ["postgres_url", "redis_server"])
def test_the_clock_of_a_real_store(store: str, request: pytest.FixtureRequest) -> None:
    """The machine's own clock agrees with it; one that is two days ahead, or behind, does not."""
    url = f"{request.getfixturevalue(store)}"
    with Daypass(url, issuer="https://issuer.example", load_user=User, secret="s" * 32) as auth:
        now = system_clock()
        assert None is auth.run(clock_error(now))
        assert "this machine's clock is 2 days ahead of the store's" == auth.run(clock_error(now + 2 * DAY + MINUTE))
        assert "this machine's clock is 2 days behind the store's" == auth.run(clock_error(now - 2 * DAY - MINUTE))


def test_a_given_clock_is_not_compared(world: World) -> None:
    """An issuer with ``clock=`` goes by that clock, whatever the store's says."""
    auth = Daypass(MemoryStore(), issuer="https://issuer.example", load_user=User, clock=world.clock)
    assert None is auth.run(clock_error(0))
