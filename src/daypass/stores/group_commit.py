"""Group commit for SQLite: all waiting operations are written in one transaction, so one ``fsync`` serves them all.

`Database` has the one connection and makes a batch one transaction. Threads share it: the thread that holds the lock
commits all waiting operations (`ThreadQueue`). An event loop hands its operations to one thread (`LoopQueue`).
"""

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import stat
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from daypass.errors import StoreContended, StoreError, StoreUnavailable
from daypass.forks import survive_forks

A = TypeVar("A")
Operation = Callable[[sqlite3.Connection], A]

BATCH = 512

PATIENCE = 5.0
"""Seconds to wait for other processes that have the file locked."""

_AGAIN = 0.0003
"""Seconds until the next try, where others had it locked. SQLite's own pauses grow to 100 ms, so that one of two busy
processes waits for a long time while the other one goes on."""

_log = logging.getLogger("daypass")


class Waiting(Generic[A]):
    """An operation that waits to be committed, and then its answer or its error."""

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
    """One connection to a SQLite file, opened when it is first needed.

    It is closed before a fork, and opened again in each process when needed: a connection must not be used across a
    fork (sqlite.org/howtocorrupt.html §2.6).

    Args:
        path: the file.
        prepare: called with each new connection, to set it up.
    """

    def __init__(self, path: Path, prepare: Callable[[sqlite3.Connection], None]) -> None:
        self._path = path
        self._prepare = prepare
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._using = threading.Lock()
        os.register_at_fork(
            before=partial(_call, weakref.WeakMethod(self._before_fork)),
            after_in_parent=partial(_call, weakref.WeakMethod(self._after_fork_in_parent)),
            after_in_child=partial(_call, weakref.WeakMethod(self._after_fork_in_child)),
        )

    def commit(self, batch: Sequence[Waiting[Any]]) -> None:
        """Perform the operations of ``batch`` in one transaction; answers are given when it is on disk."""
        try:
            self._transact(batch)
        except (sqlite3.OperationalError, OSError) as error:
            _fail(batch, self._translated(error))
        except Exception as error:
            if len(batch) > 1:  # one of them caused the error, and only that one must fail
                for waiting in batch:
                    self.commit([waiting])
            else:
                _fail(batch, self._translated(error) if isinstance(error, sqlite3.Error) else error)
        except BaseException:
            _fail(batch, StoreUnavailable("interrupted before the commit"))
            raise
        for waiting in batch:
            waiting.done = True

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        with self._using:
            self._close()

    def _close(self) -> None:
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()
            self._connection = None

    def _before_fork(self) -> None:
        self._using.acquire()  # after the thread that is committing
        with contextlib.suppress(sqlite3.Error):  # `_open` abandons a connection that cannot be closed
            self._close()

    def _after_fork_in_parent(self) -> None:
        self._using.release()

    def _after_fork_in_child(self) -> None:
        self._using = threading.Lock()

    def _transact(self, batch: Sequence[Waiting[Any]]) -> None:
        with self._using:
            connection = self._open()
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    return _transact(connection, batch)
                except sqlite3.OperationalError as error:
                    if not _is_busy(error) or time.monotonic() > until:
                        raise
                time.sleep(_AGAIN)

    def _open(self) -> sqlite3.Connection:
        if self._pid != os.getpid():
            # For a fork that Python does not announce: the child must not use the connection, nor even close it.
            self._inherited += [self._connection] if self._connection else []
            self._connection, self._pid = None, os.getpid()
        if self._connection is None:
            _make_private(self._path)
            connection = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
                connection.execute("PRAGMA busy_timeout = 0")  # from now on `_transact` waits
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _translated(self, error: sqlite3.Error | OSError) -> StoreError:
        if _is_busy(error):
            return StoreContended(f"the SQLite database {self._path} was locked by others for too long")
        reason = error.strerror if isinstance(error, OSError) else error
        return StoreUnavailable(f"the SQLite database {self._path} cannot be used: {reason}")


def _transact(connection: sqlite3.Connection, batch: Sequence[Waiting[Any]]) -> None:
    connection.execute("BEGIN IMMEDIATE" if any(waiting.writes for waiting in batch) else "BEGIN")
    try:
        for waiting in batch:
            waiting.answer = waiting.operation(connection)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the first error is the one to report
            connection.execute("ROLLBACK")
        raise


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # an error of the module itself has none
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


_making = threading.Lock()


