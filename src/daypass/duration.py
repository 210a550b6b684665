"""Spans of time, in whole milliseconds, as people write them: ``90s``, ``15m``, ``30d``."""

import re
from datetime import timedelta

from daypass.errors import ConfigurationError

SECOND = 1000

MINUTE = 60 * SECOND

HOUR = 60 * MINUTE

DAY = 24 * HOUR

_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", re.ASCII)

Duration = timedelta | int | float | str
"""A span of time as people write it: a `timedelta`, a number of seconds, or text such as ``90s``, ``15m``, ``30d``."""


def milliseconds(duration: Duration) -> int:
    """Return ``duration`` in whole milliseconds.

    Raises:
        ConfigurationError: it is no span of time, or a negative one.
    """
    if isinstance(duration, timedelta):
        value = duration / timedelta(milliseconds=1)
    elif isinstance(duration, str):
        match = _DURATION.fullmatch(duration.strip())
        if match is None:
            raise ConfigurationError(f"{duration!r} is no duration; write a number and a unit: 90s, 15m, 12h or 30d")
        value = float(match[1]) * _UNITS[match[2]]
    elif isinstance(duration, bool) or type(duration) not in (int, float):
        raise ConfigurationError(f"{duration!r} is no duration; give a timedelta, seconds, or text such as '15m'")
    else:
        value = duration * SECOND
    if not 0 <= value < 2**53:
        raise ConfigurationError(f"{duration!r} is no possible duration; it has to be zero or more, and finite")
    return round(value)
