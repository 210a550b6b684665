"""The machines of a campaign, and their log."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.fleet.machine import Job

MACHINES = 3


class Fleet:
    """Three machines, which end with the context.

    Args:
        job: the workers' job.
        workers: the number of workers on each machine.
    """

    def __init__(self, job: Job, workers: int = 8) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="daypass-fleet-"))
        self._log = self._folder / "log"
        self._job = replace(job, log=str(self._log), workers=workers)
        self._workers = workers
        self._machines: list[subprocess.Popen[str]] = []
        self._home: dict[int, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        self._log.touch()
        for number in range(MACHINES):
            machine = subprocess.Popen(
                [sys.executable, "-m", "tests.fleet.machine"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self._machines.append(machine)
            job = replace(self._job, ahead=number * 7_200_000)
            _write(machine.stdin, job.to_json())
        for _ in range(self._workers):
            for machine in self._machines:
                self._start(machine)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self, pid: int) -> bool:
        """Kill a worker, and start another; return whether it was a worker of this fleet."""
        machine = self._home.pop(pid, None)
        if machine is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._start(machine)
        return True

    def is_worker(self, pid: int) -> bool:
        """Return whether this is a worker that is alive."""
        return pid in self._home

    def end(self) -> None:
        """End all workers, each after its current call, and the machines."""
        for machine in self._machines:
            assert machine.stdin is not None
            machine.stdin.close()
        until = time.monotonic() + 45
        while any(map(_lives, self._home)) and time.monotonic() < until:
            time.sleep(0.05)
        for pid in self._home:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for machine in self._machines:
            machine.wait(10)
            assert machine.stdout is not None
            machine.stdout.close()
        self._machines.clear()
        self._home.clear()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]

    def counts(self) -> Counter[str]:
        """Count the calls and events; a failed call counts under the name of its error."""
        counts: Counter[str] = Counter()
        for line in self.lines:
            counts["calls"] += line.get("calls", 0)
            if "failed" in line:
                counts[f"failed: {line['failed']}: {line['why']}"] += 1
                counts["failed"] += 1
            elif "event" in line:
                counts[line["event"]] += 1
        return counts

    def _start(self, machine: subprocess.Popen[str]) -> None:
        _write(machine.stdin, "start")
        assert machine.stdout is not None
        self._home[int(machine.stdout.readline())] = machine


def _write(file: IO[str] | None, line: str) -> None:
    assert file is not None
    file.write(f"{line}\n")
    file.flush()


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False
