"""A Flask application that is run as a program, as its reader would run it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def running(app: Path, folder: Path, **settings: str) -> Iterator[str]:
    """Run ``flask --app app run`` in ``folder``, with FLASK_ settings, on a free port; give its address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    own = {f"FLASK_{name.upper()}": value for name, value in settings.items()}
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "flask", "--app", str(app), "run", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        environment = os.environ | own | {"FLASK_ISSUER": address}
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(port, server, folder / "log")
            yield address
        finally:
            server.terminate()
            server.wait(timeout=30)


def _wait_for(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the application did not come up: {log.read_text()}")
