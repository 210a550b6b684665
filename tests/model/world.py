"""The world around the rotation rule: its state, and every possible move. Pure: no clock, no randomness.

There is one session. Tabs share one token jar. A message is a request with the token that was in the jar when it was
sent, or an answer that overwrites the jar. Tabs keep nothing else, so a tab is only its messages.

Time. D, ``delay``, is the longest time that a request and its answer may take together: the way to the server, the
wait in it, the write, and the way back to the jar. A client that gives a refresh 10 s, and reads no answer after that,
ensures it for the answer; a request must also not be written later than D after it was sent. Without ``round_trip``
the answer has a separate D. A node reads its clock once, at any time after the request was sent, and may be slow from
there to the write (``slow_nodes``): that is what `daypass.flows` does.

Granularity. Messages take at most D, rotations come *more* than W after each other. All times are whole ticks, D = k
ticks, and "more than W" is at least W + 1: a trace is missed only if it fits more than k times "a bit more than W" into
one chain of messages that has no slack. So k = 1 has every behaviour except some that need an exact fit. Exact bounds
are measured with k = 1, 2, 3 and agree. With ``edge`` a time of exactly W counts as within or as after,
whichever is worse. Then all bounds are closed and whole, every trace in real time has one in ticks with the same moves
in the same order, and what holds with D = k and W = n ticks holds in real time for any W of n/k of D.

The network. With ``room = n`` there are at most n messages under way: n tabs with one request each, where a request
that was duplicated takes another place. With ``room = None`` there is no bound, and the whole network is simpler: a
message may be lost and may be repeated, so more messages under way only ever add to what can happen. It is enough to
explore the worlds in which every tab always sends, nothing is lost before its time is up, and whatever was delivered
can be delivered again: these contain the traces of any number of tabs.

A node that dies before its write is a request that was lost; one that dies after it is an answer that was lost. The
first trip, the conditional write, either rotates or changes nothing. For the other verdicts a node has found a row and
writes only if it finds it again (``FIND``, then ``SERVE``); else it starts over with the time it has. A row that is
found again gives the same verdict for the same time, so with ``room = None`` the second half covers both.

Symmetry. The states hold true tokens and times, and two that differ only by a shift of time, of generations or by the
names of branches are one: `World.key`. It is the reason that most worlds are finite and are explored to the end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate
from typing import NamedTuple

from daypass import rotation
from daypass.rotation import NEVER_ROTATED, Age, Expectation, Position, Presented, Relation, Verdict, relate

from . import mint
from .mint import LOGIN, Mint, Row

TICK = 1000
"""Milliseconds in a tick: any number does, the rule counts nothing but differences."""

_START = 1000 * TICK
_TWO = 2
_FAR = 5
"""From this many generations behind, all tokens are treated the same."""
_NOT_READ = -_START


class Held(IntEnum):
    """What the answer to *hold* brings besides a new access token; without a refresh token the jar stays as it is.

    An answer that always brings the presented token again may put an older sibling of the current successor into the
    jar, after *branch*. The two then replace each other in the jar forever, and no W is enough.
    """

    NOTHING = 0
    THE_CURRENT_ONE = 1
    THE_TOKEN_AGAIN = 2


KEY = "the thumbprint of the owner's key"


def without_key(session: Position, token: Presented, now: int, grace_period: int) -> Verdict:
    """Judge a token of a session that is bound to `KEY`, presented without that key."""
    bound = mint.Position(session.generation, session.branch, session.rotated_at, KEY)
    return rotation.judge(bound, token, now, grace_period, None)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rotation rule, as the server applies it: the shipping one, or a broken one.

    ``unproven`` judges a token that comes without the proof that its session needs. Without an ``expectation`` there is
    no first trip: every verdict comes from ``judge`` and is written by compare-and-swap.
    """

    judge: Callable[[Position, Presented, int, int], Verdict]
    expectation: Callable[[Presented, int, int], Expectation] | None
    position_after: Callable[[Position, Presented, Verdict, int], tuple[int, bytes, int]] = rotation.position_after
    held: Held = Held.THE_CURRENT_ONE
    unproven: Callable[[Position, Presented, int, int], Verdict] = without_key


