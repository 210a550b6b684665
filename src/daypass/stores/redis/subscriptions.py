"""Subscriptions to the announcements of endings, on redis-py's Pub/Sub clients; sync and async.

redis-py's Pub/Sub subscribes again after a lost connection, and misses the announcements in between. So the clients
here do not retry: a lost connection is an error. A silent connection is pinged.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from daypass.databases.redis import errors
from daypass.errors import StoreError, StoreUnavailable
from daypass.stores.redis.event_loops import LoopEnd

PROOF = 1.0
"""Seconds within which a new subscription must receive its own announcement."""

SILENCE = 5.0
"""Seconds after which a connection without a reply is given up."""

_SLICE = 0.2
"""Seconds after which a waiting thread checks whether the subscription was closed."""


class _Connection:
    """The state of the connection, as its messages show it."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self._asked_at: float | None = None

    def announces(self, message: Mapping[str, Any]) -> bool:
        """Process a message; return whether it is an announcement."""
        self._asked_at = None
        return bool(message["type"] == "message")

    def has_to_ask(self) -> bool:
        """Return, after a silence, whether to ping now.

        Raises:
            StoreUnavailable: no reply for too long.
        """
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            return True
        if now - self._asked_at > SILENCE:
            raise StoreUnavailable(f"the Redis server at {self.shown} gives no sign of life: no announcements")
        return False

    def error(self, error: Exception) -> StoreError:
        """Return the error to raise instead of the driver's."""
        return error if isinstance(error, StoreError) else errors.unavailable(self.shown, error)


class RedisSubscription:
    """A `daypass.stores.Subscription`; one thread waits at a time.

    Args:
        clients: a client without retries, and others to close with it.
        shown: where the server is, for errors.
    """

    def __init__(self, clients: Sequence[Any], shown: str) -> None:
        self._clients = clients
        self._pubsub = clients[0].pubsub()
        self._connection = _Connection(shown)
        self._using = threading.Lock()
        self._closed = False

    def subscribe(self, channel: bytes) -> None:
        """Connect and subscribe.

        Raises:
            StoreUnavailable: that is not possible now; it is closed.
        """
        try:
            self._pubsub.subscribe(channel)
        except errors.DRIVER as error:
            self.close()
            raise self._connection.error(error) from None

    def wait(self, seconds: float) -> bool:
        """Wait for an announcement and return True; return False after that many seconds without one.

        Raises:
            StoreUnavailable: the connection was lost, or does not reply; it is closed.
        """
        until = time.monotonic() + seconds
        announced = False
        while True:
            left = 0.0 if announced else max(0.0, until - time.monotonic())  # waiting announcements count as one
            try:
                with self._using:
                    if self._closed:
                        return False
                    message = self._pubsub.get_message(timeout=min(left, _SLICE))
                    if message is not None:
                        announced |= self._connection.announces(message)
                    elif announced:
                        return True
                    elif time.monotonic() >= until:
                        if self._connection.has_to_ask():
                            self._pubsub.ping()
                        return False
            except (StoreError, *errors.DRIVER) as error:
                self.close()
                raise self._connection.error(error) from None

    def close(self) -> None:
        """Close the connection; a waiting thread gets False."""
        self._closed = True
        with self._using:
            for each in (self._pubsub, *self._clients):
                each.close()


class AsyncRedisSubscription:
    """A `daypass.stores.AsyncSubscription`; one task waits at a time."""

    def __init__(self, clients: Sequence[Any], shown: str) -> None:
        self._clients = clients
        self._pubsub = clients[0].pubsub()
        self._connection = _Connection(shown)
        self._announced = False
        self._closed = False
        self._end = LoopEnd(self._disconnect)

    async def subscribe(self, channel: bytes) -> None:
        """Do what `RedisSubscription.subscribe` does."""
        await self._end.expect()
        try:
            await self._pubsub.subscribe(channel)
        except BaseException as error:
            await self.close()
            if isinstance(error, errors.DRIVER):
                raise self._connection.error(error) from None
            raise

    async def wait(self, seconds: float) -> bool:
        """Do what `RedisSubscription.wait` does; cancelling the task loses no announcement."""
        until = time.monotonic() + seconds
        while not self._closed:
            left = 0.0 if self._announced else max(0.0, until - time.monotonic())
            try:
                message = await self._pubsub.get_message(timeout=left)
                if message is not None:
                    self._announced |= self._connection.announces(message)
                elif self._announced:
                    self._announced = False
                    return True
                elif time.monotonic() >= until:
                    if self._connection.has_to_ask():
                        await self._pubsub.ping()
                    return False
            except (StoreError, *errors.DRIVER) as error:
                was_closed = self._closed
                await self.close()
                await self._disconnect()  # redis-py has connected again
                if not was_closed:
                    raise self._connection.error(error) from None
        return False

    async def close(self) -> None:
        """Do what `RedisSubscription.close` does."""
        self._closed = True
        await self._end.now()

    async def _disconnect(self) -> None:
        for each in (self._pubsub, *self._clients):
            await each.aclose()
