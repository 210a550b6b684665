"""The machine's clock."""

import time


def system_clock() -> int:
    """Return the machine's time, in whole milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
