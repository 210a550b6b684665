"""Stores that a test can take down, or watch."""

from typing import Any, TypeVar

from daypass import StoreUnavailable
from daypass.store_steps import StoreStep
from daypass.stores.memory import AsyncMemoryStore, MemoryStore

A = TypeVar("A")


class Failing(MemoryStore):
    """A store that is down while ``down`` is true, and counts its steps."""

    down = False
    asked = 0

    def perform(self, step: StoreStep[A]) -> A:
        self.asked += 1
        if self.down:
            raise StoreUnavailable("the store is down")
        return super().perform(step)


class AsyncFailing(AsyncMemoryStore):
    """The same, to be awaited."""

    down = False

    async def perform(self, step: StoreStep[A]) -> A:
        if self.down:
            raise StoreUnavailable("the store is down")
        return await super().perform(step)


class Watched(MemoryStore):
    """A store that remembers its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[StoreStep[Any]] = []

    def perform(self, step: StoreStep[A]) -> A:
        self.asked.append(step)
        return super().perform(step)
