"""`AsyncDaypass`: the issuer for event loops."""

import inspect
import logging
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from daypass.access_token import AccessToken
from daypass.account_steps import AccountStep
from daypass.background import BackgroundTask, weakly
from daypass.clock import system_clock
from daypass.drive import arun
from daypass.duration import SECOND, Duration
from daypass.ending_log import EndingLog
from daypass.errors import ConfigurationError, KeyUnknown, TokenMalformed, TokenRejected
from daypass.event import Event
from daypass.flow import Flow, Step
from daypass.flows import IMPERSONATION_TTL
from daypass.issuer.base import (
    AsyncCheck,
    AsyncLoad,
    Check,
    Issuer,
    Listener,
    Load,
    checked_user,
    is_async,
    is_async_function,
    loaded_user,
)
from daypass.operator_steps import InStore, OperatorStep
from daypass.proof import Proof
from daypass.session import NOWHERE, Confirmed, Device, Session, Tokens
from daypass.session_extras import KeyUse
from daypass.session_options import SessionOptions
from daypass.steps import (
    Ask,
    Authenticate,
    Count,
    Emit,
    Keys,
    KnownEndings,
    LoadUser,
    Now,
    Pause,
    RefuseEveryone,
    RefuseSession,
    StoreClock,
    Verify,
    WaitFor,
)
from daypass.store_steps import ReadClock, StoreStep
from daypass.stores import AsyncStore, open_async_store, step_beginner
from daypass.user import User
from daypass.waiting import await_for
from daypass.watching import AsyncWatch

if TYPE_CHECKING:
    import asyncio

    from daypass.cancellation import Driver

A = TypeVar("A")

_log = logging.getLogger("daypass")


