"""Refreshes through whole servers, ours and others', in turns: ``make bench-peers``.

What is compared is the CPU time of the server's processes for one refresh, under sixteen clients. The servers, and how
they are installed, are those of `compare`. Ours sign with ES256, unless the row says otherwise; the others sign with
HS256, or not at all (oidc-provider's tokens are opaque). Those that keep nothing cannot revoke a refresh token.

Below each of ours on SQLite is the least that it could take: an application in the same framework on the same server,
which only signs an access token and updates one row (`floor_apps`).
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


def ours(*words: str, store: str = "", algorithm: str = "ES256") -> Kind:
    """Return a server of ours that a command starts."""
    packages = next((ROOT / ".venv" / "lib").glob("python3*")) / "site-packages"
    path = ":".join(map(str, (ROOT / "compare" / "servers", ROOT / "benchmarks", ROOT / "src", packages)))
    setting = (f"PYTHONPATH={path}", f"STORE={store}", f"ALGORITHM={algorithm}")
    return replace(OURS, command=("/usr/bin/env", *setting, *words))


UVICORN_HERE = (OWN_PYTHON, *UVICORN)
GRANIAN_THERE = (str(PYTHON), *GRANIAN)
"""Granian is installed with the others."""

MEMORY = ours(*UVICORN_HERE, "daypass_starlette_app:app", store="memory:")
HS256 = ours(*UVICORN_HERE, "daypass_starlette_app:app", store="sqlite:///app.db", algorithm="HS256")
FLASK = ours(*GRANIAN_THERE, "daypass_flask_app:app")
LEAST_HS256 = ours(*UVICORN_HERE, "--factory", "floor_apps:starlette_app", algorithm="HS256")
LEAST_FLASK = ours(*GRANIAN_THERE, "--factory", "floor_apps:flask_app")

PAIRS = (
    ("in memory, against oidc-provider in memory", MEMORY, None, "oidc-provider, rotation", 1.15),
    ("in Flask and SQLite, against Flask-JWT-Extended", FLASK, LEAST_FLASK, "Flask-JWT-Extended", 1.15),
    ("HS256 in SQLite, against Express", HS256, LEAST_HS256, "Express and jsonwebtoken", 1.0),
)
"""Ours, the least that it could take, theirs, and how many of ours one of theirs has to cost."""


def measured(kind: Kind) -> Speed:
    """Run a server and put it under load."""
    with tempfile.TemporaryDirectory() as folder, running(kind, Path(folder), grace=0) as peer:
        return speed_of(peer)


def main() -> None:
    """Measure each pair, in turns."""
    head("Refreshes by whole servers: CPU µs, ours and (as the floor) theirs; how many of ours for one of theirs")
    theirs = {kind.name: kind for kind in KINDS}
    for name, own, least, other, wanted in PAIRS:
        kinds = [own, theirs[other], *([least] if least else [])]
        turns = [[measured(kind).cpu for kind in kinds] for _ in range(ROUNDS)]
        tell(name, turns, 0, f"≥ {wanted}", wanted)
        if least:
            tell("  one that only signs and updates", turns, 2)


def tell(name: str, turns: list[list[float]], which: int, budget: str = "", wanted: float | None = None) -> None:
    """Print the median of one kind of server, and of theirs, which is the second."""
    cpu, others = (statistics.median(turn[each] for turn in turns) for each in (which, 1))
    ratio = statistics.median(turn[1] / turn[which] for turn in turns)
    met = None if wanted is None else ratio >= wanted
    row(name, f"{cpu:.0f}", f"{others:.0f}", f"{ratio:.2f}", budget, met=met)


if __name__ == "__main__":
    main()
