"""Spans of time, in whole milliseconds, as people write them: ``90s``, ``15m``, ``30d``."""

import re
from datetime import timedelta

from daypass.errors import ConfigurationError

SECOND = 1000

MINUTE = 60 * SECOND

HOUR = 60 * MINUTE

DAY = 24 * HOUR

_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)|0", re.ASCII)

Duration = timedelta | int | float | str
"""A span of time as people write it: a `timedelta`, a number of seconds, or text such as ``90s``, ``15m``, ``30d``."""


def milliseconds(duration: Duration) -> int:
    """Return ``duration`` in whole milliseconds.

    Raises:
        ConfigurationError: it is not a span of time, or negative.
    """
    if isinstance(duration, timedelta):
        value = duration / timedelta(milliseconds=1)
    elif isinstance(duration, str):
        match = _DURATION.fullmatch(duration.strip())
        if match is None:
            raise ConfigurationError(f"invalid duration {duration!r}: write a number and a unit: 90s, 15m, 12h or 30d")
        value = float(match[1]) * _UNITS[match[2]] if match[1] else 0
    elif isinstance(duration, bool) or type(duration) not in (int, float):
        raise ConfigurationError(f"invalid duration {duration!r}: give a timedelta, seconds, or text such as '15m'")
    else:
        value = duration * SECOND
    if not 0 <= value < 2**53:
        raise ConfigurationError(f"invalid duration {duration!r}: it must be zero or more, and finite")
    return round(value)
