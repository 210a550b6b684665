"""An example whose server renders pages, built in its own folder and run.

It is built once for each state of its source. If it is built already, the tests start at once.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server

import pytest

from ..servers.reaching import wait_for
from . import npm

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "js" / "dist"
BUILDING = 400
"""Seconds that a build may take on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """An example in Node.

    Attributes:
        name: its folder in ``examples``.
        package: a file of its packages, which is there if all are.
        sources: what it is built from, as patterns.
        build: a script of its packages that builds it, and the arguments.
        output: where the build goes.
        start: what Node runs then.
        environment: variables for both.
    """

    name: str
    package: str
    sources: tuple[str, ...]
    build: tuple[str, ...]
    output: str
    start: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return ROOT / "examples" / self.name

    def built(self, factory: pytest.TempPathFactory) -> "Example":
        """Build it, unless it has been built from this source already."""
        npm.fetch(self.folder, self.package, factory)
        sources = [path for pattern in self.sources for path in self.folder.glob(pattern) if path.is_file()]
        texts = [path.read_bytes() for path in sorted([*sources, *MODULE.glob("*.js")])]
        state = hashlib.sha256(b"".join([repr(self.environment).encode(), *texts])).hexdigest()
        modules = self.folder / "node_modules"
        record = self.folder / self.output / "built-from"
        with (modules / ".building").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one worker builds, the others wait
            if not record.exists() or record.read_text() != state:
                command: list[str | Path] = [npm.NODE, modules / self.build[0], *self.build[1:]]
                done = npm.run(*command, folder=self.folder, timeout=BUILDING, **self.environment)
                assert 0 == done.returncode, done.stdout + done.stderr
                record.write_text(state)
        return self

    @contextmanager
    def running(self, port: int | None = None, **environment: str) -> Iterator[str]:
        """Start what was built, on a free port unless one is given, and yield its address."""
        with running([npm.NODE, *self.start], self.folder, self.environment | environment, port=port) as address:
            yield address


@contextmanager
def running(
    command: list[str | Path],
    folder: Path,
    environment: dict[str, str],
    *,
    port: int | None = None,
    by_option: bool = False,
) -> Iterator[str]:
    """Start a server with ``PORT``, or an option ``--port``, and yield its address.

    At the end its child processes end too.
    """
    if port is None:
        with closing(create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
    variables = os.environ | environment | {"PORT": str(port), "HOST": "127.0.0.1"}
    option = ["--port", str(port)] if by_option else []
    server = subprocess.Popen([*command, *option], cwd=folder, env=variables, start_new_session=True)
    try:
        wait_for(port, server)
        yield f"http://localhost:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
