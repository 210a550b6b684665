"""Several processes that serve one socket, and their parent, which supervises them.

uvicorn's own supervisor is not used: its processes can only run `uvicorn.Server`, which drops unaccepted connections
when it ends, and cannot wait for a store.
"""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from daypass.duration import SECOND, milliseconds
from daypass.errors import DaypassError
from daypass.server import service
from daypass.server.notify import notify
from daypass.server.settings import Settings, read

_REST = 1.0
"""Seconds between two starts of one worker."""

_PATIENCE = 5.0
"""Seconds that a worker has to end beyond the time of its requests."""

_log = logging.getLogger("daypass")


def serve(options: Mapping[str, Any], settings: Settings, listening: socket.socket, ready: Callable[[], object]) -> int:
    """Serve until a signal ends the service, in this process or in workers; return the exit status.

    Args:
        options: of the command line, as `daypass.server.settings.read` takes them.
        settings: the settings that they and the other sources give.
        listening: the socket.
        ready: called when all workers can answer.
    """

    def tell() -> None:
        ready()
        notify("READY=1")

    if settings.workers == 1:
        service.serve(options, listening, tell)
        return 0
    patience = (milliseconds(settings.drain_delay) + milliseconds(settings.drain_timeout)) / SECOND + _PATIENCE
    given = {name: options.get(name) for name in Settings.model_fields}
    return Parent(settings.workers, given, listening, tell, patience).run()


class _Worker:
    """A process that serves, and the pipe that reports that it is ready and shows it when its parent has died."""

    def __init__(self, options: Mapping[str, Any], listening: socket.socket) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_work, args=(options, listening, theirs))
        self.process.start()
        theirs.close()
        self.started_at = time.monotonic()
        self.is_ready = False

    def send(self, number: signal.Signals) -> None:
        if self.process.pid is not None and self.process.exitcode is None:
            os.kill(self.process.pid, number)


class Parent:
    """Starts workers, replaces those that die, forwards signals.

    Args:
        count: how many workers.
        options: of the command line.
        listening: the socket that they share.
        ready: called when all can answer.
        patience: seconds that they have to shut down.
    """

    def __init__(
        self,
        count: int,
        options: Mapping[str, Any],
        listening: socket.socket,
        ready: Callable[[], object],
        patience: float,
    ) -> None:
        self._count = count
        self._options = options
        self._listening = listening
        self._ready: Callable[[], object] | None = ready
        self._patience = patience
        self._workers: list[_Worker] = []
        self._ending = self._reloading = False
        self._wake, self._waker = socket.socketpair()

    def run(self) -> int:
        """Supervise the workers until a signal comes; return the exit status."""
        self._listen_to_signals()
        self._workers = [_Worker(self._options, self._listening) for _ in range(self._count)]
        failed = False
        while not self._ending and not failed:
            self._wait()
            failed = not self._look_at_each()
            if self._reloading:
                self._reloading = False
                self._reload()
        self._end()
        return int(failed)

    def _listen_to_signals(self) -> None:
        self._waker.settimeout(0)
        signal.set_wakeup_fd(self._waker.fileno())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reloading = True
        else:
            self._ending = True

    def _wait(self) -> None:
        """Wait for a signal, a worker that is ready, or one that has ended; at most a second."""
        pipes = [worker.pipe for worker in self._workers if not worker.is_ready]
        ends = [worker.process.sentinel for worker in self._workers]
        if self._wake in connection.wait([self._wake, *pipes, *ends], timeout=_REST):
            self._wake.recv(64)

    def _look_at_each(self) -> bool:
        """Replace workers that have ended; return False if one could not even start."""
        for number, worker in enumerate(self._workers):
            if worker.process.exitcode is not None and not self._ending:
                if self._ready is not None and not worker.is_ready:
                    return False
                if time.monotonic() - worker.started_at >= _REST:
                    _log.warning("a worker ended with status %s; starting another", worker.process.exitcode)
                    self._workers[number] = _Worker(self._options, self._listening)
            elif not worker.is_ready and worker.pipe.poll():
                worker.is_ready = True
        if self._ready is not None and all(worker.is_ready for worker in self._workers):
            self._ready()
            self._ready = None
        return True

    def _reload(self) -> None:
        try:
            read(self._options)
        except DaypassError as error:
            _log.warning("not reloaded, the service goes on as before: %s", error)
            return
        for worker in self._workers:
            worker.send(signal.SIGHUP)

    def _end(self) -> None:
        self._listening.close()  # otherwise connections would wait here unaccepted
        notify("STOPPING=1")
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        until = time.monotonic() + self._patience
        for worker in self._workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()


def _work(options: Mapping[str, Any], listening: socket.socket, parent: "connection.Connection") -> None:
    """Serve, in this process, until the parent says so or has died."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        service.serve(options, listening, lambda: parent.send("ready"))
    except DaypassError as error:
        _log.error("%s", error)
        raise SystemExit(1) from None


def _end_with(parent: "connection.Connection") -> None:
    try:
        parent.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
