"""The clocks of a client: a monotonic one that keeps running while the machine sleeps, and the wall clock."""

import time
from pathlib import Path

# CLOCK_MONOTONIC stops while Linux sleeps, but tokens still expire. On macOS it keeps running.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def monotonic_ms() -> int:
    """Return milliseconds on a clock that only goes forward; the same in every process until a reboot."""
    return (time.monotonic_ns() if _CLOCK is None else time.clock_gettime_ns(_CLOCK)) // 1_000_000


def wall_ms() -> int:
    """Return the time of this machine's wall clock, which may be wrong, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def boot_id() -> str | None:
    """Return an id that changes with each restart of the machine; ``None`` if the system has no such id."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeError):
        return None
