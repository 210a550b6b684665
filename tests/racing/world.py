"""Presenters, their tokens, and the store as the rule wants it: after each step the two are compared."""

import itertools
import os
from collections import Counter
from dataclasses import replace

from daypass import EventCode, Session, SessionRevoked, TokenExpired, TokenReused
from daypass.refresh_token import decode, encode, successor
from daypass.rotation import NEVER_ROTATED, relate

from . import calls
from .calls import KEYS, POLICY, START, Call, Given, ListSessions, Look, Outcome, Refresh, RollBack, SetUser, Verify
from .oracle import State, order_of
from .presenters import Presenters

ENDINGS = (EventCode.LOGGED_OUT, EventCode.ENDED, EventCode.REUSED)
HEARD = (SessionRevoked.code, TokenReused.code)
LOOKED_AT = 5
"""How many of the newest access tokens are verified at every node after each step."""


class World:
    """One store, its presenters, and what has happened.

    Attributes:
        now: the time, in milliseconds; a node whose clock is wrong may use another time.
        state: what is stored, by the rule.
        tokens: every refresh token that was ever given, for each session in their order.
        subjects: the users.
        history: the rows of each session, in the order they were seen.
        met: how often each relation and verdict occurred.
    """

    def __init__(self, presenters: Presenters) -> None:
        self.presenters = presenters
        self.now = START
        self.state = State()
        self.tokens: dict[str, list[str]] = {}
        self.access_tokens: list[tuple[str, str, int]] = []
        self.history: dict[str, list[Session]] = {}
        self.told: list[Outcome] = []
        self.met: Counter[str] = Counter()
        run = os.urandom(4).hex()  # stores may be shared by all tests
        self.subjects = [f"user-{run}-{number}" for number in range(2)]
        self._ended: set[tuple[int, str]] = set()
        self.presenters.one_by_one([SetUser(self.now, 0, subject, "here") for subject in self.subjects])

    def close(self) -> None:
        """End the presenters."""
        self.presenters.close()

    def start(self, user: int = 0, node: int = 0) -> Given:
        """Start a session; check that the row and the tokens are those of a login."""
        subject = self.subjects[user]
        (outcome,) = self.presenters.one_by_one([calls.Start(self.now, node, subject)])
        given = outcome.answer
        assert isinstance(given, Given), outcome
        token, session = decode(given.refresh_token, KEYS), given.session
        assert encode(successor(token.secret, session), KEYS[0]) == given.refresh_token
        assert (token.session_id, subject, 0, NEVER_ROTATED, self.now, self.now + POLICY.idle_ttl, None, None) == (
            session.id,
            session.subject,
            session.generation,
            session.rotated_at,
            session.created_at,
            session.expires_at,
            session.ended_at,
            session.end_reason,
        )
        assert ["started"] == outcome.codes
        self.state = self.state.put(session)
        self._keep([calls.Start(self.now, node, subject)], [outcome])
        self.look()
        return given

    def refresh(self, token: str, node: int = 0, at: int | None = None) -> Outcome:
        """Present one token, now."""
        return self.at_once(Refresh(self.now if at is None else at, node, token))[0]

    def at_once(self, *made: Call) -> list[Outcome]:
        """Make calls at the same time; check that the rule explains the results for some order of them."""
        before = self.state
        outcomes = self.presenters.at_once(made) if len(made) > 1 else self.presenters.one_by_one(made)
        after = State(self.stored(), self._away(made))
        order = order_of(before, made, outcomes, after)
        assert order is not None, self._unexplained(made, outcomes, after)
        for row in before.rows:
            self._count(row, made, outcomes)
        self.state = after
        self._keep(made, outcomes)
        self.look()
        return outcomes

    def roll_back(self, session_id: str, row: Session) -> None:
        """Let the database lose what it wrote since it had ``row``."""
        self.at_once(self.rolling_back(session_id, row))

    def rolling_back(self, session_id: str, row: Session) -> RollBack:
        """Return the call that does so."""
        old = self.state.find(session_id)
        assert old is not None
        return RollBack(self.now, 0, old, replace(row, ended_at=None, end_reason=None))

    def row(self, session_id: str) -> Session:
        """Return a session as it is stored."""
        found = self.state.find(session_id)
        assert found is not None
        return found

    def tokens_of(self, session_id: str) -> list[str]:
        """Return every refresh token that was given for a session."""
        return list(self.tokens[session_id])

    def look(self) -> None:
        """Compare the stored row, the list of sessions and each node's verification with the expected ones."""
        assert self.state.rows == self.stored()
        lists = [ListSessions(self.now, 0, subject) for subject in self.subjects]
        for call, outcome in zip(lists, self.presenters.one_by_one(lists), strict=True):
            assert self.state.live(call.subject, call.at) == outcome.answer
        newest = self.access_tokens[-LOOKED_AT:]
        nodes = range(self.presenters.nodes)
        checks = [Verify(self.now, node, token) for node, (token, _, _) in itertools.product(nodes, newest)]
        allowed = [
            self._opens(node, session_id, until) for node, (_, session_id, until) in itertools.product(nodes, newest)
        ]
        for allows, outcome in zip(allowed, self.presenters.one_by_one(checks), strict=True):
            assert outcome.answer in allows

    def knows_ended(self, node: int, session_id: str) -> bool:
        """Return whether this node ended a session, or was notified that it ended."""
        return (node, session_id) in self._ended

    def adopt(self) -> None:
        """Expect what is stored now, after a call that may have got anywhere."""
        self.state = replace(self.state, rows=self.stored())

    def _opens(self, node: int, session_id: str, expires_at: int) -> set[object]:
        """Return what a node may answer: one that did not end the session itself learns of it within a second."""
        if self.now >= expires_at:
            return {TokenExpired}
        if self.knows_ended(node, session_id):
            return {SessionRevoked}
        ended = any(row.ended_at is not None for row in self.history[session_id])
        return {session_id, SessionRevoked} if ended else {session_id}

    def stored(self) -> frozenset[Session]:
        """Return the sessions as the store has them."""
        looks = [Look(self.now, 0, session_id) for session_id in sorted(row.id for row in self.state.rows)]
        return frozenset(outcome.answer for outcome in self.presenters.one_by_one(looks))

    def _away(self, made: tuple[Call, ...]) -> frozenset[str]:
        away = set(self.state.away)
        for call in made:
            if isinstance(call, SetUser):
                (away.discard if call.state == "here" else away.add)(call.subject)
        return frozenset(away)

    def _keep(self, made: "list[Call] | tuple[Call, ...]", outcomes: list[Outcome]) -> None:
        """Remember the tokens and the events."""
        self.told += outcomes
        for call, outcome in zip(made, outcomes, strict=True):
            given = outcome.answer
            if isinstance(given, Given):
                tokens = self.tokens.setdefault(given.session.id, [])
                if given.refresh_token not in tokens:
                    tokens.append(given.refresh_token)
                lifetime = min(POLICY.access_ttl, given.session.expires_at - call.at)
                expires_at = (call.at // 1000 + max(1, lifetime // 1000)) * 1000
                self.access_tokens.append((given.access_token, given.session.id, expires_at))
            for event in outcome.told:
                heard = event.code in ENDINGS or event.reason in HEARD
                if heard and event.session_id is not None:
                    self._ended.add((call.node % self.presenters.nodes, event.session_id))
        for row in self.state.rows:
            seen = self.history.setdefault(row.id, [])
            if not seen or seen[-1] != row:
                seen.append(row)

    def _count(self, row: Session, made: tuple[Call, ...], outcomes: list[Outcome]) -> None:
        for call, outcome in zip(made, outcomes, strict=True):
            if isinstance(call, Refresh) and decode(call.token, KEYS).session_id == row.id:
                relation = relate(row, decode(call.token, KEYS))
                self.met[outcome.codes[0]] += 1
                self.met[relation] += 1

    def _unexplained(self, made: tuple[Call, ...], outcomes: list[Outcome], after: State) -> str:
        lines = ["no order of these calls explains what was seen", "before:"]
        lines += [f"  {row} {row.branch.hex()}" for row in self.state.rows]
        for call, outcome in zip(made, outcomes, strict=True):
            lines.append(f"{call}")
            if isinstance(call, Refresh):
                token = decode(call.token, KEYS)
                lines.append(f"  generation {token.generation} {token.branch.hex()} of {token.parent.hex()}")
            lines += [f"  -> {outcome.answer}", *(f"  -> {event}" for event in outcome.told)]
        lines += ["after:", *(f"  {row} {row.branch.hex()}" for row in after.rows)]
        return "\n".join(lines)
