"""One session as a client holds it, and the one refresh that everybody who shares it waits for.

The rules of this file:

- What is held is one frozen `Tokens`, replaced as a whole. Reading it is a plain attribute read; the lock guards
  changes only, and is never held across I/O, a callback or a wait.
- Every change has a version above all before it. A refresh stores its result only where the version is still the one
  that it set out from: after a logout or a login in between, it is dropped.
- A refresh is a `Flight`. It belongs to the session and not to the caller who happened to start it, and flies in a
  thread of its own, so no cancelled, timed-out or dead caller ends it. Its result is stored before anybody wakes.
- Threads, tasks and event loops wait for the same flight through one `concurrent.futures.Future`. Nobody waits past its
  end, and a flight past its end is in nobody's way: so one that never lands delays others by that much at most.
  Should it land late all the same, its token is still taken, as long as nobody has got a newer one.
- Where the session is kept in a storage, a flight waits for its turn among the processes that share it, re-reads the
  storage before it sends, adopts what a sibling has put there, and stores what it got before the next has its turn.
"""

import asyncio
import atexit
import logging
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from daypass.client.clock import boot_id, wall_ms
from daypass.client.events import ClientEvent, EventKind
from daypass.client.flow import State
from daypass.client.messages import Adopted, Grant, Outcome, Refreshed, Rejected, Stale, Unavailable
from daypass.client.record import Now, read_record, record_id_of, write_record
from daypass.client.storage import Storage
from daypass.client.strategy import Strategy, StrategyFlow
from daypass.client.timing import Timing, backoff, retry_pause
from daypass.client.tokens import Tokens, tokens_from
from daypass.drive import run
from daypass.errors import ConfigurationError
from daypass.forks import survive_forks

logger = logging.getLogger("daypass.client")

NOTHING_YET = Grant("", 0)
"""An access token that expired as it came: there is none, but it can be had by refreshing."""

_LOST = Unavailable("the refresh did not end by its deadline")
_ELSEWHERE = "it was ended by another who shares it"


class _Overtaken(Exception):
    """Another has changed the storage."""


class Flight:
    """One refresh under way.

    Attributes:
        held: what it set out from, and presents.
        started_at: in milliseconds on the session's clock.
        ends_at: when nobody waits for it any more, on the same clock.
        landed: done once the outcome has been stored.
    """

    __slots__ = ("__weakref__", "ends_at", "held", "landed", "started_at")

    def __init__(self, held: Tokens, started_at: int, ends_at: int) -> None:
        self.held = held
        self.started_at = started_at
        self.ends_at = ends_at
        self.landed: Future[Outcome] = Future()


Launch = Callable[[Flight], None]
"""Starts a thread for a refresh, that ends in `ClientSession.land`; must not wait."""

Perform = Callable[[Any, float], Any]
"""Sends a `Message` or makes a `Call` within so many seconds, and returns the answer."""


