"""Writes the generated parts of docs/rotation.md, and docs/rotation.svg: ``PYTHONPATH=src python -m tests.model.page``.

Each generated part is between two comments that name it. Everything else on the page is written by hand.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from .designs import DESIGNS, LIMITS, SITUATIONS, STRICT_MODE
from .diagram import svg, table
from .explorer import Result, explore
from .promises import promises_of
from .test_promises import test_the_exact_bound
from .variants import VARIANTS
from .world import World

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "rotation.md"
DIAGRAM = DOCS / "rotation.svg"

_PART = re.compile(r"(?<=<!-- made: )([^\n]+)( -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)
_HELD = re.compile(r" +\[jar .*\]$", re.MULTILINE)


def remade(page: str) -> str:
    """Return ``page`` with every generated part up to date.

    Raises:
        KeyError: it names a part that is not known.
    """
    return _PART.sub(lambda found: f"{found[1]}{found[2]}{_made(found[1])}\n", page)


def _made(name: str) -> str:
    kind, _, about = name.partition(": ")
    match kind:
        case "table":
            return table()
        case "designs":
            return _designs()
        case "bounds":
            return _bounds()
        case "strict":
            return _strict()
        case "variant":
            variant = next((each for each in VARIANTS if each.name == about), None)
            if variant is None:
                raise KeyError(name)
            world = World(variant.settings, variant.rule)
            return _trace(explore(world, promises_of(world)))
        case "limit":
            return _trace(LIMITS[about].explored())
        case "design":
            design, _, situation = about.partition(", ")
            return _trace(SITUATIONS[situation].explored(DESIGNS[design]))
    raise KeyError(name)


def _trace(result: Result) -> str:
    """Return the shortest trace as text, without what jar and row hold."""
    assert result.broken is not None
    story = _HELD.sub("", result.story)
    return f"```text\n{story}\n  {result.broken} ({_steps(len(result.trace))})\n```"


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


_SHORT: Mapping[str, str] = {
    "an honest user is logged out": "logged out",
    "the jar holds a dead token for good": "a dead token is left",
    "both parties are given the same token, more than W apart": "shares the owner's token, however late",
    "owner and thief have both been given two new tokens": "**not found**",
}


def _cell(result: Result) -> str:
    if result.broken is None:
        assert result.finished
        return "holds"
    return f"{_SHORT[result.broken.partition(':')[0]]}, {_steps(len(result.trace))}"


def _designs() -> str:
    lines = [f"| | {' | '.join(DESIGNS)} |", "|---" * (len(DESIGNS) + 1) + "|"]
    for name, situation in SITUATIONS.items():
        cells = (_cell(situation.explored(rule)) for rule in DESIGNS.values())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _strict() -> str:
    return "\n".join(f"- {name}: {_cell(situation.explored())}" for name, situation in STRICT_MODE.items())


def _bounds() -> str:
    lines = ["| D | D is for | a node may be slow | clocks differ by | holds | breaks |", "|---|---|---|---|---|---|"]
    (mark,) = (mark for mark in test_the_exact_bound.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    for settings, bound in mark.args[1]:
        about = "request and answer together" if settings.round_trip else "each of them"
        slow = "yes" if settings.slow_nodes else "no"
        holds, breaks = f"W = {bound - 1}", f"W = {bound - 2}"
        lines.append(f"| {settings.delay} | {about} | {slow} | {settings.skew} | {holds} | {breaks} |")
    return "\n".join(lines)


def main() -> int:
    """Write the page and its diagram again."""
    PAGE.write_text(remade(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    DIAGRAM.write_text(svg(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
