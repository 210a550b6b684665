"""Runs one refresh for all requests of a session: its thread, its deadline, its attempts and pauses.

- A refresh runs in its own thread, so it goes on if its caller is cancelled, times out or dies. Its result is stored
  before any caller continues.
- Threads, tasks and event loops wait for the same `PendingRefresh` through one `concurrent.futures.Future`, which wakes
  each event loop once for all its tasks. All of them stop waiting at its deadline, and after that a new refresh can
  start. If its response comes even later, its token is used unless there is a newer one.
- If a storage keeps the session, a refresh waits for its turn among the processes that share it, reads the storage
  before it sends, and stores the result before the next process has its turn.
- Failed attempts are counted for all callers together until a refresh succeeds. The pause between attempts grows with
  that count, so the client sends fewer and fewer requests during an outage.
"""

import atexit
import threading
import time
import weakref
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from daypass.client.dpop import new_key, with_key
from daypass.client.event_loop import EventLoop, Waiting, in_thread, running_loop
from daypass.client.events import EventKind, logger
from daypass.client.failures import described, frames_of
from daypass.client.flow import State
from daypass.client.messages import Adopted, Grant, Outcome, Refreshed, Rejected, Stale, Unavailable
from daypass.client.record import Behind, Ended
from daypass.client.sender import NoAnswer, Sender
from daypass.client.session import ClientSession
from daypass.client.storage.base import LOST_ANSWER, Turn
from daypass.client.stored_session import NoTurn, Overtaken
from daypass.client.strategy import Strategy
from daypass.client.timing import Timing, backoff, retry_pause
from daypass.client.tokens import Tokens, refreshed
from daypass.drive import run
from daypass.errors import ConfigurationError, RefreshUnavailable
from daypass.forks import survive_forks

_LOST = Unavailable("the refresh was not answered before its deadline")
_ANOTHER_REFRESHES = Unavailable("another process has been refreshing this session for too long", unused=True)
_TURN_OVER = Unavailable("this process was stopped for so long that its turn to refresh is over", unused=True)


class _TurnOver(Exception):
    """The turn ended before a message was sent."""


class PendingRefresh:
    """One refresh in progress.

    Attributes:
        tokens: the tokens that it replaces.
        started_at: in milliseconds on the session's clock.
        sent_at: when the attempt that got a response was sent, on the same clock.
        ends_at: its deadline, on the same clock.
        done: gets the outcome after it has been stored.
        waiting: the tasks that wait for it.
    """

    __slots__ = ("__weakref__", "done", "ends_at", "sent_at", "started_at", "tokens", "waiting")

    def __init__(self, tokens: Tokens, started_at: int, ends_at: int) -> None:
        self.tokens = tokens
        self.started_at = self.sent_at = started_at
        self.ends_at = ends_at
        from concurrent.futures import Future  # imported here: only needed for a refresh

        self.done: Future[Outcome] = Future()
        self.waiting = Waiting(self.done)