SHIPPING = Rule(rotation.judge, rotation.expectation)
"""The rule as it ships; `test_flows` holds `daypass.flows` to what is written and what is answered."""


class Apart(IntEnum):
    """Which uses by owner and thief must be more than the grace period apart for a trace to count."""

    NONE = 0
    FIRST = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """What can happen in a world; times in ticks.

    Attributes:
        delay: D.
        grace: W.
        room: how many messages may be under way at once; None for any number.
        patient: a client that refreshes one at a time: it sends when the last request and its answer are done or lost.
            Copies that the network made of its requests may still be under way; their answers do not come to it.
        round_trip: D bounds request and answer together.
        slow_nodes: a node may be slow between the reading of its clock and its write.
        skew: the clocks of nodes are ahead by up to this many ticks, each by another amount.
        races: a node's finding of a row and its write to it are two moves (with ``room`` only).
        edge: exactly W counts as within and as after.
        lost_writes: the store may once be set back by at most this many generations; 0 for never.
        thief: the jar is copied once.
        bound: the session is bound to a key that the owner has and the thief does not; the thief has every token.
        hoard: the thief keeps every token he was ever given, not only the last.
        apart: see `Apart`.
    """

    delay: int = 2
    grace: int = 6
    room: int | None = None
    patient: bool = False
    round_trip: bool = True
    slow_nodes: bool = False
    skew: int = 0
    races: bool = False
    edge: bool = False
    lost_writes: int = 0
    thief: bool = False
    hoard: bool = False
    bound: bool = False
    apart: Apart = Apart.NONE


class Kind(IntEnum):
    """What a message is."""

    REQUEST = 0
    TAKEN = 1
    FOUND = 2
    ANSWER = 3


class Message(NamedTuple):
    """Something under way until ``deadline``; a node that took it has read its ``clock``, and may have found a row."""

    kind: Kind
    token: int
    deadline: int
    clock: int = 0
    found: Row | None = None
    copy: bool = False


class Theft(NamedTuple):
    """The thief, and what the promises about him need to remember.

    Attributes:
        held: his tokens, the one in his jar last.
        given: for each token that is still worth something, how it came to owner and thief: -1 for not at all, 0 for
            before the theft, n when it was given for a token with n - 1; 2 stands for more as well.
        used: when each last used a token, by the server's time; 0 for not yet.
        depth: the largest n that each has reached.
        winner: the party that first advanced the session with a token that the other was not given; -1 for none yet.
        wins: how often the session was advanced since, up to 3.
    """

    held: tuple[int, ...]
    given: tuple[tuple[int, tuple[int, int]], ...]
    used: tuple[int, int] = (0, 0)
    depth: tuple[int, int] = (0, 0)
    winner: int = -1
    wins: int = 0


class State(NamedTuple):
    """All there is at one moment; times in milliseconds, tokens by their number in the `Mint`."""

    now: int
    row: Row
    jar: int
    net: tuple[Message, ...]
    saved: Row | None = None
    restored: bool = False
    theft: Theft | None = None
    revoked: bool = False


OWNER, THIEF = 0, 1


class Move(IntEnum):
    """What happened."""

    SEND = 0
    COPY = 1
    LOSE = 2
    TAKE = 3
    FIND = 4
    SERVE = 5
    START_OVER = 6
    ARRIVE = 7
    TICK = 8
    SAVE = 9
    RESTORE = 10
    STEAL = 11


class Outcome(NamedTuple):
    """The server's response to a token: the verdict, its row of the table, what is stored and answered."""

    verdict: Verdict
    case: tuple[Relation, Age]
    row: Row
    answer: int | None


class Step(NamedTuple):
    """One move, with the message it was about, who sent that, and the outcome at the server."""

    move: Move
    message: Message | None = None
    party: int = OWNER
    outcome: Outcome | None = None


