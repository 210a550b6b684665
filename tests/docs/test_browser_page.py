"""docs/browser.md says which client passes what in which engine: exactly what the tests show."""

import re

import pytest

from .browser_table import CLIENTS, ENGINES, PATH, filled, rows
from .collected import Shown, collected

PAGE = PATH.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown() -> list[Shown]:
    """Return the tests that say by what client they are."""
    return collected()


def test_every_cell_is_what_the_tests_show(shown: list[Shown]) -> None:
    """A cell names the engines in which its test passes by that client, or the reason why it does not concern it."""
    assert len(rows(PAGE)) > 80
    assert rows(filled(PAGE, shown)) == rows(PAGE), "run: python -m tests.docs.browser_table"
    for scenario, *cells, test in rows(PAGE):
        assert len(CLIENTS) == len(list(filter(None, cells))), f"{scenario}: {test} says nothing of a client"


def test_every_scenario_is_there_once(shown: list[Shown]) -> None:
    """Each test that says by what client it runs has one row, and its name is that of one test of each client."""
    there = {(each.client, each.name, each.file) for each in shown if each.client and each.engine}
    tests = [row[-1].strip("`") for row in rows(PAGE)]
    assert sorted({name for _, name, _ in there}) == sorted(tests)
    assert len({(client, name) for client, name, _ in there}) == len(there)


def test_what_an_engine_cannot_do(shown: list[Shown]) -> None:
    """The table of what engines cannot do is what the marks say, and has a reason for each gap of `fetch`."""
    marked = {f"| {each.engine} | `{each.name}` | {each.reason} |" for each in shown if each.engine and each.reason}
    assert sorted(marked) == sorted(re.findall(r"^\| (?:chromium|firefox|webkit) \|.*", PAGE, re.MULTILINE))
    gaps = {
        (engine, row[-1].strip("`"))
        for row in rows(PAGE)
        if "in one engine" not in row[0]
        for engine in ENGINES
        if row[1] != "✓" and engine not in row[1] and set(row[1].split(", ")) & ENGINES
    }
    assert gaps <= {(each.engine, each.name) for each in shown if each.reason}
