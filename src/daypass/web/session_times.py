"""The times of sessions as users see them: in steps of 15 minutes, and never changed by a refresh. Pure.

A thief who knows when the owner refreshes can refresh right after, within the grace period, and stays undetected
(`daypass.rotation`). Rounding alone does not help: a client that asks each second sees a rounded time change. So:

- The times of the session that asks depend only on the clock.
- The times of other sessions change only when a new quarter of an hour begins, and then reveal nothing of the last one.
"""

from typing import NamedTuple

from daypass.duration import MINUTE
from daypass.policy import Policy
from daypass.session import Session

STEP = 15 * MINUTE
"""Far longer than the grace period; the default is 30 seconds."""

MAXIMUM = 10_000
"""Sessions whose times are remembered until the next step."""


class ShownTimes(NamedTuple):
    """What a user sees of a session's times; milliseconds since the epoch, multiples of `STEP`.

    Attributes:
        created_at: the login, rounded down.
        last_used_at: rounded down, and up to half an hour late.
        expires_at: rounded up.
    """

    created_at: int
    last_used_at: int
    expires_at: int


class SessionTimes:
    """Rounds the times of sessions; threads may share it.

    Args:
        policy: how long sessions last.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._shown: dict[str, tuple[int, ShownTimes]] = {}

    def of(self, session: Session, now: int, *, asks: bool) -> ShownTimes:
        """Return the times to show.

        Args:
            session: the session.
            now: milliseconds since the epoch.
            asks: whether it is the session that asks for the list; it is in use now.
        """
        step = round_down(now)
        if asks:
            return self._times(session, step)
        known = self._shown.get(session.id)
        if known is not None and known[0] == step:
            return known[1]
        while len(self._shown) >= MAXIMUM:
            self._shown.pop(next(iter(self._shown), ""), None)
        times = self._times(session, min(round_down(session.last_used_at), step - STEP))
        self._shown[session.id] = step, times
        return times

    def _times(self, session: Session, last_used_at: int) -> ShownTimes:
        created_at = round_down(session.created_at)
        last_used_at = max(created_at, last_used_at)
        idle_ttl = self._policy.idle_ttl if session.idle_ttl is None else min(session.idle_ttl, self._policy.idle_ttl)
        idle_end = last_used_at + 2 * STEP + idle_ttl
        return ShownTimes(created_at, last_used_at, round_up(min(idle_end, self._policy.latest_end_of(session))))


def round_down(time: int) -> int:
    """Return the step that a time is in."""
    return time - time % STEP


def round_up(time: int) -> int:
    """Return the first step at or after a time."""
    return round_down(time + STEP - 1)
