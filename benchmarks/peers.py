"""Refreshes through whole servers, ours and others', in turns: ``make bench-peers``.

What is compared is the CPU time of the server's processes for one refresh, under sixteen clients. The servers, and how
they are installed, are those of `compare`. Ours sign with ES256, unless the row says otherwise; the others sign with
HS256, or not at all (oidc-provider's tokens are opaque). Those that keep nothing cannot revoke a refresh token.
"""

import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from measure import head, row

sys.path.insert(0, str(Path(__file__).parents[1]))

from compare.peers import GRANIAN, KINDS, PYTHON, ROOT, UVICORN, Kind, running
from compare.speed import Speed, speed_of

ROUNDS = 3
OURS = KINDS[0]
OWN_PYTHON = str(ROOT / ".venv" / "bin" / "python")


def starlette(store: str, algorithm: str = "ES256") -> Kind:
    """Return our server in Starlette on uvicorn."""
    setting = ("/usr/bin/env", f"STORE={store}", f"ALGORITHM={algorithm}", OWN_PYTHON)
    return replace(OURS, command=(*setting, *UVICORN, "daypass_starlette_app:app"))


def flask() -> Kind:
    """Return our server in Flask on granian, which is installed with the others."""
    packages = next((ROOT / ".venv" / "lib").glob("python3*")) / "site-packages"
    path = f"PYTHONPATH={ROOT / 'compare' / 'servers'}:{ROOT / 'src'}:{packages}"
    return replace(OURS, command=("/usr/bin/env", path, str(PYTHON), *GRANIAN, "daypass_flask_app:app"))


PAIRS = (
    ("in memory, against oidc-provider in memory", starlette("memory:"), "oidc-provider, rotation", 1.15),
    ("in Flask and SQLite, against Flask-JWT-Extended", flask(), "Flask-JWT-Extended", 1.15),
    ("HS256 in SQLite, against Express", starlette("sqlite:///app.db", "HS256"), "Express and jsonwebtoken", 1.0),
)


def measured(kind: Kind) -> Speed:
    """Run a server and put it under load."""
    with tempfile.TemporaryDirectory() as folder, running(kind, Path(folder), grace=0) as peer:
        return speed_of(peer)


def main() -> None:
    """Measure each pair, in turns."""
    head("Refreshes by whole servers: CPU µs, ours and (as the floor) theirs; how many of ours for one of theirs")
    kinds = {kind.name: kind for kind in KINDS}
    for name, ours, other, least in PAIRS:
        pairs = [(measured(ours), measured(kinds[other])) for _ in range(ROUNDS)]
        ratio = statistics.median(theirs.cpu / own.cpu for own, theirs in pairs)
        own_cpu, their_cpu = (statistics.median(each.cpu for each in side) for side in zip(*pairs, strict=True))
        row(name, f"{own_cpu:.0f}", f"{their_cpu:.0f}", f"{ratio:.2f}", f"≥ {least}", met=ratio >= least)


if __name__ == "__main__":
    main()
