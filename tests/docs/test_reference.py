"""The pages of errors and events have exactly those that the code has."""

import re
from pathlib import Path

import pytest

import daypass
from daypass import EventCode, errors
from daypass.client.events import EventKind
from daypass.client.vault.events import VaultEventKind

ROOT = Path(__file__).parents[2]
ERRORS = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
EVENTS = (ROOT / "docs/reference/events.md").read_text(encoding="utf-8")
TYPES = ROOT / "js" / "dist"
_ROW = re.compile(r"^\| (`.*?) \|", re.MULTILINE)


def section(page: str, heading: str) -> str:
    """Return a section of a page, without its heading."""
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return [name for cell in _ROW.findall(text) for name in re.findall(r"`(\w+)`", cell)]


def test_each_error_of_python_has_its_row() -> None:
    """Each public error is on the page, with the code and the status that it has; those without are the client's."""
    rows = re.findall(r"^\| `(\w+)` (?:`(\w+)` (\d+) )?\|", section(ERRORS, "Python, server"), re.MULTILINE)
    bases = {"DaypassError", "TokenRejected", "StoreError"}
    public = {name for name in daypass.__all__ if hasattr(errors, name)}
    client = {"LoginRequired", "StepUpRequired", "RefreshUnavailable"}
    assert {name for name, _, _ in rows} == public - bases - client
    for name, code, status in rows:
        error = getattr(errors, name)
        assert (code, status) == (getattr(error, "code", ""), str(getattr(error, "status", ""))), name
    assert set(first_cells(section(ERRORS, "Python, client"))) >= client


@pytest.mark.parametrize(
    ("heading", "entry"), [("JavaScript, browser", "index"), ("JavaScript, `daypass/verify`", "verify")]
)
def test_each_error_of_javascript_has_its_row(heading: str, entry: str) -> None:
    """The codes on the page are those of the types that the npm package ships."""
    types = (TYPES / f"{entry}.d.ts").read_text(encoding="utf-8")
    assert sorted(first_cells(section(ERRORS, heading))) == sorted(re.findall(r'readonly code(?:: | = )"(\w+)"', types))


@pytest.mark.parametrize(
    ("heading", "kinds"), [("Issuer", EventCode), ("Client", EventKind), ("Vault", VaultEventKind)]
)
def test_each_event_of_python_has_its_row(
    heading: str, kinds: type[EventCode] | type[EventKind] | type[VaultEventKind]
) -> None:
    """The page has each event once."""
    assert sorted(first_cells(section(EVENTS, heading))) == sorted(kind.value for kind in kinds)


def test_each_event_of_the_browser_has_its_row() -> None:
    """The page has each event of the session's type once."""
    types = (TYPES / "index.d.ts").read_text(encoding="utf-8")
    (body,) = re.findall(r"^export interface SessionEvents \{\n(.*?)^\}", types, re.MULTILINE | re.DOTALL)
    assert sorted(first_cells(section(EVENTS, "Browser"))) == sorted(re.findall(r"^ {4}(\w+): ", body, re.MULTILINE))
