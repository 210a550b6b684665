"""One "machine": a process group that forks workers, and shares only the database with the others.

Its monotonic clock and its wall clock are shifted, as the clocks of different machines differ.

It reads from its standard input: first a `Job` as a line of JSON, then one line for each worker to start. At the end
of its input it ends with its workers.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import httpx2

from daypass.client.clock import monotonic_ms, wall_ms
from daypass.client.events import ClientEvent
from daypass.client.httpx import DaypassAuth
from daypass.client.sealing import Sealing
from daypass.client.storage.shared import Rows, SharedStorage
from daypass.client.timing import Timing

SECRET = "a secret of the fleet, of at least 32 bytes"


@dataclass(frozen=True)
class Job:
    """The job of a machine's workers.

    Attributes:
        database: the URL of the database.
        issuer: the URL of the OAuth server.
        log: the file for the workers' log.
        connections: the number of connections.
        workers: the number of workers; worker w uses the connections n with n % workers == w.
        timing: the arguments of `Timing`.
        pause: seconds between two calls.
        calls: whether the workers also send requests with the tokens.
        ahead: by how many milliseconds this machine's clocks are ahead.
    """

    database: str
    issuer: str
    log: str
    connections: int = 1
    workers: int = 8
    timing: dict[str, Any] | None = None
    pause: float = 0.05
    calls: bool = True
    ahead: int = 0

    def to_json(self) -> str:
        """Return the job as a line of JSON."""
        return json.dumps(asdict(self))


def open_rows(url: str, connections: int = 2) -> Rows:
    """Return the rows of the database at ``url``."""
    if url.startswith("postgres"):
        from daypass.client.storage.postgres import PostgresRows

        return PostgresRows(url, pool_size=connections, timeout="3s")
    from daypass.client.storage.redis import RedisRows

    return RedisRows(url, timeout="3s", max_connections=connections)


def key_of(number: int) -> str:
    """Return the key of a connection."""
    return f"service/tenant-{number}"


def storage_of(rows: Rows, number: int) -> SharedStorage:
    """Return the storage of a connection."""
    return SharedStorage(rows, key_of(number), Sealing(SECRET))


class Log:
    """A file to which processes append lines. The lines of a killed process are kept."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, **fields: Any) -> None:
        """Append a line."""
        os.write(self._file, f"{json.dumps(fields)}\n".encode())


class Worker:
    """Uses its connections, one after another, until a signal ends it."""

    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._log = Log(job.log)
        self._ended = threading.Event()
        self._calls = 0
        signal.signal(signal.SIGTERM, self._end)
        rows = open_rows(job.database)
        self._client = httpx2.Client(timeout=30, trust_env=False)
        numbers = [each for each in range(job.connections) if each % job.workers == number % job.workers]
        numbers = numbers or [number % job.connections]
        random.shuffle(numbers)
        self._auths = [self._auth(rows, each) for each in numbers]

    def run(self) -> None:
        """Use the connections until the end."""
        while not self._ended.is_set():
            for auth in self._auths:
                self._call(auth)
                time.sleep(self._job.pause)
                if self._ended.is_set():
                    break
        self._log.write(calls=self._calls)

    def _auth(self, rows: Rows, number: int) -> DaypassAuth:
        job = self._job
        return DaypassAuth(
            f"{job.issuer}/auth",
            storage=storage_of(rows, number),
            client=self._client,
            timing=Timing(**(job.timing or {})),
            clock=lambda: monotonic_ms() + job.ahead,
            wall_clock=lambda: wall_ms() + job.ahead,
            on_event=self._note,
        )

    def _call(self, auth: DaypassAuth) -> None:
        try:
            if self._job.calls:
                status = self._client.get(f"{self._job.issuer}/me", auth=auth).status_code
                assert status == 200, status
            else:
                auth.token()
            self._calls += 1
        except Exception as error:  # all errors are counted
            self._log.write(failed=type(error).__name__, why=str(error)[:200], at=time.time())
            time.sleep(0.1)
        if self._calls >= 50:
            self._log.write(calls=self._calls)
            self._calls = 0

    def _note(self, event: ClientEvent) -> None:
        if event.kind.value not in ("restored", "refreshing", "unauthorized", "replayed"):
            self._log.write(event=event.kind.value, why=event.reason, took=event.took)

    def _end(self, *_: object) -> None:
        self._ended.set()


def main() -> None:
    """Start a worker for each line of the input; end them at its end."""
    job = Job(**json.loads(sys.stdin.readline()))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pids = []
    for number, _ in enumerate(sys.stdin):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _work(lambda number=number: Worker(job, number).run())  # type: ignore[misc]  # mypy infers no lambda with a default
        pids.append(pid)
        print(pid, flush=True)  # noqa: T201 - read by the fleet
    for pid in pids:
        try:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue


def _work(run: Callable[[], None]) -> None:
    status = 1
    try:
        os.close(0)
        run()
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
