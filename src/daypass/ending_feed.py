"""Follows the sessions that another service's issuer ends, for `daypass.RemoteVerifier`: in a thread.

It requests ``GET /auth/endings`` again and again, with ``Last-Event-ID``, so nothing is missed while the issuer is
unreachable. An issuer with an event loop answers when a session ends; a threaded one is polled twice a second.
"""

import base64
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from enum import StrEnum
from urllib.parse import quote_plus

from daypass.duration import SECOND
from daypass.errors import DaypassError, KeysUnavailable, KeyUnknown, TokenMalformed
from daypass.http_get import fetch

ANSWERED_WITHIN = 30.0
"""Seconds; longer than an issuer waits before it answers."""

_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts while the issuer does not answer."""

_REFUSED_PAUSE = 30.0
_LONGEST_RETRY = 60.0

_log = logging.getLogger("daypass")


class FeedState(StrEnum):
    """How a verifier learns of ended sessions."""

    STARTING = "starting"
    LISTENING = "listening"
    POLLING = "polling"
    CUT_OFF = "cut_off"


class Refused(DaypassError):
    """The issuer refuses this client."""


class EndingFeed:
    """Follows the endings of one issuer.

    Args:
        url: the URL of the issuer's endpoint.
        client_id: the id of this service, as registered at the issuer.
        client_secret: the secret of that client.
        learn: called with each signed event, while its receiver exists.

    Attributes:
        state: how it learns of endings now.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        learn: "weakref.WeakMethod[Callable[[str], None]]",
    ) -> None:
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"  # RFC 6749 §2.3.1
        self._authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
        self._url = url
        self._learn = learn
        self._cursor: str | None = None
        self._failures = 0
        self.state = FeedState.STARTING

    def __repr__(self) -> str:
        return f"EndingFeed({self._url!r}, {self.state})"

    def follow(self, over: threading.Event) -> None:
        """Follow until ``over`` is set."""
        pause = 0.0
        while not over.wait(pause):
            try:
                pause = self._ask()
            except Exception as error:
                pause = self._failed(error)

    def _ask(self) -> float:
        """Send one request; return for how many seconds to wait before the next."""
        headers = {"accept": "text/event-stream", "authorization": self._authorization}
        if self._cursor is not None:
            headers["last-event-id"] = self._cursor
        answer = fetch(self._url, seconds=ANSWERED_WITHIN, headers=headers)
        if answer.status in (401, 403, 404):
            raise Refused(f"{self._url} answered with {answer.status}: {_WHY[answer.status]}")
        if answer.status != 200:
            raise KeysUnavailable(f"{self._url} answered with {answer.status}")
        cursor, retry = self._cursor, 0
        for name, value in _fields(answer.body):
            if name == "data":
                self._take(value)
            elif name == "id":
                cursor = value
            elif name == "retry" and value.isascii() and value.isdigit():
                retry = int(value)
        self._cursor, self._failures = cursor, 0
        self._become(FeedState.POLLING if retry else FeedState.LISTENING)
        return min(retry / SECOND, _LONGEST_RETRY)

    def _take(self, event: str) -> None:
        learn = self._learn()
        try:
            if learn is not None:
                learn(event)
        except KeyUnknown:
            raise
        except TokenMalformed as error:
            _log.warning("%s sent an event that is ignored: %s", self._url, error)

    def _failed(self, error: Exception) -> float:
        pause = _REFUSED_PAUSE if isinstance(error, Refused) else _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        if not isinstance(error, DaypassError):
            _log.exception("following the endings of %s failed", self._url)
        self._become(FeedState.CUT_OFF, str(error))
        return pause

    def _become(self, state: FeedState, reason: str = "") -> None:
        before, self.state = self.state, state
        if before is state:
            return
        if state is FeedState.CUT_OFF:
            _log.warning("access tokens of ended sessions are good until they expire: %s", reason)
        elif state is FeedState.POLLING:
            _log.warning("%s is served by threads: it is asked twice a second which sessions have ended", self._url)
        elif before is FeedState.CUT_OFF:
            _log.info("%s says again which sessions have ended", self._url)


_WHY = {
    401: "check client_id and client_secret",
    403: "register the client with introspects=True",
    404: "give the issuer's application clients=[…], or say where its session endpoints are: endings=URL",
}


def _fields(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield the fields of server-sent events."""
    for line in body.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon and name:
            yield name, value.removeprefix(" ")
