"""Every verdict emits an event, with its reasons and without a token; a callback that fails changes nothing."""

import logging
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from daypass import Event, SessionRevoked, StoreUnavailable, TokenReused, TokenStale
from daypass.refresh_token import decode
from daypass.rotation import Verdict
from daypass.store_steps import ReadEndings, ReadKeys, StoreStep, Sweep

from .calls import KEYS, SECRET, EndAll, EndSession, Given, Logout, Refresh, SetUser, W, note
from .presenters import Tasks, Threads
from .stores import STORES
from .world import World

MASTER_KEYS = [key.mac_key for key in KEYS]


def tour(world: World) -> tuple[str, list[tuple[str, int | None, int | None]]]:
    """Cause the seven verdicts, one after another; return the session and its events."""
    login = world.start()
    first = login.refresh_token
    second = world.refresh(first).answer.refresh_token
    world.now += 10_000
    world.refresh(first)
    world.refresh(second)
    world.now += W
    third = world.refresh(first).answer.refresh_token
    world.refresh(second)
    world.now += W + 1
    row = world.row(login.session.id)
    fourth = world.refresh(third).answer.refresh_token
    world.now += 2
    assert TokenStale is world.refresh(second).answer
    world.now += W
    fifth = world.refresh(fourth).answer.refresh_token
    world.roll_back(login.session.id, row)
    sixth = world.refresh(fifth).answer.refresh_token
    world.now += 5
    assert TokenReused is world.refresh(first, node=1).answer
    assert TokenReused is world.refresh(sixth).answer
    told = [event for outcome in world.told for event in outcome.told if event.session_id == login.session.id]
    assert {login.session.subject} == {event.subject for event in told}
    return login.session.id, [(event.code, event.generation_distance, event.age) for event in told]


TOUR = [
    ("started", None, None),
    ("rotated", 1, None),
    ("repeated", 0, 10_000),
    ("held", 1, 10_000),
    ("branched", 0, W + 10_000),
    ("held", 1, 0),
    ("rotated", 1, W + 1),
    ("stale", 0, 2),
    ("rotated", 1, W + 2),
    ("healed", 3, 2 * W + 3),
    ("reused", -3, 5),
    ("rejected", None, None),
]


def ways_to_end(world: World) -> None:
    """End sessions in each way, and present their remaining tokens."""
    logins = [world.start() for _ in range(5)]
    subject = logins[0].session.subject
    for login in logins:
        world.refresh(login.refresh_token)
    world.at_once(Logout(world.now, 0, logins[0].refresh_token))
    world.at_once(EndSession(world.now, 0, subject, logins[1].session.id))
    world.at_once(EndAll(world.now, 0, subject, logins[2].session.id))
    world.at_once(SetUser(world.now, 0, subject, "gone"))
    for login in logins:
        assert SessionRevoked is world.refresh(login.refresh_token).answer
    world.at_once(SetUser(world.now, 0, subject, "here"))
    world.now += 10**9
    world.refresh(logins[2].refresh_token)


def test_every_verdict_says_why(world: World) -> None:
    """Its code, the session, how many generations off the token was, and how long ago the last rotation."""
    _, told = tour(world)
    assert TOUR == told
    assert set(Verdict) - {Verdict.UNPROVEN} == {Verdict(code) for code, distance, _ in told if distance is not None}


