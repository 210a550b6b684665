"""Decides when a client refreshes, what it sends again, and when it gives up. No I/O, clock or randomness here.

A request of the user is a generator, `request_flow`: it yields what to do (`Send` with these tokens, `Refresh` the
tokens of that version) and is sent the `State` afterwards. One flow serves every HTTP library, sync and async.

Before a request, by the clock (`plan`):

    token              body can be sent again        body cannot
    young              use it                        use it
    close to expiry    use it, refresh meanwhile     refresh first
    expired            refresh first                 refresh first
    of unknown age     use it                        use it

After a 401 that refreshing can help:

    another user has logged in since        `LoginRequired`: a request is never sent as another user
    the token has been replaced since       send again with the newer one, no refresh (unless it has expired too)
    it was refreshed moments ago            the caller gets the 401: a newer token would not help
    else                                    refresh, then send again

A request is sent again at most once, so there are no loops. A second 401 goes to the caller, unless another user has
logged in since: then it is `LoginRequired`. A body that cannot be sent again as a whole is not sent again at all: the
token is refreshed and the caller gets the 401.

An outage does not log anybody out: the access token is used until it expires. Then requests raise
`RefreshUnavailable`. They raise `LoginRequired` only if the issuer itself has ended the session, or nobody is logged
in.
"""

from collections.abc import Generator
from enum import Enum
from typing import NamedTuple, TypeAlias

from daypass.client.messages import Outcome, Stale, Unavailable
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable

NOT_LOGGED_IN = "not logged in"


class Plan(Enum):
    """What to do before a request is sent."""

    USE = "use"
    USE_AND_REFRESH = "use it, and refresh in the background"
    REFRESH_FIRST = "refresh first"


def plan(tokens: Tokens, now: int, *, repeatable: bool) -> Plan:
    """Decide what to do before a request; see the table in the module's docstring."""
    if not tokens.due(now):
        return Plan.USE
    if tokens.expired(now) or not repeatable:
        return Plan.REFRESH_FIRST
    return Plan.USE_AND_REFRESH


# Steps and replies are named tuples, because every request makes some and frozen dataclasses are three times slower.
class Send(NamedTuple):
    """Send the request with these tokens; with ``refresh_behind``, also start a refresh in the background."""

    tokens: Tokens
    refresh_behind: bool = False


class Refresh(NamedTuple):
    """Wait for the one refresh that replaces the tokens of this version."""

    version: int


Step: TypeAlias = Send | Refresh


class State(NamedTuple):
    """The session after a step.

    Attributes:
        tokens: what the client has now; ``None`` if nobody is logged in.
        now: the time, in milliseconds on a monotonic clock.
        repeatable: after `Send`: whether the body can be sent again as a whole.
        outcome: after `Refresh`: its result, or ``None`` if no refresh was needed.
        ended: why nobody is logged in, if known.
    """

    tokens: Tokens | None
    now: int
    repeatable: bool = True
    outcome: Outcome | None = None
    ended: str | None = None


def request_flow(state: State, timing: Timing) -> Generator[Step, State, None]:
    """Decide the steps of one request of the user, with refreshes where needed.

    Reply to `Send` only if the response refused the token that was sent and refreshing can help (see
    `daypass.client.parsing.refreshing_can_help`). Any other response ends the flow: drop it. When the flow ends by
    itself, the last response goes to the caller.

    Args:
        state: the session now; ``repeatable`` says whether the body can *certainly* be sent again.
        timing: the client's durations.

    Raises:
        LoginRequired: nobody is logged in, the session has ended, or another user has logged in since the request
            began; nothing more was sent.
        RefreshUnavailable: the access token has expired and cannot be refreshed now; the session is kept.
    """
    tokens = _logged_in(state)
    todo = plan(tokens, state.now, repeatable=state.repeatable)
    if todo is Plan.REFRESH_FIRST:
        tokens = replaced(tokens, (yield Refresh(tokens.version)))
    refused = yield Send(tokens, todo is Plan.USE_AND_REFRESH)

    newer = _same_login(tokens, refused)
    if newer.version == tokens.version:
        if tokens.fresh(refused.now, timing):
            return
        settled = yield Refresh(tokens.version)
        if settled.tokens is not None and settled.tokens.version == tokens.version and not refused.repeatable:
            return
        newer = replaced(tokens, settled, refused=True)
    elif newer.expired(refused.now):  # it came from a storage and has expired too
        newer = replaced(newer, (yield Refresh(newer.version)))
    if refused.repeatable:
        _same_login(newer, (yield Send(newer)))


def token_flow(state: State, good_for: int, timing: Timing) -> Generator[Refresh, State, Tokens]:
    """Return tokens whose access token is valid for so many milliseconds, after a refresh if one is needed.

    A token that was refreshed moments ago is returned even if it expires sooner: the server gives no longer one.

    Raises:
        LoginRequired: nobody is logged in, the session has ended, or another user has logged in meanwhile.
        RefreshUnavailable: a new access token is needed and cannot be fetched now.
    """
    tokens = _logged_in(state)
    short = tokens.expired(state.now + good_for) and not tokens.fresh(state.now, timing)
    if short or tokens.due(state.now):
        tokens = replaced(tokens, (yield Refresh(tokens.version)), refused=short)
    return tokens


def replaced(tokens: Tokens, settled: State, *, refused: bool = False) -> Tokens:
    """Return the tokens to use after a refresh of ``tokens``: the newer ones, or the same if they have not expired.

    Raises:
        LoginRequired: the session has ended, or another user has logged in.
        RefreshUnavailable: there is no newer token, and this one has expired or was ``refused``.
    """
    newest = _same_login(tokens, settled)
    if newest.version != tokens.version or not (refused or tokens.expired(settled.now)):
        return newest
    match settled.outcome:
        case Unavailable(reason, permanent=True, cause=cause):
            raise ConfigurationError(reason) from cause
        case Unavailable(reason, retry_after, cause=cause):
            raise RefreshUnavailable(reason, retry_after=retry_after) from cause
        case Stale(reason):
            raise RefreshUnavailable(reason)
        case _:
            raise RefreshUnavailable("the access token could not be refreshed")


def another_login() -> LoginRequired:
    """Return the error for a request that began under a login which another login has replaced."""
    return LoginRequired("another login has replaced the one that this request was begun with; send it again")


def _same_login(tokens: Tokens, state: State) -> Tokens:
    newest = _logged_in(state)
    if newest.login_id != tokens.login_id:
        raise another_login()
    return newest


def _logged_in(state: State) -> Tokens:
    if state.tokens is not None:
        return state.tokens
    if state.ended is None or state.ended == NOT_LOGGED_IN:
        raise LoginRequired(f"{NOT_LOGGED_IN}: log in first")
    raise LoginRequired(f"the session has ended: {state.ended}; log in again")
