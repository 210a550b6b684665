"""The changes that no test has to notice, from ``reasons.toml``."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

MODULES = {
    "rotation": "rotation.py",
    "refresh_token": "refresh_token.py",
    "access_token": "access_token.py",
    "old_tokens": "old_tokens.py",
    "cookies": "web/cookies.py",
    "flows": "flows.py",
    "replay": "client/replay.py",
}
"""The modules that are changed, in ``src/daypass``."""


class Reason(NamedTuple):
    """Why no test has to notice a change.

    Attributes:
        line: the line, with single spaces.
        becomes: the line with the change; empty if it is removed.
        reason: why.
    """

    line: str
    becomes: str
    reason: str


def reasons_of(module: str) -> dict[tuple[str, str], Reason]:
    """Return the reasons of one module."""
    return {(each.line, each.becomes): each for each in all_reasons().get(module, [])}


def all_reasons() -> dict[str, list[Reason]]:
    """Return the reasons of each module."""
    entries: dict[str, Iterable[dict[str, str]]] = tomllib.loads(
        Path(__file__).with_name("reasons.toml").read_text(encoding="utf-8")
    )
    return {module: [Reason(**each) for each in those] for module, those in entries.items()}
