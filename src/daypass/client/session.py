"""One session as a client holds it, and the one refresh that everybody who shares it waits for.

The rules of this file:

- What is held is one frozen `Held`, replaced as a whole. Reading it is a plain attribute read; the lock guards
  changes only, and is never held across I/O, a callback or a wait.
- Every change has a version above all before it. A refresh stores its result only where the version is still the one
  that it set out from: after a logout or a login in between, it is dropped.
- A refresh is a `Flight`. It belongs to the session and not to the caller who happened to start it, so no cancelled,
  timed-out or dead caller ends it. Its result is stored before anybody wakes.
- Threads, tasks and event loops wait for the same flight through one `concurrent.futures.Future`. Nobody waits past its
  deadline, and a flight past its deadline is in nobody's way: so one that never lands delays others by that much at
  most. Should it land late all the same, its token is still taken, as long as nobody has got a newer one.
"""

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Protocol

from daypass.client.events import ClientEvent, EventKind
from daypass.client.flow import Held, Standing, Timing, backoff, hold, retry_pause
from daypass.client.wire import Answer, Grant, Message, Outcome, Refreshed, Rejected, Unavailable, judge_refresh
from daypass.client.wire import session_message as message_for

logger = logging.getLogger("daypass.client")

_LOST = Unavailable("the refresh did not end by its deadline")


def monotonic_ms() -> int:
    """Return the time on this machine's monotonic clock, in milliseconds."""
    return time.monotonic_ns() // 1_000_000


class Flight:
    """One refresh under way.

    Attributes:
        held: what it set out from, and presents.
        started_at: in milliseconds on the session's clock.
        landed: done once the outcome has been stored.
    """

    __slots__ = ("held", "landed", "started_at")

    def __init__(self, held: Held, started_at: int) -> None:
        self.held = held
        self.started_at = started_at
        self.landed: Future[Outcome] = Future()


Launch = Callable[[Flight], None]
"""Starts a refresh somewhere of its own, a thread or a task, that ends in `ClientSession.land`; must not wait."""


