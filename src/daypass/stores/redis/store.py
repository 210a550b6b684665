"""The two drivers of the plans: with blocking sockets, and on event loops. All else they share."""

import asyncio
import os
import threading
import time
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from redis.exceptions import NoScriptError

from daypass.errors import ConfigurationError
from daypass.store_steps import Migrate, StoreStep
from daypass.stores.redis import faults
from daypass.stores.redis.address import Address
from daypass.stores.redis.hearing import PROOF, AsyncRedisSubscription, RedisSubscription
from daypass.stores.redis.layout import Layout
from daypass.stores.redis.links import AsyncLink, Link, Words, async_link, link
from daypass.stores.redis.loops import LoopEnd
from daypass.stores.redis.plans import Exchange, Plan, Plans, Scan

A = TypeVar("A")
Asked = Sequence[Words] | Scan

TIMEOUT = 5.0
MAX_CONNECTIONS = 32


def spoken(plan: Plan[A]) -> Generator[Asked, Any, A]:
    """Put a plan into words: what is sent; a script that the server has forgotten is sent again, as a whole."""
    answer = None
    while True:
        try:
            asked: Exchange | Scan = plan.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a plan's type says what it returns
        if isinstance(asked, Scan):
            answer = yield asked
            continue
        answer = yield [command.sent() for command in asked.commands]
        forgotten = [at for at, reply in enumerate(answer) if isinstance(reply, NoScriptError)]
        if forgotten:
            again = yield [asked.commands[at].sent(whole=True) for at in forgotten]
            for at, reply in zip(forgotten, again, strict=True):
                answer[at] = reply


class Settings:
    """What both stores are told.

    Raises:
        ConfigurationError: the URL is none of a Redis store, or something in it is not possible.
    """

    def __init__(self, url: str, prefix: str | None, timeout: float | None, max_connections: int | None) -> None:
        self.address = Address.of(url)
        written = self.address.options
        try:
            self.timeout = float(written.get("timeout", TIMEOUT)) if timeout is None else timeout
            most = int(written.get("max_connections", MAX_CONNECTIONS)) if max_connections is None else max_connections
        except ValueError:
            raise ConfigurationError("timeout and max_connections have to be numbers, as in ?timeout=5") from None
        if not (0 < self.timeout < float("inf") and most >= 1):
            raise ConfigurationError("timeout has to be more than zero seconds, and max_connections at least one")
        self.max_connections = most
        names = Layout(prefix if prefix is not None else written.get("prefix", "daypass"))
        self.plans = Plans(names, scattered=self.address.kind == "cluster")
        self.names = names