def _make_private(path: Path) -> None:
    """Create the file, readable only by its owner, if it does not exist; SQLite gives its other files that mode too.

    An existing file is not even opened: closing it would drop the locks that other connections of this process hold on
    it (sqlite.org/howtocorrupt.html §2.2). For the same reason only one thread creates a file at a time.
    """
    with _making:
        try:
            os.close(os.open(os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) and mode & stat.S_IRWXO:
                _log.warning("every user of this machine can open the database %s; run: chmod 600 %s", path, path)


def _call(method: "weakref.WeakMethod[Callable[[], None]]") -> None:
    bound = method()
    if bound is not None:
        bound()


class ThreadQueue:
    """Threads that commit together: the lock's holder commits all waiting operations."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Waiting[Any]] = deque()
        self._turn = threading.Lock()
        survive_forks(self)

    def perform(self, operation: Operation[A], *, writes: bool) -> A:
        """Return what ``operation`` returns, once it is committed.

        Raises:
            StoreError: it was not committed.
        """
        waiting = Waiting(operation, writes=writes)
        self._waiting.append(waiting)
        with self._turn:
            while not waiting.done:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
                if not batch:  # the thread that took it was interrupted
                    raise StoreUnavailable("interrupted before the commit")
                self._database.commit(batch)
        return waiting.result()

    def close(self) -> None:
        """Close the database, after the thread that is committing."""
        with self._turn:
            self._database.close()

    def recover_from_fork(self) -> None:
        """Forget the parent's threads, which a forked child lacks, and a lock that one of them may have held."""
        self._turn = threading.Lock()
        self._waiting.clear()


class LoopQueue:
    """Event loops that commit in one thread, which takes all operations that came while it was committing.

    The operations of one iteration of the loop are handed over together, so they wake the thread only once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changing = threading.Lock()
        self._worker: _Worker | None = None
        self._ended: _Worker | None = None
        self._gathered: dict[asyncio.AbstractEventLoop, list[Waiting[Any]]] = {}
        self._pid = os.getpid()

    async def perform(self, operation: Operation[A], *, writes: bool) -> A:
        """Return what ``operation`` returns, once it is committed; it is committed even if the caller is cancelled.

        Raises:
            StoreError: it was not committed.
        """
        return await self.begin(operation, writes=writes)

    def begin(self, operation: Operation[A], *, writes: bool) -> "asyncio.Future[A]":
        """Return a future of what `perform` returns."""
        if self._pid != os.getpid():
            self._reset_after_fork()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        gathered = self._gathered.get(loop)
        if gathered is None:
            gathered = self._gathered[loop] = []
            loop.call_soon(self._flush, loop)
        gathered.append(Waiting(operation, writes=writes, future=future))
        return future

    async def close(self) -> None:
        """Commit the waiting operations and end the thread."""
        self._flush(asyncio.get_running_loop())
        ending = self._end()
        if ending is not None:
            await asyncio.to_thread(ending.join)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over the operations of this iteration of ``loop``, and those of loops that have stopped since.

        Otherwise the waiting futures would keep those loops alive, and their operations would never be committed.
        """
        if self._pid != os.getpid():
            self._reset_after_fork()
        for each in list(self._gathered):
            if (each is loop or not each.is_running()) and (waiting := self._gathered.pop(each, None)):
                self._hand_over(waiting)

    def _hand_over(self, waiting: list[Waiting[Any]]) -> None:
        with self._changing:
            if self._worker is None:
                self._worker = _Worker(self._database, self._ended)
                self._worker.start()
            for start in range(0, len(waiting), BATCH):
                self._worker.waiting.put(waiting[start : start + BATCH])

    def _end(self) -> "_Worker | None":
        with self._changing:
            if self._worker is not None:
                self._worker.waiting.put(None)
                self._worker, self._ended = None, self._worker
            return self._ended

    def _reset_after_fork(self) -> None:
        """Forget what a forked child does not have: its parent's threads and loops, and their operations."""
        self._pid, self._changing, self._worker, self._ended = os.getpid(), threading.Lock(), None, None
        self._gathered.clear()


class _Worker(threading.Thread):
    """The thread that uses the database, once its predecessor has ended; None ends it."""

    def __init__(self, database: Database, before: "_Worker | None") -> None:
        super().__init__(name="daypass-sqlite", daemon=True)
        self.waiting: queue.SimpleQueue[list[Waiting[Any]] | None] = queue.SimpleQueue()
        self._database = database
        self._before = before

    def run(self) -> None:
        """Commit batches until the last one, then close the database."""
        if self._before is not None:
            self._before.join()
            self._before = None
        ending = False
        while not ending:
            batch, ending = self._take()
            if batch:
                self._database.commit(batch)
                _answer(batch)
        self._database.close()

    def _take(self) -> tuple[list[Waiting[Any]], bool]:
        """Wait for work; return all waiting work, and whether it is the last."""
        batch: list[Waiting[Any]] = []
        waiting = self.waiting.get()
        while waiting is not None:
            batch += waiting
            if len(batch) >= BATCH:
                return batch, False
            try:
                waiting = self.waiting.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True


def _answer(batch: Sequence[Waiting[Any]]) -> None:
    """Wake each loop once, with all its answers."""
    loops = {waiting.future.get_loop() for waiting in batch if waiting.future is not None}
    for loop in loops:
        answered = [each for each in batch if each.future is not None and each.future.get_loop() is loop]
        with contextlib.suppress(RuntimeError):  # a loop that was closed meanwhile has no waiting callers
            loop.call_soon_threadsafe(_settle, answered)


def _settle(answered: Sequence[Waiting[Any]]) -> None:
    for waiting in answered:
        future = waiting.future
        if future is None or future.done():  # the caller was cancelled
            continue
        if waiting.error is not None:
            future.set_exception(waiting.error)
        else:
            future.set_result(waiting.answer)


def _fail(batch: Sequence[Waiting[Any]], error: Exception) -> None:
    for waiting in batch:
        waiting.error = error
        waiting.done = True
