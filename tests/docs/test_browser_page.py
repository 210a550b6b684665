"""docs/browser.md says which client was shown to do what in which engine: no more than the tests show, and no less."""

import re

import pytest

from .collected import ROOT, Shown, collected

PAGE = (ROOT / "docs/browser.md").read_text(encoding="utf-8")
ENGINES = {"chromium", "firefox", "webkit"}
CLIENTS = ("fetch", "axios", "React", "Vue")
HEADING = "| scenario | `fetch` | axios | React | Vue | test |"


@pytest.fixture(scope="module")
def shown() -> list[Shown]:
    """Return the tests that say by what client they are."""
    return collected()


def rows() -> list[list[str]]:
    """Return the scenarios: each as its description, a cell for each client, and its tests."""
    found: list[list[str]] = []
    inside = False
    for line in PAGE.splitlines():
        inside = line == HEADING or (inside and line.startswith("|"))
        if inside and line != HEADING and not line.startswith("|---"):
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def names(row: list[str]) -> list[str]:
    return re.findall(r"`(test_\w+)`", row[-1])


def cell(shown: list[Shown], client: str, wanted: list[str]) -> str:
    """Return what a row may claim of a client: the engines in which it passes all tests of the row that are its."""
    tests = [each for each in shown if each.client == client and each.name in wanted]
    fails = {each.engine for each in tests if each.reason}
    passes = [{each.engine for each in tests if each.name == name} for name in {each.name for each in tests}]
    engines = set.intersection(ENGINES, *passes) - fails
    return ("✓" if engines == ENGINES else ", ".join(sorted(engines)) or "none") if tests else "-"


def test_every_cell_is_what_the_tests_show(shown: list[Shown]) -> None:
    """Row by row, for each client: what is ticked passes in all three engines, and what is not ticked does not."""
    found = rows()
    assert len(found) > 40
    for row in found:
        assert [row[0], *(cell(shown, client, names(row)) for client in CLIENTS), row[-1]] == row


def test_every_row_names_tests_that_are_there(shown: list[Shown]) -> None:
    """Each scenario has a test; each test that is named is there, once for a client."""
    there = {(each.client, each.name, each.file) for each in shown if each.client}
    known = [(client, name) for client, name, _ in there]
    for row in rows():
        assert names(row)
        assert [] == [name for name in names(row) if name not in {known for _, known in known}], row[0]
        assert [] == [each for each in known if each[1] in names(row) and known.count(each) > 1], row[0]


def test_every_scenario_of_the_frameworks_is_there(shown: list[Shown]) -> None:
    """No test of React or Vue is missing in the table."""
    named = {name for row in rows() for name in names(row)}
    assert set() == {each.name for each in shown if each.client in {"React", "Vue"}} - named


def test_what_an_engine_cannot_do(shown: list[Shown]) -> None:
    """The table of what engines cannot do is what the marks say, and has a reason for each gap that is no choice."""
    marked = {f"| {each.engine} | `{each.name}` | {each.reason} |" for each in shown if each.reason}
    assert sorted(marked) == sorted(re.findall(r"^\| (?:chromium|firefox|webkit) \|.*", PAGE, re.MULTILINE))
    gaps = {
        (engine, name)
        for row in rows()
        if "tried in one engine" not in row[0]
        for engine in ENGINES
        for name in names(row)
        if any(engine not in claimed for claimed in row[1:-1] if claimed not in {"✓", "-"})
    }
    assert gaps <= {(each.engine, each.name) for each in shown if each.reason}