class Refresher:
    """Refreshes a session, once for all callers that wait.

    Args:
        session: the session to refresh.
        strategy: makes the requests to the server.
        sender: sends them.
        binds: whether first tokens are bound to a new key.
    """

    def __init__(self, session: ClientSession, strategy: Strategy, sender: Sender, *, binds: bool = False) -> None:
        self._binds = binds
        self._session = session
        self._strategy = strategy
        self._sender = sender
        self._lock = threading.Lock()
        self._pending: PendingRefresh | None = None
        self._failures = 0
        self._login_id = ""
        self._pause_until: int | None = None
        self._last_failure: Unavailable = _LOST
        survive_forks(self)

    def start(self, version: int, *, blocks: bool) -> PendingRefresh | None:
        """Return the refresh that replaces the tokens of ``version``; start it if none is in progress.

        Return ``None`` if no refresh is needed: those tokens have been replaced, or the session has ended. After a
        failed refresh, return one that has already failed until it is time to try again.

        Args:
            version: the version of the tokens.
            blocks: whether the caller blocks its thread, and so the event loop of that thread.
        """
        now = self._session.clock()
        with self._lock:
            tokens = self._session.tokens
            if tokens is None or tokens.version != version:
                return None
            self._forget_other_logins(tokens)
            if (under_way := self._pending) and self._session.is_current(under_way.tokens) and now < under_way.ends_at:
                return under_way
            pending = PendingRefresh(tokens, now, now + self._patience(tokens))
            if self._pause_until is not None and now < self._pause_until:
                pending.done.set_result(self._still_unavailable(now))
                return pending
            self._pending = pending
        self._launch(pending, blocks=blocks)
        return pending

    def start_behind(self, version: int, *, blocks: bool) -> None:
        """Start a refresh in the background. If one is in progress or has just failed, do nothing and take no lock."""
        pause_until = self._pause_until
        if self._pending is None and (pause_until is None or self._session.clock() >= pause_until):
            self.start(version, blocks=blocks)

    def wait(self, pending: PendingRefresh | None) -> State:
        """Wait for ``pending`` in this thread, but not longer than its deadline."""
        if pending is None:
            return self._session.state()
        try:
            return self._session.state(outcome=pending.done.result(self._left(pending)))
        except TimeoutError:
            return self._session.state(outcome=_LOST)

    async def wait_async(self, pending: PendingRefresh | None) -> State:
        """Wait for ``pending`` in this task, not longer than its deadline; cancelling this does not end the refresh."""
        if pending is None:
            return await in_thread(self._session.state) if self._session.needs_look else self._session.state()
        try:
            outcome: Outcome = await pending.waiting.result(self._left(pending))
            return self._session.state(outcome=outcome)
        except TimeoutError:
            return self._session.state(outcome=_LOST)

    def recover_from_fork(self) -> None:
        """Reset in a forked child: the parent's threads do not exist here, so no refresh is in progress."""
        self._lock = threading.Lock()
        self._pending = None
        _under_way.clear()

    @property
    def _timing(self) -> Timing:
        return self._session.timing

    def _forget_other_logins(self, tokens: Tokens) -> None:
        """Reset the count of failures after a new login."""
        if tokens.login_id != self._login_id:
            self._login_id, self._failures, self._pause_until = tokens.login_id, 0, None

    def _patience(self, tokens: Tokens) -> int:
        grace = self._grace(tokens)
        turn = 0 if self._session.stored is None else self._session.stored.patience(grace)
        return self._timing.deadline_for(grace) + turn

    def _grace(self, tokens: Tokens) -> int:
        """Return the server's grace period: its own value, or else the strategy's value for this kind of server."""
        return self._timing.deadline if getattr(self._strategy, "repeats", False) else tokens.grace

    def _still_unavailable(self, now: int) -> Unavailable:
        left = ((self._pause_until or now) - now) / 1000
        return replace(self._last_failure, retry_after=left)

    def _left(self, pending: PendingRefresh) -> float:
        return max(0, pending.ends_at - self._session.clock()) / 1000

    # Runs in the thread of the refresh.

    def _launch(self, pending: PendingRefresh, *, blocks: bool) -> None:
        blocked = running_loop() if blocks else None
        if not blocks:
            self._sender.use_running_loop()
        _under_way.add(pending)
        self._session.reporter.emit(EventKind.REFRESHING)
        thread = threading.Thread(target=self._run, args=(pending, blocked), name="daypass-refresh", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads can start, or the interpreter is shutting down
            self._finish(pending, Unavailable(f"no thread for the refresh: {error}", unused=True))

    def _run(self, pending: PendingRefresh, blocked: EventLoop | None) -> None:
        outcome: Outcome = _LOST
        try:
            with self._turn(pending) as turn:
                pending.ends_at = self._session.clock() + self._timing.deadline_for(self._grace(pending.tokens))
                outcome = self._adopted(pending, turn) or self._send(pending, blocked, turn)
                self._finish(pending, outcome, turn)  # before the next process has its turn
        except NoTurn as error:
            outcome = _no_turn(error)
        finally:
            if not pending.done.done():
                self._finish(pending, outcome)

    def _turn(self, pending: PendingRefresh) -> AbstractContextManager[Turn]:
        stored = self._session.stored
        return nullcontext(Turn()) if stored is None else stored.turn(pending.tokens, self._grace(pending.tokens))

    def _adopted(self, pending: PendingRefresh, turn: Turn | None = None) -> Outcome | None:
        """Use the tokens that another process has stored meanwhile; return ``None`` if none, or if they expired too."""
        match self._session.adopt_newer(pending.tokens, turn):
            case None:
                return None
            case Behind(reason):
                return Unavailable(f"another process has the newest tokens and could not store them ({reason})")
            case Ended():
                return Adopted()
            case newer:
                pending.tokens = newer
                took = self._session.clock() - pending.started_at
                self._session.reporter.emit(EventKind.ADOPTED, took=took)
                return None if newer.expired(self._session.clock()) else Adopted()

    def _send(self, pending: PendingRefresh, blocked: EventLoop | None, turn: Turn) -> Outcome:
        outcome: Outcome = _LOST
        if not self._has_turn(turn):
            return _ANOTHER_REFRESHES
        attempts = 0
        while (pause := self._pause(pending, outcome, attempts)) is not None:
            if attempts:
                self._session.reporter.emit(EventKind.RETRYING, reason=getattr(outcome, "reason", None))
                time.sleep(pause)
            attempts += 1
            outcome = self._attempt(pending, blocked, turn)
            if outcome is _TURN_OVER:
                return outcome
            if isinstance(outcome, Unavailable) and not outcome.unused:
                turn.unanswered()
            if isinstance(outcome, Unavailable | Stale):
                self._failures += 1
            if isinstance(outcome, Stale) and (adopted := self._adopted(pending)):
                return adopted
        return outcome

    def _has_turn(self, turn: Turn) -> bool:
        return turn.held or self._session.stored is None or not self._session.stored.is_shared

    def _pause(self, pending: PendingRefresh, outcome: Outcome, attempts: int) -> float | None:
        """Return how long to wait before the next attempt, in seconds; ``None`` to give up."""
        left = pending.ends_at - self._session.clock()
        if left <= 0 or not self._session.is_current(pending.tokens):
            return None
        if attempts == 0:
            return 0.0
        grace, jitter = self._grace(pending.tokens), self._session.jitter()
        pause = retry_pause(outcome, attempts, self._failures, left, grace, jitter, self._timing)
        return None if pause is None else pause / 1000

    def _attempt(self, pending: PendingRefresh, blocked: EventLoop | None, turn: Turn) -> Outcome:
        """Send once; each step ends before the turn ends, because the next holder of the turn sends too."""
        clock, timing = self._session.clock, self._timing
        tokens, sent_at = self._with_key(pending.tokens), clock()

        def perform(request: Any) -> Any:
            nonlocal sent_at
            sent_at = clock()
            if (lasts := turn.left()) <= 0:
                raise _TurnOver
            left = min(pending.ends_at - sent_at, lasts)
            limit = min(timing.attempt, left) if timing.repeats_safely(self._grace(tokens)) else left
            return self._sender.perform(request, max(1, limit) / 1000, blocked, tokens.key)

        try:
            outcome = run(self._strategy.refresh(tokens), perform)
            if isinstance(outcome, Refreshed):
                outcome = Refreshed(with_key(outcome.grant, tokens.key))
        except _TurnOver:
            return _TURN_OVER
        except Exception as error:
            return _unanswered(error)
        pending.sent_at = sent_at
        return outcome

    def _with_key(self, tokens: Tokens) -> Tokens:
        """Return tokens with a new key if a refresh gets the first ones: no login has made it."""
        if tokens.key is not None or not (self._binds and self._strategy.begins_by_refreshing):
            return tokens
        return replace(tokens, key=new_key())

    def _finish(self, pending: PendingRefresh, outcome: Outcome, turn: Turn | None = None) -> None:
        """Store the result of ``pending``, report it, and wake all callers that wait."""
        try:
            if self._session.is_current(pending.tokens):
                outcome = self._settle(pending, outcome, turn)
        finally:
            with self._lock:
                if self._pending is pending:
                    self._pending = None
            _under_way.discard(pending)
            pending.done.set_result(outcome)

    def _settle(self, pending: PendingRefresh, outcome: Outcome, turn: Turn | None) -> Outcome:
        """Update the session; return ``outcome``, with the pause added if it is a failure."""
        try:
            match outcome:
                case Adopted():
                    self._failures, self._pause_until = 0, None
                case Refreshed(grant):
                    self._succeed(pending, grant, turn)
                case Rejected(reason):
                    self._reject(pending, reason, turn)
                case failure if self._pending is pending:
                    if turn is not None:
                        turn.failed(failure.reason)
                    return self._fail(pending, failure)
                case _:  # too late: all callers have stopped waiting
                    pass
        except Overtaken:  # replaced by a logout, a login, or a process that did not wait for its turn
            failure = Unavailable("another process changed the stored session, and its token has expired")
            return self._adopted(pending) or self._fail(pending, failure)
        return outcome

    def _reject(self, pending: PendingRefresh, reason: str, turn: Turn | None) -> None:
        """End the session; if the same token was sent before without a response, that is the reason for the refusal."""
        lost = turn is not None and turn.in_doubt
        if lost:
            reason = f"{LOST_ANSWER}: the answer to a refresh was lost, and the same token was refused ({reason})"
        self._session.reject(pending.tokens, reason, turn)
        if lost:
            self._session.reporter.emit(EventKind.LOST_ANSWER, reason=reason)

    def _succeed(self, pending: PendingRefresh, grant: Grant, turn: Turn | None) -> None:
        now, jitter = self._session.clock(), self._session.jitter()
        tokens = refreshed(pending.tokens, grant, pending.sent_at, now, jitter, self._timing)
        if self._session.keep(pending.tokens, tokens, turn):
            self._failures, self._pause_until = 0, None
            took = now - pending.started_at
            self._session.reporter.emit(EventKind.REFRESHED, lifetime=grant.lifetime, took=took)

    def _fail(self, pending: PendingRefresh, failure: Stale | Unavailable) -> Unavailable:
        now = self._session.clock()
        pause = backoff(failure, max(1, self._failures), self._session.jitter(), self._timing)
        known = failure if isinstance(failure, Unavailable) else Unavailable(failure.reason)
        self._last_failure = replace(known, retry_after=pause / 1000)
        self._pause_until = now + pause
        self._session.reporter.emit(EventKind.REFRESH_FAILED, reason=failure.reason, took=now - pending.started_at)
        return self._last_failure


def _no_turn(error: NoTurn) -> Unavailable:
    cause = error.__cause__
    return Unavailable(str(error), permanent=isinstance(cause, ConfigurationError), unused=True, cause=cause)


def _unanswered(error: Exception) -> Unavailable:
    """Return what an error of a strategy means; if it is a bug, log where it happened."""
    if isinstance(error, ConfigurationError):
        return Unavailable(str(error), permanent=True, cause=error)
    if isinstance(error, NoAnswer):
        return Unavailable(str(error), unused=error.unsent, cause=error.__cause__)
    if isinstance(error, RefreshUnavailable):
        return Unavailable(str(error), error.retry_after, cause=error)
    if not isinstance(error, OSError):
        logger.error("the strategy raised:\n%s", frames_of(error))
    return Unavailable(f"the strategy raised {described(error)}", cause=error)


_under_way: weakref.WeakSet[PendingRefresh] = weakref.WeakSet()


@atexit.register
def _wait_for_all() -> None:
    """Wait for refreshes in progress at program exit: a strict server has already used up the old token."""
    for pending in list(_under_way):
        try:
            pending.done.result(max(0, pending.ends_at - pending.started_at) / 1000)
        except TimeoutError:
            continue
