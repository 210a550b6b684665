"""How often something was done of late: counted in this process, or in one place for all nodes, by ``limits``.

Both count in the same way, by a sliding window: what was counted in the window before weighs as much as of that window
is still within the span. So nobody gets twice the rate at the turn of a minute.
"""

import importlib
import importlib.util
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from daypass.duration import SECOND, milliseconds
from daypass.errors import ConfigurationError
from daypass.forks import survive_forks

MEMORY = "memory:"

MOST_KEYS = 100_000
"""Counted in one process at a time, some 20 MB; beyond that the oldest are forgotten."""

RESPITE = 1 * SECOND
"""For so long, in milliseconds, what has failed is not asked again."""

PATIENCE = 0.5
"""Seconds that a Redis may take to answer."""

_UNITS = {"second": "1s", "minute": "1m", "hour": "1h", "day": "1d"}
_REDIS = ("redis", "valkey")

_log = logging.getLogger("daypass")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so long.

    Attributes:
        amount: how many.
        span: in milliseconds, whole seconds.
    """

    amount: int
    span: int

    @classmethod
    def of(cls, text: str) -> "Rate":
        """Return the rate that ``30/minute`` says; or ``10/5m``.

        Raises:
            ConfigurationError: it is none.
        """
        amount, _, span = str(text).partition("/")
        try:
            found = cls(int(amount), milliseconds(_UNITS.get(span.strip(), span)))
        except (ValueError, ConfigurationError):
            found = cls(0, 0)
        if found.amount < 1 or found.span < SECOND or found.span % SECOND:
            raise ConfigurationError(f"{text!r} is no rate; write 30/minute, 10/5m, or None for no limit")
        return found


class Counter(Protocol):
    """What counts.

    Attributes:
        waits: whether an answer has to be waited for; an event loop then asks in a thread.
    """

    waits: bool

    def hit(self, key: str, rate: Rate, now: int) -> int:
        """Count one if the rate allows it; return 0, or milliseconds to wait."""

    def look(self, key: str, rate: Rate, now: int) -> int:
        """Return the same, and count nothing."""

    def take_back(self, key: str, rate: Rate, now: int) -> int:
        """Count one less, for something that turned out to be harmless; return 0."""


class MemoryCounter:
    """Counts in this process; may be shared by threads."""

    waits = False

    def __init__(self) -> None:
        self.recover_from_fork()
        survive_forks(self)

    def recover_from_fork(self) -> None:
        """Begin anew: a lock may have been held while the parent forked."""
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, int], _Window] = {}

    def hit(self, key: str, rate: Rate, now: int) -> int:
        """Count one if the rate allows it; return 0, or milliseconds to wait."""
        with self._lock:
            window = self._windows.get((key, rate.span))
            if window is None:
                self._make_room(now)
                window = self._windows[key, rate.span] = _Window(now)
            wait = window.wait(rate, now)
            window.current += wait == 0
            return wait

    def look(self, key: str, rate: Rate, now: int) -> int:
        """Return the same, and count nothing."""
        with self._lock:
            window = self._windows.get((key, rate.span))
            return 0 if window is None else window.wait(rate, now)

    def take_back(self, key: str, rate: Rate, now: int) -> int:  # noqa: ARG002 - the window is found without the time
        """Count one less; return 0."""
        with self._lock:
            window = self._windows.get((key, rate.span))
            if window is not None and window.current:
                window.current -= 1
            return 0

    def _make_room(self, now: int) -> None:
        if len(self._windows) < MOST_KEYS:
            return
        self._windows = {
            (key, span): window for (key, span), window in self._windows.items() if now - window.start < 2 * span
        }
        for key in list(self._windows)[: len(self._windows) - MOST_KEYS * 9 // 10]:
            del self._windows[key]


@dataclass(slots=True)
class _Window:
    """What was counted since ``start``, and in the window before."""

    start: int
    current: int = 0
    previous: int = 0

    def wait(self, rate: Rate, now: int) -> int:
        """Return the milliseconds to wait; 0 if there may be one more.

        A clock that was ahead and was set back starts the window again, so that nobody waits for longer than two spans.
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
    """Counts in one place for all nodes, by the ``limits`` library; while that place is down, in this process.

    Args:
        url: of a storage of ``limits``, such as ``redis://db.example.com``.

    Raises:
        ConfigurationError: there is no such storage.
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
            storage = storage_from_string(url, wrap_exceptions=True, **_timely(url))
            self._limiter = SlidingWindowCounterRateLimiter(storage)
        except (Unknown, StorageError, NotImplementedError, ValueError) as error:
            raise ConfigurationError(
                f"rate limits cannot be counted at a {url.partition(':')[0]!r} URL ({type(error).__name__}); write "
                "memory: or redis://…"
            ) from None
        self._item = RateLimitItemPerSecond
        self._failures = StorageError
        self._own = MemoryCounter()
        self._down_until = 0.0

    def hit(self, key: str, rate: Rate, now: int) -> int:
        """Count one if the rate allows it; return 0, or milliseconds to wait."""
        return self._ask(self._limiter.hit, self._own.hit, key, rate, now)

    def look(self, key: str, rate: Rate, now: int) -> int:
        """Return the same, and count nothing."""
        return self._ask(self._limiter.test, self._own.look, key, rate, now)

    def take_back(self, key: str, rate: Rate, now: int) -> int:
        """Count one less; return 0."""
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
                self._down_until = time.monotonic() + RESPITE / SECOND
                reason = type(failed.storage_error).__name__
                _log.warning("rate limits are counted by this process alone: %s", reason)
        return own(key, rate, now)


def _timely(url: str) -> dict[str, Any]:
    """Return what has a Redis answer soon or not at all: its library would try again and again, with long rests."""
    library = url.partition(":")[0].partition("+")[0].removesuffix("s")
    if library not in _REDIS or importlib.util.find_spec(library) is None:
        return {}
    backoff, retry = (importlib.import_module(f"{library}.{name}") for name in ("backoff", "retry"))
    return {
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        "retry": retry.Retry(backoff.NoBackoff(), 0),
    }


def open_counter(url: str) -> Counter:
    """Return what counts at ``url``: ``memory:``, or a storage of ``limits`` that nodes share, such as ``redis://…``.

    Raises:
        ConfigurationError: nothing does.
        ImportError: the ``limits`` library is not installed.
    """
    if ":" not in str(url):
        raise ConfigurationError("the storage of rate limits has to be a URL: memory: or redis://db.example.com")
    return MemoryCounter() if url == MEMORY else SharedCounter(url)