class AsyncDaypass(Issuer[AsyncStore, Load | AsyncLoad, Check | AsyncCheck]):
    """`Daypass` with ``await``; it never blocks the event loop.

    It takes the arguments of `Daypass`. ``load_user``, ``authenticate`` and ``on_event`` may be async. If the first two
    are not, they are called in a thread, so a database query or a password hash blocks no other request.
    """

    awaits = True
    _background: BackgroundTask | None
    _driver: "Driver"
    _ready: bool

    def _open(self, url: str) -> AsyncStore:
        return open_async_store(url)

    def _check_colour(self, store: object, functions: Mapping[str, object]) -> None:  # noqa: ARG002 - either will do
        if not isinstance(store, str) and (not isinstance(store, AsyncStore) or not is_async(store)):
            raise ConfigurationError("store has to be a URL such as sqlite:///app.db, or an AsyncStore")

    async def login(
        self, identifier: str, password: str, *, device: Device = NOWHERE, **session: Unpack[SessionOptions]
    ) -> Tokens:
        """Start a session for the user that `authenticate` returns for these credentials.

        Raises:
            CredentialsRejected: they are wrong, or the user may not log in; nothing was started.
            ConfigurationError: no ``authenticate`` was given, or an option of the session cannot work.
            StoreError: nothing was started.
        """
        credentials = Authenticate(self._checker(), identifier, password)
        return await self.run(self.flows.login(credentials, device, self.new_call(), session))

    async def start(
        self,
        user: User,
        *,
        device: Device = NOWHERE,
        client_id: str | None = None,
        scope: str | None = None,
        **session: Unpack[SessionOptions],
    ) -> Tokens:
        """Start a session for a user whom the application has authenticated in its own way.

        Arguments and errors are those of `Daypass.start`.
        """
        return await self.run(self.flows.start(user, device, self.new_call(), client_id, scope, session))

    async def impersonate(
        self,
        admin_token: str,
        user: User,
        *,
        reason: str,
        device: Device = NOWHERE,
        absolute_ttl: Duration = IMPERSONATION_TTL,
        scope: str | None = None,
    ) -> Tokens:
        """Start a session in which an administrator acts as another user, and return its tokens.

        Arguments and errors are those of `Daypass.impersonate`.
        """
        call = self.new_call()
        return await self.run(self.flows.impersonate(admin_token, user, device, call, reason, absolute_ttl, scope))

    async def confirm(self, session_id: str, *, amr: Sequence[str], acr: str | None = None) -> Confirmed:
        """Note that a session's user was authenticated again, and return an access token that says so (step-up).

        Arguments and errors are those of `Daypass.confirm`.
        """
        return await self.run(self.flows.confirm(session_id, amr, self.new_call(), acr))

    async def refresh(
        self,
        refresh_token: str,
        *,
        client_id: str | None = None,
        scope: str | None = None,
        device: Device | None = None,
        passive: bool = False,
        proof: Proof | None = None,
    ) -> Tokens:
        """Return new tokens for a refresh token; arguments and errors are those of `Daypass.refresh`."""
        return await self.run(
            self.flows.refresh_text(
                refresh_token, self.new_call(), client_id, scope, device, passive=passive, proof=proof
            )
        )

    async def logout(self, refresh_token: str, *, client_id: str | None = None, proof: Proof | None = None) -> bool:
        """End the session of a refresh token, however old it is; return whether there was one to end.

        Raises:
            StoreError: nothing was decided.
        """
        return await self.run(self.flows.logout_text(refresh_token, self.new_call(), client_id, proof))

    async def bind(self, session_id: str, key: Mapping[str, Any]) -> Session:
        """Bind a live session to a public key (a JWK), once; arguments and errors are those of `Daypass.bind`."""
        return await self.run(self.flows.bind(session_id, Proof.of(key, KeyUse.DPOP), self.new_call()))

    async def sessions(self, subject: str) -> tuple[Session, ...]:
        """Return a user's live sessions, the newest login first.

        Raises:
            StoreError: the store could not be asked.
        """
        return await self.run(self.flows.sessions(subject, self.new_call()))

    async def end_session(self, subject: str, session_id: str) -> bool:
        """End one of a user's sessions; return False when that user has no such live session.

        Raises:
            StoreError: nothing was decided.
        """
        return await self.run(self.flows.end_session(subject, session_id, self.new_call()))

    async def end_all(self, subject: str, *, keep: str | None = None) -> int:
        """End all of a user's sessions except ``keep``, a session's id; return how many were ended.

        Raises:
            StoreError: nothing was decided.
        """
        return await self.run(self.flows.end_all(subject, keep, self.new_call()))

    async def end_everyone(self) -> None:
        """End every session of every user, as after a backup was restored or a secret has leaked.

        Sessions that begin within the same second are ended too; this returns when that second has passed. Verifiers
        that use the store refuse the access tokens of those sessions within a second.

        Raises:
            StoreError: nothing was decided; you can safely try again.
        """
        await self.run(self.flows.end_everyone(self.new_call()))

    async def verify(self, access_token: str) -> AccessToken:
        """Return what an access token says.

        Raises:
            TokenMalformed: it is not an access token of this issuer for this audience.
            TokenExpired: it has expired.
            SessionRevoked: its session was ended, as far as this process knows.
            StoreError: the signing keys could not be read.
        """
        if not self._ready:
            await self._get_ready()
        now = self._clock()
        try:
            return self._check(access_token, now)
        except TokenMalformed as error:
            old = await self.run(self._old_access(access_token))
            if old is not None:
                return old
            if not isinstance(error, KeyUnknown):
                raise
            await self.run(self._upkeep.keys_read_anew())  # the key may have been added since the last read
            return self._check(access_token, self._clock())

    def watch(self, access_token: str, *, on_end: Callable[[TokenRejected], object] | None = None) -> AsyncWatch:
        """Watch an open connection, such as a WebSocket: ``async with auth.watch(access_token) as watched``.

        What runs inside is cancelled within a second of the session's end, and when the access token has expired unless
        ``watched.renew`` got a newer one. Then the ``async with`` raises `SessionRevoked` or `TokenExpired`. For a
        streamed response use ``auth.watch(access_token).until_end(source)``.

        Args:
            access_token: the token that the connection was opened with.
            on_end: called in the event loop when the connection must be closed. Then nothing is cancelled.
        """
        return AsyncWatch(self._connections, self.verify, access_token, on_end)

    async def jwks(self) -> dict[str, Any]:
        """Return the public signing keys as a JWK Set (RFC 7517 §5).

        Raises:
            StoreError: they could not be read.
        """
        return (await self.run(self._upkeep.keys(self._clock()))).jwks()

    async def rotate_keys(self, *, at_once: bool = False) -> None:
        """Add new keys, for access tokens and for refresh tokens; no token breaks.

        They are published now and used ten minutes later, when every node and every cache of the key set has them.

        Args:
            at_once: use them in five seconds; services that cache the key set may not know them yet.

        Raises:
            StoreError: whether they were added is not known.
        """
        await self.run(self._upkeep.rotate(self._clock(), at_once=at_once))

    async def purge(self) -> int:
        """Remove all ended and expired sessions that are no longer needed, in small batches; return how many.

        You need not call it: with `verify` or ``async with`` it runs in the background, one batch a second.

        Raises:
            StoreError: some may have been removed.
        """
        return await self.run(self._upkeep.purge(self._clock()))

    async def close(self) -> None:
        """Close the store and stop the background work; the next call starts both again."""
        background, self._background, self._ready = self._background, None, False
        if background is not None:
            await background.stop()
        await self._write_trail()
        await self._store.close()

    async def _write_trail(self) -> None:
        """Write the remaining records of the audit trail when nothing else will."""
        if self._upkeep.trail is not None:
            await self.run(self._upkeep.trail.write(self._clock()))

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, flow: Flow[A]) -> A:
        """Drive a flow with this issuer's store and callbacks; for authors of adapters.

        Cancelling the caller does not stop the flow: what the store has done still emits its events and takes effect.
        """
        return await self._driver.run(flow, self._answer)

    async def _get_ready(self) -> None:
        """Read what verifying needs, and start keeping it up to date."""
        await self.run(self._upkeep.prepare(self._clock()))
        self._begin()
        self._ready = True

    def _begin(self) -> None:
        if self._background is None:
            self._background = BackgroundTask(self._upkeep.life, self._store, weakly(self._answer))
            self._background.task.add_done_callback(_weak_call(self._ended))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Reset the upkeep when its event loop has closed; another loop then starts it again."""
        if self._background is not None and self._background.task is task:
            self._background, self._ready = None, False

    def recover_from_fork(self) -> None:
        """Reset: no upkeep, as at first and in a forked child."""
        from daypass.cancellation import Driver  # here, because it imports asyncio

        self._driver, self._background, self._ready = Driver(), None, False
        super().recover_from_fork()

    def _answer(self, step: Step[Any]) -> Any:
        if isinstance(step, StoreStep):
            return self._perform(step)
        match step:  # the steps of a refresh first
            case Emit(event):
                self._note(event)
                if self._upkeep.trail is not None and self._background is None:
                    self._begin()  # which writes the audit trail
                return None if self._on_event is None else self._tell(self._on_event, event)
            case LoadUser(subject):
                return self._reload(subject)
            case Keys(anew):
                if anew:
                    return arun(self._upkeep.keys_read_anew(), self._answer)
                now = self._clock()
                return self._upkeep.known(now) or arun(self._upkeep.keys(now), self._answer)
            case Now():
                return self._clock()
            case WaitFor(future, span):
                return await_for(future, span / SECOND)
            case KnownEndings():
                return self._known_endings()
            case Pause(span):
                return self._pause(span)
            case StoreClock():
                return self._store.perform(ReadClock()) if self._clock is system_clock else None
            case RefuseEveryone(at):
                self._upkeep.refuse_everyone(at)
            case RefuseSession(session_id, ended_at):
                self._upkeep.refuse(session_id, ended_at)
            case Authenticate(check, identifier, password):
                return self._authenticate(check, identifier, password)
            case Ask(_, function, text):
                return self._ask(function, text)
            case Verify(access_token):
                return self.verify(access_token)
            case InStore(store, asked):
                return store.perform_operator(asked)
            case OperatorStep():
                return self._store.perform_operator(step)  # type: ignore[attr-defined]  # a store with an audit trail
            case AccountStep():
                return self._store.perform_account(step)  # type: ignore[attr-defined]  # a store that keeps accounts
            case Count(ask, key, rate, now, waits):
                return self._in_thread(ask, key, rate, now) if waits else ask(key, rate, now)
        return None

    async def _known_endings(self) -> EndingLog:
        if not self._ready:
            await self._get_ready()
        return self._upkeep.endings

    @cached_property
    def _perform(self) -> Callable[[StoreStep[Any]], Any]:
        return step_beginner(self._store)

    @cached_property
    def _load_is_async(self) -> bool:
        return is_async_function(self._load_user)

    async def _reload(self, subject: str) -> User | None:
        if self._load_is_async:
            return loaded_user(subject, await self._load_user(subject))  # type: ignore[misc]  # it is awaitable
        return loaded_user(subject, await self._ask(self._load_user, subject))

    async def _authenticate(self, check: Callable[..., Any], identifier: str, password: str) -> User | None:
        return checked_user("authenticate", await self._ask(check, identifier, password))

    async def _ask(self, function: Callable[..., Any], *arguments: str) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        answer = await self._in_thread(function, *arguments)
        return await answer if inspect.isawaitable(answer) else answer

    async def _pause(self, span: int) -> None:
        import asyncio

        await asyncio.sleep(span / SECOND)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        import asyncio  # here, because it is a third of what importing daypass would cost those who never use it

        return await asyncio.to_thread(function, *arguments)

    def _tell(self, listener: Listener, event: Event) -> Awaitable[None] | None:
        """Call the listener; return what is to be awaited if it is async."""
        try:
            told = listener(event)
        except Exception:
            _log.exception("on_event failed for %s", event.code)
            return None
        return self._told(told, event) if told is not None and inspect.isawaitable(told) else None

    async def _told(self, telling: Awaitable[object], event: Event) -> None:
        try:
            await telling
        except Exception:
            _log.exception("on_event failed for %s", event.code)


def _weak_call(method: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a function that calls the bound ``method`` while its object exists."""
    weak = weakref.WeakMethod(method)

    def call(argument: Any) -> None:
        bound = weak()
        if bound is not None:
            bound(argument)

    return call
