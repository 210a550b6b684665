"""The `daypass` command as the process it is: started, talked to, ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from daypass.server import users
from daypass.stores.sqlite import SqliteStore

DAYPASS = Path(sys.executable).with_name("daypass")
PASSWORD = "correct horse battery"
SECRET = "a master secret of thirty-two bytes and a few more".replace(" ", "-")
PATIENCE = 30
READY = "Daypass is ready at "


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without Daypass's variables, and with the given ones."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("DAYPASS_")}
    return own | dict(given or {})


def daypass(
    *arguments: str,
    folder: Path,
    given: Mapping[str, str] | None = None,
    text: str | bytes = "",
    by: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end; ``text`` is its standard input, ``by`` a command that runs it."""
    done = subprocess.run(
        [*by, DAYPASS, *arguments],
        cwd=folder,
        env=environment(given),
        input=text.encode() if isinstance(text, str) else text,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def add_user(folder: Path, email: str = "alice@example.com", *, username: str | None = "Alice") -> None:
    """Add a built-in user to ``app.db``, by what `daypass user add` calls."""
    store = SqliteStore(folder / "app.db")
    users.add(store, email, username, PASSWORD, time.time_ns() // 1_000_000)
    store.close()


@dataclass
class Service:
    """A running `daypass serve`, and its output."""

    process: "subprocess.Popen[str]"
    address: str
    stdout: list[str] = field(default_factory=list)
    stderr: str = ""

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.address, timeout=PATIENCE)

    def login(self, client: httpx2.Client, **content: str) -> httpx2.Response:
        return client.post("/auth/login", json={"username": "alice", "password": PASSWORD} | content)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status; the output is then in `stdout` and `stderr`."""
        self.process.send_signal(number)
        rest, self.stderr = self.process.communicate(timeout=PATIENCE)
        self.stdout += rest.splitlines()
        return self.process.returncode


def launch(
    options: Sequence[str],
    folder: Path,
    given: Mapping[str, str] | None = None,
    command: Sequence[str | Path] = (DAYPASS,),
) -> "subprocess.Popen[str]":
    """Start `daypass serve`, without waiting for it."""
    return subprocess.Popen(
        [*command, "serve", *options],
        cwd=folder,
        env=environment(given),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(
    *options: str,
    folder: Path,
    given: Mapping[str, str] | None = None,
    command: Sequence[str | Path] = (DAYPASS,),
    by: Sequence[str] = (),
) -> Iterator[Service]:
    """Run `daypass serve` on a free port with ``app.db`` in ``folder``, unless ``options`` differ."""
    defaults = ["--port", "0", "--store", "sqlite:///app.db"]
    unlimited = {"DAYPASS_RATE_LIMITS": "off"}  # many tests log in more often than the default limit allows
    process = launch([*defaults, *options], folder, unlimited | dict(given or {}), (*by, *command))
    giving_up = threading.Timer(PATIENCE, process.kill)
    giving_up.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        giving_up.cancel()
        assert line.startswith(READY), f"the service did not start: {process.communicate()[1]}"
        yield Service(process, line.removeprefix(READY).strip(), [line.strip()])
    finally:
        giving_up.cancel()
        if process.poll() is None:
            process.kill()
        process.communicate()


def eventually(holds: Callable[[], object]) -> None:
    """Wait until a condition holds that becomes true without a call."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.05)


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Assert that no file in ``folder`` is made, changed or removed meanwhile."""
    before = _contents(folder)
    yield
    assert before == _contents(folder)


def _contents(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    found = sorted(folder.rglob("*"))
    return {str(path): (path.stat().st_mode, path.read_bytes() if path.is_file() else None) for path in found}
