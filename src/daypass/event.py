"""What happens to sessions and stores, as values for audit logs; they never hold a token."""

from dataclasses import dataclass
from enum import StrEnum


class EventCode(StrEnum):
    """What happened: a verdict of the rotation rule, another change of a session, or something about the store.

    ``key_…`` are changes of the keys in the store, ``user_…`` of the built-in users. ``listening``, ``polling`` and
    ``cut_off`` say how a verifier learns of sessions that other processes end: the store announces them
    (``listening``), it is polled twice a second because its announcements stopped (``polling``), or it cannot even be
    polled (``cut_off``).
    """

    STARTED = "started"
    NEW_DEVICE = "new_device"
    IMPERSONATED = "impersonated"
    CONFIRMED = "confirmed"
    BOUND = "bound"
    ROTATED = "rotated"
    HELD = "held"
    REPEATED = "repeated"
    BRANCHED = "branched"
    HEALED = "healed"
    STALE = "stale"
    REUSED = "reused"
    PROOF_REFUSED = "proof_refused"
    SUSPECTED = "suspected"
    REJECTED = "rejected"
    LOGGED_OUT = "logged_out"
    ENDED = "ended"
    ENDED_EVERYONE = "ended_everyone"
    LOGIN_FAILED = "login_failed"
    UNAVAILABLE = "unavailable"
    LIMITED = "limited"
    LISTENING = "listening"
    POLLING = "polling"
    CUT_OFF = "cut_off"
    CLOCK_OFF = "clock_off"
    KEY_ADDED = "key_added"
    KEY_REMOVED = "key_removed"
    USER_ADDED = "user_added"
    USER_CHANGED = "user_changed"
    USER_REMOVED = "user_removed"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a session, for audit logs; it never holds a token.

    Attributes:
        code: what happened.
        at: when.
        session_id: the session, if known.
        subject: the user, if known.
        reason: for ``rejected`` the code of the error, for ``ended`` the `EndReason`, for ``limited`` (a request that
            got 429) the limit, for ``unavailable`` (a request that got 503), ``polling`` and ``cut_off`` the store's
            error, for ``key_…`` the key, for ``user_changed`` what was changed.
        generation_distance: the presented token's generation minus the stored one, for the verdicts of the rule.
        age: milliseconds since the last rotation, for the verdicts of the rule; None for a session never rotated.
        actor: for ``impersonated`` the subject who acts as the user; the reason is the one they gave. For ``ended`` the
            subject of the operator who ended the session, if it was one.
        address: the client's IP address, for logins, if known.
    """

    code: EventCode
    at: int
    session_id: str | None = None
    subject: str | None = None
    reason: str | None = None
    generation_distance: int | None = None
    age: int | None = None
    actor: str | None = None
    address: str | None = None
