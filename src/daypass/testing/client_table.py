"""The table of scenarios by client: ``python -m daypass.testing.client_table docs/scenarios.md`` runs all of them, at
full size, and writes the results between two comments of that page.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from daypass.testing.client_scenarios import SCENARIOS, Scenario, stage
from daypass.testing.client_subject import Subject, outcome
from daypass.testing.client_subjects import SUBJECTS

AS_PROMISED = "✓"
NO_CONCERN = "—"

_PART = re.compile(r"(?<=<!-- made: scenarios -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)

Cell = Callable[[Scenario, type[Subject]], str]


def played(scenario: Scenario, subject: type[Subject]) -> str:
    """Run a scenario with a client; return a tick, or the wrong result."""
    if not scenario.concerns(subject):
        return NO_CONCERN
    with tempfile.TemporaryDirectory() as folder, stage(subject, Path(folder)) as staged:
        came = outcome(lambda: scenario.play(staged))
    return AS_PROMISED if came == scenario.promise else repr(came)


def expected(scenario: Scenario, subject: type[Subject]) -> str:
    """Return the expected cell."""
    return AS_PROMISED if scenario.concerns(subject) else NO_CONCERN


def table(cell: Cell, subjects: Sequence[type[Subject]] = SUBJECTS) -> str:
    """Return the table in Markdown, each cell made by ``cell``."""
    rows = [f"| scenario | what comes of it | {' | '.join(subject.name for subject in subjects)} |"]
    rows += ["|---" * (len(subjects) + 2) + "|"]
    for scenario in SCENARIOS:
        cells = " | ".join(cell(scenario, subject) for subject in subjects)
        rows.append(f"| {scenario.name} | {scenario.promise} | {cells} |")
    return "\n".join(rows)


def remade(page: str, cell: Cell) -> str:
    """Return ``page`` with the table inserted."""
    return _PART.sub(lambda _: f"{table(cell)}\n", page)


def main(arguments: Sequence[str]) -> int:
    """Run all scenarios and write the page; return 1 if a result is not as promised."""

    def told(scenario: Scenario, subject: type[Subject]) -> str:
        came = played(scenario, subject)
        sys.stderr.write(f"{subject.name}: {scenario.name}: {came}\n")
        return came

    page = Path(arguments[0])
    made = remade(page.read_text(encoding="utf-8"), told)
    page.write_text(made, encoding="utf-8")
    return 0 if made == remade(made, expected) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
