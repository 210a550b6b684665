"""A thief who polls the list of sessions to learn when the owner refreshes, to refresh right behind, undetected."""

import json

import pytest

from daypass.duration import MINUTE, SECOND
from daypass.testing.clock import START
from daypass.web.session_times import MAXIMUM, STEP, SessionTimes

from ..web.world import Asked, json_of

POLL = 30 * SECOND


def watch(refreshes: tuple[int, ...], *, by_another_session: bool) -> list[str]:
    """Let an owner refresh at these moments; return what a thief sees who asks every 30 seconds for two hours.

    The thief asks with the access token of the stolen session, or with one of another session of that user.
    """
    asked = Asked(access_ttl="6h")
    _, owners = asked.login()
    asked.clock.advance(MINUTE)  # longer than the grace period
    token = asked.login()[0] if by_another_session else asked.auth.refresh(owners).access_token
    begin, seen = START + 3 * STEP, []
    for elapsed in range(0, 8 * STEP, POLL):
        asked.clock.now = begin + elapsed
        if any(elapsed <= moment < elapsed + POLL for moment in refreshes):
            owners = asked.auth.refresh(owners).refresh_token
        shown = json_of(asked.ask("GET", "/sessions", token=token))["sessions"][-1]
        del shown["id"]
        seen.append(json.dumps(shown))
    return seen


PAIRS = [
    ((STEP + MINUTE,), (2 * STEP - MINUTE,)),
    ((3 * STEP + MINUTE, 4 * STEP + 7 * MINUTE), (3 * STEP + 13 * MINUTE, 4 * STEP + 8 * MINUTE)),
    ((6 * STEP + 10 * MINUTE,), (6 * STEP + 14 * MINUTE,)),  # after a pause
]


@pytest.mark.parametrize(("some", "others"), PAIRS)
def test_another_session_shows_no_moment_within_fifteen_minutes(some: tuple[int, ...], others: tuple[int, ...]) -> None:
    """The list is the same whenever the owner refreshed within a quarter of an hour."""
    assert watch(some, by_another_session=True) == watch(others, by_another_session=True)


@pytest.mark.parametrize("refreshes", [*PAIRS[0], *PAIRS[1], ()])
def test_the_own_session_shows_no_refresh_at_all(refreshes: tuple[int, ...]) -> None:
    """With an access token of the stolen session a thief sees the clock and nothing else."""
    assert watch((), by_another_session=False) == watch(refreshes, by_another_session=False)


def test_a_list_is_not_useless() -> None:
    """An hour after a refresh the owner sees it, within half an hour; a session is never shown as used before login."""
    seen = [json.loads(each) for each in watch((STEP + MINUTE,), by_another_session=True)]
    assert "2027-01-15T08:00:00.000Z" == seen[0]["createdAt"] == seen[0]["lastUsedAt"]
    assert "2027-01-15T09:00:00.000Z" == seen[-1]["lastUsedAt"]
    assert "2027-02-14T09:30:00.000Z" == seen[-1]["expiresAt"]


def test_memory_of_shown_times_is_bounded() -> None:
    """However many sessions are listed, the times of `MAXIMUM` at most are remembered."""
    asked = Asked()
    session = asked.auth.login("alice", "correct horse battery").session
    times = SessionTimes(asked.auth.policy)
    for number in range(MAXIMUM + 50):
        object.__setattr__(session, "id", f"{number:032x}")
        times.of(session, asked.clock(), asks=False)
    assert MAXIMUM == len(times._shown)
