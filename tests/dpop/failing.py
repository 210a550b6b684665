"""Stores that may be down for the proofs, which nodes of one process share."""

from typing import Any

from daypass import StoreUnavailable
from daypass.stores.memory import AsyncMemoryStore, MemoryStore


class FailingStore(MemoryStore):
    """A store that remembers no proofs while it is down."""

    down = False

    def perform_operator(self, step: Any) -> Any:
        if self.down:
            raise StoreUnavailable("down")
        return super().perform_operator(step)


class AsyncFailingStore(AsyncMemoryStore):
    """The same, awaited."""

    down = False

    async def perform_operator(self, step: Any) -> Any:
        if self.down:
            raise StoreUnavailable("down")
        return await super().perform_operator(step)
