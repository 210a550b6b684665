"""The steps that the store does not perform: questions to the application, the clock and the issuer."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import field
from typing import Any

from daypass.access_token import AccessToken
from daypass.duration import SECOND
from daypass.ending_log import EndingLog
from daypass.event import Event
from daypass.flow import Step
from daypass.keys import KeyRing
from daypass.user import User
from daypass.value import value


@value(frozen=True, slots=True)
class Now(Step[int]):
    """Ask for the time: milliseconds since the epoch."""


@value(frozen=True, slots=True)
class StoreClock(Step[int | None]):
    """Ask for the store's own clock: milliseconds since the epoch.

    None if the store has no clock, or if the issuer was given one: then that clock's time is used.

    Raises:
        StoreError: it could not be read.
    """


@value(frozen=True, slots=True)
class Subscribe(Step[bool]):
    """Begin to listen to the store's notifications; answered with False if the store has none.

    Raises:
        StoreError: listening is not possible now.
    """


@value(frozen=True, slots=True)
class Listen(Step[bool]):
    """Wait until the store announces something, at most ``span`` milliseconds; without notifications, wait that long.

    Raises:
        StoreError: listening is no longer possible.
    """

    span: int


@value(frozen=True, slots=True)
class Pause(Step[None]):
    """Wait for ``span`` milliseconds."""

    span: int


@value(frozen=True, slots=True)
class WaitFor(Step[None]):
    """Wait until another caller has set ``future``, ``span`` milliseconds at most; its result is not read."""

    future: Future[Any]
    span: int = 10 * SECOND


@value(frozen=True, slots=True)
class KnownEndings(Step[EndingLog]):
    """Ask for the ended sessions that this process knows; from then on it also learns of those that others end.

    Raises:
        StoreError: the store could not be asked.
    """


@value(frozen=True, slots=True)
class Authenticate(Step[User | None]):
    """Ask the application whose credentials these are, by a function of the name (or address) and the password."""

    check: Callable[[str, str], Any]
    identifier: str
    password: str = field(repr=False)


@value(frozen=True, slots=True)
class Count(Step[int]):
    """Ask the rate counter; answered with the milliseconds to wait, 0 if the request is allowed.

    Attributes:
        ask: the counter, called with ``key``, ``rate`` and ``now``.
        key: what is counted.
        rate: how often it may be.
        now: milliseconds since the epoch.
        waits: whether the call may block; an event loop then makes it in a thread.
    """

    ask: Callable[[str, Any, int], int]
    key: str
    rate: Any
    now: int
    waits: bool


@value(frozen=True, slots=True)
class LoadUser(Step[User | None]):
    """Ask the application for its user."""

    harmless = True
    subject: str


@value(frozen=True, slots=True)
class Ask(Step[Any]):
    """Ask the application by calling its function with one text; the caller validates the answer.

    The function may be async; otherwise it is called in a thread, as in `Authenticate`.

    Attributes:
        name: the function's name, for errors.
        function: the function to call.
        text: its argument.
    """

    name: str
    function: Callable[[str], Any]
    text: str


@value(frozen=True, slots=True)
class Verify(Step[AccessToken]):
    """Ask what an access token says; answered with its contents, or one of the errors of `daypass.Daypass.verify`."""

    access_token: str = field(repr=False)


@value(frozen=True, slots=True)
class RefuseSession(Step[None]):
    """Refuse the access tokens of a session that has ended, in this process and from now on.

    Other processes learn of the ending from the store.
    """

    session_id: str
    ended_at: int


@value(frozen=True, slots=True)
class RefuseEveryone(Step[None]):
    """Refuse the access tokens of all sessions that began at ``at`` or before, in this process and from now on."""

    at: int


@value(frozen=True, slots=True)
class Emit(Step[None]):
    """Emit an event."""

    event: Event


@value(frozen=True, slots=True)
class Keys(Step[KeyRing]):
    """Ask for the keys: those in memory or, with ``anew``, those of a read that begins after this step.

    Raises:
        StoreError: they could not be read.
    """

    anew: bool = False
