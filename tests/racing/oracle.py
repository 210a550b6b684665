"""The pure rule applied to calls, one after another; finds an order of the calls that explains what was seen.

It uses neither `daypass.flows` nor a store. Verdict, position and successor come from `daypass.rotation` and
`daypass.refresh_token`; the rest of a session's life is written out below.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daypass import (
    Event,
    EventCode,
    Session,
    SessionRevoked,
    TokenExpired,
    TokenRejected,
    TokenReused,
    TokenStale,
    TokenUnknown,
)
from daypass.refresh_token import RefreshToken, decode, encode, successor
from daypass.rotation import NEVER_ROTATED, Verdict, is_current, judge, position_after
from daypass.session import EndReason

from .calls import KEYS, POLICY, Call, EndAll, EndSession, Given, Logout, Outcome, Refresh, RollBack, SetUser


@dataclass(frozen=True)
class State:
    """The stored session, and which users may not log in."""

    rows: frozenset[Session] = frozenset()
    away: frozenset[str] = frozenset()

    def find(self, session_id: str) -> Session | None:
        """Return the session with this id."""
        return next((row for row in self.rows if row.id == session_id), None)

    def put(self, row: Session) -> "State":
        """Return the state with this row in the place of the one with its id."""
        return replace(self, rows=frozenset(each for each in self.rows if each.id != row.id) | {row})

    def live(self, subject: str, now: int) -> tuple[Session, ...]:
        """Return a user's live sessions, the newest login first."""
        live = [row for row in self.rows if row.subject == subject and row.ended_at is None and now < row.expires_at]
        return tuple(sorted(live, key=lambda row: (row.created_at, row.id), reverse=True))


@dataclass(frozen=True)
class Served:
    """A refresh whose verdict is written and whose user is yet to be loaded."""

    given: Given
    told: tuple[Event, ...]
    gone: bool = False


Progress = Outcome | Served | None
"""How far a call has got: a call is one atomic act after another, and others come between them."""


def order_of(before: State, calls: Sequence[Call], outcomes: Sequence[Outcome], after: State) -> list[int] | None:
    """Return an order of the acts of ``calls``, by their numbers, that has these outcomes and ends there; or None.

    An act that fits and writes nothing may as well come at once, so that only the order of those that write is tried.
    """
    seen: set[tuple[State, tuple[int, ...]]] = set()
    paths: list[tuple[State, list[Progress], list[int]]] = [(before, [None] * len(calls), [])]
    while paths:
        state, progress, order = paths.pop()
        writing = _read(state, calls, outcomes, progress, order)
        if all(isinstance(each, Outcome) for each in progress) and state == after:
            return order
        for number, (then, got) in writing.items():
            path = then, [*progress[:number], got, *progress[number + 1 :]], [*order, number]
            stage = then, tuple(map(_stage, path[1]))
            if stage not in seen:
                seen.add(stage)
                paths.append(path)
    return None


def _read(
    state: State, calls: Sequence[Call], outcomes: Sequence[Outcome], progress: list[Progress], order: list[int]
) -> "dict[int, tuple[State, Progress]]":
    """Let all acts happen that fit and write nothing; return those that fit and write."""
    writing: dict[int, tuple[State, Progress]] = {}
    for number, call in enumerate(calls):
        while not isinstance(progress[number], Outcome):
            then, got = act(state, call, progress[number])
            if not _fits(got, outcomes[number]):
                break
            if then != state:
                writing[number] = then, got
                break
            progress[number] = got
            order.append(number)
    return writing


def _stage(progress: Progress) -> int:
    return 3 if isinstance(progress, Outcome) else 0 if progress is None else 1 + progress.gone


def _fits(got: Progress, outcome: Outcome) -> bool:
    if isinstance(got, Served):
        return got.told == outcome.told[:1] and outcome.answer in (got.given, SessionRevoked)
    return got == outcome


def act(state: State, call: Call, progress: Progress) -> tuple[State, Progress]:
    """Return what the next act of ``call`` makes of ``state``, and how far the call has got then."""
    match call:
        case Refresh() if progress is None:
            return _present(state, call)
        case Refresh() if isinstance(progress, Served):
            return _load(state, call, progress)
        case Logout():
            return _end(state, decode(call.token, KEYS).session_id, call.at, EndReason.LOGOUT)
        case EndSession():
            return _end(state, call.session_id, call.at, EndReason.ENDED, call.subject)
        case EndAll():
            return _end_all(state, call)
        case RollBack():
            return _roll_back(state, call)
        case SetUser():
            away = state.away - {call.subject} if call.state == "here" else state.away | {call.subject}
            return replace(state, away=away), Outcome(None)
    raise AssertionError(call)


