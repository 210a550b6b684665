"""One small application for each library, in each mode of a migration: `old`, `ready`, `move`, `back`.

python -m tests.migrations.apps.NAME MODE PORT FOLDER

- ``old``: the application as it was, without Daypass.
- ``ready``: accepts Daypass's tokens, and gives out those of the old library.
- ``move``: gives out Daypass's.
- ``back``: answers Daypass's tokens with those of the old library.

They run where that library is installed, not in the development environment.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET = "a secret that all nodes have, 32 bytes long"
ISSUER = "http://localhost"


@dataclass(frozen=True)
class Node:
    """The arguments of a node."""

    mode: str
    port: int
    folder: Path

    @property
    def store(self) -> str:
        """The URL of Daypass's store; what is tried here needs no disk that outlives a power cut."""
        return f"sqlite:///{self.folder}/daypass.db?synchronous=NORMAL"

    @property
    def database(self) -> str:
        """The path of the old library's database."""
        return str(self.folder / "old.db")


def node() -> Node:
    """Return what the command line says."""
    mode, port, folder = sys.argv[1:4]
    return Node(mode, int(port), Path(folder))


def serve_wsgi(app: Any, port: int) -> None:
    """Serve a WSGI application with threads."""
    import waitress  # type: ignore[import-not-found]  # is only there

    waitress.serve(app, host="127.0.0.1", port=port, threads=8, _quiet=True)


def serve_asgi(app: Any, port: int) -> None:
    """Serve an ASGI application."""
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
