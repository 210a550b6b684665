"""The Redis stores for threads and for event loops. They differ in waiting; everything else is shared."""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from daypass.account_steps import AccountStep
from daypass.databases.redis import clients, errors
from daypass.databases.redis.scan import Scan
from daypass.databases.redis.settings import Settings, read_settings
from daypass.duration import Duration
from daypass.forks import survive_forks
from daypass.operator_steps import OperatorStep
from daypass.store_steps import StoreStep
from daypass.stores.redis.batching import Batches, Send, Words
from daypass.stores.redis.event_loops import LoopEnd
from daypass.stores.redis.layout import Layout
from daypass.stores.redis.plans import Plan, Plans, Request, requests
from daypass.stores.redis.subscriptions import PROOF, AsyncRedisSubscription, RedisSubscription

A = TypeVar("A")

_log = logging.getLogger("daypass")


class RedisStore:
    """A store in Redis or Valkey; threads may share it, and any number of processes may share the servers.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://`` or ``redis+cluster://``, or the same with
            ``valkey``.
        prefix: the beginning of all key names; stores with different prefixes do not see each other.
        timeout: how long a step may take: seconds, or text such as ``5s``.
        max_connections: how many steps may be in flight; others wait.

    An argument that you omit is taken from the URL's query; the defaults are ``daypass``, ``5s`` and 32.

    Raises:
        ConfigurationError: it is not a Redis URL, or an option is unknown or invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str | None = None,
        timeout: Duration | None = None,
        max_connections: int | None = None,
    ) -> None:
        self._settings = read_settings(url, prefix, timeout, max_connections)
        self._plans = Plans(Layout(self._settings.prefix), scattered=self._settings.kind == "cluster")
        self.recover_from_fork()
        survive_forks(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.shown!r}, prefix={self._settings.prefix!r})"

    def recover_from_fork(self) -> None:
        """Drop the parent's connections, and locks that a thread of the parent may have held."""
        self._opening = threading.Lock()
        self._opened: _Opened | None = None

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer.

        Raises:
            StoreUnavailable: the server is down, full, read-only or did not answer in time; a step that changes
                something may have been performed.
            ConfigurationError: a later Daypass wrote the data.
        """
        return self._run(self._plans.of(step))

    def perform_account(self, step: AccountStep[A]) -> A:
        """Do what `perform` does, for built-in users."""
        return self._run(self._plans.of(step))

    def perform_operator(self, step: OperatorStep[A]) -> A:
        """Do what `perform` does, for operators."""
        return self._run(self._plans.of(step))

    def subscribe(self) -> RedisSubscription:
        """Return a subscription that has received its own announcement; see `daypass.stores.Announcing`.

        Raises:
            StoreUnavailable: that is not possible now.
        """
        settings = self._settings
        try:
            node = _any_node(self._open().client) if settings.kind == "cluster" else None
        except errors.DRIVER as error:
            raise errors.unavailable(settings.shown, error) from None
        subscription = RedisSubscription(clients.make_clients(settings, retries=0, node=node), settings.shown)
        subscription.subscribe(Layout(settings.prefix).channel)
        try:
            self._run(self._plans.announce())
            received = subscription.wait(PROOF)
        except BaseException:
            subscription.close()
            raise
        if not received:
            subscription.close()
            raise errors.silent(settings.shown)
        return subscription

    def close(self) -> None:
        """Wait for the running steps, and close all connections; performing a step opens them again."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _run(self, plan: Plan[A]) -> A:
        settings = self._settings
        until = time.monotonic() + settings.timeout
        try:
            opened = self._open()
            if not opened.turns.acquire(timeout=settings.timeout):
                raise errors.too_slow(settings.shown, settings.timeout)
            try:
                if not opened.prepared:
                    _warn(settings, self._drive(opened.client, self._plans.prepare(), until))
                    opened.prepared = True
                return self._drive(opened.client, plan, until)
            finally:
                opened.turns.release()
        except errors.DRIVER as error:
            raise errors.unavailable(settings.shown, error) from None

    def _drive(self, client: Any, plan: Plan[A], until: float) -> A:
        asked = requests(plan)
        answer = None
        while True:
            try:
                request = asked.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a plan's type says what it returns
            if time.monotonic() >= until:
                raise errors.too_slow(self._settings.shown, self._settings.timeout)
            answer = _answer(client, request)

    def _open(self) -> "_Opened":
        opened = self._opened
        if opened is None:
            with self._opening:
                opened = self._opened
                if opened is None:
                    opened = self._opened = _Opened(self._settings)
        return opened


