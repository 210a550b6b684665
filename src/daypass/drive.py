"""Drives a flow to its end, in either colour: the only sync/async twins of the server side."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from daypass.steps import Flow, Step

A = TypeVar("A")


def run(flow: Flow[A], answer: Callable[[Step[Any]], Any]) -> A:
    """Return what ``flow`` returns, giving it the answer to each step it asks.

    Raises:
        Exception: whatever the flow or an answer raises.
    """
    given: Any = None
    while True:
        try:
            step = flow.send(given)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
        given = answer(step)


async def arun(flow: Flow[A], answer: Callable[[Step[Any]], Any]) -> A:
    """Do as `run`, awaiting each answer that has to be awaited."""
    given: Any = None
    while True:
        try:
            step = flow.send(given)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
        given = answer(step)
        if inspect.isawaitable(given):
            given = await given
