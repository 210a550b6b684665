"""Drives a flow to its end, even if its caller is cancelled: what a store has done still emits its events.

A task for each call would do that too, for 20 µs. So the caller drives the flow itself, and a task goes on with it only
if the caller is cancelled.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from daypass.drive import arun
from daypass.flow import Flow, Step

A = TypeVar("A")
Answer = Callable[[Step[Any]], Any]


class Driver:
    """Drives the flows of one issuer; each in the event loop of its caller."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()

    async def run(self, flow: Flow[A], answer: Answer) -> A:
        """Return the result of ``flow``, answering each of its steps, or raising the step's error in it.

        Cancelling the caller cancels an answer only if its step is harmless; the step is then asked again.

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
                if hasattr(given, "__await__"):
                    if not step.harmless:
                        given = self._begun(given)
                    given = await (given if step.harmless else asyncio.shield(given))
            except asyncio.CancelledError:
                begun = self._begun(answer(step)) if step.harmless else given
                begun.add_done_callback(partial(self._go_on, flow, answer))
                raise
            except Exception as error:
                go_on, given = flow.throw, error

    def _begun(self, answer: Awaitable[A]) -> "asyncio.Future[A]":
        return answer if isinstance(answer, asyncio.Future) else self._kept(asyncio.ensure_future(answer))

    def _kept(self, task: "asyncio.Future[A]") -> "asyncio.Future[A]":
        self._tasks.add(task)  # the loop itself holds only weak references to tasks
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: "asyncio.Future[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks the exception as retrieved: the caller got it, or was cancelled

    def _go_on(self, flow: Flow[Any], answer: Answer, begun: "asyncio.Future[Any]") -> None:
        """Drive the rest of a flow whose caller was cancelled, now that the answer to its step is there."""
        if begun.cancelled():  # as when the event loop ends
            flow.close()
        else:
            self._kept(asyncio.ensure_future(arun(flow, answer, begun)))
