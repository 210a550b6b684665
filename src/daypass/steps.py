"""The steps that are not the store's: questions to the application, the clock and the issuer."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from daypass.access_token import AccessToken
from daypass.duration import SECOND
from daypass.ending_log import EndingLog
from daypass.event import Event
from daypass.flow import Step
from daypass.keys import KeyRing
from daypass.user import User


@dataclass(frozen=True, slots=True)
class Now(Step[int]):
    """Ask for the time: milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class StoreClock(Step[int | None]):
    """Ask for the store's own clock: milliseconds since the epoch.

    None for a store that has none, and for an issuer that was given a clock: then the time is what that one says.

    Raises:
        StoreError: it could not be read.
    """


@dataclass(frozen=True, slots=True)
class Subscribe(Step[bool]):
    """Begin to listen to what the store announces; False for one that does not.

    Raises:
        StoreError: it cannot be listened to now.
    """


@dataclass(frozen=True, slots=True)
class Listen(Step[bool]):
    """Wait until the store announces something, or for ``span`` milliseconds; where it is not listened to, just that.

    Raises:
        StoreError: it can no longer be listened to.
    """

    span: int


@dataclass(frozen=True, slots=True)
class Pause(Step[None]):
    """Wait for ``span`` milliseconds."""

    span: int


@dataclass(frozen=True, slots=True)
class WaitFor(Step[None]):
    """Wait until another caller has set ``future``, ``span`` milliseconds at most; its result is not looked at."""

    future: Future[Any]
    span: int = 10 * SECOND


@dataclass(frozen=True, slots=True)
class KnownEndings(Step[EndingLog]):
    """Ask for what this process knows of ended sessions; from then on it learns of those that others end.

    Raises:
        StoreError: the store could not be asked.
    """


@dataclass(frozen=True, slots=True)
class Authenticate(Step[User | None]):
    """Ask the application who has these credentials, by a function of the name (or address) and the password."""

    check: Callable[[str, str], Any]
    identifier: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Count(Step[int]):
    """Ask whoever counts requests; answered with how many milliseconds there may be none more, 0 when there may be one.

    Attributes:
        ask: asks, with ``key``, ``rate`` and ``now``.
        key: what is counted.
        rate: how often it may be.
        now: milliseconds since the epoch.
        waits: whether it has to be waited for, which an event loop does in a thread.
    """

    ask: Callable[[str, Any, int], int]
    key: str
    rate: Any
    now: int
    waits: bool


@dataclass(frozen=True, slots=True)
class LoadUser(Step[User | None]):
    """Ask the application for its user."""

    subject: str


@dataclass(frozen=True, slots=True)
class Ask(Step[Any]):
    """Ask the application by a function of its own, of one text; whoever asks sees to it that the answer will do.

    The function may be async, and is called in a thread when it is not, as in `Authenticate`.

    Attributes:
        name: what the function is called, in an error.
        function: is asked.
        text: what it is asked about.
    """

    name: str
    function: Callable[[str], Any]
    text: str


@dataclass(frozen=True, slots=True)
class Verify(Step[AccessToken]):
    """Ask what an access token says; the answer may be one of the errors of `daypass.Daypass.verify`."""

    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RefuseSession(Step[None]):
    """Refuse the access tokens of a session that has ended, in this process and from now on.

    Other processes learn of the ending from the store.
    """

    session_id: str
    ended_at: int


@dataclass(frozen=True, slots=True)
class RefuseEveryone(Step[None]):
    """Refuse the access tokens of all sessions that began at ``at`` or before, in this process and from now on."""

    at: int


@dataclass(frozen=True, slots=True)
class Emit(Step[None]):
    """Tell what happened."""

    event: Event


@dataclass(frozen=True, slots=True)
class Keys(Step[KeyRing]):
    """Ask for the keys: those at hand or, with ``anew``, those that a read finds which begins after this step.

    Raises:
        StoreError: they could not be read.
    """

    anew: bool = False
