"""Pages of the documentation whose tables say which test shows what."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"

NAMED = re.compile(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)`")
"""A test as the pages name it: its file in the folder of the tests, and its function."""


def rows_below(heading: str, text: str) -> list[list[str]]:
    """Return the rows of all tables with this heading, each as its cells."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        inside = line == heading or (inside and line.startswith("|"))
        if inside and line != heading and not line.startswith("|---"):
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def missing(text: str) -> list[str]:
    """Return the tests that a text names and that do not exist."""
    return [f"{file}::{name}" for file, name in NAMED.findall(text) if name not in defined(file)]


@cache
def defined(file: str) -> frozenset[str]:
    """Return the names of the tests in a file, as its syntax tree has them; none where there is no such file."""
    path = TESTS / file
    if not path.exists():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