class ClientSession:
    """What one login holds, and its refresh.

    Args:
        strategy: what to ask of the server.
        timing: the spans of time.
        clock: milliseconds on a monotonic clock.
        wall_clock: milliseconds since the epoch, for a storage that outlives a reboot.
        jitter: draws a number from 0 to 1.
        storage: keeps the session between runs; what it has is held at once.
        on_event: called with each `ClientEvent`, from whichever thread or task it happens in.
        on_logged_out: called once for a session that ended without its user's asking, with the reason.

    Raises:
        ConfigurationError: what the storage has is no session of ours.
        OSError: the storage cannot be read.
    """

    def __init__(
        self,
        *,
        strategy: Strategy,
        timing: Timing,
        clock: Callable[[], int],
        wall_clock: Callable[[], int] = wall_ms,
        jitter: Callable[[], float],
        storage: Storage | None = None,
        on_event: Callable[[ClientEvent], object] | None = None,
        on_logged_out: Callable[[str], object] | None = None,
    ) -> None:
        self.held: Tokens | None = None
        self.strategy = strategy
        self.timing = timing
        self.clock = clock
        self.jitter = jitter
        self._wall_clock = wall_clock
        self._boot = boot_id()
        self._storage = storage
        self._on_event = on_event
        self._on_logged_out = on_logged_out
        self._lock = threading.Lock()
        self._version = 0
        self._flight: Flight | None = None
        self._failures = 0
        self._rest_until: int | None = None
        self._failure = ""
        self._failed_for_good = False
        self._ended_record: str | None = None
        survive_forks(self)
        if not self.restore() and strategy.begins_by_refreshing:
            self._replace(tokens_from(NOTHING_YET, 0, clock(), 0.0, timing))

    @property
    def is_stored(self) -> bool:
        """Whether a storage keeps the session; then `begin` and `end` write to it."""
        return self._storage is not None

    def standing(self, *, repeatable: bool = True, outcome: Outcome | None = None) -> State:
        """Return how things stand now; with nothing held, after a look at the storage: a sibling may have logged in."""
        if self.held is None and self._storage is not None and outcome is None:
            try:
                self.restore()
            except (OSError, ConfigurationError) as error:
                self._storage_failed("read", error)
        return State(self.held, self.clock(), repeatable, outcome)

    def restore(self) -> bool:
        """Hold what the storage keeps; return whether it keeps something.

        Raises:
            ConfigurationError: what it keeps is no session of ours.
            OSError: it cannot be read.
        """
        text = None if self._storage is None else self._storage.load()
        if text is None:
            return False
        held = self._read(text)
        with self._lock:
            if held.record_id == self._ended_record:  # it could not be removed
                return False
            self._replace(held)
        self.tell(EventKind.RESTORED)
        return True

    def begin(self, grant: Grant) -> None:
        """Hold what a login granted; a session held before is forgotten, and its refresh, if any, is dropped.

        Raises:
            OSError: the storage cannot be written; then what was held before is still held.
        """
        self._begin(tokens_from(grant, 0, self.clock(), self.jitter(), self.timing))
        self.tell(EventKind.LOGGED_IN, lifetime=grant.lifetime)

    def end(self, reason: str) -> Tokens | None:
        """Hold and keep nothing any more, and return what was held; a refresh under way will find that it is too late.

        Where the storage has a newer token than this client, because another process refreshed, that one is returned.
        """
        held = self._newest()
        with self._lock:
            self._drop()
        if self._storage is not None:
            try:
                with self._storage.changing():
                    self._storage.save(None)
            except OSError as error:
                self._storage_failed("written", error)
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
            if self._flight is not None and now < self._flight.ends_at:
                return self._flight
            patience = self.timing.deadline + (self.timing.turn if self._storage is not None else 0)
            flight = Flight(held, now, now + patience)
            if self._rest_until is not None and now < self._rest_until:
                left = (self._rest_until - now) / 1000
                flight.landed.set_result(Unavailable(self._failure, left, self._failed_for_good))
                return flight
            self._flight = flight
        _under_way.add(flight)
        self.tell(EventKind.REFRESHING)
        launch(flight)
        return flight

    def refresh_behind(self, version: int, launch: Launch) -> None:
        """Start a refresh that nobody waits for, unless one is under way or has just failed; takes no lock then."""
        rest_until = self._rest_until
        if self._flight is None and (rest_until is None or self.clock() >= rest_until):
            self.refresh(version, launch)

    def wait(self, flight: Flight | None) -> State:
        """Wait for ``flight`` in this thread, until its end at most."""
        if flight is None:
            return self.standing()
        try:
            return self.standing(outcome=flight.landed.result(self._patience(flight)))
        except TimeoutError:
            return self.standing(outcome=_LOST)

    async def wait_async(self, flight: Flight | None) -> State:
        """Wait for ``flight`` in this task, until its end at most; being cancelled leaves the flight alone."""
        if flight is None:
            return self.standing()
        try:
            async with asyncio.timeout(self._patience(flight)):
                # Without the shield, cancelling this task would cancel the future that all the others wait for.
                outcome: Outcome = await asyncio.shield(asyncio.wrap_future(flight.landed))
                return self.standing(outcome=outcome)
        except TimeoutError:
            return self.standing(outcome=_LOST)

    def fly(self, flight: Flight, perform: Perform) -> None:
        """Carry ``flight`` out in this thread, to its landing.

        Args:
            flight: from `refresh`.
            perform: whatever it raises counts as a lost answer.
        """
        outcome: Outcome = _LOST
        try:
            with self._turn(flight):
                outcome = Adopted() if self._adopt_newer(flight) else self._ask(flight, perform)
                self.land(flight, outcome)  # before the next has its turn
        finally:
            if not flight.landed.done():
                self.land(flight, outcome)

    def land(self, flight: Flight, outcome: Outcome) -> None:
        """Store what came of ``flight``, tell of it, and wake everybody who waits."""
        told = outcome
        try:
            if self._is_current(flight):
                told = self._stored(flight, outcome)
        finally:
            with self._lock:
                if self._flight is flight:
                    self._flight = None
            _under_way.discard(flight)
            flight.landed.set_result(told)

    def tell(
        self, kind: EventKind, *, reason: str | None = None, lifetime: int | None = None, took: int | None = None
    ) -> None:
        """Log what happened and call ``on_event``; an error in it is logged, and is nobody else's."""
        logger.log(_LEVELS.get(kind, logging.DEBUG), "%s%s", kind.value, f": {reason}" if reason else "")
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
        _under_way.clear()

    def _begin(self, held: Tokens) -> None:
        kept = held
        if self._storage is not None:
            kept = self._recorded(held)
            with self._storage.changing():
                self._storage.save(self._written(kept))
        with self._lock:
            self._replace(kept)

    def _replace(self, held: Tokens) -> Tokens:
        """Hold this instead, as the next version; what was known of refreshes says nothing about it."""
        self._version += 1
        self.held = replace(held, version=self._version)
        self._flight, self._failures, self._rest_until = None, 0, None
        return self.held

    def _drop(self) -> None:
        if self.held is not None and self.held.record_id is not None:
            self._ended_record = self.held.record_id
        self.held = None
        self._version += 1
        self._flight, self._failures, self._rest_until = None, 0, None

    # The storage.

    def _now(self) -> Now:
        return Now(self.clock(), self._wall_clock(), self._boot)

    def _recorded(self, held: Tokens) -> Tokens:
        return replace(held, record_id=secrets.token_hex(8))

    def _written(self, held: Tokens) -> str:
        return write_record(held, held.record_id or "", self._now())

    def _read(self, text: str) -> Tokens:
        held = read_record(text, 0, self._now(), self.jitter(), self.timing)
        if held is None:
            raise ConfigurationError("what the storage keeps is no session of Daypass's; remove it and log in again")
        return held

    def _storage_failed(self, what: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, ConfigurationError) else type(error).__name__
        self.tell(EventKind.STORAGE_FAILED, reason=f"the storage could not be {what} ({reason})")

    def _newest(self) -> Tokens | None:
        """Return what the storage keeps, or else what is held."""
        if self._storage is None:
            return self.held
        try:
            text = self._storage.load()
            return self.held if text is None else self._read(text)
        except (OSError, ConfigurationError) as error:
            self._storage_failed("read", error)
            return self.held

    @contextmanager
    def _turn(self, flight: Flight) -> Iterator[None]:
        """Wait until no other process refreshes this session; the flight's own deadline counts from there."""
        if self._storage is None:
            yield
            return
        with ExitStack() as turn:
            try:
                turn.enter_context(self._storage.refreshing(self.timing.turn / 1000))
            except OSError as error:
                self._storage_failed("locked", error)
            flight.ends_at = self.clock() + self.timing.deadline
            yield

    def _adopt_newer(self, flight: Flight) -> bool:
        """Hold what another has put into the storage since ``flight`` set out; return whether it can be used.

        Where it cannot, because it has expired too, the flight goes on from there.
        """
        if self._storage is None:
            return False
        try:
            text = self._storage.load()
            if record_id_of(text) == flight.held.record_id:
                return False
            newer = None if text is None else self._read(text)
        except (OSError, ConfigurationError) as error:
            self._storage_failed("read", error)
            return False
        with self._lock:
            if self.held is None or self.held.version != flight.held.version:
                return True
            if newer is None:
                self._drop()
            else:
                newer = self._replace(newer)
                self._flight = flight
                flight.held = newer
        if newer is None:
            self._ended(_ELSEWHERE)
            return True
        self.tell(EventKind.ADOPTED, took=self.clock() - flight.started_at)
        return not newer.expired(self.clock())

    def _keep(self, flight: Flight, held: Tokens | None) -> Tokens | None:
        """Write ``held``, or nothing, into the storage, and return what is to be held.

        Raises:
            _Overtaken: another has changed the storage since ``flight`` set out; nothing was written.
        """
        if self._storage is None:
            return held
        recorded = held and self._recorded(held)
        try:
            with self._storage.changing():
                if record_id_of(self._storage.load()) != flight.held.record_id:
                    raise _Overtaken
                self._storage.save(None if recorded is None else self._written(recorded))
        except (OSError, ConfigurationError) as error:
            self._storage_failed("written", error)
            # It lives in memory, and knows that the storage has what was there before.
            return held and replace(held, record_id=flight.held.record_id)
        return recorded

    # The refresh itself.

    def _ask(self, flight: Flight, perform: Perform) -> Outcome:
        outcome: Outcome = _LOST
        attempts = 0
        while (pause := self._pause(flight, outcome, attempts)) is not None:
            if attempts:
                self.tell(EventKind.RETRYING, reason=getattr(outcome, "reason", None))
                time.sleep(pause)
            attempts += 1
            outcome = self._attempt(flight, perform)
            if isinstance(outcome, Stale) and self._adopt_newer(flight):
                return Adopted()
        return outcome

    def _attempt(self, flight: Flight, perform: Perform) -> Outcome:
        asking: StrategyFlow[Outcome] = self.strategy.refresh(flight.held)
        try:
            return run(asking, lambda ask: perform(ask, self._limit(flight)))
        except ConfigurationError as error:
            return Unavailable(str(error), permanent=True)
        except Exception as error:  # whatever a transport raises, the answer is lost
            # Its type alone: the text of a transport's error may quote what was sent.
            return Unavailable(f"no answer to the refresh ({type(error).__name__})")

    def _is_current(self, flight: Flight) -> bool:
        held = self.held
        return held is not None and held.version == flight.held.version

    def _stored(self, flight: Flight, outcome: Outcome) -> Outcome:
        """Change what is kept and held; return ``outcome``, a failure with the time to rest that was decided on."""
        try:
            match outcome:
                case Adopted():
                    pass
                case Refreshed(grant):
                    held = tokens_from(grant, 0, self.clock(), self.jitter(), self.timing, flight.held)
                    if self._change(flight, self._keep(flight, held)):
                        took = self.clock() - flight.started_at
                        self.tell(EventKind.REFRESHED, lifetime=grant.lifetime, took=took)
                case Rejected(reason):
                    if self._change(flight, self._keep(flight, None)):
                        self._ended(reason)
                case failure if self._flight is flight:
                    return self._failed(flight, failure)
                case _:  # it comes too late to be anybody's
                    pass
        except _Overtaken:
            return self._overtaken(flight)
        return outcome

    def _overtaken(self, flight: Flight) -> Outcome:
        """Hold what another has put into the storage meanwhile: a logout, a login, or an impatient one's refresh."""
        if self._adopt_newer(flight):
            return Adopted()
        return self._failed(flight, Unavailable("another changed the stored session, and its token has expired"))

    def _change(self, flight: Flight, held: Tokens | None) -> bool:
        with self._lock:
            if self.held is None or self.held.version != flight.held.version:
                return False
            if held is None:
                self._drop()
            else:
                self._replace(held)
            return True

    def _failed(self, flight: Flight, failure: Stale | Unavailable) -> Outcome:
        with self._lock:
            self._failures += 1
            rest = backoff(failure, self._failures, self.jitter(), self.timing)
            self._rest_until = self.clock() + rest
            self._failure = failure.reason
        took = self.clock() - flight.started_at
        self.tell(EventKind.REFRESH_FAILED, reason=failure.reason, took=took)
        permanent = isinstance(failure, Unavailable) and failure.permanent
        self._failed_for_good = permanent
        return Unavailable(failure.reason, rest / 1000, permanent)

    def _ended(self, reason: str) -> None:
        self.tell(EventKind.LOGGED_OUT, reason=reason)
        if self._on_logged_out is None:
            return
        try:
            self._on_logged_out(reason)
        except Exception:
            logger.exception("on_logged_out raised")

    def _patience(self, flight: Flight) -> float:
        return max(0, flight.ends_at - self.clock()) / 1000

    def _pause(self, flight: Flight, outcome: Outcome, attempts: int) -> float | None:
        """Return how long to wait before the next attempt, in seconds; ``None`` where there is to be none."""
        left = flight.ends_at - self.clock()
        if left <= 0 or not self._is_current(flight):
            return None
        if attempts == 0:
            return 0.0
        pause = retry_pause(outcome, attempts, left, self.jitter(), self.timing)
        return None if pause is None else pause / 1000

    def _limit(self, flight: Flight) -> float:
        return max(1, min(self.timing.attempt, flight.ends_at - self.clock())) / 1000


_LEVELS = {
    EventKind.LOGGED_OUT: logging.INFO,
    EventKind.REFRESH_FAILED: logging.WARNING,
    EventKind.STORAGE_FAILED: logging.WARNING,
}

_under_way: weakref.WeakSet[Flight] = weakref.WeakSet()


@atexit.register
def _see_flights_land() -> None:
    """At the program's end, wait for refreshes under way: a server that is strict has spent the old token already."""
    for flight in list(_under_way):
        try:
            flight.landed.result(max(0, flight.ends_at - flight.started_at) / 1000)
        except TimeoutError:
            continue
