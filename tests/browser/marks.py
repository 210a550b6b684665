"""Marks of tests that only one client runs, because the scenario does not concern the others."""

from collections.abc import Callable
from typing import Any

import pytest

CLIENTS = ("fetch", "axios", "React", "Vue")
"""By what pages send requests: `session.fetch`, axios, and components of React and Vue."""


def marks(*clients: str, why: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a test that these clients run; ``why`` says what keeps the others out."""
    return [
        pytest.mark.clients(*clients),
        pytest.mark.not_for(**{each: why for each in CLIENTS if each not in clients}),
    ]


def only(*clients: str, why: str) -> Callable[[Any], Any]:
    """Return a decorator that gives these marks to a test."""

    def marked(test: Any) -> Any:
        for mark in marks(*clients, why=why):
            test = mark(test)
        return test

    return marked
