"""Hearing of endings: one connection that is subscribed to their channel, in both colours.

redis-py's own ``PubSub`` connects anew by itself, and whatever was announced meanwhile is lost unnoticed; so this one
keeps to a single connection, and tells when it is lost. A connection that is silent is asked for a sign of life.
"""

import threading
import time
from typing import Any

import redis
from redis.exceptions import ResponseError

from daypass.errors import StoreError, StoreUnavailable
from daypass.stores.redis import faults
from daypass.stores.redis.loops import LoopEnd

PROOF = 1.0
"""Seconds within which a subscription has to hear its own announcement."""

SILENCE = 5.0
"""Seconds after which a connection that gives no sign of life is given up."""

_SLICE = 0.2
"""Seconds after which a thread that waits looks whether the subscription was closed."""


class Ear:
    """What was heard on a connection so far: the same for both colours.

    Args:
        shown: where the server is, as an error may tell.
    """

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self._asked_at: float | None = None

    def heard(self, message: Any) -> bool:
        """Take in what was read; True for an announcement.

        Raises:
            ResponseError: the server refuses the subscription.
        """
        if isinstance(message, Exception):
            raise message
        self._asked_at = None
        return bool(message[0] == b"message")

    def has_to_ask(self) -> bool:
        """Tell, after a silence, whether to ask for a sign of life now.

        Raises:
            StoreUnavailable: there was none for too long.
        """
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            return True
        if now - self._asked_at > SILENCE:
            raise StoreUnavailable(f"the Redis server at {self.shown} announces nothing any more: no sign of life")
        return False

    def lost(self, error: Exception) -> StoreError:
        """Return the error to raise instead of the driver's."""
        return error if isinstance(error, StoreError) else faults.unavailable(self.shown, error)


class RedisSubscription:
    """A `daypass.stores.Subscription`; one thread waits at a time."""

    def __init__(self, connection: redis.Connection, shown: str) -> None:
        self._connection = connection
        self._ear = Ear(shown)
        self._using = threading.Lock()
        self._closed = False

    def subscribe(self, channel: bytes) -> None:
        """Connect and subscribe; what is announced from now on is heard.

        Raises:
            StoreUnavailable: it cannot be done.
        """
        try:
            self._connection.connect()
            self._connection.send_command("SUBSCRIBE", channel)
            self._ear.heard(_read(self._connection))
        except faults.DRIVER as error:
            self.close()
            raise self._ear.lost(error) from None

    def wait(self, seconds: float) -> bool:
        """Wait until something is announced, then return True; False when nothing was in so many seconds.

        Raises:
            StoreUnavailable: the connection was lost, or gives no sign of life; it has been closed.
        """
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            try:
                with self._using:
                    if self._closed:
                        return False
                    if self._read(max(0.0, min(left, _SLICE))):
                        return True
                    if left <= 0:
                        if self._ear.has_to_ask():
                            self._connection.send_command("PING")
                        return False
            except (StoreError, *faults.DRIVER) as error:
                self.close()
                raise self._ear.lost(error) from None

    def close(self) -> None:
        """Give back the connection; whoever is waiting is told False."""
        self._closed = True
        with self._using:
            self._connection.disconnect()

    def _read(self, seconds: float) -> bool:
        """Take in all that is there; tell whether an announcement is among it."""
        announced = False
        while self._connection.can_read(timeout=seconds):
            announced |= self._ear.heard(_read(self._connection))
            seconds = 0.0
        return announced


class AsyncRedisSubscription:
    """A `daypass.stores.AsyncSubscription`; one task waits at a time."""

    def __init__(self, connection: Any, shown: str) -> None:
        self._connection = connection
        self._ear = Ear(shown)
        self._closed = False
        self._told = False
        self._end = LoopEnd(self._disconnect)

    async def subscribe(self, channel: bytes) -> None:
        """Do as `RedisSubscription.subscribe`."""
        await self._end.expect()
        try:
            await self._connection.connect()
            await self._connection.send_command("SUBSCRIBE", channel)
            self._ear.heard(await self._connection.read_response())
        except BaseException as error:
            await self.close()
            if isinstance(error, faults.DRIVER):
                raise self._ear.lost(error) from None
            raise

    async def wait(self, seconds: float) -> bool:
        """Do as `RedisSubscription.wait`; when the task is cancelled, the subscription is as good as before."""
        until = time.monotonic() + seconds
        try:
            while not self._closed:
                left = 0.0 if self._told else max(0.0, until - time.monotonic())  # what came together is told of once
                message = await self._connection.read_response(timeout=left, disconnect_on_error=False)
                if message is not None:
                    self._told |= self._ear.heard(message)
                elif self._told:
                    self._told = False
                    return True
                elif left <= 0 or time.monotonic() >= until:
                    if self._ear.has_to_ask():
                        await self._connection.send_command("PING")
                    return False
        except (StoreError, *faults.DRIVER) as error:
            if self._closed:
                return False
            await self.close()
            raise self._ear.lost(error) from None
        return False

    async def close(self) -> None:
        """Do as `RedisSubscription.close`."""
        self._closed = True
        await self._end.now()

    async def _disconnect(self) -> None:
        await self._connection.disconnect(nowait=True)


def _read(connection: redis.Connection) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
