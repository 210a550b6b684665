"""Compares this machine's clock with the store's, so that a wrong clock destroys nothing."""

from daypass.duration import DAY, HOUR, MINUTE
from daypass.errors import StoreUnavailable
from daypass.flow import Flow
from daypass.steps import StoreClock

APART_AT_MOST = 5 * MINUTE
"""How much the two may differ: far more than synchronized clocks do, far less than any session's lifetime."""


def clock_error(now: int) -> Flow[str | None]:
    """Return what is wrong with this machine's clock; None if it is right, or the store has no clock.

    Raises:
        StoreError: the store's clock could not be read.
    """
    return difference_error(now, (yield from StoreClock()))


def require_right_clock(now: int) -> Flow[int]:
    """Refuse to decide anything if this machine's clock is wrong; return the later of ``now`` and the store's time.

    Raises:
        StoreUnavailable: the clock is wrong; nothing was decided.
        StoreError: the store's clock could not be read.
    """
    theirs = yield from StoreClock()
    error = difference_error(now, theirs)
    if error is not None:
        raise StoreUnavailable(f"{error}: nothing is ended by it; set the clock right")
    return max(now, theirs or 0)


def difference_error(now: int, theirs: int | None) -> str | None:
    """Return what is wrong with this machine's clock, given the store's; None if it is right or unknown."""
    if theirs is None or abs(now - theirs) <= APART_AT_MOST:
        return None
    return f"this machine's clock is {_span(abs(now - theirs))} {'ahead of' if now > theirs else 'behind'} the store's"


def _span(milliseconds: int) -> str:
    for unit, name in ((DAY, "days"), (HOUR, "hours")):
        if milliseconds >= 2 * unit:
            return f"{milliseconds // unit} {name}"
    return f"{milliseconds // MINUTE} minutes"
