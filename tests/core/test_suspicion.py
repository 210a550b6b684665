"""A session that two parties share without diverging is reported; honest clients on a bad network are not."""

import heapq
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from daypass import Daypass, Device, Event, EventCode, TokenRejected, TokenStale, User
from daypass.duration import DAY, HOUR, SECOND
from daypass.rotation import Verdict
from daypass.suspicion import MOST_SESSIONS, OF_FEW, Suspicions
from daypass.testing import Clock

BROWSER = Device(user_agent="Firefox", address="192.0.2.7")
SCRIPT = Device(user_agent="python", address="203.0.113.9")


class World:
    """One issuer, and parties who refresh with copies of one token."""

    def __init__(self) -> None:
        self.clock, self.events = Clock(), list[Event]()
        self.auth = Daypass(
            "memory:",
            issuer="https://issuer.example",
            load_user=User,
            algorithm="HS256",
            clock=self.clock,
            on_event=self.events.append,
        )

    def suspected(self) -> list[Event]:
        return [event for event in self.events if event.code == "suspected"]


class Party:
    """A client that refreshes in a loop, and keeps what it gets."""

    def __init__(self, world: World, token: str, device: Device | None = None) -> None:
        self.world, self.token, self.device, self.lost = world, token, device, False

    def refresh(self) -> None:
        try:
            given = self.world.auth.refresh(self.token, device=self.device)
        except TokenStale:
            return
        except TokenRejected:
            self.lost = True
            return
        self.token = given.refresh_token


def loops(world: World, *loops: tuple[Party, float, float]) -> Iterator[Party]:
    """Let clients refresh at an interval, each first after an offset; yield which one did."""
    due = [(offset, number) for number, (_, _, offset) in enumerate(loops)]
    start = world.clock.now
    heapq.heapify(due)
    while True:
        at, number = heapq.heappop(due)
        party, every, _ = loops[number]
        world.clock.now = start + round(at * SECOND)
        party.refresh()
        yield party
        heapq.heappush(due, (at + every, number))


@pytest.mark.parametrize("every", [5, 29, 35])
@pytest.mark.parametrize("pause", [5, 20, 31, 35, 45, 300])
@pytest.mark.parametrize("known", [False, True], ids=["unknown devices", "known devices"])
def test_a_thief_in_a_blind_loop_is_found_or_suspected(every: int, pause: int, *, known: bool) -> None:
    """Within 40 rotations by the clock of the grace period, whatever the owner's pause: 20 minutes at 30 seconds."""
    world = World()
    first = world.auth.start(User("1")).refresh_token
    owner = Party(world, first, BROWSER if known else None)
    thief = Party(world, first, SCRIPT if known else None)
    for _ in loops(world, (owner, pause, 1.0), (thief, every, 1.5)):
        if world.suspected() or owner.lost or thief.lost:
            break
    rotated = Counter(event.code for event in world.events)[EventCode.ROTATED]
    assert rotated <= 40
    for event in world.suspected():
        assert (world.events[0].session_id, "1") == (event.session_id, event.subject)
        assert event.reason is not None
        assert event.reason.split()[0].isdigit()


def test_it_is_one_event() -> None:
    """A session is reported once, however long this continues."""
    world = World()
    first = world.auth.start(User("1")).refresh_token
    parties = loops(world, (Party(world, first), 20, 1.0), (Party(world, first), 29, 1.5))
    while world.clock.now < Clock().now + DAY:
        next(parties)
    assert 1 == len(world.suspected())


@pytest.mark.parametrize("loss", [0.1, 0.3])
@pytest.mark.parametrize("every", [60, 900])
def test_an_honest_client_in_bad_weather_is_not_suspected(loss: float, every: int) -> None:
    """40 users for some 250 refreshes each, of whose messages up to 30 % are lost in either direction."""
    rng, world = random.Random(f"{loss} {every}"), World()
    for number in range(40):
        token = world.auth.start(User(f"{number}")).refresh_token
        for _ in range(250):
            retry = rng.random() < 0.5
            world.clock.advance(round(every * SECOND * rng.uniform(0.8, 1.2)))
            for _attempt in range(1 + 2 * retry):
                if rng.random() >= loss:
                    given = world.auth.refresh(token).refresh_token
                    if rng.random() >= loss:
                        token = given
                        break
                world.clock.advance(2 * SECOND)
    assert [] == world.suspected()


def test_tabs_of_one_browser_are_not_suspected() -> None:
    """Two tabs that always refresh at the same time, from the same device, are one party."""
    world = World()
    first = world.auth.start(User("1")).refresh_token
    tabs = loops(world, (Party(world, first, BROWSER), 60, 1.0), (Party(world, first, BROWSER), 60, 1.2))
    while world.clock.now < Clock().now + 4 * HOUR:
        next(tabs)
    assert [] == world.suspected()


def test_another_user_agent_now_and_then() -> None:
    """A repeated token from another browser version is nothing; four of them are reported, with the number."""
    told, at = Suspicions(), 0
    reasons = []
    for number in range(6):
        at += OF_FEW  # so that few tokens are presented twice
        told.note(Verdict.ROTATE, "s", at, 60_000, BROWSER)
        reasons.append(told.note(Verdict.REPEAT, "s", at, 10_000, SCRIPT if number else BROWSER))
    assert [None] * 4 == reasons[:4]
    assert "4 of the last 64 refresh tokens were presented by two user agents" == reasons[4]
    assert None is reasons[5]


def test_a_phone_between_two_networks() -> None:
    """A phone that loses one answer in twenty, in one network or another, is suspected in years not once."""
    rng, told = random.Random(1), Suspicions()
    reasons = set()
    for generation in range(1, 50_000):
        told.note(
            Verdict.ROTATE, "s", generation, 60_000, Device(None, "Phone", rng.choice(("192.0.2.7", "203.0.113.9")))
        )
        if rng.random() < 0.05:
            phone = Device(None, "Phone", rng.choice(("192.0.2.7", "203.0.113.9")))
            reasons.add(told.note(Verdict.REPEAT, "s", generation, 10_000, phone))
    assert {None} == reasons


def test_memory_is_bounded() -> None:
    """The oldest sessions are forgotten."""
    told = Suspicions()
    for number in range(2 * MOST_SESSIONS):
        told.note(Verdict.ROTATE, f"{number}", 1, None, BROWSER)
        told.note(Verdict.REPEAT, f"{number}", 1, 10_000, SCRIPT)
    assert MOST_SESSIONS == len(told._counts) == len(told._peers)
