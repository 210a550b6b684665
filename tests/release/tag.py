"""Prints the notes of a release; fails unless its tag is the version of this tree, and the changelog has it.

python -m tests.release.tag v1.2.3
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"


def version() -> str:
    """Return the version that this tree has."""
    found: str = json.loads((ROOT / "js" / "package.json").read_text(encoding="utf-8"))["version"]
    return found


def releases() -> list[str]:
    """Return the headings of the changelog, newest first."""
    return re.findall(r"^## (\S+)", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)


def notes(changelog: str) -> str:
    """Return the newest section of a changelog, without its heading."""
    return re.split(r"^## .*\n", changelog, flags=re.MULTILINE)[1].strip() + "\n"


def problems(tag: str) -> list[str]:
    """Return the problems of releasing this tree as ``tag``."""
    found = []
    if tag != f"v{version()}":
        found.append(f"the tag is {tag}, and js/package.json has the version {version()}")
    if releases()[:1] != [version()]:
        found.append(f"CHANGELOG.md begins with {releases()[0]}; it has to begin with {version()}")
    return found


if __name__ == "__main__":
    found = problems(sys.argv[1])
    if found:
        sys.exit("\n".join(found))
    sys.stdout.write(notes(CHANGELOG.read_text(encoding="utf-8")))
