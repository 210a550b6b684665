"""The open connections of a process, by session and by the second at which their access token expires.

Finding the connections to end takes time in proportion to their number, not to the number of all connections.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol, TypeVar

from daypass.access_token import AccessToken
from daypass.duration import SECOND
from daypass.errors import SessionRevoked, TokenExpired, TokenRejected

KeyT = TypeVar("KeyT")


class Watched(Protocol):
    """An open connection.

    Attributes:
        token: the access token that it uses.
    """

    token: AccessToken

    def end(self, reason: TokenRejected) -> None:
        """End the connection; may be called by any thread, and more than once."""


class WatchList:
    """The open connections; threads may share it.

    Args:
        leeway: milliseconds that a connection outlives its access token.
    """

    def __init__(self, leeway: int = 0) -> None:
        self._leeway = leeway
        self._lock = threading.Lock()
        self._by_session: defaultdict[str, set[Watched]] = defaultdict(set)
        self._by_expiry: defaultdict[int, set[Watched]] = defaultdict(set)

    def __bool__(self) -> bool:
        return bool(self._by_session)

    def add(self, watched: Watched) -> None:
        """Watch a connection."""
        with self._lock:
            for session_id in _sessions(watched.token):
                self._by_session[session_id].add(watched)
            self._by_expiry[self._expiry(watched.token)].add(watched)

    def remove(self, watched: Watched) -> None:
        """Stop watching a connection."""
        with self._lock:
            for session_id in _sessions(watched.token):
                _discard(self._by_session, session_id, watched)
            _discard(self._by_expiry, self._expiry(watched.token), watched)

    def renew(self, watched: Watched, token: AccessToken) -> None:
        """Switch a watched connection to a newer access token of the same session."""
        with self._lock:
            _discard(self._by_expiry, self._expiry(watched.token), watched)
            watched.token = token
            self._by_expiry[self._expiry(token)].add(watched)

    def end_session(self, session_id: str) -> None:
        """End the connections of a session."""
        if session_id in self._by_session:
            with self._lock:
                found = list(self._by_session.get(session_id, ()))
            _end(found, SessionRevoked("the access token's session has ended"))

    def end_everyone(self, at: int) -> None:
        """End the connections of all sessions that began at ``at`` or before."""
        with self._lock:
            found = [
                each for of_one in self._by_session.values() for each in of_one if each.token.session_started_at <= at
            ]
        _end(found, SessionRevoked("the sessions of all users were ended"))

    def end_expired(self, now: int) -> None:
        """End the connections whose access token has expired at ``now``."""
        with self._lock:
            over = [expiry for expiry in self._by_expiry if expiry * SECOND <= now]
            found = [each for expiry in over for each in self._by_expiry[expiry]]
        _end(found, TokenExpired("the access token has expired"))

    def _expiry(self, token: AccessToken) -> int:
        return -(-(token.expires_at + self._leeway) // SECOND)


def _sessions(token: AccessToken) -> tuple[str, ...]:
    """Return the sessions whose end also ends a connection."""
    return (token.session_id,) if token.actor_session_id is None else (token.session_id, token.actor_session_id)


def _end(found: Iterable[Watched], reason: TokenRejected) -> None:
    for watched in found:
        watched.end(reason)


def _discard(index: dict[KeyT, set[Watched]], key: KeyT, watched: Watched) -> None:
    of_key = index.get(key)
    if of_key is not None:
        of_key.discard(watched)
        if not of_key:
            del index[key]
