"""When a client refreshes, what it sends again, and when it gives up. No I/O, clock or randomness here.

A request of the user's is a generator, `request_flow`: it yields what to do (`Send` with these tokens, `Refresh` the
tokens of that version) and is sent the `State` afterwards. One flow serves every HTTP library, sync and async.

Before a request, by the clock (`plan`):

    token              body can be sent again        body cannot
    young              use it                        use it
    close to expiry    use it, refresh behind        refresh first
    expired            refresh first                 refresh first
    of unknown age     use it                        use it

After a 401 that refreshing can help:

    another user has logged in since        `LoginRequired`: a request is never sent as somebody else
    the token has been replaced since       send again with the newer one, no refresh (unless it has expired too)
    a refresh brought it moments ago        the 401 goes to the caller: a newer token would not be better
    else                                    refresh, then send again

A request is sent again at most once, so no answer can make a loop. A second 401 goes to the caller, unless another user
has logged in since: then it is `LoginRequired`. A body that cannot be sent again whole is not sent
again at all: the caller gets the 401, and the client has been refreshed.

An outage does not log out: while the access token is good it is used. `RefreshUnavailable` comes when it is not, and
`LoginRequired` only when the issuer itself has ended the session, or nobody is logged in.
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
    """Decide before a request; the module's docstring has the table."""
    if not tokens.due(now):
        return Plan.USE
    if tokens.expired(now) or not repeatable:
        return Plan.REFRESH_FIRST
    return Plan.USE_AND_REFRESH


# Steps and replies are named tuples: every request makes some, and a frozen dataclass takes three times as long.
class Send(NamedTuple):
    """Send the request with these tokens; ``refresh_behind``: and start a refresh that nobody waits for."""

    tokens: Tokens
    refresh_behind: bool = False


class Refresh(NamedTuple):
    """Wait for the one refresh that replaces the tokens of this version."""

    version: int


Step: TypeAlias = Send | Refresh


class State(NamedTuple):
    """The session after a step: the reply to it.

    Attributes:
        tokens: what the client has now; ``None`` if nobody is logged in.
        now: the time, in milliseconds on a monotonic clock.
        repeatable: after `Send`: whether the body can be sent again, whole.
        outcome: after `Refresh`: what came of it, or ``None`` where there was no need for one.
        ended: why nobody is logged in, where that is known.
    """

    tokens: Tokens | None
    now: int
    repeatable: bool = True
    outcome: Outcome | None = None
    ended: str | None = None


def request_flow(state: State, timing: Timing) -> Generator[Step, State, None]:
    """Take one request of the user's to its end, whatever expires meanwhile.

    Reply to `Send` only where the answer refused the very token that was sent and refreshing can help (see
    `daypass.client.parsing.refreshing_can_help`). Every other answer ends the flow: drop it. When the flow ends by
    itself, the last answer goes to the caller.

    Args:
        state: the session now; ``repeatable`` says whether the body can *certainly* be sent again.
        timing: the spans of time.

    Raises:
        LoginRequired: nobody is logged in, the session has ended, or another user has logged in since the request was
            begun; nothing more was sent.
        RefreshUnavailable: the access token has expired and there is no new one now; the session stays as it was.
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
    elif newer.expired(refused.now):  # it came out of a storage, and is no better
        newer = replaced(newer, (yield Refresh(newer.version)))
    if refused.repeatable:
        _same_login(newer, (yield Send(newer)))


def token_flow(state: State, good_for: int, timing: Timing) -> Generator[Refresh, State, Tokens]:
    """Return tokens whose access token is good for so many milliseconds, after a refresh where one is needed.

    A token that a refresh brought moments ago is returned even if it lives shorter: there is none that lives longer.

    Raises:
        LoginRequired: nobody is logged in, the session has ended, or another user has logged in meanwhile.
        RefreshUnavailable: a new access token is needed, and there is none now.
    """
    tokens = _logged_in(state)
    short = tokens.expired(state.now + good_for) and not tokens.fresh(state.now, timing)
    if short or tokens.due(state.now):
        tokens = replaced(tokens, (yield Refresh(tokens.version)), refused=short)
    return tokens


def replaced(tokens: Tokens, settled: State, *, refused: bool = False) -> Tokens:
    """Return the tokens to use after a refresh of ``tokens``: the newer ones, or the same while they are good.

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
    """Return the error of a request that was begun under a login which another one has replaced."""
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
