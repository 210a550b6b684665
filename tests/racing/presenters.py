"""Who makes calls, and makes them at once: threads, the tasks of an event loop, or processes with threads."""

import asyncio
import contextvars
import inspect
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from daypass import AsyncDaypass, Daypass, DaypassError

from .calls import NOW, TOLD, Call, Node, Outcome, Users, answered, issuer, note
from .stores import STORES, AsyncDistant, Distant

PATIENCE = 60
"""Seconds after which whatever waits gives up."""

HEAD_START = 0.002
"""Seconds from the word to the start, in which it reaches all processes."""

PACKAGE = __name__.rpartition(".")[0]
ROOT = Path(__file__).parents[PACKAGE.count(".") + 1]
"""Where a process starts, so that this package has the same name there and what goes through a pipe is known."""


class Presenters(Protocol):
    """Those who make calls.

    Attributes:
        nodes: how many issuers they talk to, over one store.
    """

    nodes: int

    def one_by_one(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make the calls, each after the one before."""

    def at_once(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make all the calls at the same time."""

    def close(self) -> None:
        """End it all."""


class Threads:
    """Presenters that are threads, at three issuers; each issuer has its own store object on one database.

    Attributes:
        distant: whether stores and users answer slowly while calls are made at once.
    """

    nodes = 3
    distant = True

    def __init__(self, store: str, place: Path, listener: Any = note) -> None:
        self.stores = [Distant(STORES[store].open(place)) for _ in range(self.nodes)]
        self._users = Users(place)
        self._issuers = [issuer(Daypass, each, self._users, listener) for each in self.stores]
        self._pool = ThreadPoolExecutor(32)

    def one_by_one(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make the calls, each after the one before."""
        return [contextvars.copy_context().run(make, self._node(call), call) for call in calls]

    def at_once(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make each call in a thread; none starts before all are there."""
        start = threading.Barrier(len(calls))

        def made(call: Call) -> Outcome:
            start.wait(PATIENCE)
            return make(self._node(call), call)

        parts: list[Users | Distant] = [self._users, *self.stores] if self.distant else []
        with _taking_turns(), _at_a_distance(*parts):
            return list(self._pool.map(made, calls, timeout=PATIENCE))

    def close(self) -> None:
        """Close the stores."""
        self._pool.shutdown()
        for store in self.stores:
            store.close()

    def _node(self, call: Call) -> Node:
        return self._issuers[call.node % self.nodes]


class Tasks:
    """Presenters that are tasks of one event loop, at three issuers."""

    nodes = 3

    def __init__(self, store: str, place: Path, listener: Any = note) -> None:
        self.stores = [AsyncDistant(STORES[store].open_async(place)) for _ in range(self.nodes)]
        self._users = Users(place)
        self._issuers = [issuer(AsyncDaypass, each, self._users, listener) for each in self.stores]
        self._runner = asyncio.Runner()

    def one_by_one(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make the calls, each after the one before."""

        async def all_of_them() -> list[Outcome]:
            return [await asyncio.create_task(amake(self._node(call), call)) for call in calls]

        return self._runner.run(all_of_them())

    def at_once(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make each call in a task."""

        async def all_of_them() -> list[Outcome]:
            async with asyncio.timeout(PATIENCE):
                return list(await asyncio.gather(*(amake(self._node(call), call) for call in calls)))

        with _at_a_distance(self._users, *self.stores):
            return self._runner.run(all_of_them())

    def close(self) -> None:
        """Close the stores and the event loop."""

        async def all_of_them() -> None:
            for store in self.stores:
                await store.close()

        self._runner.run(all_of_them())
        self._runner.close()

    def _node(self, call: Call) -> Node:
        return self._issuers[call.node % self.nodes]


@contextmanager
def _taking_turns() -> Iterator[None]:
    """Let threads interrupt each other as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


@contextmanager
def _at_a_distance(*parts: Users | Distant | AsyncDistant) -> Iterator[None]:
    for part in parts:
        part.far = True
    yield
    for part in parts:
        part.far = False


def make(node: Node, call: Call) -> Outcome:
    """Make a call, in the context of the presenter."""
    NOW.set(call.at)
    TOLD.set([])
    try:
        answer = call.ask(node)
    except DaypassError as error:
        answer = error
    return answered(call, answer, TOLD.get())


async def amake(node: Node, call: Call) -> Outcome:
    """Do as `make`, in a task."""
    NOW.set(call.at)
    TOLD.set([])
    try:
        asked = call.ask(node)
        answer = await asked if inspect.isawaitable(asked) else asked
    except DaypassError as error:
        answer = error
    return answered(call, answer, TOLD.get())


# ---- processes


class Fleet:
    """Processes that wait for a message with the database to open and the call to make.

    They end when this process ends, however that happens, and after two minutes without a message.
    """

    size = 4

    def __init__(self) -> None:
        self._started = [_start() for _ in range(self.size)]

    def tell(self, number: int, *message: Any) -> None:
        """Send a message to one of them."""
        self._started[number][1].send(message)

    def hear(self, number: int) -> Any:
        """Return what one of them answers."""
        pipe = self._started[number][1]
        assert pipe.poll(PATIENCE), "a process does not answer"
        return pipe.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process, pipe in self._started:
            pipe.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start() -> "tuple[subprocess.Popen[bytes], Connection]":
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", f"{PACKAGE}.node", str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
    return process, Connection(ours.detach())


class Processes:
    """Presenters that are the threads of several processes, each with its own issuer."""

    nodes = Fleet.size

    def __init__(self, fleet: Fleet, store: str, place: Path) -> None:
        self._fleet = fleet
        self._everyone("open", store, place)

    def one_by_one(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make the calls of each node one after another, in its process."""
        return self._gather(calls, self._hand_out(calls, "one by one"))

    def at_once(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make each call in a thread of its node's process; all are there before any starts, at one time."""
        busy = self._hand_out(calls, "at once")
        assert ["ready"] * len(busy) == [self._fleet.hear(node) for node in busy]
        start_at = time.monotonic() + HEAD_START
        for node in busy:
            self._fleet.tell(node, start_at)
        return self._gather(calls, busy)

    def close(self) -> None:
        """Close the stores; the processes are for others to use."""
        self._everyone("close")

    def _hand_out(self, calls: Sequence[Call], how: str) -> list[int]:
        busy = sorted({call.node % self.nodes for call in calls})
        for node in busy:
            self._fleet.tell(node, how, [call for call in calls if call.node % self.nodes == node])
        return busy

    def _gather(self, calls: Sequence[Call], busy: list[int]) -> list[Outcome]:
        made = {node: iter(self._heard(node)) for node in busy}
        return [next(made[call.node % self.nodes]) for call in calls]

    def _everyone(self, *message: Any) -> None:
        for node in range(self.nodes):
            self._fleet.tell(node, *message)
        for node in range(self.nodes):
            assert self._heard(node) is None

    def _heard(self, node: int) -> Any:
        answer = self._fleet.hear(node)
        assert not isinstance(answer, str), answer
        return answer


def follow(pipe: Connection) -> None:
    """Run as one of the processes: make the calls that are asked for, until the pipe is closed."""
    threads: Threads | None = None
    while pipe.poll(2 * PATIENCE):
        try:
            order, *arguments = pipe.recv()
            match order, threads:
                case "open", _:
                    threads = OfProcess(*arguments)
                    answer: Any = None
                case "close", Threads():
                    threads.close()
                    threads = answer = None
                case "one by one", Threads():
                    answer = threads.one_by_one(*arguments)
                case "at once", Threads():
                    _wait_for_the_word(pipe)
                    answer = threads.at_once(*arguments)
        except (EOFError, ConnectionError):
            break
        except Exception as error:  # the caller gets the answer
            answer = f"process {os.getpid()}: {error!r}"
        pipe.send(answer)


class OfProcess(Threads):
    """The threads of one process, which is one node."""

    nodes = 1


def _wait_for_the_word(pipe: Connection) -> None:
    pipe.send("ready")
    (start_at,) = pipe.recv()
    while time.monotonic() < start_at:
        time.sleep(0)
