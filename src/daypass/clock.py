"""The machine's clock."""

import time
from datetime import UTC, datetime


def system_clock() -> int:
    """Return the machine's time, in whole milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def iso_time(milliseconds: int) -> str:
    """Return a time as people and programs read it: ``2026-01-31T12:00:00Z``; the number if no calendar has it."""
    try:
        return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return str(milliseconds)
