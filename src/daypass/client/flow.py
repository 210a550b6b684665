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
from enum import Enum
from typing import NamedTuple, TypeAlias

from daypass.client.messages import Outcome, Rejected, Stale, Unavailable
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable


class Plan(Enum):
    """What to do before a request is sent."""

    USE = "use"
    USE_AND_REFRESH = "use it, and refresh in the background"
    REFRESH_FIRST = "refresh first"


def plan(held: Tokens, now: int, *, repeatable: bool) -> Plan:
    """Decide before a request; the module's docstring has the table."""
    if not held.due(now):
        return Plan.USE
    if held.expired(now) or not repeatable:
        return Plan.REFRESH_FIRST
    return Plan.USE_AND_REFRESH


# Steps and replies are named tuples: every request makes some, and a frozen dataclass takes three times as long.
class Send(NamedTuple):
    """Send the request with this access token; ``refresh_behind``: and start a refresh that nobody waits for."""

    held: Tokens
    refresh_behind: bool = False


class Refresh(NamedTuple):
    """Wait for the one refresh that replaces the token of this version."""

    version: int


Step: TypeAlias = Send | Refresh


class State(NamedTuple):
    """How things stand after a step: the reply to it.

    Attributes:
        held: what the client holds now; ``None`` when the session is over.
        now: the time, in milliseconds on a monotonic clock.
        repeatable: after `Send`: whether the body can be sent again, whole.
        outcome: after `Refresh`: what came of it, or ``None`` where there was no need for one.
    """

    held: Tokens | None
    now: int
    repeatable: bool = True
    outcome: Outcome | None = None


def request_flow(standing: State, timing: Timing) -> Generator[Step, State, None]:
    """Take one request of the user's through whatever expires meanwhile.

    Reply to `Send` only where the answer was a 401 to the very token that was sent and refreshing can help (see
    `daypass.client.parsing.refreshing_can_help`); every other answer ends the flow: drop it. When the flow ends by
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


def replaced(held: Tokens, settled: State, *, refused: bool = False) -> Tokens:
    """Return the token to go on with after a refresh of ``held``: the newer one, or itself while it is good.

    Raises:
        LoginRequired: the session is over.
        RefreshUnavailable: there is no newer token, and ``held`` has expired or was ``refused``.
    """
    now_held = _need(settled)
    if now_held.version != held.version or not (refused or held.expired(settled.now)):
        return now_held
    match settled.outcome:
        case Unavailable(reason, permanent=True):
            raise ConfigurationError(reason)
        case Unavailable(reason, retry_after):
            raise RefreshUnavailable(reason, retry_after=retry_after)
        case Stale(reason):
            raise RefreshUnavailable(reason)
        case _:
            raise RefreshUnavailable("the access token could not be refreshed")


def _need(standing: State) -> Tokens:
    if standing.held is not None:
        return standing.held
    if isinstance(standing.outcome, Rejected):
        raise LoginRequired(f"the session is over: {standing.outcome.reason}; log in again")
    raise LoginRequired("there is no session here, or it is over: log in")
