"""A Flask application that is run as a program, as its reader would run it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .reaching import wait_for


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
            wait_for(port, server, folder / "log", pause=0.1)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=30)
