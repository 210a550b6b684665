"""When a client refreshes, what it sends again, and when it gives up. No I/O, clock or randomness here.

A user's request is a generator, `request_flow`: it yields what is to be done (`Send` this access token, `Refresh` the
one of that version) and is sent how things stand then. One flow serves every HTTP library, sync and async.

Before a request, by the clock (`plan`):

    token              body can be sent again        body cannot
    young              use it                        use it
    close to expiry    use it, refresh behind        refresh first
    expired            refresh first                 refresh first
    of unknown age     use it                        use it

After a 401 that refreshing can help:

    the token has been replaced since       send again with the newer one, no refresh (unless it has expired too)
    it was obtained only moments ago        the 401 is the caller's: a newer token would not be better
    else                                    refresh, then send again

A request is sent again at most once, so no answer can make a loop. A body that cannot be sent again whole is not sent
again at all: the caller gets the 401, and a client that has been refreshed.

An outage is not a logout: while the access token is good it is used. `RefreshUnavailable` comes when it is not, and
`LoginRequired` only when the issuer itself has said that the session is over.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

from daypass.client.wire import Adopted, Cookie, Grant, Outcome, Refreshed, Rejected, Stale, Unavailable
from daypass.errors import LoginRequired, RefreshUnavailable


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a client holds of its session: frozen, so that one plain read sees all of it.

    Attributes:
        version: a count of every change, login and logout included; a token's version never comes back.
        authorization: the header's value, ready to be sent.
        received_at: when the access token came, in milliseconds on a monotonic clock.
        lifetime: milliseconds, or ``None`` where it is not known.
        refresh_token: sent in the body, or ``None`` where a cookie carries it.
        cookie: the cookie that carries the refresh token, or ``None``.
        ahead_at: when to refresh ahead of expiry, or ``None``; on the same clock.
        expires_at: when the access token is dead, or ``None``; on the same clock.
        record_id: of the record that a storage keeps of it, or ``None``.
    """

    version: int
    access_token: str = field(repr=False)
    authorization: str = field(repr=False)
    received_at: int
    lifetime: int | None
    refresh_token: str | None = field(repr=False)
    cookie: Cookie | None
    ahead_at: int | None
    expires_at: int | None
    record_id: str | None = None

    def expired(self, now: int) -> bool:
        """Tell whether the access token is dead by the clock; of unknown lifetime, it never is."""
        return self.expires_at is not None and now >= self.expires_at

    def due(self, now: int) -> bool:
        """Tell whether it is time to refresh ahead of expiry."""
        return self.ahead_at is not None and now >= self.ahead_at

    def fresh(self, now: int, timing: Timing) -> bool:
        """Tell whether the access token came only moments ago."""
        window = timing.fresh if self.lifetime is None else min(timing.fresh, self.lifetime // 10)
        return now - self.received_at < window


def hold(grant: Grant, version: int, now: int, jitter: float, timing: Timing, previous: Held | None = None) -> Held:
    """Return what the client holds after ``grant``.

    Args:
        grant: what login or refresh gave.
        version: above every version before it.
        now: when the grant came, in milliseconds on a monotonic clock.
        jitter: 0 to 1; spreads the refreshes of many clients over the first half of the time ahead of expiry.
        timing: the spans of time.
        previous: what was held before a refresh: its refresh token stays until the answer brings another, and so does
            its cookie (RFC 6749 §6). One that came in a body is not replaced by a cookie: that is some proxy's.
    """
    refresh_token, cookie = grant.refresh_token, grant.cookie
    if previous and not refresh_token:
        refresh_token, cookie = previous.refresh_token, cookie or previous.cookie
    young = None if grant.lifetime is None else int(grant.lifetime * (1 - timing.ahead * (1 - jitter / 2)))
    return Held(
        version=version,
        access_token=grant.access_token,
        authorization=f"Bearer {grant.access_token}",
        received_at=now,
        lifetime=grant.lifetime,
        refresh_token=refresh_token,
        # A client that got its token in the body has no use for the cookie that may have come along.
        cookie=None if refresh_token else cookie,
        ahead_at=None if young is None else now + young,
        expires_at=None if grant.lifetime is None else now + grant.lifetime,
    )


class Plan(Enum):
    """What to do before a request is sent."""

    USE = "use"
    USE_AND_REFRESH = "use it, and refresh in the background"
    REFRESH_FIRST = "refresh first"


def plan(held: Held, now: int, *, repeatable: bool) -> Plan:
    """Decide before a request; the module's docstring has the table."""
    if not held.due(now):
        return Plan.USE
    if held.expired(now) or not repeatable:
        return Plan.REFRESH_FIRST
    return Plan.USE_AND_REFRESH


# Steps and replies are named tuples: every request makes some, and a frozen dataclass takes three times as long.
class Send(NamedTuple):
    """Send the request with this access token; ``refresh_behind``: and start a refresh that nobody waits for."""

    held: Held
    refresh_behind: bool = False


class Refresh(NamedTuple):
    """Wait for the one refresh that replaces the token of this version."""

    version: int


Step: TypeAlias = Send | Refresh


class Standing(NamedTuple):
    """How things stand after a step: the reply to it.

    Attributes:
        held: what the client holds now; ``None`` when the session is over.
        now: the time, in milliseconds on a monotonic clock.
        repeatable: after `Send`: whether the body can be sent again, whole.
        outcome: after `Refresh`: what came of it, or ``None`` where there was no need for one.
    """

    held: Held | None
    now: int
    repeatable: bool = True
    outcome: Outcome | None = None


def request_flow(standing: Standing, timing: Timing) -> Generator[Step, Standing, None]:
    """Take one request of the user's through whatever expires meanwhile.

    Reply to `Send` only where the answer was a 401 to the very token that was sent and refreshing can help (see
    `daypass.client.wire.refreshing_can_help`); every other answer ends the flow: drop it. When the flow ends by
    itself, the last answer is the caller's.

    Args:
        standing: how things stand; ``repeatable`` says whether the body is *sure* to be repeatable.
        timing: the spans of time.

    Raises:
        LoginRequired: there is no session, or it was found to be over; nothing more was sent.
        RefreshUnavailable: the access token is dead and there is no new one now; the session stays as it was.
    """
    held = _need(standing)
    todo = plan(held, standing.now, repeatable=standing.repeatable)
    if todo is Plan.REFRESH_FIRST:
        held = replaced(held, (yield Refresh(held.version)))
    refused = yield Send(held, todo is Plan.USE_AND_REFRESH)

    newer = _need(refused)
    if newer.version == held.version:
        if held.fresh(refused.now, timing):
            return
        settled = yield Refresh(held.version)
        if settled.held is not None and settled.held.version == held.version and not refused.repeatable:
            return
        newer = replaced(held, settled, refused=True)
    elif newer.expired(refused.now):  # it came from another's keeping, and is no better
        newer = replaced(newer, (yield Refresh(newer.version)))
    if refused.repeatable:
        yield Send(newer)


def replaced(held: Held, settled: Standing, *, refused: bool = False) -> Held:
    """Return the token to go on with after a refresh of ``held``: the newer one, or itself while it is good.

    Raises:
        LoginRequired: the session is over.
        RefreshUnavailable: there is no newer token, and ``held`` has expired or was ``refused``.
    """
    now_held = _need(settled)
    if now_held.version != held.version or not (refused or held.expired(settled.now)):
        return now_held
    match settled.outcome:
        case Unavailable(reason, retry_after):
            raise RefreshUnavailable(reason, retry_after=retry_after)
        case Stale(reason):
            raise RefreshUnavailable(reason)
        case _:
            raise RefreshUnavailable("the access token could not be refreshed")


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
    if not isinstance(outcome, Unavailable) or attempts >= timing.attempts:
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


def _need(standing: Standing) -> Held:
    if standing.held is not None:
        return standing.held
    if isinstance(standing.outcome, Rejected):
        raise LoginRequired(f"the session is over: {standing.outcome.reason}; log in again")
    raise LoginRequired("there is no session here, or it is over: log in")
