"""Explains in the server's log why requests are refused: once for each origin or peer, `MAXIMUM` times at most."""

import logging

MAXIMUM = 100
"""Warnings of one application: strangers can fill neither the log nor the memory."""

_LONGEST = 100

_log = logging.getLogger("daypass")


class RefusalLog:
    """Warns once for each key."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()

    def warn(self, key: tuple[str, ...], message: str) -> None:
        """Log ``message``, unless there was a warning for ``key`` or there were `MAXIMUM` warnings."""
        if key in self._seen or len(self._seen) >= MAXIMUM:
            return
        self._seen.add(key)
        _log.warning("%s%s", message, "; further refusals are not logged" if len(self._seen) == MAXIMUM else "")


def shown(text: str) -> str:
    """Return what a client sent, safe for a log line: quoted, escaped, at most 100 characters."""
    return ascii(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
