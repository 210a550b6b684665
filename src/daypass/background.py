"""Runs an issuer's upkeep beside its requests, in a thread or in a task; see `daypass.upkeep` for what it does.

Neither keeps its issuer alive: when the issuer is garbage-collected, they stop.
"""

import contextlib
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from daypass.drive import arun, run
from daypass.duration import SECOND
from daypass.errors import StoreError
from daypass.flow import Flow, Step
from daypass.steps import Listen, Subscribe
from daypass.stores import Announcing, AsyncAnnouncing, AsyncStore, AsyncSubscription, Store, Subscription

Life = Callable[[], Flow[None]]
Answer = Callable[[Step[Any]], Any]

StoreT = TypeVar("StoreT", bound=Store | AsyncStore)
SubscriptionT = TypeVar("SubscriptionT", bound=Subscription | AsyncSubscription)

_PATIENCE = 5.0
_APART = 0.05
"""Seconds between reactions to announcements; those that come in between are handled together."""

_log = logging.getLogger("daypass")


class Gone(BaseException):
    """Stops the background from within: the issuer was garbage-collected or closed."""


def weakly(answer: Answer) -> Answer:
    """Return a function that calls the bound method ``answer`` without keeping its object alive.

    Raises:
        Gone: the object no longer exists.
    """
    method = weakref.WeakMethod(answer)

    def answered(step: Step[Any]) -> Any:
        bound = method()
        if bound is None:
            raise Gone
        return bound(step)

    return answered


class _Background(Generic[StoreT, SubscriptionT]):
    def __init__(self, life: Life, store: StoreT, answer: Answer) -> None:
        self._life = life
        self._store = store
        self._answer = answer
        self._subscription: SubscriptionT | None = None
        self._heard_at = -_APART

    def _too_early(self) -> float:
        """Return for how many seconds an announcement must wait to be batched with others, and note it."""
        now = time.monotonic()
        early = max(0.0, self._heard_at + _APART - now)
        self._heard_at = now + early
        return early


class BackgroundThread(_Background[Store, Subscription]):
    """Upkeep in a thread.

    Args:
        life: makes the flow.
        store: the store to listen to, if it announces.
        answer: answers all other steps.
    """

    def __init__(self, life: Life, store: Store, answer: Answer) -> None:
        super().__init__(life, store, answer)
        self.gone = threading.Event()
        self._thread = threading.Thread(target=self._run, name="daypass-upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for it, at most a few seconds."""
        self.gone.set()
        subscription = self._subscription
        if subscription is not None:
            subscription.close()
        if self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        with contextlib.suppress(Gone):
            while not self.gone.is_set():
                try:
                    run(self._life(), self._reply)
                except Exception:
                    _log.exception("background work failed; starting it again in 5 s")
                    self.gone.wait(_PATIENCE)
        if self._subscription is not None:
            self._subscription.close()

    def _reply(self, step: Step[Any]) -> Any:
        if self.gone.is_set():
            raise Gone
        match step:
            case Subscribe():
                if isinstance(self._store, Announcing):
                    self._subscription = self._store.subscribe()
                return self._subscription is not None
            case Listen(span):
                if self._subscription is None:
                    return self.gone.wait(span / SECOND)
                try:
                    heard = self._subscription.wait(span / SECOND)
                except StoreError:
                    self._subscription = None
                    raise
                if heard and (early := self._too_early()):
                    self.gone.wait(early)
                return heard
        return self._answer(step)


class BackgroundTask(_Background[AsyncStore, AsyncSubscription]):
    """Upkeep in a task of the running event loop; arguments as for `BackgroundThread`."""

    def __init__(self, life: Life, store: AsyncStore, answer: Answer) -> None:
        super().__init__(life, store, answer)
        import asyncio  # here, because it is a third of what importing daypass would cost those who never use it

        self._sleep = asyncio.sleep
        self.task: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._run(), name="daypass-upkeep")

    async def stop(self) -> None:
        """Stop the task; leave a task of another event loop alone."""
        import asyncio

        if self.task.get_loop() is asyncio.get_running_loop():
            self.task.cancel()
            await asyncio.wait([self.task])

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await arun(self._life(), self._reply)
                except Exception:
                    _log.exception("background work failed; starting it again in 5 s")
                    await self._sleep(_PATIENCE)
        except Gone:
            pass
        finally:
            if self._subscription is not None:
                await self._subscription.close()

    def _reply(self, step: Step[Any]) -> Any:
        match step:
            case Subscribe():
                return self._subscribe()
            case Listen(span):
                return self._listen(span / SECOND)
        return self._answer(step)

    async def _subscribe(self) -> bool:
        if isinstance(self._store, AsyncAnnouncing):
            self._subscription = await self._store.subscribe()
        return self._subscription is not None

    async def _listen(self, seconds: float) -> bool:
        if self._subscription is None:
            await self._sleep(seconds)
            return False
        try:
            heard = await self._subscription.wait(seconds)
        except StoreError:
            self._subscription = None
            raise
        if heard and (early := self._too_early()):
            await self._sleep(early)
        return heard
