"""Events, log lines and callbacks of a client."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

logger = logging.getLogger("daypass.client")


class EventKind(StrEnum):
    """What happened; the value is the word for logs."""

    LOGGED_IN = "logged_in"
    RESTORED = "restored"
    REFRESHING = "refreshing"
    RETRYING = "retrying"
    REFRESHED = "refreshed"
    ADOPTED = "adopted"
    REFRESH_FAILED = "refresh_failed"
    STORAGE_FAILED = "storage_failed"
    LOST_ANSWER = "lost_answer"
    UNAUTHORIZED = "unauthorized"
    REPLAYED = "replayed"
    LOGGED_OUT = "logged_out"


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """One event of the client; it never has a token, a cookie or a body in it.

    Attributes:
        kind: what happened. ``RESTORED``: a session was found in the storage. ``REFRESHING``: a refresh began.
            ``RETRYING``: the refresh is sent again. ``ADOPTED``: another process had refreshed, and its token is used.
            ``STORAGE_FAILED``: the storage could not be read, written or locked; the tokens are kept in memory.
            ``LOST_ANSWER``: a storage for many machines recorded a refresh whose response may be lost, and the server
            refused the same token; reported only by the process that found it.
            ``UNAUTHORIZED``: an access token was refused before its expiry, or its age was not known. ``REPLAYED``: the
            same request was sent again.
        at: when, in milliseconds on the client's monotonic clock.
        reason: why, for ``RETRYING``, ``REFRESH_FAILED``, ``STORAGE_FAILED``, ``LOST_ANSWER`` and ``LOGGED_OUT``.
        lifetime: of the new access token, in milliseconds, for ``LOGGED_IN`` and ``REFRESHED``, if known.
        took: milliseconds from the start of the refresh, for ``REFRESHED``, ``ADOPTED`` and ``REFRESH_FAILED``.
    """

    kind: EventKind
    at: int
    reason: str | None = None
    lifetime: int | None = None
    took: int | None = None


class Reporter:
    """Logs events and calls the user's callbacks. An exception in a callback is logged and has no other effect.

    Args:
        clock: milliseconds on a monotonic clock.
        on_event: called with each `ClientEvent`.
        on_logged_out: called with the reason, when a session has ended without a logout.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        on_event: Callable[[ClientEvent], object] | None = None,
        on_logged_out: Callable[[str], object] | None = None,
    ) -> None:
        self._clock = clock
        self._on_event = on_event
        self._on_logged_out = on_logged_out

    def emit(
        self, kind: EventKind, *, reason: str | None = None, lifetime: int | None = None, took: int | None = None
    ) -> None:
        """Report that something happened."""
        logger.log(_LEVELS.get(kind, logging.DEBUG), "%s%s", kind.value, f": {reason}" if reason else "")
        if self._on_event is not None:
            call("on_event", self._on_event, ClientEvent(kind, self._clock(), reason, lifetime, took))

    def ended(self, reason: str) -> None:
        """Report that the session has ended without a logout."""
        self.emit(EventKind.LOGGED_OUT, reason=reason)
        if self._on_logged_out is not None:
            call("on_logged_out", self._on_logged_out, reason)


def call(name: str, callback: Callable[..., object], *arguments: Any) -> None:
    """Call a callback of the user and log its exception, if any."""
    try:
        callback(*arguments)
    except Exception:
        logger.exception("%s raised", name)


_LEVELS = {
    EventKind.LOGGED_OUT: logging.INFO,
    EventKind.LOST_ANSWER: logging.ERROR,
    EventKind.REFRESH_FAILED: logging.WARNING,
    EventKind.STORAGE_FAILED: logging.WARNING,
}
