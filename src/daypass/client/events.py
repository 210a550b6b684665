"""What a client tells of itself while it keeps its user logged in."""

from dataclasses import dataclass
from enum import StrEnum


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
    UNAUTHORIZED = "unauthorized"
    REPLAYED = "replayed"
    LOGGED_OUT = "logged_out"


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """One thing that happened on the client; never holds a token, a cookie or a body.

    Attributes:
        kind: what happened. ``RESTORED`` is a session found in the storage; ``REFRESHING`` a refresh begun;
            ``RETRYING`` one that is sent once more; ``ADOPTED`` a newer token found in the storage, where another
            process had put it; ``STORAGE_FAILED`` a token that could not be kept, and lives in memory only;
            ``UNAUTHORIZED`` a 401 to a token that was thought good: an expiry, or an early revocation, that the client
            met; ``REPLAYED`` the same request sent again.
        at: when, in milliseconds on the client's monotonic clock.
        reason: why, for ``RETRYING``, ``REFRESH_FAILED``, ``STORAGE_FAILED`` and ``LOGGED_OUT``.
        lifetime: of the new access token, in milliseconds, for ``LOGGED_IN`` and ``REFRESHED``, where known.
        took: milliseconds from the start of the refresh, for ``REFRESHED``, ``ADOPTED`` and ``REFRESH_FAILED``.
    """

    kind: EventKind
    at: int
    reason: str | None = None
    lifetime: int | None = None
    took: int | None = None
