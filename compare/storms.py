"""What happens to a user of each server when things go wrong; each storm ends with a word for the table."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from compare.peers import Peer, Tokens

CALLERS = 100
AFTER_GRACE = 2.5
"""Seconds: all servers that have a grace period have one of two seconds here, so that the storms are short."""

Storm = Callable[[Peer], str]


def lost_answer(peer: Peer) -> str:
    """Lose the answer to a refresh; the client sends the same refresh token again."""
    first = peer.log_in()
    peer.refresh(first.refresh)
    return _still(peer, peer.refresh(first.refresh), first)


def lost_and_asleep(peer: Peer) -> str:
    """Lose the answer to a refresh; the client sleeps for longer than any grace period, and sends the token again."""
    first = peer.log_in()
    peer.refresh(first.refresh)
    time.sleep(AFTER_GRACE)
    return _still(peer, peer.refresh(first.refresh), first)


def late_answer(peer: Peer) -> str:
    """Refresh twice; the answer to the first refresh comes last, and its token is what the client keeps."""
    first = peer.log_in()
    late = peer.refresh(first.refresh)
    if late is None:
        return "logged out"
    peer.refresh(late.refresh or first.refresh)
    time.sleep(AFTER_GRACE)
    return _still(peer, late, first)


def two_tabs(peer: Peer) -> str:
    """Refresh in two tabs at once; the jar keeps the answer that comes last."""
    first = peer.log_in()
    with ThreadPoolExecutor(2) as tabs:
        answers = list(tabs.map(lambda _: peer.refresh(first.refresh), range(2)))
    return _still(peer, next((each for each in reversed(answers) if each), None), first)


def hundred_callers(peer: Peer) -> str:
    """Refresh a hundred times at once with one token, as a page with no coordination does."""
    first = peer.log_in()
    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(lambda _: peer.refresh(first.refresh), range(CALLERS)))
    good = [each for each in answers if each is not None]
    return f"{len(good)} of {CALLERS}, {_still(peer, good[-1] if good else None, first)}"


def thief(peer: Peer) -> str:
    """Steal the refresh token and use it; the owner comes later. Found: the thief has nothing any more."""
    first = peer.log_in()
    stolen = peer.refresh(first.refresh)
    time.sleep(AFTER_GRACE)
    stolen = peer.refresh((stolen or first).refresh or first.refresh) or stolen
    time.sleep(AFTER_GRACE)
    peer.refresh(first.refresh)
    end = peer.refresh((stolen or first).refresh or first.refresh)
    return "found" if end is None else "not found"


def logout(peer: Peer) -> str:
    """Log out, wait for a second, and use what was issued before."""
    first = peer.log_in()
    if not peer.log_out(first):
        return "needs a blocklist of your own"
    time.sleep(1)
    dead = peer.refresh(first.refresh) is None
    refused = not first.access or not peer.admits(first.access)
    return f"refresh token {'refused' if dead else 'accepted'}, access token {'refused' if refused else 'accepted'}"


STORMS: Sequence[tuple[str, Storm]] = (
    ("the answer to a refresh is lost", lost_answer),
    ("the same, and the client sleeps past the grace period", lost_and_asleep),
    ("an older answer comes last", late_answer),
    ("two tabs refresh at once", two_tabs),
    ("100 callers refresh at once", hundred_callers),
    ("a thief uses a copy of the refresh token", thief),
    ("logout, a second later", logout),
)


def _still(peer: Peer, latest: Tokens | None, first: Tokens) -> str:
    """Say whether the user is still logged in with the newest answer, or with the token before where it had none."""
    if latest is None:
        return "logged out"
    return "logged in" if peer.refresh(latest.refresh or first.refresh) is not None else "logged out"
