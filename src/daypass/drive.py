"""Drives a flow to its end, sync or async: the only pair of sync and async twins on the server side."""

from collections.abc import Callable
from typing import Any, TypeVar

from daypass.flow import Flow, Step

A = TypeVar("A")


def run(flow: Flow[A], answer: Callable[[Step[Any]], Any]) -> A:
    """Return the result of ``flow``, answering each of its steps, or raising the step's error in it.

    Raises:
        Exception: any exception of the flow.
    """
    go_on: Callable[[Any], Step[Any]] = flow.send
    given: Any = None
    while True:
        try:
            step = go_on(given)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
        try:
            go_on, given = flow.send, answer(step)
        except Exception as error:
            go_on, given = flow.throw, error


async def arun(flow: Flow[A], answer: Callable[[Step[Any]], Any], given: Any = None) -> A:
    """Do what `run` does, awaiting each answer that must be awaited.

    Args:
        flow: the flow.
        answer: called with each step.
        given: the answer to the step at which the flow waits already; None for a flow that has not begun.
    """
    go_on: Callable[[Any], Step[Any]] = flow.send
    while True:
        try:
            if hasattr(given, "__await__"):
                given = await given
        except Exception as error:
            go_on, given = flow.throw, error
        except BaseException:  # cancelled, as when the event loop ends
            flow.close()
            raise
        try:
            step = go_on(given)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
        try:
            go_on, given = flow.send, answer(step)
        except Exception as error:
            go_on, given = flow.throw, error
