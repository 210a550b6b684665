"""The durations that a client uses, and its pauses after a failed refresh. Pure."""

from dataclasses import dataclass

from daypass.client.messages import Outcome, Stale, Unavailable
from daypass.errors import ConfigurationError

__all__ = [
    "Timing",
]

_SHORTEST_LEASE = 1_000
_LONGEST_SILENCE = 2_000


def silence_after(lease: int) -> int:
    """Return how long to wait after a lease has expired before taking it over, all in milliseconds.

    Its holder may be about to write, for example after an outage of the database, or its write may be in transit.
    """
    return min(_LONGEST_SILENCE, lease // 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The durations that the client uses, in milliseconds.

        DaypassAuth(url, timing=Timing(ahead=0.5, longest_backoff=60_000))

    A server *repeats safely* if the same refresh token may be sent again for at least ``deadline``. Daypass servers
    say so in the header ``Daypass-Grace``; any other server counts as strict.

    Attributes:
        ahead: the last share of its lifetime in which a token is refreshed before it expires, 0 to 1. ``0.5``: a token
            of 10 minutes is refreshed after 5 to 7.5 minutes.
        fresh: a 401 goes to the caller if the token was refreshed less than this ago; for a short-lived token, at most
            a tenth of its lifetime.
        deadline: the longest a refresh takes, retries included, with a server that repeats safely.
        strict_deadline: the same with a strict server; one attempt may take all of it.
        attempt: the longest one attempt takes, with a server that repeats safely.
        attempts: how many times to send one refresh before it fails as unavailable (a count, not a time).
        pause: before the second attempt. It doubles with each failed attempt, until a refresh succeeds.
        backoff: the shortest pause after all attempts of a refresh have failed.
        longest_backoff: the limit of the doubling. The server's ``Retry-After`` may ask for a longer pause.
        turn: how long a process waits for another process that refreshes the same stored session. ``None``: one second
            longer than the deadline; in a storage for many machines, until the lease of a dead process has expired.
        lease: how long a process has the turn to refresh in a storage for many machines. It is renewed during the
            refresh, so others wait this long only for a process that died or was stopped. ``None``: a quarter longer
            than the deadline. It must be longer than both deadlines.

    Raises:
        ConfigurationError: ``ahead`` is not a share of the lifetime, or ``lease`` is below a second, or not longer than
            a deadline.
    """

    ahead: float = 0.2
    fresh: int = 1_000
    deadline: int = 10_000
    strict_deadline: int = 30_000
    attempt: int = 5_000
    attempts: int = 3
    pause: int = 200
    backoff: int = 1_000
    longest_backoff: int = 30_000
    turn: int | None = None
    lease: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.ahead < 1:
            raise ConfigurationError(f"ahead is a share of a token's lifetime, from 0 to below 1, not {self.ahead}")
        if self.lease is not None and self.lease < _SHORTEST_LEASE:
            raise ConfigurationError(f"invalid lease {self.lease}: expected at least {_SHORTEST_LEASE} milliseconds")
        if self.lease is not None and self.lease <= (longest := max(self.deadline, self.strict_deadline)):
            raise ConfigurationError(
                f"invalid lease {self.lease}: a refresh may take {longest} milliseconds, and has to end before its "
                "turn does; give a longer lease, or shorter deadline and strict_deadline"
            )

    def repeats_safely(self, grace: int) -> bool:
        """Return whether a server with this grace period, in milliseconds, accepts every retry of one refresh."""
        return grace >= self.deadline

    def deadline_for(self, grace: int) -> int:
        """Return the maximum duration of a refresh with a server of this grace period."""
        return self.deadline if self.repeats_safely(grace) else self.strict_deadline

    def turn_for(self, grace: int, *, leased: bool = False) -> int:
        """Return how long to wait for another process's refresh with a server of this grace period.

        Args:
            grace: in milliseconds.
            leased: whether the turn is a lease, which is not given back if its process dies.
        """
        if self.turn is not None:
            return self.turn
        lease = self.lease_for(grace)
        return (lease + silence_after(lease) if leased else self.deadline_for(grace)) + 1_000

    def lease_for(self, grace: int) -> int:
        """Return the duration of a lease."""
        return self.deadline_for(grace) * 5 // 4 if self.lease is None else self.lease


def pause_after(outcome: Outcome, failures: int, jitter: float, timing: Timing) -> int:
    """Return the pause after this many failed attempts in a row (1 or more), in milliseconds.

    It doubles with each failure, and the jitter reduces it by at most half: so it never becomes shorter.
    """
    wanted = min(timing.pause * 2 ** min(failures - 1, 20), timing.longest_backoff) * (1 + jitter) / 2
    return int(max(wanted, _asked_for(outcome)))


def retry_pause(
    outcome: Outcome, attempts: int, failures: int, left: int, grace: int, jitter: float, timing: Timing
) -> int | None:
    """Return the pause before a refresh is sent again, in milliseconds; ``None``: do not send it again.

    A strict server treats a retry as token theft. So there is a retry only if the first attempt had no effect.

    Args:
        outcome: the outcome of the attempt before.
        attempts: how many attempts this refresh has made.
        failures: failed attempts in a row, including those of earlier refreshes.
        left: milliseconds to the deadline.
        grace: the server's grace period, in milliseconds.
        jitter: 0 to 1.
        timing: the client's durations.
    """
    if not isinstance(outcome, Unavailable) or outcome.permanent or attempts >= timing.attempts:
        return None
    if not outcome.unused and not timing.repeats_safely(grace):
        return None
    pause = pause_after(outcome, failures, jitter, timing)
    return pause if pause < left else None


def backoff(outcome: Outcome, failures: int, jitter: float, timing: Timing) -> int:
    """Return the pause after all attempts of a refresh have failed, in milliseconds.

    Args:
        outcome: the outcome of its last attempt.
        failures: failed attempts in a row.
        jitter: 0 to 1.
        timing: the client's durations.
    """
    return max(pause_after(outcome, failures, jitter, timing), int(timing.backoff * (1 + jitter) / 2))


def _asked_for(outcome: Outcome) -> float:
    retry_after = outcome.retry_after if isinstance(outcome, Unavailable | Stale) else None
    return (retry_after or 0) * 1000
