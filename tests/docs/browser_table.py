"""The tables of docs/browser.md: which scenario runs by which client in which engine, as pytest collects the tests.

``python -m tests.docs.browser_table`` writes the cells; the scenarios and the names of their tests are the page's own.
"""

from collections.abc import Iterable

from .collected import ROOT, Shown, collected

PATH = ROOT / "docs/browser.md"
ENGINES = {"chromium", "firefox", "webkit"}
CLIENTS = ("fetch", "axios", "React", "Vue")
HEADING = "| scenario | `fetch` | axios | React | Vue | test |"


def rows(page: str) -> list[list[str]]:
    """Return the scenarios: each as its description, a cell for each client, and its test."""
    return [_cells(line) for line in _scenarios(page)]


def filled(page: str, shown: list[Shown]) -> str:
    """Return the page with the cells that the tests show."""
    for line in _scenarios(page):
        scenario, *_, test = _cells(line)
        cells = [cell(shown, client, test.strip("`")) for client in CLIENTS]
        page = page.replace(line, f"| {' | '.join([scenario, *cells, test])} |")
    return page


def cell(shown: Iterable[Shown], client: str, test: str) -> str:
    """Return what a row says of a client: the engines in which it passes, or why the scenario does not concern it."""
    found = [each for each in shown if (each.client, each.name) == (client, test)]
    if reasons := {each.reason for each in found if not each.engine}:
        return ", ".join(sorted(reasons))
    engines = {each.engine for each in found} - {each.engine for each in found if each.reason}
    return "✓" if engines == ENGINES else ", ".join(sorted(engines))


def _scenarios(page: str) -> list[str]:
    found: list[str] = []
    inside = False
    for line in page.splitlines():
        inside = line == HEADING or (inside and line.startswith("|"))
        if inside and line != HEADING and not line.startswith("|---"):
            found.append(line)
    return found


def _cells(line: str) -> list[str]:
    return [each.strip() for each in line.removeprefix("|").removesuffix("|").split("|")]


if __name__ == "__main__":
    PATH.write_text(filled(PATH.read_text(encoding="utf-8"), collected()), encoding="utf-8")
