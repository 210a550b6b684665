"""The clocks of a client: a monotonic one that runs on while the machine sleeps, and the wall clock."""

import time
from pathlib import Path

# Linux's monotonic clock stops while the machine sleeps; a token's life does not. That of macOS runs on.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def monotonic_ms() -> int:
    """Return the time on a clock that only goes forward, in milliseconds; the same for every process until a reboot."""
    return (time.monotonic_ns() if _CLOCK is None else time.clock_gettime_ns(_CLOCK)) // 1_000_000


def wall_ms() -> int:
    """Return the time of this machine's wall clock, which may be wrong, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def boot_id() -> str | None:
    """Return an id that differs after each restart of the machine; ``None`` if there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeError):
        return None
