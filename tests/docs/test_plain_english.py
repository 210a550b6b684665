"""The prose is plain: words that readers had to read twice stay out of documentation, docstrings and comments."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(path for folder in ("src", "tests", "site", "compare") for path in (ROOT / folder).rglob("*.py"))
SCRIPTS = sorted((ROOT / "js" / "src").glob("*.ts"))

BANNED = re.compile(
    r"\b(nobody that|none of ours|save for|may be had|seldom|thereby|likewise|for ever|so long as|at the most|"
    r"courier|whoever|all the same|bears|told of|tells of|nought|befalls|to be had|mended|mends|fetched anew)\b",
    re.IGNORECASE,
)
NAMES = re.compile(r"_(whoever|nobody_somebody|told_of|bears|mended|mends|is_none|are_none|is_over|stands)(_|$)")
_FENCED = re.compile(r"^```.*?^```|<!-- made.*?<!-- end -->", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_plain(page: Path) -> None:
    """No page has such a word outside of its programs."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    assert [] == [line for line in text.splitlines() if BANNED.search(line)]


def test_docstrings_and_comments_are_plain() -> None:
    """No module has such a word in a docstring or comment, and no test either."""
    here = Path(__file__)
    assert [] == [f"{path}: {text}" for path in MODULES if path != here for text in _prose(path) if BANNED.search(text)]


def test_comments_of_the_browsers_module_are_plain() -> None:
    """No comment of the browser's module has such a word."""
    texts = {path.name: re.findall(r"/\*\*.*?\*/|// .*", path.read_text(), re.DOTALL) for path in SCRIPTS}
    assert [] == [f"{name}: {text}" for name, found in texts.items() for text in found if BANNED.search(text)]


def test_names_of_tests_are_plain() -> None:
    """A test's name says what is promised in the words of the field."""
    names = [name for path in MODULES for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))]
    assert [] == [name for name in names if NAMES.search(name)]


def _prose(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (ast.get_docstring(node) or "").splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
