"""The prose is plain: words that readers had to read twice stay out of the documentation, docstrings and comments."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted((ROOT / "src").rglob("*.py"))

BANNED = re.compile(
    r"\b(nobody that|none of ours|save for|may be had|seldom|thereby|likewise|for ever|so long as|at the most|"
    r"courier|whoever|all the same|bears)\b",
    re.IGNORECASE,
)
_FENCED = re.compile(r"^```.*?^```|<!-- made.*?<!-- end -->", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_plain(page: Path) -> None:
    """No page has such a word outside of its programs."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    assert [] == [line for line in text.splitlines() if BANNED.search(line)]


def test_docstrings_and_comments_are_plain() -> None:
    """No module has such a word in a docstring or comment."""
    assert [] == [f"{path.name}: {text}" for path in MODULES for text in _prose(path) if BANNED.search(text)]


def _prose(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (ast.get_docstring(node) or "").splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