class _Opened:
    """The connections of a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients = clients.make_clients(settings)
        self.client = self._clients[0]
        self.turns = threading.BoundedSemaphore(settings.max_connections)
        self.prepared = False

    def close(self) -> None:
        """Let the running steps finish, and close all connections."""
        waited = [self.turns.acquire(timeout=self._settings.timeout) for _ in range(self._settings.max_connections)]
        for each in self._clients:
            each.close()
        for _ in filter(None, waited):
            self.turns.release()


def _answer(client: Any, request: Request) -> Any:
    if isinstance(request, Scan):
        return clients.scan(client, request)
    replies = clients.exchange(client, request)
    errors.check(replies)
    return replies


def _warn(settings: Settings, warning: str) -> None:
    if warning:
        _log.warning("the Redis server at %s may log users out: %s", settings.shown, warning)


def _any_node(client: Any) -> clients.Node:
    """Return one of the cluster's servers: a message published on one server arrives on all."""
    node = secrets.choice(client.get_primaries())
    return node.host, node.port


class AsyncRedisStore:
    """`RedisStore` for `AsyncDaypass`; several event loops may use it, and each has its own connections.

    Args: as for `RedisStore`.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str | None = None,
        timeout: Duration | None = None,
        max_connections: int | None = None,
    ) -> None:
        self._settings = read_settings(url, prefix, timeout, max_connections)
        self._plans = Plans(Layout(self._settings.prefix), scattered=self._settings.kind == "cluster")
        self._opened: dict[asyncio.AbstractEventLoop, _AsyncOpened] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.shown!r}, prefix={self._settings.prefix!r})"

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; raises the errors of `RedisStore.perform`."""
        return await self._run(self._plans.of(step))

    async def perform_account(self, step: AccountStep[A]) -> A:
        """Do what `perform` does, for built-in users."""
        return await self._run(self._plans.of(step))

    async def perform_operator(self, step: OperatorStep[A]) -> A:
        """Do what `perform` does, for operators."""
        return await self._run(self._plans.of(step))

    async def subscribe(self) -> AsyncRedisSubscription:
        """Do what `RedisStore.subscribe` does; the subscription belongs to the running event loop."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout):
                node = None
                if settings.kind == "cluster":
                    client = (await self._open()).client
                    await client.initialize()
                    node = _any_node(client)
                subscription = AsyncRedisSubscription(
                    clients.make_async_clients(settings, retries=0, node=node), settings.shown
                )
                await subscription.subscribe(Layout(settings.prefix).channel)
        except TimeoutError:
            raise errors.too_slow(settings.shown, settings.timeout) from None
        except errors.DRIVER as error:
            raise errors.unavailable(settings.shown, error) from None
        try:
            await self._run(self._plans.announce())
            received = await subscription.wait(PROOF)
        except BaseException:
            await subscription.close()
            raise
        if not received:
            await subscription.close()
            raise errors.silent(settings.shown)
        return subscription

    async def close(self) -> None:
        """Do what `RedisStore.close` does, for the running event loop."""
        self._forget_ended_loops()
        opened = self._opened.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.end.now()

    async def _run(self, plan: Plan[A]) -> A:
        settings = self._settings
        opened = self._opened.get(asyncio.get_running_loop()) or await self._open()
        opened.step_begins()
        try:
            async with asyncio.timeout(settings.timeout):
                if not opened.prepared:
                    _warn(settings, await self._drive(opened, self._plans.prepare()))
                    opened.prepared = True
                return await self._drive(opened, plan)
        except TimeoutError:
            raise errors.too_slow(settings.shown, settings.timeout) from None
        except errors.DRIVER as error:
            raise errors.unavailable(settings.shown, error) from None
        finally:
            opened.step_ends()

    async def _drive(self, opened: "_AsyncOpened", plan: Plan[A]) -> A:
        asked = requests(plan)
        answer = None
        while True:
            try:
                request = asked.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a plan's type says what it returns
            answer = await opened.answer(request)

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
    """The connections of an event loop."""

    def __init__(self, settings: Settings) -> None:
        self._clients = clients.make_async_clients(settings)
        self.client = self._clients[0]
        self.end = LoopEnd(self._close)
        self.prepared = False
        self._send = self._sending(settings)
        self._steps = 0
        self._idle = asyncio.Event()

    def _sending(self, settings: Settings) -> Send:
        send = partial(clients.exchange_async, self.client)
        if settings.kind != "cluster":
            return Batches(send, settings.timeout, settings.max_connections).send
        turns = asyncio.Semaphore(settings.max_connections)  # the cluster's client does not wait for a connection

        async def send_in_turn(commands: Sequence[Words]) -> list[Any]:
            async with turns:
                await self.client.initialize()  # otherwise the first command may go to a random server
                return await send(commands)

        return send_in_turn

    async def answer(self, request: Request) -> Any:
        """Return the answer to a request of a plan."""
        if isinstance(request, Scan):
            return await clients.scan_async(self.client, request)
        replies = await self._send(request)
        errors.check(replies)
        return replies

    def step_begins(self) -> None:
        """Count a step that begins."""
        self._steps += 1
        self._idle.clear()

    def step_ends(self) -> None:
        """Count its end."""
        self._steps -= 1
        if not self._steps:
            self._idle.set()

    async def _close(self) -> None:
        """Let the running steps finish, within the time-out of a step, and close all connections."""
        if self._steps:
            await self._idle.wait()
        for each in self._clients:
            await each.aclose()
