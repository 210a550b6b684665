"""Parses the options that all store URLs and all store constructors share."""

from daypass.duration import SECOND, Duration, milliseconds
from daypass.errors import ConfigurationError


def read_timeout(value: Duration) -> float:
    """Return a timeout in seconds; a plain number means seconds: ``5``, ``5s`` and ``5000ms`` are the same.

    Raises:
        ConfigurationError: it is not a duration, or not above zero.
    """
    try:
        number: Duration = float(value) if isinstance(value, str) else value
    except ValueError:
        number = value
    timeout = milliseconds(number)
    if timeout == 0:
        raise ConfigurationError(f"invalid timeout {value!r}: it must be above zero, as in 5s")
    return timeout / SECOND


def read_count(name: str, value: int | str) -> int:
    """Return the value of an option that is a whole number, 1 or more.

    Raises:
        ConfigurationError: it is anything else.
    """
    text = "" if isinstance(value, bool) else str(value)
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise ConfigurationError(f"invalid {name} {value!r}: expected a whole number, 1 or more")
    return int(text)
