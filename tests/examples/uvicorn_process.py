"""An example's application, copied and started as its reader would."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..servers.reaching import wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def started(
    name: str, folder: Path, replaced: tuple[str, str] = ("", ""), *, dist: Path | None = None
) -> Iterator[str]:
    """Run ``examples/name/app.py`` under uvicorn in a folder of its own; give its address.

    ``replaced`` is a text of the example, and what is to stand in its place; ``dist`` is what was built of its page.
    """
    own = folder / name
    own.mkdir()
    if dist:
        shutil.copytree(dist, own / "dist")
    program = (EXAMPLES / name / "app.py").read_text()
    assert replaced[0] in program
    (own / "app.py").write_text(program.replace(*replaced) if replaced[0] else program)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "error"], cwd=own
    )
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)