def test_no_event_or_log_contains_a_token(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """No event, log record or error shows a refresh token, an access token, a secret or a branch, in any spelling."""
    caplog.set_level(logging.DEBUG, "daypass")
    tour(world)
    ways_to_end(world)
    world.start(user=1)
    fates = [outcome.told for outcome in world.told] + [outcome.error for outcome in world.told]
    shown = repr(fates) + "".join(map(_shown, caplog.records))
    assert len(world.told) > 30
    needles = [SECRET, *(spelled for key in MASTER_KEYS for spelled in _spellings(key))]
    for text in (token for tokens in world.tokens.values() for token in tokens):
        token = decode(text, KEYS)
        needles += [text, text[4:40], text[40:]]
        needles += [spelled for part in (token.secret, token.branch, token.parent) for spelled in _spellings(part)]
    for access_token, _, _ in world.access_tokens:
        needles += [access_token, *access_token.split(".")[1:]]
    for row in (row for rows in world.history.values() for row in rows):
        needles += _spellings(row.branch)
    assert [] == [needle for needle in needles if needle in shown]


def _spellings(raw: bytes) -> list[str]:
    return [raw.hex(), raw.hex().upper(), repr(raw), repr(raw)[2:-1], str(list(raw))]


def _shown(record: logging.LogRecord) -> str:
    return logging.Formatter("%(message)s").format(record) + repr(record.args) + repr(vars(record))


# ---- callbacks

FAILURES: list[Callable[[str], Exception]] = [
    ZeroDivisionError,
    TokenReused,
    TokenStale,
    StoreUnavailable,
    StopIteration,
]


def raising(failure: Callable[[str], Exception]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        note(event)
        raise failure("not by the issuer")

    return listen


def raising_later(failure: Callable[[str], Exception]) -> Callable[[Event], Coroutine[Any, Any, None]]:
    async def listen(event: Event) -> None:
        note(event)
        raise failure("not by the issuer")

    return listen


def listening_later(event: Event) -> Coroutine[Any, Any, None]:
    async def listen() -> None:
        """Be waited for."""

    note(event)
    return listen()


Make = Callable[..., World]
IN_PROCESS = [(store, kind) for store in STORES for kind in (Threads, Tasks)]


def _name(value: object) -> str:
    return value.__name__.lower() if isinstance(value, type) else str(value)


@pytest.fixture
def make(store: str, kind: type[Threads | Tasks], tmp_path: Path) -> Iterator[Make]:
    """Give what makes a world with a listener."""
    made: list[World] = []

    def world(*listener: Any) -> World:
        place = tmp_path / str(len(made))
        place.mkdir()
        made.append(World(kind(store, place, *listener)))
        return made[-1]

    yield world
    for each in made:
        each.close()


def changes_nothing(make: Make, listener: Callable[[Event], object], caplog: pytest.LogCaptureFixture) -> None:
    """Assert that calls end as they do with no listener, and that each of its failures is logged."""
    _, told = tour(make(listener))
    assert TOUR == told
    failed = [record for record in caplog.records if record.exc_info]
    assert [f"on_event failed for {code}" for code, _, _ in TOUR] == [record.getMessage() for record in failed]
    ways_to_end(make(listener))


@pytest.mark.parametrize(("store", "kind"), IN_PROCESS, ids=_name)
@pytest.mark.parametrize("failure", FAILURES, ids=_name)
def test_a_listener_that_raises_changes_nothing(
    make: Make, failure: Callable[[str], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises, even errors of ours, every call has the same result as without a callback."""
    changes_nothing(make, raising(failure), caplog)


@pytest.mark.parametrize("kind", [Tasks], ids=_name)
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("failure", FAILURES, ids=_name)
def test_an_async_listener_that_raises_changes_nothing(
    make: Make, failure: Callable[[str], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """The same, where it raises when it is awaited."""
    changes_nothing(make, raising_later(failure), caplog)


@pytest.mark.parametrize(("store", "kind"), IN_PROCESS, ids=_name)
def test_a_listener_may_answer_with_something_to_await(make: Make) -> None:
    """`AsyncDaypass` awaits it; for `Daypass` it fails, which changes nothing."""
    _, told = tour(make(listening_later))
    assert TOUR == told


# ---- a store that fails


UPKEEP = (ReadKeys, ReadEndings, Sweep)


class Fault:
    """Lets one step of a store fail: the n-th from now on, not counting those of the upkeep."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, step: StoreStep[Any]) -> None:
        self.left -= not isinstance(step, UPKEEP)
        if self.left == 0:
            raise StoreUnavailable("the store is away")


Past = Callable[[World, list[str]], str]


def _healed(world: World, tokens: list[str]) -> str:
    session_id = decode(tokens[0], KEYS).session_id
    world.roll_back(session_id, world.history[session_id][1])
    return tokens[-1]


PASTS: dict[str, Past] = {
    "rotated": lambda world, tokens: tokens[-1],
    "branched": lambda world, tokens: tokens[-2],
    "healed": _healed,
    "reused": lambda world, tokens: tokens[0],
}
"""Which token of a session comes to this verdict, once the grace period has passed."""


@pytest.mark.parametrize(("store", "kind"), IN_PROCESS, ids=_name)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verdict", PASTS)
def test_what_a_store_did_not_confirm_is_not_told(make: Make, verdict: str, when: str) -> None:
    """When a step fails there is no event; the same token may be presented again, and is answered by the rule."""
    for number in (1, 2):
        world = make()
        login = world.start()
        tokens = [login.refresh_token]
        for _ in range(3):
            tokens.append(world.refresh(tokens[-1]).answer.refresh_token)
            world.now += W + 1
        token = PASTS[verdict](world, tokens)
        world.now += W + 1
        presenters = world.presenters
        assert isinstance(presenters, Threads | Tasks)
        fault = Fault(number)
        setattr(presenters.stores[0], when, fault)
        (failed,) = presenters.one_by_one([Refresh(world.now, 0, token)])
        if verdict == "rotated" and number == 2:  # it is one step, and the second is for others
            assert isinstance(failed.answer, Given)
            continue
        assert (StoreUnavailable, ()) == (failed.answer, failed.told)
        written = when == "after" and (verdict == "rotated" or number == 2)
        assert written == (world.stored() != world.state.rows)
        world.adopt()
        again = world.refresh(token)
        if verdict == "reused":
            assert TokenReused is again.answer
        else:
            assert ["repeated" if written else verdict] == again.codes
            assert isinstance(again.answer, Given)
