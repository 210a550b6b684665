"""Counts requests over time: in this process, or for all nodes in Redis by the ``limits`` library.

Both use a sliding window: the previous window counts in proportion to the part of it that is still within the span. So
nobody gets twice the rate at the turn of a minute.
"""

import importlib.util
import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from daypass.duration import SECOND, milliseconds
from daypass.errors import ConfigurationError
from daypass.forks import survive_forks

MEMORY = "memory:"

MOST_KEYS = 100_000
"""The most keys of one span in one process, some 20 MB; beyond that the oldest of that span are forgotten."""

PAUSE_AFTER_FAILURE = 1 * SECOND
"""For how many milliseconds after a failure the shared storage is not used."""

REDIS_TIMEOUT = 0.5
"""Seconds that Redis may take to answer."""

_UNITS = {"second": "1s", "minute": "1m", "hour": "1h", "day": "1d"}

_log = logging.getLogger("daypass")


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests are allowed in a span of time.

    Attributes:
        amount: how many.
        span: in milliseconds, a multiple of a second.
    """

    amount: int
    span: int

    @classmethod
    def of(cls, text: str) -> "Rate":
        """Parse a rate such as ``30/minute`` or ``10/5m``.

        Raises:
            ConfigurationError: it is not a rate.
        """
        amount, _, span = str(text).partition("/")
        try:
            found = cls(int(amount), milliseconds(_UNITS.get(span.strip(), span)))
        except (ValueError, ConfigurationError):
            found = cls(0, 0)
        if found.amount < 1 or found.span < SECOND or found.span % SECOND:
            raise ConfigurationError(f"invalid rate {text!r}: write 30/minute, 10/5m, or None for no limit")
        return found


class Counter(Protocol):
    """Counts requests, in some storage.

    Attributes:
        waits: whether it waits for a server; an event loop then calls it in a thread.
    """

    waits: bool

    def hit(self, key: str, rate: Rate, now: int) -> int:
        """Count one if the rate allows it; return 0, or milliseconds to wait."""

    def look(self, key: str, rate: Rate, now: int) -> int:
        """Return the same as counting would, but count nothing."""

    def take_back(self, key: str, rate: Rate, now: int) -> int:
        """Take one back, for something that turned out to be harmless; return 0."""


class MemoryCounter:
    """Counts in this process; threads may share it.

    Each span has its own room: short counts, which strangers can cause, displace nothing that is kept for a month.
    """

    waits = False

    def __init__(self) -> None:
        self.recover_from_fork()
        survive_forks(self)

    def recover_from_fork(self) -> None:
        """Start with no counts: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._windows: defaultdict[int, dict[str, _Window]] = defaultdict(dict)

    def hit(self, key: str, rate: Rate, now: int) -> int:
        """Count one if the rate allows it; return 0, or milliseconds to wait."""
        with self._lock:
            window = self._windows[rate.span].get(key)
            if window is None:
                self._make_room(rate.span, now)
                window = self._windows[rate.span][key] = _Window(now)
            wait = window.wait(rate, now)
            window.current += wait == 0
            return wait

    def look(self, key: str, rate: Rate, now: int) -> int:
        """Return the same as counting would, but count nothing."""
        with self._lock:
            window = self._windows[rate.span].get(key)
            return 0 if window is None else window.wait(rate, now)

    def take_back(self, key: str, rate: Rate, now: int) -> int:  # noqa: ARG002 - the window is found without the time
        """Take one back; return 0."""
        with self._lock:
            window = self._windows[rate.span].get(key)
            if window is not None and window.current:
                window.current -= 1
            return 0

    def _make_room(self, span: int, now: int) -> None:
        windows = self._windows[span]
        if len(windows) < MOST_KEYS:
            return
        windows = {key: window for key, window in windows.items() if now - window.start < 2 * span}
        for key in list(windows)[: len(windows) - MOST_KEYS * 9 // 10]:
            del windows[key]
        self._windows[span] = windows


@dataclass(slots=True)
class _Window:
    """The count since ``start``, and that of the previous window."""

    start: int
    current: int = 0
    previous: int = 0

    def wait(self, rate: Rate, now: int) -> int:
        """Return the milliseconds to wait; 0 if one more is allowed.

        If a clock was ahead and is set back, the window starts again, so that nobody waits for longer than two spans.
        """
        amount, span = rate.amount, rate.span
        self.start = min(self.start, now)
        while now - self.start >= span:
            gone = now - self.start >= 2 * span
            self.start, self.previous, self.current = now if gone else self.start + span, 0 if gone else self.current, 0
        left = self.start + span - now
        if self.previous * left // span + self.current < amount:
            return 0
        if self.current >= amount:
            return left + 1
        return max(1, left - (amount - self.current) * span // self.previous + 1)


class SharedCounter:
    """Counts for all nodes in a storage of the ``limits`` library; while that is down, in this process.

    Args:
        url: where the storage is, such as ``redis://db.example.com`` or ``valkey://db.example.com``.

    Raises:
        ConfigurationError: it is not the URL of a storage that can count.
        ImportError: ``limits`` is not installed.
    """

    waits = True

    def __init__(self, url: str) -> None:
        try:
            from limits import RateLimitItemPerSecond
            from limits.errors import ConfigurationError as Unknown
            from limits.errors import StorageError
            from limits.storage import storage_from_string
            from limits.strategies import SlidingWindowCounterRateLimiter
        except ModuleNotFoundError as missing:
            raise ImportError(
                'rate limits that nodes share need limits: pip install "daypass[limits]", and redis for redis://'
            ) from missing
        try:
            url = _for_redis_py(url)
            storage = storage_from_string(url, wrap_exceptions=True, **_quick_answers(url))
            self._limiter = SlidingWindowCounterRateLimiter(storage)
        except (Unknown, StorageError, NotImplementedError, ValueError) as error:
            raise ConfigurationError(
                f"rate limits cannot be counted at this {url.partition(':')[0]!r} URL ({type(error).__name__}); write "
                "memory:, redis://host:6379/0, rediss://…, redis+sentinel://host:26379/service, "
                "redis+cluster://host:6379 or unix:///path"
            ) from None
        self._item = RateLimitItemPerSecond
        self._failures = StorageError
        self._own = MemoryCounter()
        self._down_until = 0.0

    def hit(self, key: str, rate: Rate, now: int) -> int:
        """Count one if the rate allows it; return 0, or milliseconds to wait."""
        return self._ask(self._limiter.hit, self._own.hit, key, rate, now)

    def look(self, key: str, rate: Rate, now: int) -> int:
        """Return the same as counting would, but count nothing."""
        return self._ask(self._limiter.test, self._own.look, key, rate, now)

    def take_back(self, key: str, rate: Rate, now: int) -> int:
        """Take one back; return 0."""
        return self._ask(partial(self._limiter.hit, cost=-1), self._own.take_back, key, rate, now)

    def _ask(
        self, shared: Callable[..., bool], own: Callable[[str, Rate, int], int], key: str, rate: Rate, now: int
    ) -> int:
        if time.monotonic() >= self._down_until:
            item = self._item(rate.amount, rate.span // SECOND, namespace="daypass")
            try:
                if shared(item, key):
                    return 0
                reset = self._limiter.get_window_stats(item, key).reset_time
                return max(1, math.ceil((reset - time.time()) * SECOND))
            except self._failures as failed:
                self._down_until = time.monotonic() + PAUSE_AFTER_FAILURE / SECOND
                reason = type(failed.storage_error).__name__
                _log.warning("the storage of rate limits failed (%s): this process counts alone for now", reason)
        return own(key, rate, now)


def _for_redis_py(url: str) -> str:
    """Return a URL of Valkey or of a Unix socket as ``limits`` writes it for redis-py, which serves both."""
    scheme, separator, rest = url.partition(":")
    scheme = scheme.replace("valkey", "redis", 1)
    return f"{'redis+unix' if scheme == 'unix' else scheme}{separator}{rest}"


def _quick_answers(url: str) -> dict[str, Any]:
    """Return options that make Redis answer or fail quickly; by default redis-py retries with long pauses."""
    if not url.startswith("redis") or importlib.util.find_spec("redis") is None:
        return {}
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": REDIS_TIMEOUT,
        "socket_connect_timeout": REDIS_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
    }


def open_counter(url: str) -> Counter:
    """Return a counter for ``memory:``, or for a storage that nodes share, such as ``redis://host``.

    Raises:
        ConfigurationError: it is neither.
        ImportError: the ``limits`` library is not installed.
    """
    if ":" not in str(url):
        raise ConfigurationError(f"invalid storage of rate limits {url!r}: write memory: or redis://host:6379/0")
    return MemoryCounter() if url == MEMORY else SharedCounter(url)
