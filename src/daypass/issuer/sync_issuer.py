"""`Daypass`: the issuer for threads."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

from daypass.access_token import AccessToken
from daypass.account_steps import AccountStep
from daypass.background import BackgroundThread, weakly
from daypass.clock import system_clock
from daypass.drive import run
from daypass.duration import SECOND, Duration
from daypass.errors import ConfigurationError, KeyUnknown, TokenMalformed, TokenRejected
from daypass.event import Event
from daypass.flow import Flow, Step
from daypass.flows import IMPERSONATION_TTL
from daypass.issuer.base import (
    Check,
    Issuer,
    Load,
    checked_user,
    is_async,
    is_async_function,
    loaded_user,
    refuse_awaitable,
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
from daypass.stores import Store, open_store
from daypass.user import User
from daypass.waiting import wait_for
from daypass.watching import Watch

A = TypeVar("A")

_log = logging.getLogger("daypass")


class Daypass(Issuer[Store, Load, Check]):
    """Starts, refreshes and ends sessions, and issues and verifies their access tokens.

    Threads may share it. `AsyncDaypass` is the same with ``await``.

    Args:
        store: a URL (``memory:``, ``sqlite:///app.db``) or a store.
        issuer: the URL that access tokens name as their issuer (RFC 8414 §2).
        load_user: returns the `User` with a subject, None if the user is gone; called at each refresh.
        secret: the master secret, at least 32 bytes, or a list of them, newest first. Without one, an embedded store
            creates its own, in a file of mode 0600 beside the database.
        authenticate: returns the `User` with a name (or address) and password, None if they are wrong; for `login`.
        audience: whom access tokens are for; the issuer by default.
        client_id: the client that sessions belong to, unless you give `start` another one.
        algorithm: the algorithm that signs access tokens.
        access_ttl: how long an access token is valid.
        idle_ttl: how long a session lives without a refresh.
        max_sessions: how many sessions a user may have at a time; None sets no limit.
        when_full: what a login above that limit does: ``end_oldest``, or ``refuse`` (`SessionLimitReached`).
        notice_devices: whether a login from a new device emits the event ``new_device``.
        dpop: whether clients may bind their sessions to a key by DPoP (RFC 9449): True, or a `DPoP` with options.
        device_bound: whether browsers that can do that bind their sessions to a key of the device (DBSC, experimental):
            True, or a `DeviceBound` with options.
        migrate: the libraries whose tokens start a session here, each token once: one or several of `daypass.migrate`.
        session_idle_ttl: ``idle_ttl`` of a session that is not persistent, if it is shorter.
        absolute_ttl: how long a session lives at most.
        grace_period: how long a refresh token that was presented may be presented again and get the same successor; 0
            is the strict mode.
        leeway: by how much the clocks of verifying machines may differ, at most a minute.
        key_ttl: how long a key is used before a new one replaces it; 0 leaves that to `rotate_keys`.
        on_event: called with each `Event`; an exception from it is logged and changes nothing.
        clock: returns the time in milliseconds since the epoch.
        entropy: called with a number, returns that many random bytes.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write instead.
    """

    awaits = False
    _background: BackgroundThread | None
    _beginning: threading.Lock
    _ready: bool

    def _open(self, url: str) -> Store:
        return open_store(url)

    def _check_colour(self, store: object, functions: Mapping[str, object]) -> None:
        if not isinstance(store, str) and (not isinstance(store, Store) or is_async(store)):
            raise ConfigurationError("store has to be a URL such as sqlite:///app.db, or a Store, not an async one")
        for name, function in functions.items():
            if is_async_function(function):
                raise ConfigurationError(f"{name} is async; use AsyncDaypass, or give a plain function")

    def login(
        self, identifier: str, password: str, *, device: Device = NOWHERE, **session: Unpack[SessionOptions]
    ) -> Tokens:
        """Start a session for the user that `authenticate` returns for these credentials.

        Raises:
            CredentialsRejected: they are wrong, or the user may not log in; nothing was started.
            ConfigurationError: no ``authenticate`` was given, or an option of the session cannot work.
            StoreError: nothing was started.
        """
        credentials = Authenticate(self._checker(), identifier, password)
        return self.run(self.flows.login(credentials, device, self.new_call(), session))

    def start(
        self,
        user: User,
        *,
        device: Device = NOWHERE,
        client_id: str | None = None,
        scope: str | None = None,
        **session: Unpack[SessionOptions],
    ) -> Tokens:
        """Start a session for a user whom the application has authenticated in its own way.

        Args:
            user: the user.
            device: where the session lives, for the list of the user's devices.
            client_id: the client of the session, to which its refresh token is bound; the issuer's own by default.
            scope: what the session is granted, words with spaces between them (RFC 6749 §3.3); None for everything that
                the user may do.
            session: ``persistent=False`` for a cookie that lasts until the browser closes, and ``idle_ttl``,
                ``absolute_ttl`` and ``claims`` of this session; see `SessionOptions`.

        Raises:
            CredentialsRejected: the user is disabled; nothing was started.
            ConfigurationError: an argument is invalid; nothing was started.
            StoreError: nothing was started.
        """
        return self.run(self.flows.start(user, device, self.new_call(), client_id, scope, session))

    def impersonate(
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

        Check first that the administrator may do this: any live access token of the issuer's own client is accepted
        here. The session ends with the administrator's own, and after an hour at the latest. Each of its access tokens
        says who acts (``act``, RFC 8693 §4.1; `AccessToken.actor`), the user sees it in the list of devices, and the
        event ``impersonated`` has the reason.

        Args:
            admin_token: the administrator's access token.
            user: the user to act as.
            reason: why, for the event; text of at most 200 characters.
            device: where the administrator is.
            absolute_ttl: how long the session lasts, an hour at most.
            scope: what the session is granted; None for everything that the user may do.

        Raises:
            ImpersonationRejected: the token belongs to an impersonation session, to another client, or to this very
                user. Nothing was started.
            TokenRejected: the token was refused; nothing was started.
            CredentialsRejected: the user is disabled; nothing was started.
            ConfigurationError: an argument is invalid; nothing was started.
            StoreError: nothing was started.
        """
        call = self.new_call()
        return self.run(self.flows.impersonate(admin_token, user, device, call, reason, absolute_ttl, scope))

    def confirm(self, session_id: str, *, amr: Sequence[str], acr: str | None = None) -> Confirmed:
        """Note that a session's user was authenticated again, and return an access token that says so (step-up).

        Call it after your own check, for example of a passkey. The session goes on: its refresh token stays as it is,
        and its access tokens have the new ``auth_time``, ``amr`` and ``acr`` from now on.

        Args:
            session_id: the session: `AccessToken.session_id`.
            amr: how, by the names of RFC 8176: ``["pwd"]``, ``["hwk", "user"]``.
            acr: the authentication context class that was reached; none by default.

        Raises:
            SessionRevoked: the session has ended, or its user is gone.
            ImpersonationRejected: somebody acts as the user in this session; nothing was changed.
            ConfigurationError: an argument is invalid; nothing was changed.
            StoreError: nothing was decided; you can safely try again.
        """
        return self.run(self.flows.confirm(session_id, amr, self.new_call(), acr))

    def refresh(
        self,
        refresh_token: str,
        *,
        client_id: str | None = None,
        scope: str | None = None,
        device: Device | None = None,
        passive: bool = False,
        proof: Proof | None = None,
    ) -> Tokens:
        """Return new tokens for a refresh token.

        Args:
            refresh_token: the refresh token, as it was issued.
            client_id: the client that presents it; the issuer's own by default.
            scope: the scope of the access token, if narrower than was granted (RFC 6749 §6).
            device: where the request comes from, if you know it: shown in the list of devices, and used for
                ``suspected`` events.
            passive: whether a timer caused this refresh, not the user: then the session's idle time keeps running.
            proof: shows that the client has the key that its session is bound to; ``auth.run(auth.dpop.accept(…))``
                returns one.

        Raises:
            ScopeRejected: more was requested than was granted; nothing was changed.
            TokenRejected: no new tokens; the subclass says why. All subclasses except `TokenStale` and `ProofRejected`
                are final.
            StoreError: nothing was decided; you can present the same token again.
        """
        return self.run(
            self.flows.refresh_text(
                refresh_token, self.new_call(), client_id, scope, device, passive=passive, proof=proof
            )
        )

    def logout(self, refresh_token: str, *, client_id: str | None = None, proof: Proof | None = None) -> bool:
        """End the session of a refresh token, however old it is; return whether there was one to end.

        Raises:
            StoreError: nothing was decided.
        """
        return self.run(self.flows.logout_text(refresh_token, self.new_call(), client_id, proof))

    def bind(self, session_id: str, key: Mapping[str, Any]) -> Session:
        """Bind a live session to a public key (a JWK), once: it then refreshes only with a DPoP proof by that key.

        Do this when you know whose key it is, such as after a login or a step-up. Access tokens issued before stay
        bearer tokens until they expire. A session already bound to this key stays as it is.

        Raises:
            ConfigurationError: it is not a public key that can verify a proof; nothing was changed.
            SessionRevoked: the session has ended.
            ProofRejected: it is bound to another key; nothing was changed.
            StoreError: nothing was decided; you can safely try again.
        """
        return self.run(self.flows.bind(session_id, Proof.of(key, KeyUse.DPOP), self.new_call()))

    def sessions(self, subject: str) -> tuple[Session, ...]:
        """Return a user's live sessions, the newest login first.

        Raises:
            StoreError: the store could not be asked.
        """
        return self.run(self.flows.sessions(subject, self.new_call()))

    def end_session(self, subject: str, session_id: str) -> bool:
        """End one of a user's sessions; return False when that user has no such live session.

        Raises:
            StoreError: nothing was decided.
        """
        return self.run(self.flows.end_session(subject, session_id, self.new_call()))

    def end_all(self, subject: str, *, keep: str | None = None) -> int:
        """End all of a user's sessions except ``keep``, a session's id; return how many were ended.

        Raises:
            StoreError: nothing was decided.
        """
        return self.run(self.flows.end_all(subject, keep, self.new_call()))

    def end_everyone(self) -> None:
        """End every session of every user, as after a backup was restored or a secret has leaked.

        Sessions that begin within the same second are ended too; this returns when that second has passed. Verifiers
        that use the store refuse the access tokens of those sessions within a second.

        Raises:
            StoreError: nothing was decided; you can safely try again.
        """
        self.run(self.flows.end_everyone(self.new_call()))

    def verify(self, access_token: str) -> AccessToken:
        """Return what an access token says.

        Raises:
            TokenMalformed: it is not an access token of this issuer for this audience.
            TokenExpired: it has expired.
            SessionRevoked: its session was ended, as far as this process knows.
            StoreError: the signing keys could not be read.
        """
        if not self._ready:
            self._get_ready()
        now = self._clock()
        try:
            return self._check(access_token, now)
        except TokenMalformed as error:
            old = self.run(self._old_access(access_token))
            if old is not None:
                return old
            if not isinstance(error, KeyUnknown):
                raise
            self.run(self._upkeep.keys_read_anew())  # the key may have been added since the last read
            return self._check(access_token, self._clock())

    def watch(self, access_token: str, *, on_end: Callable[[TokenRejected], object] | None = None) -> Watch:
        """Watch an open connection, such as a WebSocket: ``with auth.watch(access_token) as watched``.

        ``watched.ended`` is set within a second of the session's end, and when the access token has expired unless
        ``watched.renew`` got a newer one. For a streamed response use ``auth.watch(access_token).until_end(source)``.

        Args:
            access_token: the token that the connection was opened with.
            on_end: called once, by another thread, with `SessionRevoked` or `TokenExpired`, to close the connection.
        """
        return Watch(self._connections, self.verify, access_token, on_end)

    def jwks(self) -> dict[str, Any]:
        """Return the public signing keys as a JWK Set (RFC 7517 §5).

        Raises:
            StoreError: they could not be read.
        """
        return self.run(self._upkeep.keys(self._clock())).jwks()

    def rotate_keys(self, *, at_once: bool = False) -> None:
        """Add new keys, for access tokens and for refresh tokens; no token breaks.

        They are published now and used ten minutes later, when every node and every cache of the key set has them.

        Args:
            at_once: use them in five seconds; services that cache the key set may not know them yet.

        Raises:
            StoreError: whether they were added is not known.
        """
        self.run(self._upkeep.rotate(self._clock(), at_once=at_once))

    def purge(self) -> int:
        """Remove all ended and expired sessions that are no longer needed, in small batches; return how many.

        You need not call it: with `verify` or ``with`` it runs in the background, one batch a second.

        Raises:
            StoreError: some may have been removed.
        """
        return self.run(self._upkeep.purge(self._clock()))

    def close(self) -> None:
        """Close the store and stop the background work; the next call starts both again."""
        with self._beginning:
            background, self._background, self._ready = self._background, None, False
        if background is not None:
            background.stop()
        self._write_trail()
        self._store.close()

    def _write_trail(self) -> None:
        """Write the remaining records of the audit trail when nothing else will."""
        if self._upkeep.trail is not None:
            self.run(self._upkeep.trail.write(self._clock()))

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, flow: Flow[A]) -> A:
        """Drive a flow with this issuer's store and callbacks; for authors of adapters."""
        return run(flow, self._answer)

    def _get_ready(self) -> None:
        """Read what verifying needs, and start keeping it up to date."""
        self.run(self._upkeep.prepare(self._clock()))
        self._begin()
        self._ready = True

    def _begin(self) -> None:
        with self._beginning:
            if self._background is None:
                self._background = BackgroundThread(self._upkeep.life, self._store, weakly(self._answer))
                weakref.finalize(self, self._background.gone.set).atexit = False

    def recover_from_fork(self) -> None:
        """Reset: no upkeep, as at first and in a forked child."""
        self._beginning, self._background, self._ready = threading.Lock(), None, False
        super().recover_from_fork()

    def _answer(self, step: Step[Any]) -> Any:
        if isinstance(step, StoreStep):
            return self._store.perform(step)
        match step:  # the steps of a refresh first
            case Emit(event):
                self._note(event)
                if self._upkeep.trail is not None and self._background is None:
                    self._begin()  # which writes the audit trail
                self._tell(event)
            case LoadUser(subject):
                return loaded_user(subject, self._load_user(subject))
            case Keys(anew):
                if anew:
                    return run(self._upkeep.keys_read_anew(), self._answer)
                now = self._clock()
                return self._upkeep.known(now) or run(self._upkeep.keys(now), self._answer)
            case Now():
                return self._clock()
            case WaitFor(future, span):
                wait_for(future, span / SECOND)
            case KnownEndings():
                if not self._ready:
                    self._get_ready()
                return self._upkeep.endings
            case Pause(span):
                time.sleep(span / SECOND)
            case StoreClock():
                return self._store.perform(ReadClock()) if self._clock is system_clock else None
            case RefuseEveryone(at):
                self._upkeep.refuse_everyone(at)
            case RefuseSession(session_id, ended_at):
                self._upkeep.refuse(session_id, ended_at)
            case Authenticate(check, identifier, password):
                return checked_user("authenticate", check(identifier, password))
            case Ask(name, function, text):
                answer = function(text)
                refuse_awaitable(name, answer)
                return answer
            case Verify(access_token):
                return self.verify(access_token)
            case InStore(store, asked):
                return store.perform_operator(asked)
            case OperatorStep():
                return self._store.perform_operator(step)  # type: ignore[attr-defined]  # a store with an audit trail
            case AccountStep():
                return self._store.perform_account(step)  # type: ignore[attr-defined]  # a store that keeps accounts
            case Count(ask, key, rate, now):
                return ask(key, rate, now)
        return None

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            try:
                refuse_awaitable("on_event", self._on_event(event))
            except Exception:
                _log.exception("on_event failed for %s", event.code)
