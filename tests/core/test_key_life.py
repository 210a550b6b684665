"""The life of keys: published before their use, kept until their last token expires, the same on all nodes."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws

from daypass import ConfigurationError, Daypass, Policy, StoreUnavailable, TokenMalformed, User
from daypass.drive import run
from daypass.duration import DAY, HOUR, MINUTE, SECOND
from daypass.key_flows import PUBLISHED_AHEAD, PUBLISHED_SHORTLY_AHEAD, remove
from daypass.keys import REFRESH
from daypass.store_steps import ReadKeys, StoreStep
from daypass.stores.memory import MemoryStore
from daypass.testing import Clock

SECRET = "a secret of thirty-two bytes long"
W = 30 * SECOND


class Node(Daypass):
    """An issuer without upkeep, as if nothing were verified for a while: the worst case."""

    def _begin(self) -> None:
        """Begin nothing."""


class Store(MemoryStore):
    """A store that counts readings of the keys, and can be down."""

    reads, down = 0, False

    def perform(self, step: StoreStep[Any]) -> Any:
        self.reads += isinstance(step, ReadKeys)
        if self.down:
            raise StoreUnavailable("down")
        return super().perform(step)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Store:
    return Store()


def node(store: MemoryStore, clock: Clock, **options: Any) -> Node:
    return Node(store, issuer="https://issuer.example", load_user=User, secret=SECRET, clock=clock, **options)


def kids(store: MemoryStore, algorithm: str = "ES256") -> list[str]:
    return [record.kid for record in store.perform(ReadKeys()) if record.algorithm == algorithm]


def signed_by(access_token: str) -> str:
    return str(jws.extract_compact(access_token.encode()).headers()["kid"])


def test_a_new_key_is_published_before_it_is_used(store: Store, clock: Clock) -> None:
    """It is in the key set at once, and signs ten minutes later; until then the previous key signs."""
    auth = node(store, clock)
    session = auth.start(User("1"))
    (first,) = kids(store)
    auth.rotate_keys()
    newest, *_ = kids(store)
    assert {first, newest} == {key["kid"] for key in auth.jwks()["keys"]}
    clock.advance(PUBLISHED_AHEAD - 1)
    session = auth.refresh(session.refresh_token)
    assert first == signed_by(session.access_token)
    clock.advance(1)
    assert newest == signed_by(auth.refresh(session.refresh_token).access_token)


def test_a_key_in_a_hurry(store: Store, clock: Clock) -> None:
    """It is used five seconds later, and one that was waiting for its time never is."""
    auth = node(store, clock)
    session = auth.start(User("1"))
    auth.rotate_keys()
    auth.rotate_keys(at_once=True)
    newest, *_ = kids(store)
    for passed in (PUBLISHED_SHORTLY_AHEAD, PUBLISHED_AHEAD, HOUR):
        clock.advance(passed)
        session = auth.refresh(session.refresh_token)
        assert newest == signed_by(session.access_token)


def test_a_key_is_retired_after_the_last_token_it_made(store: Store, clock: Clock) -> None:
    """For access tokens a day after it was last used, or their lifetime if that is longer; not a moment before."""
    for access_ttl, kept in (("15m", DAY), ("2d", 2 * DAY)):
        auth = node(store, clock, access_ttl=access_ttl)
        auth.rotate_keys()
        newest, before, *_ = [*kids(store), ""]
        if not before:
            auth.rotate_keys()
            newest, before = kids(store)
        clock.advance(PUBLISHED_AHEAD + kept - 1)
        auth.jwks()
        assert before in kids(store)
        clock.advance(5 * MINUTE)
        assert [newest] == [key["kid"] for key in auth.jwks()["keys"]]
        assert [newest] == kids(store)


def test_a_refresh_key_is_kept_as_long_as_sessions(store: Store, clock: Clock) -> None:
    """A refresh token of an old key is good until its session ends; then the key goes."""
    auth = node(store, clock, key_ttl=0)
    tokens = auth.start(User("1"))
    auth.rotate_keys()
    newest, first = kids(store, REFRESH)
    clock.advance(30 * DAY - 1)
    assert tokens.session.id == auth.refresh(tokens.refresh_token).session.id
    clock.advance(150 * DAY)
    auth.jwks()
    assert [newest, first] == kids(store, REFRESH)
    clock.advance(DAY)
    auth.jwks()
    assert [newest] == kids(store, REFRESH)


def test_keys_follow_each_other_by_themselves(store: Store, clock: Clock) -> None:
    """After 90 days of use each gets a successor, or after ``key_ttl``, or never."""
    never, always = node(store, clock, key_ttl=0), node(store, clock)
    never.jwks()
    first = kids(store)
    clock.advance(90 * DAY - 1)
    always.jwks()
    assert first == kids(store)
    clock.advance(5 * MINUTE)
    never.jwks()
    assert first == kids(store)
    always.jwks()
    assert (2, 2) == (len(kids(store)), len(kids(store, REFRESH)))


@pytest.mark.parametrize("key_ttl", ["59m", 1, -1])
def test_a_key_cannot_be_short_lived(store: Store, key_ttl: Any) -> None:
    """A key that would be followed before it is known is a mistake of set-up."""
    with pytest.raises(ConfigurationError):
        node(store, Clock(), key_ttl=key_ttl)
    assert 0 == Policy.of(key_ttl=0).key_ttl


def test_nodes_that_rotate_at_once_add_one_key(store: Store, clock: Clock) -> None:
    """Whether they start, or keys are due: one of each kind is added."""
    nodes = [node(store, clock) for _ in range(8)]
    for passed, count in ((0, 1), (90 * DAY, 2)):
        clock.advance(passed)
        start = threading.Barrier(len(nodes))

        def look(each: Node, start: threading.Barrier = start) -> Any:
            start.wait(30)
            return each.jwks()

        with ThreadPoolExecutor(len(nodes)) as pool:
            answers = list(pool.map(look, nodes))
        assert (count, count) == (len(kids(store)), len(kids(store, REFRESH)))
        assert all(len(answer["keys"]) == count for answer in answers)


def test_while_the_store_is_down_the_old_keys_do(store: Store, clock: Clock) -> None:
    """If keys cannot be read again, the old ones stay in use; the store is asked from time to time, not each time."""
    auth = node(store, clock)
    tokens = auth.start(User("1"))
    auth.verify(tokens.access_token)
    store.down = True
    clock.advance(HOUR // 6)
    before = store.reads
    for _ in range(5):
        auth.verify(tokens.access_token)
        assert 1 == len(auth.jwks()["keys"])
    assert 1 == store.reads - before


def test_an_unknown_refresh_key_is_looked_for(store: Store, clock: Clock) -> None:
    """A node that meets a refresh token of a key it has not read reads the keys, once for each token that waits."""
    maker, other = node(store, clock), node(store, clock)
    session = maker.start(User("1"))
    other.jwks()
    maker.rotate_keys(at_once=True)
    clock.advance(PUBLISHED_SHORTLY_AHEAD)
    session = maker.refresh(session.refresh_token)
    assert session.session.id == other.refresh(session.refresh_token).session.id
    before = store.reads
    stranger = Daypass("memory:", issuer="https://a.example", load_user=User, clock=clock).start(User("1"))
    for _ in range(5):
        with pytest.raises(TokenMalformed):
            other.refresh(stranger.refresh_token)
    assert 5 == store.reads - before


MOVES = st.one_of(
    st.tuples(st.just("rotate"), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("refresh"), st.integers(0, 2)),
    st.tuples(st.just("pass"), st.sampled_from([W + 1, MINUTE, 5 * MINUTE, 14 * MINUTE, HOUR, DAY, 20 * DAY])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MOVES, max_size=40), st.integers(0, 2**32))
def test_keys_rotate_at_any_moment_on_any_node_and_no_token_breaks(moves: list[tuple[Any, ...]], seed: int) -> None:
    """Whatever nodes do, whose clocks differ by seconds: every token that is not over is good on every node."""
    store, fate = MemoryStore(), random.Random(seed)
    clocks = [Clock() for _ in range(3)]
    for clock in clocks:
        clock.advance(fate.randint(-1500, 1500))
    nodes = [node(store, clock) for clock in clocks]
    tokens = nodes[0].start(User("1"))
    alive = [(tokens.access_token, clocks[0].now + 15 * MINUTE)]
    for move in (*moves, ("pass", W + 1), ("refresh", 0)):
        match move:
            case ("rotate", int(at), bool(at_once)):
                nodes[at].rotate_keys(at_once=at_once)
            case ("refresh", int(at)):
                if clocks[at].now + 4 * SECOND >= tokens.session.expires_at:
                    tokens = nodes[at].start(User("1"))
                tokens = nodes[at].refresh(tokens.refresh_token)
                alive.append((tokens.access_token, clocks[at].now + 15 * MINUTE))
            case (_, int(span)):
                for clock in clocks:
                    clock.advance(span)
        for each, clock in zip(nodes, clocks, strict=True):
            for text, until in alive:
                if clock.now < until - 4 * SECOND:
                    assert "1" == each.verify(text).subject
    assert all(len(kids(store, kind)) < 25 for kind in ("ES256", REFRESH))


def test_a_removed_refresh_key_does_not_come_back(store: Store, clock: Clock) -> None:
    """Not even the only one, which was derived from the secret: the next one is random, and old tokens are refused."""
    auth = node(store, clock)
    held = auth.start(User("1")).refresh_token
    (removed,) = kids(store, REFRESH)
    run(remove(removed), store.perform)  # type: ignore[arg-type]  # its steps are the store's
    again = node(store, clock)
    token = again.start(User("1")).refresh_token
    assert [removed] != kids(store, REFRESH) != []
    for each in (auth, again):
        with pytest.raises(TokenMalformed):
            node(store, clock).refresh(held)
        clock.advance(W + 1)
        token = each.refresh(token).refresh_token


def test_the_last_key_is_not_removed(store: Store, clock: Clock) -> None:
    """A store without keys would get the derived one again; the error says what to do first."""
    node(store, clock).start(User("1"))
    (signing,), (refresh,) = kids(store), kids(store, REFRESH)
    run(remove(signing), store.perform)  # type: ignore[arg-type]  # its steps are the store's
    with pytest.raises(ConfigurationError, match="daypass key rotate --now"):
        run(remove(refresh), store.perform)  # type: ignore[arg-type]  # its steps are the store's
    with pytest.raises(ConfigurationError, match="unknown key"):
        run(remove(signing), store.perform)  # type: ignore[arg-type]  # its steps are the store's


def test_adding_keys_removes_none(store: Store, clock: Clock) -> None:
    """An operator's command knows no lifetimes: of a service with longer ones, no session loses its key."""
    service = node(store, clock, absolute_ttl="730d", idle_ttl="700d")
    held = service.start(User("1")).refresh_token
    service.rotate_keys()
    clock.advance(400 * DAY)
    node(store, clock).rotate_keys()
    assert "1" == service.refresh(held).user.subject
