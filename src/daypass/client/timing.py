"""The spans of time a client goes by, and how long it pauses after a failed refresh. Pure."""

from dataclasses import dataclass

from daypass.client.messages import Adopted, Outcome, Refreshed, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Every span of time the client goes by, in milliseconds.

    Attributes:
        ahead: the last share of its lifetime in which a token is refreshed ahead of expiry, 0 to 1.
        fresh: a 401 for a token obtained this recently is handed to the caller; of a short-lived token, at most a
            tenth of its lifetime.
        deadline: the whole of a refresh, retries included; nobody waits longer.
        attempt: one request of a refresh.
        attempts: how often a refresh is sent before it counts as unavailable (not a time).
        pause: before the second attempt; four times as much before each later one.
        backoff: after an unavailable refresh nobody tries again for this long; doubled each time.
        longest_backoff: what the doubling ends at.
        turn: how long a process waits for another that refreshes the same stored session, before its own refresh
            begins; longer than ``deadline``, so only a holder that is stuck is passed over.
    """

    ahead: float = 0.2
    fresh: int = 1_000
    deadline: int = 10_000
    attempt: int = 5_000
    attempts: int = 3
    pause: int = 200
    backoff: int = 1_000
    longest_backoff: int = 30_000
    turn: int = 11_000


def retry_pause(outcome: Outcome, attempts: int, left: int, jitter: float, timing: Timing) -> int | None:
    """Return how long a refresh pauses before it is sent once more, in milliseconds; ``None`` where it is done.

    A lost answer is worth another try at once: within the grace period the server gives the same successor again.

    Args:
        outcome: of the attempt before.
        attempts: made so far.
        left: milliseconds to the deadline.
        jitter: 0 to 1.
        timing: the spans of time.
    """
    if not isinstance(outcome, Unavailable) or outcome.permanent or attempts >= timing.attempts:
        return None
    wanted = timing.pause * 4 ** (attempts - 1) * (1 + jitter) / 2
    pause = int(max(wanted, (outcome.retry_after or 0) * 1000))
    return pause if pause < left else None


def backoff(outcome: Outcome, failures: int, jitter: float, timing: Timing) -> int:
    """Return for how many milliseconds nobody refreshes after ``failures`` (1 or more) in a row; 0 after a success."""
    if isinstance(outcome, Refreshed | Adopted):
        return 0
    wanted = min(timing.backoff * 2 ** min(failures - 1, 16), timing.longest_backoff) * (1 + jitter) / 2
    retry_after = outcome.retry_after if isinstance(outcome, Unavailable) else None
    return int(max(wanted, (retry_after or 0) * 1000))