class RedisStore:
    """A store in Redis or Valkey; it may be shared by threads, and the servers by any number of processes.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://`` or ``redis+cluster://``.
        prefix: what the names of all keys begin with; stores with different ones do not see each other.
        timeout: seconds that a step may take.
        max_connections: so many steps are performed at once; the others wait for their turn.

    What is not given is taken from the URL's query, or else is ``daypass``, 5 and 32.

    Raises:
        ConfigurationError: the URL is none of a Redis store, or something in it is not possible.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str | None = None,
        timeout: float | None = None,
        max_connections: int | None = None,
    ) -> None:
        self._settings = Settings(url, prefix, timeout, max_connections)
        self._opening = threading.Lock()
        self._opened: _Opened | None = None
        link(self._settings.address, 1, 1)  # opens nothing, and tells of what is wrong with the URL

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.address.shown!r}, prefix={self._settings.names.prefix!r})"

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer.

        Raises:
            StoreUnavailable: the server is down, full, read-only or did not answer in time; a step that changes
                something may have been performed.
            ConfigurationError: the data was made by a later Daypass.
        """
        return self._run(self._settings.plans.of(step))

    def subscribe(self) -> RedisSubscription:
        """Return a subscription that has heard an announcement of its own; see `daypass.stores.Announcing`.

        Raises:
            StoreUnavailable: it cannot be had now.
        """
        shown = self._settings.address.shown
        try:
            subscription = RedisSubscription(self._open().link.connection(), shown)
        except faults.DRIVER as error:
            raise faults.unavailable(shown, error) from None
        subscription.subscribe(self._settings.names.channel)
        try:
            self._run(self._settings.plans.announce())
            heard = subscription.wait(PROOF)
        except BaseException:
            subscription.close()
            raise
        if not heard:
            subscription.close()
            raise faults.deaf(shown)
        return subscription

    def close(self) -> None:
        """Close all connections; performing a step opens them again."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None and opened.pid == os.getpid():
            opened.close()

    def _run(self, plan: Plan[A]) -> A:
        settings = self._settings
        until = time.monotonic() + settings.timeout
        opened = self._open()
        if not opened.turns.acquire(timeout=settings.timeout):
            raise faults.too_slow(settings.address.shown, settings.timeout)
        try:
            if not opened.migrated:
                self._drive(opened.link, settings.plans.of(Migrate()), until)
                opened.migrated = True
            return self._drive(opened.link, plan, until)
        except faults.DRIVER as error:
            raise faults.unavailable(settings.address.shown, error) from None
        finally:
            opened.turns.release()

    def _drive(self, link: Link, plan: Plan[A], until: float) -> A:
        words = spoken(plan)
        answer = None
        while True:
            try:
                asked = words.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a plan's type says what it returns
            answer = self._ask(link, asked, until)

    def _ask(self, link: Link, asked: Asked, until: float) -> Any:
        for pause in (*faults.PAUSES, None):
            if time.monotonic() >= until:
                break
            try:
                if isinstance(asked, Scan):
                    return link.scan(asked)
                replies = link.exchange(asked)
                faults.check(replies)
            except faults.DRIVER as error:
                if pause is None or not faults.may_pass(error):
                    raise
                time.sleep(pause)
            else:
                return replies
        raise faults.too_slow(self._settings.address.shown, self._settings.timeout)

    def _open(self) -> "_Opened":
        opened = self._opened
        if opened is None or opened.pid != os.getpid():
            with self._opening:
                opened = self._opened
                if opened is None or opened.pid != os.getpid():  # a child leaves its parent's sockets alone
                    opened = self._opened = _Opened(self._settings)
        return opened


class _Opened:
    """What a process has open."""

    def __init__(self, settings: Settings) -> None:
        self.pid = os.getpid()
        self.link = link(settings.address, settings.timeout, settings.max_connections)
        self.turns = threading.BoundedSemaphore(settings.max_connections)
        self.migrated = False
        self._most = settings.max_connections
        self._timeout = settings.timeout

    def close(self) -> None:
        """Let the steps in progress end, and close all connections."""
        taken = sum(self.turns.acquire(timeout=self._timeout) for _ in range(self._most))
        self.link.close()
        for _ in range(taken):
            self.turns.release()


class AsyncRedisStore:
    """The same for `AsyncDaypass`: it may be used by several event loops, each of which has its own connections.

    Args: as for `RedisStore`.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str | None = None,
        timeout: float | None = None,
        max_connections: int | None = None,
    ) -> None:
        self._settings = Settings(url, prefix, timeout, max_connections)
        self._opened: dict[asyncio.AbstractEventLoop, _AsyncOpened] = {}
        async_link(self._settings.address, 1, 1)  # opens nothing, and tells of what is wrong with the URL

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.address.shown!r}, prefix={self._settings.names.prefix!r})"

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; raises as `RedisStore.perform` does."""
        return await self._run(self._settings.plans.of(step))

    async def subscribe(self) -> AsyncRedisSubscription:
        """Do as `RedisStore.subscribe`; it belongs to the running event loop."""
        shown = self._settings.address.shown
        try:
            async with asyncio.timeout(self._settings.timeout):
                opened = await self._open()
                subscription = AsyncRedisSubscription(await opened.link.connection(), shown)
                await subscription.subscribe(self._settings.names.channel)
        except TimeoutError:
            raise faults.too_slow(shown, self._settings.timeout) from None
        except faults.DRIVER as error:
            raise faults.unavailable(shown, error) from None
        try:
            await self._run(self._settings.plans.announce())
            heard = await subscription.wait(PROOF)
        except BaseException:
            await subscription.close()
            raise
        if not heard:
            await subscription.close()
            raise faults.deaf(shown)
        return subscription

    async def close(self) -> None:
        """Close all connections of the running event loop; performing a step opens them again."""
        self._forget_ended_loops()
        opened = self._opened.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.end.now()

    async def _run(self, plan: Plan[A]) -> A:
        settings = self._settings
        opened = self._opened.get(asyncio.get_running_loop()) or await self._open()
        opened.busy += 1
        try:
            async with asyncio.timeout(settings.timeout):
                if not opened.migrated:
                    await self._drive(opened.link, settings.plans.of(Migrate()))
                    opened.migrated = True
                return await self._drive(opened.link, plan)
        except TimeoutError:
            raise faults.too_slow(settings.address.shown, settings.timeout) from None
        except faults.DRIVER as error:
            raise faults.unavailable(settings.address.shown, error) from None
        finally:
            opened.ended()

    async def _drive(self, link: AsyncLink, plan: Plan[A]) -> A:
        words = spoken(plan)
        answer = None
        while True:
            try:
                asked = words.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a plan's type says what it returns
            answer = await self._ask(link, asked)

    async def _ask(self, link: AsyncLink, asked: Asked) -> Any:
        for pause in (*faults.PAUSES, None):
            try:
                if isinstance(asked, Scan):
                    return await link.scan(asked)
                replies = await link.exchange(asked)
                faults.check(replies)
            except faults.DRIVER as error:
                if pause is None or not faults.may_pass(error):
                    raise
                await asyncio.sleep(pause)
            else:
                return replies
        raise AssertionError("the last attempt returns or raises")

    async def _open(self) -> "_AsyncOpened":
        self._forget_ended_loops()
        loop = asyncio.get_running_loop()
        opened = self._opened.get(loop)
        if opened is None:
            opened = self._opened[loop] = _AsyncOpened(self._settings)
            await opened.end.expect()
        return opened

    def _forget_ended_loops(self) -> None:
        for loop in list(self._opened):
            if loop.is_closed():
                self._opened.pop(loop, None)


class _AsyncOpened:
    """What an event loop has open."""

    def __init__(self, settings: Settings) -> None:
        self.link = async_link(settings.address, settings.timeout, settings.max_connections)
        self.end = LoopEnd(self._close)
        self.migrated = False
        self.busy = 0
        self._idle: asyncio.Event | None = None

    def ended(self) -> None:
        """Take note that one of the steps in progress has ended."""
        self.busy -= 1
        if self._idle is not None and not self.busy:
            self._idle.set()

    async def _close(self) -> None:
        """Let the steps in progress end, none of which takes longer than it may, and close all connections."""
        self._idle = asyncio.Event()
        if self.busy:
            await self._idle.wait()
        await self.link.close()
