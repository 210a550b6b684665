"""The idle clock of a session, explored: every order of active and passive refreshes, through the real flows.

One session, one jar whose holder may lose an answer and send the token before once more, and one store. At each moment
the next refresh comes after one of a few pauses, the moments around the session's end among them. The rule that
`daypass.flows` is held to:

- `kept_late`: no refresh is answered once the session was idle for its time, counted from the last *active* refresh or
  the login, nor after its latest end.
- `ended_early`: no refresh is refused as expired before that; less the grace period, within which a rotation is not
  written twice.
- `moved`: a passive refresh leaves the end where it is. An active one puts it an idle time from now, less the grace
  period.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

from daypass import refresh_token
from daypass.drive import run
from daypass.duration import SECOND
from daypass.errors import TokenExpired, TokenRejected
from daypass.flow import Flow, Step
from daypass.flows import ENTROPY, Call, Flows
from daypass.keys import KeyRing, SigningKey
from daypass.policy import Policy
from daypass.refresh_token import RefreshToken
from daypass.session import NOWHERE, Session, Tokens
from daypass.session_options import SessionOptions
from daypass.steps import Keys, LoadUser
from daypass.store_steps import Insert, StoreStep
from daypass.stores.memory import MemoryStore
from daypass.user import User

from .mint import KEY
from .plain_flows import PlainFlows

POLICY = Policy(
    access_ttl=1 * SECOND,
    idle_ttl=7 * SECOND,
    absolute_ttl=18 * SECOND,
    grace_period=2 * SECOND,
    session_idle_ttl=5 * SECOND,
)
PAUSES = (0, 1 * SECOND, 3 * SECOND)
"""Within the grace period, at once and later, and after it. The moments around the session's end come to these."""

KINDS: Mapping[str, SessionOptions] = MappingProxyType(
    {
        "remembered": SessionOptions(),
        "not remembered": SessionOptions(persistent=False),
        "own idle time": SessionOptions(idle_ttl="4s"),
        "own latest end": SessionOptions(idle_ttl="6s", absolute_ttl="11s"),
    }
)

_START = 1_000_000 * SECOND
_RING = KeyRing([SigningKey.generate("HS256")], "HS256", [KEY])
_ANN = User("ann")


class State(NamedTuple):
    """A moment: the stored session, when its user was last active, and the tokens that may be sent."""

    session: Session
    now: int
    active_at: int
    current: RefreshToken
    previous: RefreshToken | None


class Refresh(NamedTuple):
    """One refresh: after which pause, by whom, and with which token."""

    pause: int
    passive: bool
    again: bool


class Found(NamedTuple):
    """What an exploration found: how many states and refreshes, and the refreshes that broke the rule, if any."""

    states: int
    refreshes: int
    broken: str | None = None
    trace: tuple[Refresh, ...] = ()


Ask = Callable[[Flows, RefreshToken, Call, bool], Flow[Tokens]]
"""A refresh, passive or not."""


def shipping(flows: Flows, token: RefreshToken, call: Call, passive: bool) -> Flow[Tokens]:  # noqa: FBT001 - of `Ask`
    """Refresh as `daypass.flows` does."""
    return flows.refresh(token, call, passive=passive)


@dataclass(slots=True)
class _World:
    """One session in the store of this process."""

    options: SessionOptions
    ask: Ask
    flows: Flows
    store: MemoryStore

    def start(self) -> State:
        call = Call(_START, bytes(ENTROPY))
        tokens = self._run(self.flows.start(_ANN, NOWHERE, call, options=self.options))
        return State(tokens.session, _START, _START, _opened(tokens.refresh_token), None)

    def refresh(self, state: State, move: Refresh) -> State | str | None:
        """Return the state after a refresh, the broken promise, or None if the session has ended as it should."""
        now = state.now + move.pause
        self.store = MemoryStore()
        self.store.perform(Insert(state.session))
        token = state.previous if move.again and state.previous is not None else state.current
        earliest, latest = self._bounds(state)
        try:
            tokens = self._run(self.ask(self.flows, token, Call(now, bytes(ENTROPY)), move.passive))
        except TokenExpired:
            return f"ended_early by {earliest - now} ms" if now < earliest else None
        except TokenRejected:  # a token that is too old: what the rotation rule says is explored elsewhere
            return None
        if now >= latest:
            return f"kept_late by {now - latest} ms"
        return self._after(state, move, now, tokens)

    def _after(self, state: State, move: Refresh, now: int, tokens: Tokens) -> State | str:
        ends_at, session = state.session.expires_at, tokens.session
        current = _opened(tokens.refresh_token) if tokens.replaces else state.current
        previous = state.previous if current == state.current else state.current
        after = State(session, now, state.active_at if move.passive else now, current, previous)
        if move.passive and session.expires_at != ends_at:
            return f"moved by {session.expires_at - ends_at} ms, by a passive refresh"
        earliest, latest = self._bounds(after)
        if not earliest <= session.expires_at <= latest:
            return f"moved to {session.expires_at - latest} ms from where it belongs"
        return after

    def _bounds(self, state: State) -> tuple[int, int]:
        """Return between which times the session ends unless it is refreshed."""
        session = state.session
        idle_ttl = POLICY.idle_ttl if session.idle_ttl is None else session.idle_ttl
        idle_end, last = state.active_at + idle_ttl, POLICY.latest_end_of(session)
        return min(idle_end - POLICY.grace_period, last), min(idle_end, last)

    def moves(self, state: State) -> list[Refresh]:
        left = self._bounds(state)[1] - state.now
        pauses = {*PAUSES, left - 1, left} if left > 0 else set()
        tokens = (False,) if state.previous is None else (False, True)
        return [Refresh(*each) for each in product(sorted(pauses), (False, True), tokens)]

    def _run(self, flow: Flow[Tokens]) -> Tokens:
        return run(flow, self._answer)

    def _answer(self, step: Step[Any]) -> object:
        if isinstance(step, StoreStep):
            return self.store.perform(step)
        if isinstance(step, LoadUser):
            return _ANN
        return _RING if isinstance(step, Keys) else None


def _opened(text: str) -> RefreshToken:
    return refresh_token.decode(text, [KEY], "")


def _key(state: State) -> tuple[object, ...]:
    """Return the part that decides a state's future: times relative to each other, and tokens relative to the row."""
    session, now = state.session, state.now
    tokens = tuple(
        None
        if token is None
        else (token.generation - session.generation, token.branch == session.branch, token.parent == session.branch)
        for token in (state.current, state.previous)
    )
    since = min(now - session.rotated_at, POLICY.grace_period + 1)
    return now - session.created_at, since, session.expires_at - now, now - state.active_at, tokens


def explore(options: SessionOptions, ask: Ask = shipping, depth: int = 1000) -> Found:
    """Explore one kind of session to its end, breadth first, or for the given number of refreshes."""
    world = _World(options, ask, PlainFlows(POLICY), MemoryStore())
    start = world.start()
    seen, refreshes = {_key(start)}, 0
    edge: list[tuple[State, tuple[Refresh, ...]]] = [(start, ())]
    while edge and (depth := depth - 1) >= 0:
        coming: list[tuple[State, tuple[Refresh, ...]]] = []
        for state, trace in edge:
            for move in world.moves(state):
                refreshes += 1
                after = world.refresh(state, move)
                if isinstance(after, str):
                    return Found(len(seen), refreshes, after, (*trace, move))
                if after is not None and (key := _key(after)) not in seen:
                    seen.add(key)
                    coming.append((after, (*trace, move)))
        edge = coming
    return Found(len(seen), refreshes)
