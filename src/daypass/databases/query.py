"""A query to a SQL database, and its answer. No I/O and no driver here."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from daypass.flow import Step
from daypass.value import value

Rows = Sequence[Sequence[Any]]

ATTEMPTS = 5
"""How often a statement is repeated after a conflict with other callers."""


@value(frozen=True, slots=True)
class Query(Step[Rows]):
    """One statement, in its own transaction unless one is open; answered with its rows.

    Attributes:
        text: the statement, with parameters written ``:name``.
        parameters: their values; extra ones are ignored.
        repeatable: whether it may be sent again if it is not known whether it was performed.
        announces: whether to notify listeners if it has rows.
    """

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    repeatable: bool = True
    announces: bool = False