def _present(state: State, call: Refresh) -> tuple[State, Progress]:
    token, now = decode(call.token, KEYS), call.at
    found = state.find(token.session_id)
    refused = _refused(found, now)
    if found is None or refused is not None:
        return state, Outcome(refused, (_rejected(refused or TokenUnknown, found, now),))
    verdict = judge(found, token, now, POLICY.grace_period)
    told = _verdict(verdict, found, token, now)
    row = _after(found, token, verdict, now)
    if verdict is Verdict.STALE:
        return state, Outcome(TokenStale, (told,))
    if verdict is Verdict.REUSE:
        return state.put(row), Outcome(TokenReused, (told,))
    following = successor(token.secret, row)
    if verdict is Verdict.HOLD:
        return state, Served(Given(call.token, is_current(token, following), row), (told,))
    return state.put(row), Served(Given(encode(following, KEYS[0]), replaces=True, session=row), (told,))


def _refused(found: Session | None, now: int) -> type[TokenRejected] | None:
    if found is None:
        return TokenUnknown
    if found.end_reason is EndReason.REUSE:
        return TokenReused
    if found.ended_at is not None:
        return SessionRevoked
    return TokenExpired if now >= found.expires_at else None


def _after(found: Session, token: RefreshToken, verdict: Verdict, now: int) -> Session:
    if verdict is Verdict.REUSE:
        return replace(found, ended_at=now, end_reason=EndReason.REUSE)
    position = position_after(found, token, verdict, now)
    if position == (found.generation, found.branch, found.rotated_at):
        return found
    generation, branch, rotated_at = position
    expires_at = min(now + POLICY.idle_ttl, found.created_at + POLICY.absolute_ttl)
    return replace(found, generation=generation, branch=branch, rotated_at=rotated_at, expires_at=expires_at)


def _load(state: State, call: Refresh, served: Served) -> tuple[State, Progress]:
    session = served.given.session
    if not served.gone:
        if session.subject in state.away:
            return state, replace(served, gone=True)
        return state, Outcome(served.given, served.told)
    state, ended = _end(state, session.id, call.at, EndReason.USER_GONE)
    return state, Outcome(SessionRevoked, (*served.told, *ended.told, _rejected(SessionRevoked, session, call.at)))


def _end(
    state: State, session_id: str, now: int, reason: EndReason, subject: str | None = None
) -> tuple[State, Outcome]:
    row = state.find(session_id)
    if row is None or row.ended_at is not None or subject not in (None, row.subject):
        return state, Outcome(answer=False)
    state = state.put(replace(row, ended_at=now, end_reason=reason))
    if now >= row.expires_at:
        return state, Outcome(answer=False)
    code = EventCode.LOGGED_OUT if reason is EndReason.LOGOUT else EventCode.ENDED
    return state, Outcome(True, (Event(code, now, row.id, row.subject, reason),))  # noqa: FBT003 - it is the answer


def _end_all(state: State, call: EndAll) -> tuple[State, Outcome]:
    ending = sorted(row.id for row in state.live(call.subject, call.at) if row.id != call.keep)
    told: tuple[Event, ...] = ()
    for session_id in ending:
        state, ended = _end(state, session_id, call.at, EndReason.ENDED)
        told += ended.told
    return state, Outcome(len(ending), told)


def _roll_back(state: State, call: RollBack) -> tuple[State, Outcome]:
    row = state.find(call.old.id)
    if row is None or row.ended_at is not None or _position(row) != _position(call.old):
        return state, Outcome(answer=False)
    return state.put(call.new), Outcome(answer=True)


def _position(row: Session) -> tuple[int, bytes, int]:
    return row.generation, row.branch, row.rotated_at


def _verdict(verdict: Verdict, found: Session, token: RefreshToken, now: int) -> Event:
    return Event(
        EventCode(verdict.value),
        now,
        found.id,
        found.subject,
        generation_distance=token.generation - found.generation,
        age=None if found.rotated_at == NEVER_ROTATED else now - found.rotated_at,
    )


def _rejected(kind: type[TokenRejected], found: Session | None, now: int) -> Event:
    if found is None:
        return Event(EventCode.REJECTED, now, reason=kind.code)
    return Event(EventCode.REJECTED, now, found.id, found.subject, kind.code)
