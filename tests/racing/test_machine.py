"""Whatever calls are made at once, in whatever order they are performed, the outcome is that of the pure rule.

The machine draws the calls. `World` makes them, several at the same time, and looks for an order of them for which the
rule gives these outcomes and this row. The examples are the same on each run.
``DAYPASS_EXAMPLES=500 pytest tests/racing/test_machine.py`` tries that many others, with each kind of presenters, and
shortens what it finds.
"""

import os
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from daypass import Session
from daypass.rotation import Verdict

from .calls import Call, EndAll, EndSession, Logout, Refresh, SetUser, W
from .conftest import MakeWorld
from .world import World

EXAMPLES = int(os.environ.get("DAYPASS_EXAMPLES", "0"))
SETTINGS = settings(
    max_examples=EXAMPLES or 12,
    stateful_step_count=30,
    deadline=None,
    derandomize=not EXAMPLES,
    phases=[Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

MINUTE = 60_000
SESSIONS = 3

users = st.integers(0, 1)
nodes = st.integers(0, 3)
picks = st.integers(0, SESSIONS - 1)
"""Which session: this many before the newest one."""

behind = st.sampled_from((0, 1, 0, 1, 0, 1, 2, 3, 4, 7))
"""Which token of a session: this many before the newest one."""

skews = st.sampled_from((0, 0, 0, 2_000, -3_000))
"""By how much the clock of the node is wrong."""

presentations = st.tuples(picks, behind, nodes, skews)
endings = st.tuples(
    st.sampled_from(("logout", "end_session", "end_all", "end_others", "leave", "roll_back")),
    picks,
    behind,
    nodes,
    skews,
)


class Racing(RuleBasedStateMachine):
    """Draws what presenters do."""

    def __init__(self, make_world: MakeWorld, met: Counter[str]) -> None:
        super().__init__()
        self._make_world = make_world
        self._met = met

    @initialize()
    def open(self) -> None:
        self.world: World = self._make_world()
        self.world.start()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self._met.update(self.world.met)
            self.world.close()

    @rule(user=users, node=nodes)
    def start(self, user: int, node: int) -> None:
        if len(self.world.state.rows) < SESSIONS:
            self.world.start(user, node)

    @rule(presented=presentations)
    def present(self, presented: Any) -> None:
        self.world.at_once(self._refresh(*presented))

    @rule(several=st.lists(presentations, min_size=2, max_size=5))
    def present_several_at_once(self, several: list[Any]) -> None:
        self.world.at_once(*(self._refresh(*each) for each in several))

    @rule(pick=picks, before=behind, at=st.lists(st.tuples(nodes, skews), min_size=2, max_size=6))
    def present_one_several_times_at_once(self, pick: int, before: int, at: list[Any]) -> None:
        self.world.at_once(*(self._refresh(pick, before, node, skew) for node, skew in at))

    @rule(presented=presentations, by=st.integers(0, 1), several=st.lists(presentations, max_size=3))
    def present_at_the_end_of_the_grace_period(self, presented: Any, by: int, several: list[Any]) -> None:
        """A client whose answer was lost, and others at once."""
        self.wait_until_about_the_end_of_the_grace_period(presented[0], by)
        self.world.at_once(*(self._refresh(*each) for each in (presented, presented, *several)))

    @rule(pick=picks, lost=st.integers(1, 5), several=st.lists(presentations, max_size=3))
    def lose_writes(self, pick: int, lost: int, several: list[Any]) -> None:
        """The database is restored from a backup; then clients continue with the tokens that they have."""
        self.world.at_once(self._roll_back(pick, lost))
        self.world.at_once(*(self._refresh(*each) for each in ((pick, 0, 0, 0), *several)))

    @rule(several=st.lists(presentations, max_size=4), ends=st.lists(endings, min_size=1, max_size=2))
    def end_while_others_present(self, several: list[Any], ends: list[Any]) -> None:
        self.world.at_once(*(self._refresh(*each) for each in several), *(self._end(*each) for each in ends))

    @rule(pick=picks, times=st.integers(1, 4))
    def go_on(self, pick: int, times: int) -> None:
        """An honest client refreshes, as often as it has to."""
        for _ in range(times):
            self.world.now += W + 1
            session = self._session(pick)
            self.world.refresh(self.world.tokens_of(session.id)[-1])

    @rule(milliseconds=st.integers(0, 3_000))
    def wait_a_little(self, milliseconds: int) -> None:
        self.world.now += milliseconds

    @rule(pick=picks, by=st.integers(-1, 1))
    def wait_until_about_the_end_of_the_grace_period(self, pick: int, by: int) -> None:
        end = self._session(pick).rotated_at + W + by
        self.world.now = end if end > self.world.now else self.world.now + W + by

    @rule(minutes=st.one_of(st.integers(1, 20), st.integers(1, 150)))
    def wait_long(self, minutes: int) -> None:
        self.world.now += minutes * MINUTE

    @rule(milliseconds=st.integers(1, 5_000))
    def set_the_clock_back(self, milliseconds: int) -> None:
        self.world.now -= milliseconds

    @rule(user=users)
    def come_back(self, user: int) -> None:
        self.world.at_once(SetUser(self.world.now, 0, self.world.subjects[user], "here"))

    def _token(self, pick: int, before: int) -> str:
        tokens = self.world.tokens_of(self._session(pick).id)
        return tokens[-1 - before % len(tokens)]

    def _session(self, pick: int) -> Session:
        sessions = list(self.world.history)
        return self.world.row(sessions[-1 - pick % len(sessions)])

    def _refresh(self, pick: int, before: int, node: int, skew: int) -> Refresh:
        return Refresh(self.world.now + skew, node, self._token(pick, before))

    def _roll_back(self, pick: int, lost: int) -> Call:
        rows = self.world.history[self._session(pick).id]
        return self.world.rolling_back(self._session(pick).id, rows[-1 - lost % len(rows)])

    def _end(self, how: str, pick: int, before: int, node: int, skew: int) -> Call:
        at, session = self.world.now + skew, self._session(pick)
        match how:
            case "logout":
                return Logout(at, node, self._token(pick, before))
            case "end_session":
                return EndSession(at, node, self.world.subjects[before == 0], session.id)
            case "end_all":
                return EndAll(at, node, session.subject)
            case "end_others":
                return EndAll(at, node, session.subject, session.id)
            case "leave":
                return SetUser(at, node, session.subject, "gone" if before % 2 else "disabled")
        return self._roll_back(pick, before)


def test_whatever_happens_at_once_is_what_the_rule_says(make_world: MakeWorld) -> None:
    """Each outcome, each event and each stored row is the pure rule's, for some order of the calls made at once."""
    met: Counter[str] = Counter()
    run_state_machine_as_test(
        lambda: Racing(make_world, met),  # type: ignore[arg-type]  # it may be any function, as its docstring says
        settings=SETTINGS,
    )
    assert EXAMPLES or {str(verdict) for verdict in Verdict if verdict is not Verdict.UNPROVEN} <= set(met), met
