"""A revoked session stays revoked, whichever call ends last: refreshes race with every way to end a session.

`World` checks each round against the rule; the tests also assert what a user relies on.
"""

import random

import pytest

from daypass import EventCode, SessionRevoked, TokenRejected, TokenReused
from daypass.session import EndReason

from .calls import Call, EndAll, EndSession, Given, Logout, Outcome, Refresh, SetUser, Verify, W
from .presenters import Tasks
from .world import ENDINGS, World

ROUNDS = 6
ENDERS = {
    "logout": EndReason.LOGOUT,
    "end_session": EndReason.ENDED,
    "end_all": EndReason.ENDED,
    "leave": EndReason.USER_GONE,
    "reuse": EndReason.REUSE,
}


class Round:
    """A session with a past: its tokens, from one used long ago to the newest, at a random moment."""

    def __init__(self, world: World, fate: random.Random) -> None:
        self.world = world
        self.fate = fate
        self.login = world.start()
        self.tokens = [self.login.refresh_token]
        for _ in range(4):
            self.tokens.append(world.refresh(self.tokens[-1]).answer.refresh_token)
            world.now += W + 1
        self.subject, self.id = self.login.session.subject, self.login.session.id
        self.world.now += fate.choice((0, -1, W))

    def presenters(self) -> list[Call]:
        """Return refreshes with the newest token and the one before, and an old one now and then."""
        count = 20 if isinstance(self.world.presenters, Tasks) else 8
        return [Refresh(self.world.now, node, self.tokens[-1 - node // 3 % 2]) for node in range(count)]

    def ender(self, how: str) -> list[Call]:
        """Return what ends the session."""
        at, node = self.world.now, self.fate.randrange(4)
        match how:
            case "logout":
                return [Logout(at, node, self.fate.choice(self.tokens))]
            case "end_session":
                return [EndSession(at, node, self.subject, self.id)]
            case "end_all":
                return [EndAll(at, node, self.subject)]
            case "leave":
                return [SetUser(at, node, self.subject, self.fate.choice(("gone", "disabled")))]
        return [Refresh(at, node, self.tokens[0])]

    def race(self, *enders: str) -> list[Outcome]:
        """Let all of it happen at once, in any order."""
        calls = [*self.presenters(), *(call for how in enders for call in self.ender(how))]
        self.fate.shuffle(calls)
        return self.world.at_once(*calls)

    def come_back(self) -> None:
        """Make the user one who may log in again."""
        self.world.at_once(SetUser(self.world.now, 0, self.subject, "here"))

    def is_over(self) -> None:
        """Assert that no token of the session is accepted, now and after the grace period."""
        world, ended = self.world, self.world.row(self.id)
        assert ended.ended_at is not None
        for _ in range(2):
            for node in range(world.presenters.nodes):
                assert () == world.state.live(self.subject, world.now)
                self._opens_nothing(node)
            calls = [Refresh(world.now, node, token) for node, token in enumerate(world.tokens_of(self.id))]
            refused = {TokenReused if ended.end_reason is EndReason.REUSE else SessionRevoked}
            assert refused == {outcome.answer for outcome in world.at_once(*calls)}
            world.now += W + 1
        assert ended == world.row(self.id)

    def _opens_nothing(self, node: int) -> None:
        """Where the session was ended, each of its access tokens is refused, those of this very race among them."""
        if self.world.knows_ended(node, self.id):
            tokens = [text for text, session_id, _ in self.world.access_tokens if session_id == self.id]
            checks = [Verify(self.world.now, node, text) for text in tokens]
            answers = {outcome.answer for outcome in self.world.presenters.one_by_one(checks)}
            assert {SessionRevoked} == answers


def enders(outcomes: list[Outcome], session_id: str) -> list[str | None]:
    """Return the reasons of the events for the end of a session."""
    told = [event for outcome in outcomes for event in outcome.told if event.session_id == session_id]
    return ["reuse" if event.code is EventCode.REUSED else event.reason for event in told if event.code in ENDINGS]


@pytest.mark.parametrize("how", ENDERS)
def test_a_revoked_session_stays_revoked(world: World, how: str) -> None:
    """Refreshes that race the end are served before it or refused after it, and never bring the session back."""
    for number in range(ROUNDS):
        round_ = Round(world, random.Random(number))
        outcomes = round_.race(how)
        if how == "leave":  # the session ends when a refresh finds the user gone, at the latest with this one
            outcomes += world.at_once(Refresh(world.now, 0, round_.tokens[-1]))
        assert [ENDERS[how]] == enders(outcomes, round_.id)
        assert ENDERS[how] == world.row(round_.id).end_reason
        if how == "leave":
            round_.come_back()
        round_.is_over()


def test_the_first_to_end_it_is_the_one_that_did(world: World) -> None:
    """When all ways to end a session are taken at once, one of them ends it, and its reason stays."""
    found: set[str | None] = set()
    for number in range(20 * ROUNDS):
        if len(found) > 1 and number >= 2 * ROUNDS:
            break
        round_ = Round(world, random.Random(number))
        outcomes = round_.race(*ENDERS)
        (reason,) = enders(outcomes, round_.id)
        assert reason == world.row(round_.id).end_reason
        found.add(reason)
        round_.come_back()
        round_.is_over()
    assert len(found) > 1, "the rounds do not differ"


def test_end_all_ends_all_and_no_more(world: World) -> None:
    """A user's sessions that are refreshed at that moment end, except the one to keep; other users' sessions do not."""
    for number in range(3):
        fate = random.Random(number)
        rounds = [Round(world, fate) for _ in range(3)]
        stranger = world.start(user=1)
        calls: list[Call] = [Refresh(world.now, node, each.tokens[-1]) for each in rounds for node in range(3)]
        calls += [Refresh(world.now, node, stranger.refresh_token) for node in range(2)]
        calls += [EndAll(world.now, node, rounds[0].subject, keep=rounds[0].id) for node in range(2)]
        fate.shuffle(calls)
        outcomes = world.at_once(*calls)
        counts = [outcome.answer for call, outcome in zip(calls, outcomes, strict=True) if isinstance(call, EndAll)]
        assert [0, 2] == sorted(counts)
        assert [None, "ended", "ended"] == [world.row(each.id).end_reason for each in rounds]
        assert world.row(stranger.session.id).ended_at is None
        world.now += W + 1
        assert isinstance(world.refresh(rounds[0].tokens[-1]).answer, Given)
        world.at_once(EndAll(world.now, 0, rounds[0].subject))
        for each in rounds:
            each.is_over()


def test_sessions_that_end_while_clients_go_on_and_on(world: World) -> None:
    """Clients that refresh again and again, each with its newest token, are all refused soon after the end."""
    for how in ("logout", "end_session", "end_all"):
        round_ = Round(world, random.Random(how))
        jars = [round_.tokens[-1]] * 4
        for step in range(4):
            calls: list[Call] = [Refresh(world.now, node, token) for node, token in enumerate(jars)]
            outcomes = world.at_once(*calls, *(round_.ender(how) if step == 2 else ()))
            for number, outcome in enumerate(outcomes[: len(jars)]):
                if isinstance(outcome.answer, Given):
                    jars[number] = outcome.answer.refresh_token
                else:
                    assert step >= 2
                    assert issubclass(outcome.answer, TokenRejected)
            world.now += W + 1
        assert all(not isinstance(outcome.answer, Given) for outcome in outcomes)
        round_.is_over()
