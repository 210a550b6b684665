"""The output of commands: results on standard output, for people or programs; everything else on standard error."""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from daypass.duration import DAY, HOUR, MINUTE, SECOND
from daypass.errors import ConfigurationError

_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"))
_ROWS_AT_ONCE = 200


def say(text: str) -> int:
    """Print a result; return the exit status of a command that worked."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return 0


def say_json(value: Any) -> int:
    """Print a result as one line of JSON."""
    return say(json.dumps(value, ensure_ascii=False))


def warn(text: str) -> None:
    """Print a warning."""
    sys.stderr.write(f"daypass: {text}\n")
    sys.stderr.flush()


def fail(reason: str) -> int:
    """Print why a command failed; return its exit status."""
    warn(reason)
    return 1


def require(extra: str, *modules: str) -> None:
    """Refuse a command whose packages are not installed.

    Raises:
        ConfigurationError: one is missing; the message says what to install.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ConfigurationError(f"this command needs {', '.join(missing)}: pip install 'daypass[{extra}]'")


def show_page(page: str, code: str | None) -> None:
    """Show the page to log in at: in the browser of this machine, or with the code to enter there."""
    import webbrowser

    if code is None:
        sys.stderr.write(f"Log in with your browser: {page}\n")
        sys.stderr.flush()
        webbrowser.open(page)
    else:
        sys.stderr.write(f"Open {page} on any device and enter the code: {code}\n")
        sys.stderr.flush()


def ago(milliseconds: int, now: int) -> str:
    """Return how far a time is from now: ``in 25m``, ``3d ago``."""
    span = abs(milliseconds - now)
    size, unit = next((each for each in _UNITS if span >= each[0]), (SECOND, "s"))
    text = f"{span // size}{unit}"
    return f"in {text}" if milliseconds > now else f"{text} ago"


def printable(text: str) -> str:
    """Return text without characters that could move a terminal's cursor or end a line."""
    return "".join(character if character.isprintable() else "�" for character in text)


def say_rows(
    headings: Sequence[str], rows: Iterable[Sequence[str]], for_people: Callable[[Sequence[str]], Sequence[str]]
) -> int:
    """Print rows as they come: in a terminal as a table; in a pipe as lines with tabs, without headings.

    Args:
        headings: of the table.
        rows: the form for programs.
        for_people: returns the form of a row for people.
    """
    if not sys.stdout.isatty():
        for row in rows:
            say("\t".join(map(printable, row)))
        return 0
    waiting: list[Sequence[str]] = [headings] if headings else []
    for row in rows:
        waiting.append([printable(cell) for cell in for_people(row)])
        if len(waiting) == _ROWS_AT_ONCE:
            waiting = _say_table(waiting)
    _say_table(waiting)
    return 0


def _say_table(rows: list[Sequence[str]]) -> list[Sequence[str]]:
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return []


def say_records(
    records: Iterable[Mapping[str, Any]],
    *,
    as_json: bool,
    columns: Sequence[str] | None = None,
    headings: bool = True,
) -> int:
    """Print records as they come: as JSON, one a line; in a terminal as a table; in a pipe as lines with tabs.

    Args:
        records: all with the same fields, in the same order.
        as_json: whether as JSON.
        columns: the fields of the table and of the lines; all of them by default.
        headings: whether the table has headings.
    """
    if as_json:
        for record in records:
            say_json(record)
        return 0
    left = iter(records)
    first = next(left, None)
    if first is None:
        return 0
    shown = tuple(first) if columns is None else columns
    rows = ([_cell(record[name]) for name in shown] for record in chain([first], left))
    return say_rows([name.upper().replace("_", " ") for name in shown] if headings else (), rows, list)


def say_fields(fields: Mapping[str, Any]) -> int:
    """Print one record, one field a line."""
    width = max(map(len, fields)) + 2
    for name, value in fields.items():
        say(f"{name:{width}}{printable(_cell(value))}".rstrip())
    return 0


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)
