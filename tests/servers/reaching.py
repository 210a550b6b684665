"""When a program can be reached."""

import socket
import subprocess
import time
from pathlib import Path


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path | None = None, *, pause: float = 0.05) -> None:
    """Wait until ``process`` listens on a port of loopback, in 600 tries with so many seconds between them.

    It fails, with the log, where the process has ended or does not come up.
    """

    def said() -> str:
        return log.read_text() if log is not None else "what it says is above"

    for _ in range(600):
        assert process.poll() is None, f"it has ended: {said()}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(pause)
        else:
            return
    raise AssertionError(f"it did not come up: {said()}")
