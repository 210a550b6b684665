"""The search: breadth-first over all moves of a `World`, so the first trace that breaks a promise is a shortest one."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from daypass.rotation import Age, Relation, Verdict

from .promises import Promise
from .story import told
from .world import State, Step, World

Case = tuple[Relation, Age, Verdict]


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a search stops that does not come to an end before."""

    states: int = 2_000_000
    depth: int = 10_000
    seconds: float = 3600


@dataclass(slots=True)
class Result:
    """What a search found.

    Attributes:
        states: the number of different states.
        moves: how many steps were made and checked.
        depth: every trace of this many steps was explored.
        seconds: how long it took.
        finished: there is no state left: the promises hold for traces of any length.
        cases: how often each row of the table was met.
        broken: the broken promise, or None.
        trace: the shortest trace that shows it.
    """

    states: int = 0
    moves: int = 0
    depth: int = 0
    seconds: float = 0.0
    finished: bool = False
    cases: Counter[Case] = field(default_factory=Counter)
    broken: str | None = None
    trace: list[tuple[Step, State]] = field(default_factory=list)
    story: str = ""

    def __str__(self) -> str:
        end = "all there are" if self.finished else f"to depth {self.depth}"
        line = f"{self.states:,} states ({end}), {self.moves:,} moves, depth {self.depth}, {self.seconds:.1f} s"
        return line if self.broken is None else f"{line}\n{self.broken}, in {len(self.trace)} steps:\n{self.story}"


class Search:
    """One breadth-first search."""

    def __init__(self, world: World, promises: Sequence[Promise]) -> None:
        self.world = world
        self.promises = promises
        self.result = Result()
        self._came: list[tuple[int, Step | None, State]] = []
        self._seen: set[object] = set()
        self._met: set[State] = set()

    @property
    def states(self) -> list[State]:
        """The states that were seen, in that order."""
        return [state for _, _, state in self._came]

    def run(self, limits: Limits) -> Result:
        """Search until a promise breaks, no state is left, or a limit is reached."""
        started = time.perf_counter()
        self._visit(-1, None, self.world.start)
        level = range(1)
        while level and not self._is_over(limits, started):
            for index in level:
                self._expand(index)
                if self._is_over(limits, started):
                    break
            else:
                self.result.depth += 1
                level = range(level.stop, len(self._came))
        self.result.finished = not level
        self.result.states = len(self._came)
        self.result.seconds = time.perf_counter() - started
        return self.result

    def _is_over(self, limits: Limits, started: float) -> bool:
        if self.result.broken is not None:
            return True
        reached = len(self._came) >= limits.states or self.result.depth >= limits.depth
        return reached or time.perf_counter() - started >= limits.seconds

    def _visit(self, parent: int, step: Step | None, state: State) -> None:
        # most states are exact repeats, and a key is costly to compute: only states that are really new need one
        if state in self._met:
            return
        self._met.add(state)
        key = self.world.key(state)
        if key not in self._seen:
            self._seen.add(key)
            self._came.append((parent, step, state))

    def _expand(self, index: int) -> None:
        before = self._came[index][2]
        for step, after in self.world.moves(before):
            self.result.moves += 1
            if step.outcome is not None:
                self.result.cases[*step.outcome.case, step.outcome.verdict] += 1
            for promise in self.promises:
                self.result.broken = promise(self.world, before, step, after)
                if self.result.broken is not None:
                    self.result.trace = [*self._trace(index), (step, after)]
                    self.result.story = told(self.world, self.result.trace)
                    return
            self._visit(index, step, after)

    def _trace(self, index: int) -> list[tuple[Step, State]]:
        trace: list[tuple[Step, State]] = []
        while True:
            index, step, state = self._came[index]
            if step is None:
                return trace[::-1]
            trace.append((step, state))


def explore(world: World, promises: Sequence[Promise], limits: Limits | None = None) -> Result:
    """Search ``world`` for a trace that breaks one of ``promises``."""
    return Search(world, promises).run(limits or Limits())