class ClientSession:
    """What one login holds, and its refresh.

    Args:
        timing: the spans of time.
        clock: milliseconds on a monotonic clock.
        jitter: draws a number from 0 to 1.
        cookie_name: the refresh cookie's name, where the server is not Daypass's own.
        on_event: called with each `ClientEvent`, from whichever thread or task it happens in.
        on_logged_out: called once for a session that ended without its user's asking, with the reason.
    """

    def __init__(
        self,
        *,
        timing: Timing,
        clock: Callable[[], int],
        jitter: Callable[[], float],
        cookie_name: str | None = None,
        on_event: Callable[[ClientEvent], object] | None = None,
        on_logged_out: Callable[[str], object] | None = None,
    ) -> None:
        self.held: Held | None = None
        self.timing = timing
        self.clock = clock
        self.jitter = jitter
        self.cookie_name = cookie_name
        self._on_event = on_event
        self._on_logged_out = on_logged_out
        self._lock = threading.Lock()
        self._version = 0
        self._flight: Flight | None = None
        self._failures = 0
        self._rest_until: int | None = None
        self._failure = ""
        survive_forks(self)

    def standing(self, *, repeatable: bool = True, outcome: Outcome | None = None) -> Standing:
        """Return how things stand now."""
        return Standing(self.held, self.clock(), repeatable, outcome)

    def begin(self, grant: Grant) -> None:
        """Hold what a login granted; a session held before is forgotten, and its refresh, if any, is dropped."""
        with self._lock:
            self._hold(grant, None)
        self.tell(EventKind.LOGGED_IN, lifetime=grant.lifetime)

    def end(self, reason: str) -> Held | None:
        """Hold nothing any more, and return what was held; a refresh under way will find that it is too late."""
        with self._lock:
            held = self._drop()
        if held is not None:
            self.tell(EventKind.LOGGED_OUT, reason=reason)
        return held

    def refresh(self, version: int, launch: Launch) -> Flight | None:
        """Return the refresh that replaces the token of ``version``, started now if none is under way.

        ``None`` where there is nothing to wait for: that token has been replaced, or the session is over. After a
        refresh that was unavailable it returns one that has landed already, until it is time to try again.
        """
        with self._lock:
            held, now = self.held, self.clock()
            if held is None or held.version != version:
                return None
            if self._flight is not None and self._left(self._flight, now) > 0:
                return self._flight
            flight = Flight(held, now)
            if self._rest_until is not None and now < self._rest_until:
                flight.landed.set_result(Unavailable(self._failure, retry_after=(self._rest_until - now) / 1000))
                return flight
            self._flight = flight
        launch(flight)
        return flight

    def refresh_behind(self, version: int, launch: Launch) -> None:
        """Start a refresh that nobody waits for, unless one is under way or has just failed; takes no lock then."""
        rest_until = self._rest_until
        if self._flight is None and (rest_until is None or self.clock() >= rest_until):
            self.refresh(version, launch)

    def wait(self, flight: Flight | None) -> Standing:
        """Wait for ``flight`` in this thread, until its deadline at most."""
        if flight is None:
            return self.standing()
        try:
            return self.standing(outcome=flight.landed.result(self._patience(flight)))
        except TimeoutError:
            return self.standing(outcome=_LOST)

    async def wait_async(self, flight: Flight | None) -> Standing:
        """Wait for ``flight`` in this task, until its deadline at most; being cancelled leaves the flight alone."""
        if flight is None:
            return self.standing()
        try:
            async with asyncio.timeout(self._patience(flight)):
                # Without the shield, cancelling this task would cancel the future that all the others wait for.
                outcome: Outcome = await asyncio.shield(asyncio.wrap_future(flight.landed))
                return self.standing(outcome=outcome)
        except TimeoutError:
            return self.standing(outcome=_LOST)

    def fly(self, flight: Flight, send: Callable[[Message, float], Answer]) -> None:
        """Carry ``flight`` out in this thread, to its landing.

        Args:
            flight: from `refresh`.
            send: sends a message within so many seconds, and returns the answer; whatever it raises counts as a lost
                answer.
        """
        outcome: Outcome = _LOST
        attempts = 0
        try:
            while (pause := self._pause(flight, outcome, attempts)) is not None:
                time.sleep(pause)
                attempts += 1
                outcome = self._attempt(flight, send)
        finally:
            self.land(flight, outcome)

    async def fly_async(self, flight: Flight, send: Callable[[Message, float], Awaitable[Answer]]) -> None:
        """Carry ``flight`` out in this task; the twin of `fly`. A cancelled task lands as unavailable."""
        outcome: Outcome = _LOST
        attempts = 0
        try:
            while (pause := self._pause(flight, outcome, attempts)) is not None:
                await asyncio.sleep(pause)
                attempts += 1
                outcome = await self._attempt_async(flight, send)
        finally:
            self.land(flight, outcome)

    def land(self, flight: Flight, outcome: Outcome) -> None:
        """Store what came of ``flight``, tell of it, and wake everybody who waits."""
        try:
            with self._lock:
                if self._flight is flight:
                    self._flight = None
                counts = self.held is not None and self.held.version == flight.held.version
                if counts:
                    outcome = self._store(flight.held, outcome)
            if counts:
                self._report(flight, outcome)
        finally:
            flight.landed.set_result(outcome)

    def tell(
        self, kind: EventKind, *, reason: str | None = None, lifetime: int | None = None, took: int | None = None
    ) -> None:
        """Call ``on_event``; an error in it is logged, and is nobody else's."""
        if self._on_event is None:
            return
        try:
            self._on_event(ClientEvent(kind, self.clock(), reason, lifetime, took))
        except Exception:
            logger.exception("on_event raised")

    def recover_from_fork(self) -> None:
        """In a forked child: the parent's threads are gone, and with them whoever held the lock or the flight."""
        self._lock = threading.Lock()
        self._flight = None

    def _hold(self, grant: Grant, previous: Held | None) -> None:
        self._version += 1
        self.held = hold(grant, self._version, self.clock(), self.jitter(), self.timing, previous)
        self._clear()

    def _clear(self) -> None:
        """Forget the refresh and the failures of what was held before: they say nothing about what is held now."""
        self._flight, self._failures, self._rest_until = None, 0, None

    def _drop(self) -> Held | None:
        held, self.held = self.held, None
        self._version += 1
        self._clear()
        return held

    def _store(self, held: Held, outcome: Outcome) -> Outcome:
        """Change what is held; return ``outcome``, a failure with the time to rest that was decided on."""
        match outcome:
            case Refreshed(grant):
                self._hold(grant, held)
            case Rejected():
                self._drop()
            case failure:
                self._failures += 1
                rest = backoff(failure, self._failures, self.jitter(), self.timing)
                self._rest_until = self.clock() + rest
                self._failure = failure.reason
                return Unavailable(failure.reason, retry_after=rest / 1000)
        return outcome

    def _report(self, flight: Flight, outcome: Outcome) -> None:
        took = self.clock() - flight.started_at
        match outcome:
            case Refreshed(grant):
                logger.debug("refreshed")
                self.tell(EventKind.REFRESHED, lifetime=grant.lifetime, took=took)
            case Rejected(reason):
                logger.info("logged out: %s", reason)
                self.tell(EventKind.LOGGED_OUT, reason=reason)
                self._call_on_logged_out(reason)
            case failure:
                logger.warning("could not refresh: %s", failure.reason)
                self.tell(EventKind.REFRESH_FAILED, reason=failure.reason, took=took)

    def _call_on_logged_out(self, reason: str) -> None:
        if self._on_logged_out is None:
            return
        try:
            self._on_logged_out(reason)
        except Exception:
            logger.exception("on_logged_out raised")

    def _left(self, flight: Flight, now: int) -> int:
        return flight.started_at + self.timing.deadline - now

    def _patience(self, flight: Flight) -> float:
        return max(0, self._left(flight, self.clock())) / 1000

    def _pause(self, flight: Flight, outcome: Outcome, attempts: int) -> float | None:
        if attempts == 0:
            return 0.0
        left = self._left(flight, self.clock())
        pause = retry_pause(outcome, attempts, left, self.jitter(), self.timing)
        return None if pause is None else pause / 1000

    def _limit(self, flight: Flight) -> float:
        return max(1, min(self.timing.attempt, self._left(flight, self.clock()))) / 1000

    def _cookie_name(self, held: Held) -> str | None:
        """Return the refresh cookie's name: once one is held, a cookie of another name is somebody else's."""
        return held.cookie.name if held.cookie else self.cookie_name

    def _attempt(self, flight: Flight, send: Callable[[Message, float], Answer]) -> Outcome:
        message = refresh_message(flight.held)
        if message is None:
            return _NOTHING_TO_PRESENT
        try:
            return judge_refresh(send(message, self._limit(flight)), self._cookie_name(flight.held))
        except Exception as error:  # whatever a transport raises, the answer is lost
            return _lost_answer(error)

    async def _attempt_async(self, flight: Flight, send: Callable[[Message, float], Awaitable[Answer]]) -> Outcome:
        message = refresh_message(flight.held)
        if message is None:
            return _NOTHING_TO_PRESENT
        limit = self._limit(flight)
        try:
            async with asyncio.timeout(limit):
                return judge_refresh(await send(message, limit), self._cookie_name(flight.held))
        except Exception as error:  # whatever a transport raises, the answer is lost
            return _lost_answer(error)


def refresh_message(held: Held) -> Message | None:
    """Return the refresh that presents what is held; ``None`` where there is nothing to present."""
    if held.refresh_token is None and held.cookie is None:
        return None
    return message_for("refresh", held.refresh_token, held.cookie)


def logout_message(held: Held) -> Message:
    """Return the logout of what was held."""
    return message_for("logout", held.refresh_token, held.cookie)


_NOTHING_TO_PRESENT = Rejected("the access token has expired, and the server gave no refresh token")


def _lost_answer(error: Exception) -> Unavailable:
    # Its type alone: the text of a transport's error may quote what was sent.
    return Unavailable(f"no answer to the refresh ({type(error).__name__})")


class Survivor(Protocol):
    """What has to let go of its parent's threads and event loops in a forked child."""

    def recover_from_fork(self) -> None:
        """Called in the child, before anything else runs there."""


_survivors: weakref.WeakSet[Survivor] = weakref.WeakSet()


def survive_forks(survivor: Survivor) -> None:
    """Have ``survivor`` told in every forked child, as long as it lives."""
    _survivors.add(survivor)


def _recover_all() -> None:
    for survivor in list(_survivors):
        survivor.recover_from_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_recover_all)
