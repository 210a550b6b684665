"""Refuses unknown options, so that a misspelt one never switches off a protection silently."""

from collections.abc import Iterable
from typing import TypedDict

from daypass.errors import ConfigurationError


class NoOptions(TypedDict):
    """The type of ``**unknown`` if every option has a name: a type checker refuses any other name."""


def refuse_unknown(given: Iterable[str], known: Iterable[str], kind: str = "option") -> None:
    """Refuse every unknown name; the message suggests the nearest known one.

    Args:
        given: the names to check.
        known: the known names.
        kind: what the message calls such a name.

    Raises:
        ConfigurationError: one of ``given`` is not among ``known``.
    """
    possible = sorted(known)
    for name in given:
        if name not in possible:
            from difflib import get_close_matches  # here, because nearly every option is known

            near = get_close_matches(name, possible, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(possible)}"
            raise ConfigurationError(f"unknown {kind} {name!r}: {hint}")
