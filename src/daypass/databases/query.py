"""What is asked of a SQL database, and how it answers. No I/O and no driver here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from daypass.flow import Step

Rows = Sequence[Sequence[Any]]

ATTEMPTS = 5
"""How often a statement is repeated that others were in the way of."""


@dataclass(frozen=True, slots=True)
class Query(Step[Rows]):
    """One statement, which is one transaction where no other is open; answered with its rows.

    Attributes:
        text: the statement, with parameters written ``:name``.
        parameters: their values; others than the statement's own are left out.
        repeatable: whether it may be sent again when nobody knows if it was performed.
        announces: whether those who listen are to be told if it has rows.
    """

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    repeatable: bool = True
    announces: bool = False
