"""A Django project, run as its reader would: migrated, with users, in a separate process."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2

PASSWORD = "correct horse"
ACCESS_TTL = 4
"""Seconds: few enough to wait for, and enough for a slow machine to use a token that it has just got."""


def let_expire() -> None:
    """Wait until no access token of now is good any more."""
    time.sleep(ACCESS_TTL + 0.1)


@contextmanager
def running(program: Path, folder: Path, *, asgi: str | None = None, people: Sequence[str] = ("ann",)) -> Iterator[str]:
    """Run a project, and give its address.

    Args:
        program: what takes Django's commands.
        folder: an empty one, for its databases.
        asgi: the application in it that uvicorn serves; Django's own server is used unless one is named.
        people: the names of its users, who are superusers, with `PASSWORD`.
    """
    environment = os.environ | {
        "ACCESS_TTL": f"{ACCESS_TTL}s",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD

    def manage(*arguments: str) -> None:
        command = [sys.executable, str(program), *arguments]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=120)

    manage("migrate")
    for name in people:
        manage("createsuperuser", "--noinput", "--username", name, "--email", f"{name}@example.com")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
    command = [sys.executable, str(program), "runserver", "--noreload", f"127.0.0.1:{port}"]
    if asgi is not None:
        command = [sys.executable, "-m", "uvicorn", asgi, "--app-dir", str(program.parent), "--port", port]
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            assert server.poll() is None, (folder / "log.txt").read_text()
            try:
                httpx2.get(f"{address}/", timeout=5)
            except httpx2.TransportError:
                time.sleep(0.1)
            else:
                break
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)
    said = (folder / "log.txt").read_text()
    assert "Traceback" not in said, said
    assert re.search(r"eyJ|dpr_", said) is None
