"""Take this project and its peers through the same storms, and write docs/comparison.md: ``make compare``."""

import argparse
import json
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from compare import client_storms, storms
from compare.client_storms import LIBRARIES
from compare.peers import INSTALLED, KINDS, PYTHON, ROOT, Kind, running
from compare.speed import speed_of
from tests.browser.npm import NODE

PAGE = ROOT / "docs" / "comparison.md"
ROUNDS = 3


def main() -> None:
    """Run everything, and write the tables between the marks of the page."""
    parser = argparse.ArgumentParser(prog="python -m compare", description=__doc__)
    tables: dict[str, Callable[[], str]] = {"servers": server_table, "clients": client_table, "speed": speed_table}
    parser.add_argument("--only", nargs="+", choices=tables, default=tables, metavar="TABLE", help=" ".join(tables))
    chosen = parser.parse_args().only
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables.items():
        if name in chosen:
            made = f"{table()}\n{conditions()}\n"
            print(made, flush=True)
            marks = rf"(<!-- made: {name} -->\n).*?(<!-- end -->)"
            text = re.sub(marks, lambda found: f"{found[1]}{made}{found[2]}", text, flags=re.DOTALL)  # noqa: B023 - called at once
    PAGE.write_text(text, encoding="utf-8")


def conditions() -> str:
    """Say when and on what a table was measured."""
    node = subprocess.run([NODE, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    machine = f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, Node {node[1:]}"
    return f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine}, SQLite {sqlite3.sqlite_version}."


def server_table() -> str:
    """Take each server through each storm."""
    rows = {name: [""] * len(KINDS) for name, _ in storms.STORMS}
    for at, kind in enumerate(KINDS):
        with tempfile.TemporaryDirectory() as folder, running(kind, Path(folder)) as peer:
            for name, storm in storms.STORMS:
                rows[name][at] = storm(peer)
    return _table("the user is", [f"{kind.name} {_versions(kind.packages)}" for kind in KINDS], rows)


def client_table() -> str:
    """Take each client library through each storm."""
    rows = {name: [storm(library) for library in LIBRARIES] for name, storm in client_storms.STORMS}
    return _table("", [f"{library.name} {_versions(library.packages)}" for library in LIBRARIES], rows)


def speed_table() -> str:
    """Measure all servers in turns; give the medians."""
    found: dict[str, list[tuple[float, float]]] = {kind.name: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder, running(kind, Path(folder), grace=0) as peer:
                found[kind.name].append(speed_of(peer))
    lines = ["| server | keeps | refreshes a second | CPU µs |", "|---|---|---|---|"]
    for kind in KINDS:
        rate, cpu = (statistics.median(each) for each in zip(*found[kind.name], strict=True))
        lines.append(f"| {kind.name} | {_keeps(kind)} | {rate:,.0f} | {cpu:,.0f} |")
    return "\n".join([*lines, ""])


def _keeps(kind: Kind) -> str:
    if kind.logout is None:
        return "nothing"
    return "memory" if kind.command[-1].endswith(".mjs") else "SQLite"


def _table(corner: str, heads: Sequence[str], rows: dict[str, list[str]]) -> str:
    lines = [f"| {corner} | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    return "\n".join([*lines, ""])


def _versions(packages: Sequence[str]) -> str:
    read = version if "daypass" in packages else _version  # Daypass runs in the environment of this program
    return ", ".join(map(read, packages))


def _version(package: str) -> str:
    manifest = INSTALLED / "node" / "node_modules" / package / "package.json"
    if manifest.exists():
        return str(json.loads(manifest.read_text())["version"])
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([PYTHON, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
