"""How long sessions, tokens and keys last."""

from dataclasses import dataclass
from typing import TypedDict, Unpack

from daypass.duration import DAY, HOUR, MINUTE, SECOND, Duration, milliseconds
from daypass.errors import ConfigurationError
from daypass.session import Session
from daypass.unknown_options import refuse_unknown


class Durations(TypedDict, total=False):
    """The spans of a policy as people write them: ``15m``, ``30d``, seconds, or a `timedelta`."""

    access_ttl: Duration
    idle_ttl: Duration
    absolute_ttl: Duration
    grace_period: Duration
    leeway: Duration
    key_ttl: Duration
    session_idle_ttl: Duration


@dataclass(frozen=True, slots=True)
class Policy:
    """The lifetimes, in milliseconds; `Policy.of` takes them as people write them.

    A session ends at the earlier of last refresh plus ``idle_ttl`` and login plus ``absolute_ttl``. A session that
    is not persistent has ``session_idle_ttl`` instead of ``idle_ttl``, if that is shorter. A key is replaced by a new
    one after ``key_ttl``; 0 leaves that to the operator.

    Raises:
        ConfigurationError: the spans contradict each other.
    """

    access_ttl: int = 15 * MINUTE
    idle_ttl: int = 30 * DAY
    absolute_ttl: int = 180 * DAY
    grace_period: int = 30 * SECOND
    leeway: int = 0
    key_ttl: int = 90 * DAY
    session_idle_ttl: int = 12 * HOUR

    def __post_init__(self) -> None:
        if self.access_ttl < SECOND:
            raise ConfigurationError("access_ttl has to be at least one second; the usual value is 15m")
        if self.idle_ttl < self.access_ttl:
            raise ConfigurationError(
                "idle_ttl has to be at least access_ttl, or a session ends before its first refresh"
            )
        if self.absolute_ttl < self.idle_ttl:
            raise ConfigurationError("absolute_ttl must be at least idle_ttl")
        if self.grace_period >= self.idle_ttl:
            raise ConfigurationError("grace_period has to be shorter than idle_ttl; the usual value is 30s")
        if self.session_idle_ttl <= self.grace_period:
            raise ConfigurationError("session_idle_ttl has to be longer than grace_period; the usual value is 12h")
        if self.leeway > MINUTE:
            raise ConfigurationError("leeway must be at most one minute; synchronise the clocks instead")
        if 0 < self.key_ttl < HOUR:
            raise ConfigurationError("key_ttl has to be at least one hour, or 0 for never; the usual value is 90d")

    def end_of(self, session: "Session") -> int:
        """Return when ``session`` expires unless it is refreshed before."""
        return min(session.expires_at, self.latest_end_of(session))

    def latest_end_of(self, session: "Session") -> int:
        """Return when ``session`` ends, even if it is refreshed."""
        end = session.created_at + self.absolute_ttl
        return end if session.ends_at is None else min(end, session.ends_at)

    @classmethod
    def of(cls, **durations: Unpack[Durations]) -> "Policy":
        """Return the policy with these spans, each as people write them, and the defaults for the rest.

        Raises:
            ConfigurationError: a name is unknown, a span is not a duration, or they contradict each other.
        """
        refuse_unknown(durations, Durations.__annotations__, "duration")
        spans: dict[str, int] = {}
        for name, duration in durations.items():
            try:
                spans[name] = milliseconds(duration)  # type: ignore[arg-type]  # a TypedDict's values are objects
            except ConfigurationError as error:
                raise ConfigurationError(f"{name}: {error}") from None
        return cls(**spans)
