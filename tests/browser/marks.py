"""Marks of tests that only some clients run."""

from collections.abc import Callable
from typing import Any

import pytest

CLIENTS = ("fetch", "axios", "React", "Vue")
"""What pages send requests with: `session.fetch`, axios, components of React and of Vue."""


def marks(*clients: str, why: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a test that only these clients run; ``why`` is the reason."""
    return [
        pytest.mark.clients(*clients),
        pytest.mark.not_for(**{each: why for each in CLIENTS if each not in clients}),
    ]


def only(*clients: str, why: str) -> Callable[[Any], Any]:
    """Return a decorator that sets these marks on a test."""

    def marked(test: Any) -> Any:
        for mark in marks(*clients, why=why):
            test = mark(test)
        return test

    return marked
