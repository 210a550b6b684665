"""A trace in words, one line a step."""

from collections.abc import Iterable

from daypass.rotation import Verdict

from .world import OWNER, TICK, Message, Move, State, Step, World


def told(world: World, trace: Iterable[tuple[Step, State]]) -> str:
    """Return ``trace`` as text: the time in ticks, what happened, and what the jar and the store hold then."""
    return "\n".join(_Story(world).lines(trace))


class _Story:
    def __init__(self, world: World) -> None:
        self._world = world
        self._names: dict[int, str] = {0: "T0"}
        self._start = world.start.now

    def lines(self, trace: Iterable[tuple[Step, State]]) -> Iterable[str]:
        self.name(self._world.mint.first)
        ticks = 0
        for step, state in trace:
            if step.move is Move.TICK:
                ticks += 1
                continue
            if ticks:
                yield f"       {ticks} tick{'s' * (ticks > 1)} later"
                ticks = 0
            held = f"jar {self.name(state.jar)}, row {self.name(state.row[0])}"
            if state.theft is not None:
                held += f", thief {'/'.join(self.name(token) for token in state.theft.held)}"
            yield f"  {(state.now - self._start) // TICK:>3}  {self.sentence(step, state):<92} [{held}]"
        if ticks:
            yield f"       {ticks} tick{'s' * (ticks > 1)} later"

    def name(self, token: int) -> str:
        """Return a token's name: its generation, and a stroke for each one before it of that generation."""
        if token not in self._names:
            stem = f"T{self._world.mint.tokens[token].generation}"
            before = sum(name.rstrip("'") == stem for name in self._names.values())
            self._names[token] = stem + "'" * before
        return self._names[token]

    def sentence(self, step: Step, state: State) -> str:
        message = step.message
        if message is None:
            return {
                Move.SAVE: "the store is backed up",
                Move.RESTORE: "the store falls back to what was backed up",
                Move.STEAL: "the thief copies the jar",
            }[step.move]
        token = self.name(message.token)
        match step.move:
            case Move.SEND:
                return f"a tab sends a request with {token}"
            case Move.COPY:
                return f"the request with {token} is duplicated on its way"
            case Move.LOSE:
                return f"a message with {token} is lost, or the node that had it dies"
            case Move.TAKE:
                return f"a node takes the request with {token} and reads its clock"
            case Move.FIND:
                return f"a node has found the row for {token}, and is slow to write"
            case Move.START_OVER:
                return f"the node with {token} finds the row changed and starts over"
            case Move.ARRIVE:
                return f"an answer with {token}{self._late(message, state)} arrives in the jar"
            case _:
                return self._served(step, message, token, state)

    def _served(self, step: Step, message: Message, token: str, state: State) -> str:
        outcome = step.outcome
        if outcome is None:
            return "?"
        who = "a tab's" if step.party == OWNER else "the thief's"
        slow = (state.now - message.clock) // TICK
        ticks = f"{abs(slow)} tick{'s' * (abs(slow) > 1)}"
        clock = "" if not slow else f", by a clock read {ticks} ago" if slow > 0 else f", by a clock {ticks} ahead"
        late = self._late(message, state) if step.party == OWNER else ""
        given = f", {self.name(outcome.answer)} is given" if outcome.answer is not None else ""
        if step.party == OWNER and outcome.answer is not None and self._world.keeps_jar(outcome):
            given = ", the jar stays as it is"
        if outcome.verdict is Verdict.REUSE:
            given = ", the session is revoked"
        return f"{who} request with {token}{late} is served{clock}: {outcome.verdict}{given}"

    def _late(self, message: Message, state: State) -> str:
        ticks = self._world.settings.delay - (message.deadline - state.now) // TICK
        if self._world.settings.round_trip or not ticks:
            return ""
        return f" (sent {ticks} tick{'s' * (ticks > 1)} ago)"
