"""The recipes of docs/migrate/others.md, as programs."""

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "migrate" / "others.md"


def recipe(first_line: str, **replaced: str) -> str:
    """Return the program of the page that begins with a line, with other values for what its reader fills in.

    Args:
        first_line: of the program.
        replaced: new values of constants, by name.

    Raises:
        ValueError: the page has no such program, or the program no such constant.
    """
    text = PAGE.read_text(encoding="utf-8")
    (program,) = re.findall(rf"^```\w+\n({re.escape(first_line)}\n.*?)^```", text, re.MULTILINE | re.DOTALL)
    for name, value in replaced.items():
        found = re.search(rf"^{name} = .*$", program, re.MULTILINE)
        if found is None:
            raise ValueError(f"{first_line} has no {name}")
        program = program.replace(found[0], f"{name} = {value}")
    return str(program)


def run(program: str, **names: Any) -> dict[str, Any]:
    """Run a Python program of the page; return its names."""
    exec(program, names)  # noqa: S102 - it is the page's own
    return names
