"""`Daypass`: the issuer for threads."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

from daypass.access_token import AccessToken
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
from daypass.operator_steps import OperatorStep
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

    It may be shared by threads. `AsyncDaypass` is the same with ``await``.

    Args:
        store: a URL (``memory:``, ``sqlite:///app.db``) or a store.
        issuer: the URL that access tokens name as their issuer (RFC 8414 §2).
        load_user: returns the `User` with a subject, None when it is gone; called at each refresh.
        secret: the master secret, at least 32 bytes, or a list of them, newest first. Without one, an embedded store
            makes its own, in a file of mode 0600 beside the database.
        authenticate: returns the `User` with a name (or address) and password, None when they are wrong; for `login`.
        audience: whom access tokens are for; the issuer itself unless told otherwise.
        client_id: the client that sessions belong to unless `start` is told otherwise.
        algorithm: what access tokens are signed with.
        access_ttl: how long an access token opens the application.
        idle_ttl: how long a session lives without being refreshed.
        max_sessions: how many sessions a user may have at a time; None is any number.
        when_full: what a login does then: ``end_oldest`` or ``refuse``, by `SessionLimitReached`.
        notice_devices: whether the event ``new_device`` reports a login from a device never seen.
        dpop: whether clients may bind their sessions to a key by DPoP (RFC 9449): True, or a `DPoP` with options.
        migrate: the libraries whose tokens are accepted, each once, to start a session: one or several of
            `daypass.migrate`.
        session_idle_ttl: the same for a session that is not persistent, if it is shorter.
        absolute_ttl: the longest that a session lives.
        grace_period: how long a presented refresh token may be presented again and get the same successor; 0 is the
            strict mode.
        leeway: by how much clocks of verifying machines may differ, a minute at the most.
        key_ttl: how long a key is used before a new one follows it; 0 leaves that to `rotate_keys`.
        on_event: is told each `Event`; what it raises is logged and changes nothing.
        clock: returns the time in milliseconds since the epoch.
        entropy: returns so many random bytes.

    Raises:
        ConfigurationError: an argument cannot work; the message says what to write instead.
    """

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
        """Start a session for whoever `authenticate` says has these credentials.

        Raises:
            CredentialsRejected: nobody has, or they may not log in; nothing was started.
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
            user: who it is.
            device: where the session lives, for the list of the user's devices.
            client_id: the client whose session it is, and to which its refresh token is bound; the issuer's own unless
                one is given.
            scope: what the session is granted, words with spaces between them (RFC 6749 §3.3); None for all that the
                user may do.
            session: ``persistent=False`` for a cookie that goes with the browser, ``idle_ttl``, ``absolute_ttl`` and
                ``claims`` of this session; see `SessionOptions`.

        Raises:
            CredentialsRejected: the user is disabled; nothing was started.
            ConfigurationError: an argument is not what it has to be; nothing was started.
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

        Check first that the administrator may do this: any live access token of the issuer's own client will do here.
        The session ends with the administrator's own, and after an hour at the latest. Each of its access tokens says
        who acts (``act``, RFC 8693 §4.1; `AccessToken.actor`), the user sees it in the list of devices, and the event
        ``impersonated`` has the reason.

        Args:
            admin_token: the administrator's access token.
            user: the user to act as.
            reason: why, for the event; text of at most 200 characters.
            device: where the administrator is.
            absolute_ttl: how long the session lasts, an hour at most.
            scope: what the session is granted; None for all that the user may do.

        Raises:
            ImpersonationRejected: the token is of a session in which somebody acts as another user already, of another
                client, or of this very user. Nothing was started.
            TokenRejected: the token was refused; nothing was started.
            CredentialsRejected: the user is disabled; nothing was started.
            ConfigurationError: an argument is not what it has to be; nothing was started.
            StoreError: nothing was started.
        """
        call = self.new_call()
        return self.run(self.flows.impersonate(admin_token, user, device, call, reason, absolute_ttl, scope))

    def confirm(self, session_id: str, *, amr: Sequence[str], acr: str | None = None) -> Confirmed:
        """Note that a session's user was authenticated again, and return an access token that says so (step-up).

        Call it after a check of your own, of a passkey say. The session goes on: its refresh token stays as it is, and
        its access tokens have the new ``auth_time``, ``amr`` and ``acr`` from now on.

        Args:
            session_id: the session: `AccessToken.session_id`.
            amr: how, by the names of RFC 8176: ``["pwd"]``, ``["hwk", "user"]``.
            acr: the authentication context class that was reached; by default none.

        Raises:
            SessionRevoked: the session is over, or its user is gone.
            ImpersonationRejected: somebody acts as the user in this session; nothing was changed.
            ConfigurationError: an argument is not what it has to be; nothing was changed.
            StoreError: nothing was decided; doing it again is safe.
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
            refresh_token: as it was given out.
            client_id: the client that presents it; the issuer's own unless one is given.
            scope: what the access token is to be used for, where that is less than was granted (RFC 6749 §6).
            device: where the request comes from, if you know it: shown in the list of devices; ``suspected`` events go
                by it too.
            passive: whether no user has caused this refresh, but a timer: then the session's idle time goes on.
            proof: that the client has the key that its session is bound to, such as ``auth.dpop.check(…)`` returns.

        Raises:
            ScopeRejected: more is asked for than was granted; nothing was changed.
            TokenRejected: it gets none; which one of its kinds says why. All but `TokenStale` and `ProofRejected` are
                final.
            StoreError: nothing was decided; the same token may be presented again.
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

        Do this when you know whose key it is, such as after a login or a step-up. Access tokens that were given out
        before stay bearer tokens until they expire. A session that is bound to this key already stays as it is.

        Raises:
            ConfigurationError: it is not a public key that a proof can be signed with; nothing was changed.
            SessionRevoked: the session is over.
            ProofRejected: it is bound to another key; nothing was changed.
            StoreError: nothing was decided; doing it again is safe.
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
        """End all of a user's sessions save ``keep``, a session's id; return how many were ended.

        Raises:
            StoreError: nothing was decided.
        """
        return self.run(self.flows.end_all(subject, keep, self.new_call()))

    def end_everyone(self) -> None:
        """End every session of every user, as after a backup was restored or a secret has leaked.

        Sessions that begin within the same second are ended too; this returns when that second is over. Verifiers that
        use the store refuse the access tokens of those sessions within a second.

        Raises:
            StoreError: nothing was decided; doing it again is safe.
        """
        self.run(self.flows.end_everyone(self.new_call()))

    def verify(self, access_token: str) -> AccessToken:
        """Return what an access token says.

        Raises:
            TokenMalformed: it is no access token of this issuer for this audience.
            TokenExpired: its time is over.
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
            self.run(self._upkeep.keys_read_anew())  # it may have been added since the last read
            return self._check(access_token, self._clock())

    def watch(self, access_token: str, *, on_end: Callable[[TokenRejected], object] | None = None) -> Watch:
        """Watch an open connection, such as a WebSocket: ``with auth.watch(access_token) as watched``.

        ``watched.ended`` is set within a second of the session's end, and when the access token has expired unless
        ``watched.renew`` got a newer one. For a streamed response use ``auth.watch(access_token).until_end(source)``.

        Args:
            access_token: what the connection was opened with.
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

        They are published now and used ten minutes later, when all nodes and all caches of the key set have them.

        Args:
            at_once: use them in five seconds; whoever keeps a copy of the key set may not know them yet.

        Raises:
            StoreError: they may have been added, or not.
        """
        self.run(self._upkeep.rotate(self._clock(), at_once=at_once))

    def purge(self) -> int:
        """Remove all sessions that are over, in small batches; return how many.

        It need not be called: where `verify` is, or ``with``, this is done beside the requests, a batch a second.

        Raises:
            StoreError: some may have been removed.
        """
        return self.run(self._upkeep.purge(self._clock()))

    def close(self) -> None:
        """Give back what the store holds, and end the upkeep; the next call begins both again."""
        with self._beginning:
            background, self._background, self._ready = self._background, None, False
        if background is not None:
            background.stop()
        self._write_trail()
        self._store.close()

    def _write_trail(self) -> None:
        """Write what the audit trail still has, when nothing else will."""
        if self._upkeep.trail is not None:
            self.run(self._upkeep.trail.write(self._clock()))

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, flow: Flow[A]) -> A:
        """Drive a flow with this issuer's store and callbacks; for those who write an adapter."""
        return run(flow, self._answer)

    def _get_ready(self) -> None:
        """Read what verifying needs, and see to it that it stays up to date."""
        self.run(self._upkeep.prepare(self._clock()))
        self._begin()
        self._ready = True

    def _begin(self) -> None:
        with self._beginning:
            if self._background is None:
                self._background = BackgroundThread(self._upkeep.life, self._store, weakly(self._answer))
                weakref.finalize(self, self._background.gone.set).atexit = False

    def recover_from_fork(self) -> None:
        """Have no upkeep: so it is at first, and in a forked child."""
        self._beginning, self._background, self._ready = threading.Lock(), None, False
        super().recover_from_fork()

    def _answer(self, step: Step[Any]) -> Any:
        if isinstance(step, StoreStep):
            return self._store.perform(step)
        match step:  # the steps of a refresh come first
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
            case OperatorStep():
                return self._store.perform_operator(step)  # type: ignore[attr-defined]  # one that has an audit trail
            case Count(ask, key, rate, now):
                return ask(key, rate, now)
        return None

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            try:
                refuse_awaitable("on_event", self._on_event(event))
            except Exception:
                _log.exception("on_event failed for %s", event.code)