class RuleContradictsItself(AssertionError):
    """The conditional write and `judge` disagree about *rotate*."""


class World:
    """One world: its settings, its rule, its tokens, and the moves."""

    def __init__(self, settings: Settings, rule: Rule = SHIPPING) -> None:
        self.settings = settings
        self.rule = rule
        self.mint = Mint()
        self.delay = settings.delay * TICK
        self.grace = settings.grace * TICK
        self._graces = (self.grace, self.grace - 1) if settings.edge else (self.grace,)
        self.decided: dict[tuple[Row, int, int, int], Outcome] = {}
        self._without_key: dict[tuple[Row, int, int, int], Outcome] = {}
        self._past: dict[tuple[int, int], bool] = {}
        # After the login the jar has the first token, and nothing is under way. A thief who has every token also has
        # tokens of before.
        row, jar = LOGIN, self.mint.first
        for _ in range(_FAR if settings.bound else 0):
            row = jar, NEVER_ROTATED
            jar = self.mint.successor(row)
        before = Theft((), ()) if settings.apart is Apart.ALL else None
        self.start = self._settled(State(_START, row, jar, (), theft=before))

    # ---- the server

    def serve(self, row: Row, token: int, clock: int, grace: int | None = None) -> Outcome:
        """Return what a node whose clock shows ``clock`` makes of ``token`` when it finds ``row``.

        Raises:
            RuleContradictsItself: the two forms of the rule differ.
        """
        question = row, token, clock, self.grace if grace is None else grace
        outcome = self.decided.get(question)
        if outcome is None:
            outcome = self.decided[question] = self._serve(*question)
        return outcome

    def serve_without_key(self, row: Row, token: int, clock: int, grace: int) -> Outcome:
        """Return what a node makes of a token that comes without a proof, in a world where the session is bound."""
        question = row, token, clock, grace
        outcome = self._without_key.get(question)
        if outcome is None:
            verdict = self.rule.unproven(self.mint.position(row), self.mint.tokens[token], clock, grace)
            outcome = self._without_key[question] = self._outcome(row, token, clock, grace, verdict)
        return outcome

    def _serve(self, row: Row, number: int, clock: int, grace: int) -> Outcome:
        position, token = self.mint.position(row), self.mint.tokens[number]
        verdict = self.rule.judge(position, token, clock, grace)
        if self.rule.expectation is not None:
            expected = self.rule.expectation(token, clock, grace)
            stands = (position.generation, position.branch) == (expected.generation, expected.branch)
            if (stands and position.rotated_at < expected.rotated_before) != (verdict is Verdict.ROTATE):
                raise RuleContradictsItself(f"{position} {token} {clock} {grace}")
        return self._outcome(row, number, clock, grace, verdict)

    def _outcome(self, row: Row, number: int, clock: int, grace: int, verdict: Verdict) -> Outcome:
        position, token = self.mint.position(row), self.mint.tokens[number]
        after = self.mint.row(*self.rule.position_after(position, token, verdict, clock))
        case = relate(position, token), Age.WITHIN if clock - row[1] <= grace else Age.AFTER
        return Outcome(verdict, case, after, self._answer(verdict, number, after))

    def _answer(self, verdict: Verdict, number: int, after: Row) -> int | None:
        if verdict in (Verdict.STALE, Verdict.REUSE, Verdict.UNPROVEN):
            return None
        return number if verdict is Verdict.HOLD else self.mint.successor(after)

    def keeps_jar(self, outcome: Outcome) -> bool:
        """Return whether the answer has no refresh token."""
        if outcome.verdict is not Verdict.HOLD or self.rule.held is Held.THE_TOKEN_AGAIN:
            return False
        return self.rule.held is Held.NOTHING or outcome.answer != self.mint.successor(outcome.row)

    def outcomes(self, row: Row, token: int, clock: int) -> list[Outcome]:
        """Return what a node may make of ``token``: one thing, or two at the very edge of the grace period."""
        return list(dict.fromkeys(self.serve(row, token, clock, grace) for grace in self._graces))

    # ---- moves

    def moves(self, state: State) -> Iterator[tuple[Step, State]]:
        """Yield every step that is possible in ``state``, with the state it leads to; nothing once all has ended."""
        if state.revoked:
            return
        yield from self._client_moves(state)
        for index, message in enumerate(state.net):
            yield from self._message_moves(state, index, message)
        if self.settings.lost_writes:
            yield from self._store_moves(state)
        if self.settings.thief:
            yield from self._thief_moves(state)
        yield Step(Move.TICK), self._tick(state)

    def _client_moves(self, state: State) -> Iterator[tuple[Step, State]]:
        room = self.settings.room
        if room is None or len(state.net) >= room:
            return
        if self.settings.patient and not all(message.copy for message in state.net):
            return
        request = Message(Kind.REQUEST, state.jar, state.now + self.delay)
        yield Step(Move.SEND, request), state._replace(net=_with(state.net, request))

    def _message_moves(self, state: State, index: int, message: Message) -> Iterator[tuple[Step, State]]:
        room = self.settings.room
        rest = state.net if room is None else state.net[:index] + state.net[index + 1 :]
        if room is not None:
            yield Step(Move.LOSE, message), state._replace(net=rest)
            if message.kind is Kind.REQUEST and len(state.net) < room:
                copy = message._replace(copy=self.settings.patient)
                yield Step(Move.COPY, message), state._replace(net=_with(state.net, copy))
        if message.kind is Kind.ANSWER:
            yield Step(Move.ARRIVE, message), self._settled(state._replace(jar=message.token, net=rest))
        else:
            yield from self._node_moves(state._replace(net=rest), message)

    def _node_moves(self, state: State, message: Message) -> Iterator[tuple[Step, State]]:
        if message.kind is Kind.FOUND and message.found != state.row:
            again = message._replace(kind=Kind.TAKEN, found=None)
            yield Step(Move.START_OVER, message), state._replace(net=_with(state.net, again))
            return
        for taken in self._taken(state, message):
            if message.kind is Kind.REQUEST and self.settings.slow_nodes and self.settings.room is not None:
                yield Step(Move.TAKE, taken), state._replace(net=_with(state.net, taken))
            for outcome in self.outcomes(state.row, taken.token, taken.clock):
                yield from self._trips(state, taken, outcome)

    def _taken(self, state: State, message: Message) -> list[Message]:
        """Return ``message`` as it is once a node has read its clock for it."""
        if message.kind is not Kind.REQUEST:
            return [message]
        clocks = range(state.now, state.now + self.settings.skew * TICK + 1, TICK)
        return [message._replace(kind=Kind.TAKEN, clock=clock) for clock in clocks]

    def _trips(self, state: State, message: Message, outcome: Outcome) -> Iterator[tuple[Step, State]]:
        swaps = outcome.verdict in (Verdict.BRANCH, Verdict.HEAL, Verdict.REUSE)
        if self.settings.races and swaps and message.kind is Kind.TAKEN:
            found = message._replace(kind=Kind.FOUND, found=state.row)
            yield Step(Move.FIND, message), state._replace(net=_with(state.net, found))
        after = self._served(state, message, OWNER, outcome)
        if after is not None:
            yield Step(Move.SERVE, message, OWNER, outcome), after

    def _served(self, state: State, message: Message, party: int, outcome: Outcome) -> State | None:
        """Return the state once the server has acted; None for a trace that does not count."""
        theft = state.theft
        if theft is not None:
            theft = self._remembered(state, theft, message, party, outcome)
            if theft is None:
                return None
        after = state._replace(row=outcome.row, revoked=outcome.verdict is Verdict.REUSE, theft=theft)
        if state.saved is not None and self._lost(after.row, state.saved) > self.settings.lost_writes:
            after = after._replace(saved=None, restored=True)
        if outcome.answer is None or party == THIEF or message.copy or self.keeps_jar(outcome):
            return after
        deadline = message.deadline if self.settings.round_trip else state.now + self.delay
        return after._replace(net=self._sent(after.net, Message(Kind.ANSWER, outcome.answer, deadline)))

    def _tick(self, state: State) -> State:
        now = state.now + TICK
        net = state.net
        if self.settings.slow_nodes and self.settings.room is None:
            for message in state.net:
                if message.kind is Kind.REQUEST:
                    for taken in self._taken(state, message):
                        net = self._sent(net, taken)
        net = tuple(message for message in net if message.deadline >= now)
        return self._settled(state._replace(now=now, net=net))

    def _settled(self, state: State) -> State:
        """Return ``state`` with the request that some tab always sends, where any number of them is about."""
        if self.settings.room is not None:
            return state
        request = Message(Kind.REQUEST, state.jar, state.now + self.delay)
        return state._replace(net=self._sent(state.net, request))

    def _sent(self, net: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
        """Return ``net`` with ``message``; of two that differ in their deadline only, the later does for both."""
        if self.settings.room is not None:
            return _with(net, message)
        for other in net:
            if other._replace(deadline=message.deadline) == message:
                if other.deadline >= message.deadline:
                    return net
                return _with(tuple(each for each in net if each is not other), message)
        return _with(net, message)

    # ---- a store that loses writes

    def _store_moves(self, state: State) -> Iterator[tuple[Step, State]]:
        if state.restored:
            return
        if state.saved is None:
            yield Step(Move.SAVE), state._replace(saved=state.row)
            return
        if state.saved != state.row:
            after = state._replace(row=state.saved, saved=None, restored=True)
            if after.theft is not None:
                after = after._replace(theft=_counted_anew(after.theft))
            yield Step(Move.RESTORE), after

    def _lost(self, row: Row, saved: Row) -> int:
        return self.mint.tokens[row[0]].generation - self.mint.tokens[saved[0]].generation

    # ---- a thief

    def ways(self, state: State, token: int) -> tuple[int, int]:
        """Return how ``token`` came to owner and thief; see `Theft.given`."""
        theft = state.theft
        default = -1 if self._is_new(state, token) else 0
        return (default, -1) if theft is None else dict(theft.given).get(token, (default, -1))

    def _thief_moves(self, state: State) -> Iterator[tuple[Step, State]]:
        if self.settings.bound:
            yield from self._moves_without_key(state)
            return
        theft = state.theft
        if theft is None or not theft.held:
            used = (0, 0) if theft is None else theft.used
            stolen = Theft((state.jar,), ((state.jar, (0, 0)),), used)
            yield Step(Move.STEAL), state._replace(theft=stolen)
            return
        for token in theft.held:
            message = Message(Kind.TAKEN, token, state.now, state.now)
            for outcome in self.outcomes(state.row, token, state.now):
                after = self._served(state, message, THIEF, outcome)
                if after is not None:
                    yield Step(Move.SERVE, message, THIEF, outcome), after

    def _moves_without_key(self, state: State) -> Iterator[tuple[Step, State]]:
        """Yield what a thief does who has every token of a bound session, whenever he likes, and not its key."""
        ancestors = accumulate(range(_FAR), lambda token, _: max(0, self.mint.parents[token]), initial=state.row[0])
        known = {state.jar, self.mint.successor(state.row), *ancestors, *(message.token for message in state.net)}
        for token in sorted(known - {0}, reverse=True):
            message = Message(Kind.TAKEN, token, state.now, state.now)
            for grace in self._graces:
                outcome = self.serve_without_key(state.row, token, state.now, grace)
                after = self._served(state, message, THIEF, outcome)
                if after is not None:
                    yield Step(Move.SERVE, message, THIEF, outcome), after

    def _remembered(self, state: State, theft: Theft, message: Message, party: int, outcome: Outcome) -> Theft | None:
        """Return ``theft`` after a use by ``party``; None when the use was not apart, in a world where it must be."""
        if not theft.held:
            return self._with_use(theft, party, message.clock)
        if outcome.case[0] is Relation.FUTURE:
            theft = _counted_anew(theft)
        token = message.token
        given = dict(theft.given)
        theft = theft._replace(held=self._held(state, theft, party, outcome))
        if self.settings.apart is Apart.NONE:
            theft = _with_winner(theft, given.get(token, (0, -1)), moved=outcome.row[0] != state.row[0])
        else:
            if not self._is_apart(theft, party, message.clock):
                return None
            theft = self._with_use(theft, party, message.clock)
        if outcome.answer is not None:
            ways = list(self.ways(state, outcome.answer))
            if outcome.answer != token and ways[party] < 0:
                counts = self.settings.apart is not Apart.NONE
                ways[party] = min(_TWO, given.get(token, (0, -1))[party] + 1) if counts else 0
                depth = max(theft.depth[party], ways[party])
                theft = theft._replace(depth=_put(theft.depth, party, depth))
            given[outcome.answer] = ways[0], ways[1]
        return theft._replace(given=self._worth_remembering(state, theft, outcome, given))

    def _is_new(self, state: State, token: int) -> bool:
        """Return whether ``token`` cannot have been given to anyone yet: it was not the successor of the row before."""
        known = {state.jar, *(message.token for message in state.net)}
        return token not in known and token != self.mint.successor(state.row)

    def _held(self, state: State, theft: Theft, party: int, outcome: Outcome) -> tuple[int, ...]:
        """Return the thief's tokens after an ``outcome``: of those that are worth the same to him, the last will do."""
        held = theft.held
        if party == THIEF and outcome.answer is not None:
            held = (*(token for token in held if token != outcome.answer), outcome.answer)
        if not self.settings.hoard:
            return held[-1:]
        if self.settings.lost_writes:
            return held
        given = dict(theft.given)
        shared = {state.jar, outcome.answer, self.mint.successor(outcome.row)}
        shared.update(message.token for message in state.net)
        kept: dict[object, int] = {}
        for token in held:
            worth: object = token
            if self._is_past(outcome.row, token):
                worth = "dead", self._behind(outcome.row, token)
            elif token not in shared and token != outcome.row[0]:
                worth = "one of several children", given.get(token)
            kept[worth] = token
        return tuple(kept.values())

    def _is_apart(self, theft: Theft, party: int, clock: int) -> bool:
        if self.settings.apart is Apart.FIRST and theft.used[party]:
            return True
        other = theft.used[1 - party]
        return not other or abs(clock - other) > self.grace

    def _with_use(self, theft: Theft, party: int, clock: int) -> Theft:
        if self.settings.apart is Apart.FIRST and theft.used[party]:
            return theft
        return theft._replace(used=_put(theft.used, party, max(clock, theft.used[party])))

    def _worth_remembering(
        self, state: State, theft: Theft, outcome: Outcome, given: dict[int, tuple[int, int]]
    ) -> tuple[tuple[int, tuple[int, int]], ...]:
        about = {state.jar, outcome.answer, outcome.row[0], self.mint.successor(outcome.row), *theft.held}
        about.update(message.token for message in state.net)
        return tuple(sorted(item for item in given.items() if item[0] in about))

    # ---- symmetry

    def key(self, state: State) -> tuple[object, ...]:
        """Return what distinguishes ``state`` from all states that differ in more than names and the date."""
        mint, now = self.mint, state.now
        rows = [state.row] if state.saved is None else [state.row, state.saved]
        tokens = {state.jar, *(message.token for message in state.net)}
        for row in rows:
            tokens.update((row[0], mint.successor(row)))
        theft = state.theft
        if theft is not None:
            tokens.update(theft.held)
            tokens.update(token for token, _ in theft.given)
        names = self._names(rows, tokens)
        return (
            tuple((names[row[0]], self._age(now, row[1]), names[mint.successor(row)]) for row in rows),
            names[state.jar],
            tuple(sorted(self._message_key(message, now, names, rows) for message in state.net)),
            state.restored,
            None if theft is None else self._theft_key(theft, now, names),
            state.revoked,
            self._shape(state, names),
        )

    def _names(self, rows: list[Row], tokens: set[int]) -> dict[int, int]:
        """Number the tokens that are worth something in an order of their own; others by how far they are behind."""
        mint = self.mint
        names = {}
        alive = []
        for token in tokens:
            if all(self._is_past(row, token) for row in rows):
                names[token] = -sum(self._behind(row, token) * 10**place for place, row in enumerate(rows))
            else:
                alive.append(token)
        alive.sort(key=lambda token: (mint.tokens[token].generation, mint.born[token], token))
        names.update((token, name) for name, token in enumerate(alive))
        return names

    def _behind(self, row: Row, token: int) -> int:
        """Return how many generations ``token`` is behind ``row``, plus one, as far as any rule may care."""
        tokens = self.mint.tokens
        return 1 + min(3, max(0, tokens[row[0]].generation - tokens[token].generation))

    def _is_past(self, row: Row, token: int) -> bool:
        question = row[0], token
        past = self._past.get(question)
        if past is None:
            relation = relate(self.mint.position(row), self.mint.tokens[token])
            past = self._past[question] = relation in (Relation.PAST, Relation.LONG_PAST)
        return past

    def _shape(self, state: State, names: dict[int, int]) -> tuple[tuple[int, ...], ...]:
        mint = self.mint
        current = mint.tokens[state.row[0]].generation
        alive = sorted((token for token, name in names.items() if name >= 0), key=names.__getitem__)
        shape = tuple((mint.tokens[token].generation - current, names.get(mint.parents[token], -9)) for token in alive)
        if not self.settings.lost_writes:
            return shape
        # Only after lost writes can a row be written a second time, with the same time and so the same successor.
        ages = tuple(min(state.now - mint.born[token], self.delay + TICK) for token in alive)
        return (*shape, ages)

    def _age(self, now: int, then: int) -> int:
        """Return how long ago something was, as far as it can matter: a slow node's clock is up to D behind."""
        return min(now - then, self.grace + self.delay + 2 * TICK)

    def _message_key(self, message: Message, now: int, names: dict[int, int], rows: list[Row]) -> tuple[int, ...]:
        clock = now - message.clock if message.clock else _NOT_READ
        # A row that was found matters only if it can be found again.
        found = -1 if message.found is None else rows.index(message.found) if message.found in rows else len(rows)
        return message.kind, names[message.token], message.deadline - now, clock, found, message.copy

    def _theft_key(self, theft: Theft, now: int, names: dict[int, int]) -> tuple[object, ...]:
        held = tuple(dict.fromkeys(names[token] for token in theft.held))
        given = tuple(sorted((names[token], ways) for token, ways in theft.given if names[token] >= 0))
        used = tuple(self._age(now, then) for then in theft.used)
        return held, given, used, theft.depth, theft.winner, theft.wins


def _with(net: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
    return (*net, message)


def _put(pair: tuple[int, int], party: int, value: int) -> tuple[int, int]:
    return (value, pair[1]) if party == OWNER else (pair[0], value)


def _counted_anew(theft: Theft) -> Theft:
    """Return ``theft`` counted from now: what was given before the store lost its writes does not count."""
    given = tuple((token, (0, 0)) for token in theft.held)
    return theft._replace(given=given, depth=(0, 0), winner=-1, wins=0)


def _with_winner(theft: Theft, ways: tuple[int, int], *, moved: bool) -> Theft:
    """Return ``theft`` after a token that came to the parties in these ``ways`` was used."""
    if not moved:
        return theft
    if theft.winner >= 0:
        return theft._replace(wins=min(3, theft.wins + 1))
    if min(ways) < 0:
        return theft._replace(winner=OWNER if ways[OWNER] >= 0 else THIEF)
    return theft
