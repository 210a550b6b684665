"""Group commit for SQLite: whatever is waiting is written in one transaction, so that one ``fsync`` serves them all.

`Database` is the one connection and how a batch becomes one transaction. Threads share it by turns, each taking along
what the others have left (`ThreadQueue`); an event loop hands its work to one thread (`LoopQueue`).
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from daypass.errors import StoreContended, StoreError, StoreUnavailable

A = TypeVar("A")
Operation = Callable[[sqlite3.Connection], A]

BATCH = 512


class Waiting(Generic[A]):
    """An operation that waits for its turn, and afterwards its answer or its error."""

    __slots__ = ("answer", "done", "error", "future", "operation", "writes")

    def __init__(self, operation: Operation[A], *, writes: bool, future: "asyncio.Future[A] | None" = None) -> None:
        self.operation = operation
        self.writes = writes
        self.future = future
        self.done = False
        self.answer: A | None = None
        self.error: Exception | None = None

    def result(self) -> A:
        """Return the answer, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.answer  # type: ignore[return-value]  # done without an error means that the answer is there


class Database:
    """One connection to a SQLite file, opened when it is first needed, and anew in a forked child.

    Args:
        path: the file.
        prepare: is called with each new connection, to set it up.
    """

    def __init__(self, path: Path, prepare: Callable[[sqlite3.Connection], None]) -> None:
        self._path = path
        self._prepare = prepare
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection] = []
        self._pid = os.getpid()

    def commit(self, batch: Sequence[Waiting[Any]]) -> None:
        """Perform the operations of ``batch`` in one transaction; nobody gets an answer before it is on the disk."""
        try:
            self._transact(batch)
        except sqlite3.OperationalError as error:
            _fail(batch, _translated(error))
        except Exception as error:
            if len(batch) > 1:  # one of them is at fault, and only that one shall fail
                for waiting in batch:
                    self.commit([waiting])
            else:
                _fail(batch, _translated(error) if isinstance(error, sqlite3.Error) else error)
        except BaseException:
            _fail(batch, StoreUnavailable("interrupted before the commit"))
            raise
        for waiting in batch:
            waiting.done = True

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()
            self._connection = None

    def _transact(self, batch: Sequence[Waiting[Any]]) -> None:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE" if any(waiting.writes for waiting in batch) else "BEGIN")
        try:
            for waiting in batch:
                waiting.answer = waiting.operation(connection)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell of
                connection.execute("ROLLBACK")
            raise

    def _open(self) -> sqlite3.Connection:
        if self._pid != os.getpid():
            # A connection must not be used, nor even closed, on the other side of a fork: closing it here would
            # drop the parent's locks (sqlite.org/howtocorrupt.html §2.6).
            self._inherited += [self._connection] if self._connection else []
            self._connection, self._pid = None, os.getpid()
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


class ThreadQueue:
    """Threads that commit together: whose turn it is takes along all that wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Waiting[Any]] = deque()
        self._turn = threading.Lock()
        os.register_at_fork(after_in_child=partial(_after_fork, weakref.ref(self)))

    def perform(self, operation: Operation[A], *, writes: bool) -> A:
        """Return what ``operation`` returns, once it is committed.

        Raises:
            StoreError: it was not committed.
        """
        waiting = Waiting(operation, writes=writes)
        self._waiting.append(waiting)
        with self._turn:
            while not waiting.done:
                self._database.commit([self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))])
        return waiting.result()

    def close(self) -> None:
        """Close the database, after whoever is committing."""
        with self._turn:
            self._database.close()

    def start_anew(self) -> None:
        """Forget the threads that a forked child does not have, and the turn that one of them may have had."""
        self._turn = threading.Lock()
        self._waiting.clear()


def _after_fork(reference: "weakref.ref[ThreadQueue]") -> None:
    waiting = reference()
    if waiting is not None:
        waiting.start_anew()


class LoopQueue:
    """An event loop's way in: one thread commits all that has come while it was committing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: queue.SimpleQueue[Waiting[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    async def perform(self, operation: Operation[A], *, writes: bool) -> A:
        """Return what ``operation`` returns, once it is committed; it is committed even if the caller is cancelled.

        Raises:
            StoreError: it was not committed.
        """
        self._start()
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.put(Waiting(operation, writes=writes, future=future))
        return await future

    async def close(self) -> None:
        """Commit what is waiting and end the thread."""
        if self._thread is not None and self._pid == os.getpid():
            self._waiting.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
            if not self._waiting.empty():  # somebody asked while the thread was ending
                self._start()

    def _start(self) -> None:
        if self._pid != os.getpid():
            self._pid, self._waiting, self._thread = os.getpid(), queue.SimpleQueue(), None
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="daypass-sqlite", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        ending = False
        while not ending:
            batch, ending = self._take()
            if batch:
                self._database.commit(batch)
                _tell(batch)
        self._database.close()

    def _take(self) -> tuple[list[Waiting[Any]], bool]:
        """Wait for work; return all that is there, and whether it is the last."""
        batch: list[Waiting[Any]] = []
        waiting = self._waiting.get()
        while waiting is not None:
            batch.append(waiting)
            if len(batch) == BATCH:
                return batch, False
            try:
                waiting = self._waiting.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True


def _tell(batch: Sequence[Waiting[Any]]) -> None:
    """Wake each loop once, with all the answers that are for it."""
    loops = {waiting.future.get_loop() for waiting in batch if waiting.future is not None}
    for loop in loops:
        answered = [each for each in batch if each.future is not None and each.future.get_loop() is loop]
        with contextlib.suppress(RuntimeError):  # a loop that was closed meanwhile has nobody who waits
            loop.call_soon_threadsafe(_settle, answered)


def _settle(answered: Sequence[Waiting[Any]]) -> None:
    for waiting in answered:
        future = waiting.future
        if future is None or future.done():  # whoever asked was cancelled
            continue
        if waiting.error is not None:
            future.set_exception(waiting.error)
        else:
            future.set_result(waiting.answer)


def _fail(batch: Sequence[Waiting[Any]], error: Exception) -> None:
    for waiting in batch:
        waiting.error = error
        waiting.done = True


def _translated(error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)  # an error of the module itself has none
    if code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreContended("the SQLite database was locked by others for too long")
    return StoreUnavailable(f"the SQLite database did not do what was asked: {error}")
