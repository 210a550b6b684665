"""docs/security.md says of each point of the standards which tests show it: these are there."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")

_HEADING = "| point | how | tests |"
_NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows() -> list[list[str]]:
    """Return the rows of all tables that name tests, each as its three cells."""
    found: list[list[str]] = []
    inside = False
    for line in TEXT.splitlines():
        inside = line == _HEADING or (inside and line.startswith("|"))
        if inside and line != _HEADING and not line.startswith("|---"):
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


@cache
def defined(file: str) -> frozenset[str]:
    """Return the names of the tests in a file, as its syntax tree has them; none where there is no such file."""
    path = TESTS / file
    if not path.exists():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_test_that_is_named_is_there() -> None:
    """Every test that the page names exists in that file."""
    named = _NAMED.findall(TEXT)
    assert len(named) > 150
    assert [] == [f"{file}::{name}" for file, name in named if name not in defined(file)]


def test_every_row_names_a_test() -> None:
    """Each point that is said to be met is shown by one test at least, named in full."""
    found = rows()
    assert len(found) > 80
    assert [] == [row for row in found if len(row) != 3 or not _NAMED.search(row[2])]
    leftover = [_NAMED.sub("", row[2]).replace(",", "").strip() for row in found]
    assert {""} == set(leftover)


def test_every_point_has_its_number() -> None:
    """A row begins with the number of its point in the standard, so that it can be looked up."""
    assert [] == [row[0] for row in rows() if not re.match(r"(?:RFC \d+|ASVS)? ?\d+(?:\.\d+)*", row[0])]


def test_every_attack_is_on_the_page() -> None:
    """Each test in `tests/security` belongs to something that the page says."""
    attacks = {
        (f"security/{path.name}", name)
        for path in (TESTS / "security").glob("test_*.py")
        for name in defined(f"security/{path.name}")
        if name.startswith("test_")
    }
    assert [] == sorted(attacks - set(_NAMED.findall(TEXT)))
