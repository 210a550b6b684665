"""Counts the steps of a backtracking matcher, as Python's ``re`` and JavaScript's are, on Python's own syntax trees."""

import re
from collections.abc import Callable, Iterator
from typing import Any

Tree = Any
_parser: Any = vars(re)["_parser"]  # the syntax trees of patterns have no public parser

_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_WORD": lambda character: character.isalnum() or character == "_",
}


MAXIMUM = 100_000


class TooManySteps(Exception):
    """The matcher gave up."""


class Steps:
    """Matches a pattern and counts how often it looks at a character.

    Args:
        pattern: as ``re`` takes it.
        flags: those it is compiled with.
    """

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._tree = _parser.parse(pattern, flags)
        self._text = ""
        self._count = 0

    def of_match(self, text: str) -> int:
        """Return the steps of ``match`` or ``fullmatch``, which begin at the start."""
        self._text, self._count = text, 0
        next(self._match(list(self._tree), 0), None)
        return self._count

    def _match(self, tree: list[Tree], at: int) -> Iterator[int]:
        """Yield every place where a match of ``tree`` from ``at`` can end."""
        if not tree:
            yield at
            return
        (code, argument), rest = tree[0], tree[1:]
        for after in self._one(str(code), argument, at):
            yield from self._match(rest, after)

    def _one(self, code: str, argument: Tree, at: int) -> Iterator[int]:
        match code:
            case "MAX_REPEAT" | "POSSESSIVE_REPEAT" | "MIN_REPEAT":
                low, high, inner = argument
                ends = self._repeat(list(inner), at, low, high)
                yield from [end for end, _ in zip(ends, range(1), strict=False)] if code[0] == "P" else ends
            case "BRANCH":
                for branch in argument[1]:
                    yield from self._match(list(branch), at)
            case "SUBPATTERN":
                yield from self._match(list(argument[3]), at)
            case "ATOMIC_GROUP":
                yield from [end for end, _ in zip(self._match(list(argument), at), range(1), strict=False)]
            case "ASSERT" | "ASSERT_NOT":
                found = argument[0] > 0 and next(self._match(list(argument[1]), at), None) is not None
                if argument[0] < 0 or found == (code == "ASSERT"):  # a lookbehind has a fixed length: one step
                    self._step()
                    yield at
            case "AT":
                self._step()
                if not ((str(argument) == "AT_BEGINNING" and at) or ("END" in str(argument) and at < len(self._text))):
                    yield at
            case _:
                self._step()
                if at < len(self._text) and _fits(code, argument, self._text[at]):
                    yield at + 1

    def _repeat(self, inner: list[Tree], at: int, low: int, high: int) -> Iterator[int]:
        """Yield the ends of a greedy repetition, the longest first."""
        if high > 0:
            for end in self._match(inner, at):
                if end > at:
                    yield from self._repeat(inner, end, max(low - 1, 0), high - 1)
        if low <= 0:
            yield at

    def _step(self) -> None:
        self._count += 1
        if self._count > MAXIMUM:
            raise TooManySteps


def _fits(code: str, argument: Tree, character: str) -> bool:
    if code == "LITERAL":
        return bool(ord(character) == argument)
    if code == "NOT_LITERAL":
        return bool(ord(character) != argument)
    if code == "ANY":
        return character != "\n"
    if code == "IN":
        negated = str(argument[0][0]) == "NEGATE"
        return bool(negated != any(_in(str(kind), value, character) for kind, value in argument[negated:]))
    raise NotImplementedError(code)


def _in(kind: str, value: Tree, character: str) -> bool:
    if kind == "LITERAL":
        return bool(ord(character) == value)
    if kind == "RANGE":
        return bool(value[0] <= ord(character) <= value[1])
    name = str(value)
    return _CATEGORIES[name.replace("NOT_", "")](character) != ("NOT_" in name)
