"""Every regular expression that reads input takes linear time, whatever is sent (ReDoS).

Steps are counted, not timed: twice the text may cost at most twice the steps.
"""

import ast
import re
from itertools import product
from pathlib import Path

import pytest

import daypass

from .regex_steps import Steps, TooManySteps

ROOT = Path(daypass.__file__).parent
FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "findall", "finditer", "split"}
NOT_INPUT = {
    "testing/client_table.py",  # rewrites a page of the docs
    "stores/postgres/link.py",  # reads our own SQL
    "stores/postgres/statements.py",
}
"""Files whose patterns read nothing that comes from outside."""


def constant(node: ast.expr) -> str | None:
    """Return the text of a literal pattern, with the constants of `daypass.cookie_names` and the like as ``x``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return f"{constant(node.left) or 'x'}{constant(node.right) or 'x'}"
    return None


def patterns() -> list[tuple[str, str, int]]:
    """Return every pattern in the package: where it is, its text, its flags."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        where = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or where in NOT_INPUT:
                continue
            if ast.unparse(node.func.value) == "re" and node.func.attr in FUNCTIONS and node.args:
                text = constant(node.args[0])
                verbose = "VERBOSE" in ast.unparse(node)
                if text is not None:
                    found.append((f"{where}:{node.lineno}", text, re.VERBOSE if verbose else 0))
    return found


PATTERNS = patterns()
PIECES = ['"', "\\", '\\"', " ", "\t", ",", ";", "=", ":", ".", "-", "a", "error", "max-age", "a=b;", "for=1.1.1.1;",
          '"a', "1", "1.1", "a,", " ,", "=a", "{a"]  # fmt: skip
LAST = ["", "!", '"']


def growth(steps: Steps, prefix: str, piece: str, last: str) -> float:
    """Return how many times the steps are that twice the text costs."""
    few, many = (prefix + piece * (length // len(piece)) + last for length in (40, 80))
    try:
        return steps.of_match(many) / max(steps.of_match(few), 20)
    except TooManySteps:
        return float("inf")


def test_the_patterns_are_found() -> None:
    """The test sees the patterns that it is about."""
    assert len(PATTERNS) > 15
    assert any(where.startswith("web/proxies.py") for where, _, _ in PATTERNS)


@pytest.mark.parametrize("pattern", [r"[ \t]*(?:a=b)?[ \t]*;", r"(a|a)*;", r"\w+\d+;"])
def test_a_pattern_that_backtracks_is_found(pattern: str) -> None:
    """The count finds the old pattern of the ``Forwarded`` header, and textbook cases."""
    steps = Steps(pattern)
    assert max(growth(steps, "", piece, "!") for piece in (" ", "a", "1")) > 3


@pytest.mark.parametrize(("where", "text", "flags"), PATTERNS, ids=[where for where, _, _ in PATTERNS])
def test_no_pattern_takes_more_than_linear_time(where: str, text: str, flags: int) -> None:
    """Twice the text costs at most 2.6 times the steps of a match."""
    steps = Steps(text, flags)
    for prefix, piece, last in product(("", '"'), PIECES, LAST):
        assert growth(steps, prefix, piece, last) < 2.6, (where, prefix, piece, last)
