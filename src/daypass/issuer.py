"""The issuer, `Daypass` and `AsyncDaypass`: owns clock, entropy, store and policy, and drives the flows.

The two differ by an ``await``. What they share is `_Issuer`.
"""

import inspect
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

from daypass import secret_file
from daypass.access_token import AccessToken, Names
from daypass.background import BackgroundTask, BackgroundThread, weakly
from daypass.drive import arun, run
from daypass.duration import SECOND, Duration
from daypass.errors import ConfigurationError, KeyUnknown, SessionRevoked, TokenReused
from daypass.event import Event, EventCode
from daypass.flow import Flow, Step
from daypass.flows import ENTROPY, Flows, Moment
from daypass.forks import survive_forks
from daypass.key_flows import KeyFlows
from daypass.keys import ALGORITHMS, Algorithm, MasterSecret, Secret
from daypass.policy import Policy
from daypass.session import Device, Session, Tokens
from daypass.steps import Ask, Authenticate, Count, Emit, Keys, LoadUser, Now, Verify
from daypass.store_steps import StoreStep
from daypass.stores import AsyncStore, Store, open_async_store, open_store
from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.upkeep import Upkeep
from daypass.user import User

if TYPE_CHECKING:
    import asyncio

A = TypeVar("A")

Load = Callable[[str], User | None]
AsyncLoad = Callable[[str], Awaitable[User | None]]
Check = Callable[[str, str], User | None]
AsyncCheck = Callable[[str, str], Awaitable[User | None]]
Listener = Callable[[Event], object]

StoreT = TypeVar("StoreT", bound=Store | AsyncStore)
LoadT = TypeVar("LoadT", bound=Callable[[str], Any])
CheckT = TypeVar("CheckT", bound=Callable[[str, str], Any])

_log = logging.getLogger("daypass")
_ENDINGS = frozenset((EventCode.LOGGED_OUT, EventCode.ENDED, EventCode.REUSED))
_LEVELS = {
    EventCode.REUSED: logging.WARNING,
    EventCode.CUT_OFF: logging.WARNING,
    EventCode.POLLING: logging.WARNING,
    EventCode.LISTENING: logging.INFO,
}
_OVER = frozenset((SessionRevoked.code, TokenReused.code))
_WARN_AT_MOST_EVERY = 1 * SECOND
_NOWHERE = Device()


def system_clock() -> int:
    """Return the machine's time, in whole milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class _Issuer(Generic[StoreT, LoadT, CheckT]):
    """What both colours share: everything but the driving."""

    def __init__(
        self,
        store: str | StoreT,
        *,
        issuer: str,
        load_user: LoadT,
        secret: Secret | None = None,
        authenticate: CheckT | None = None,
        audience: str | None = None,
        client_id: str = "daypass",
        algorithm: Algorithm = "ES256",
        access_ttl: Duration = "15m",
        idle_ttl: Duration = "30d",
        absolute_ttl: Duration = "180d",
        grace_period: Duration = "30s",
        leeway: Duration = 0,
        key_ttl: Duration = "90d",
        on_event: Listener | None = None,
        clock: Callable[[], int] = system_clock,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        _check_issuer(issuer)
        if algorithm not in ALGORITHMS:
            raise ConfigurationError(f"algorithm {algorithm!r} is not one of {', '.join(ALGORITHMS)}")
        for name, function in (("load_user", load_user), ("clock", clock), ("entropy", entropy)):
            if not callable(function):
                raise ConfigurationError(f"{name} has to be a function")
        for name, optional in (("authenticate", authenticate), ("on_event", on_event)):
            if optional is not None and not callable(optional):
                raise ConfigurationError(f"{name} has to be a function, or None")
        for name, text in (("audience", issuer if audience is None else audience), ("client_id", client_id)):
            if type(text) is not str or not text:
                raise ConfigurationError(f"{name} has to be text, and not empty")
        if type(clock()) is not int:
            raise ConfigurationError("clock has to return whole milliseconds since the epoch, as an int")
        self._check_colour(store, on_event)
        self.policy = Policy.of(
            access_ttl=access_ttl,
            idle_ttl=idle_ttl,
            absolute_ttl=absolute_ttl,
            grace_period=grace_period,
            leeway=leeway,
            key_ttl=key_ttl,
        )
        self.names = Names(issuer, audience or issuer, client_id)
        self.authenticate = authenticate
        self._store: StoreT = self._open(store) if isinstance(store, str) else store
        self.flows = Flows(self.names, self.policy)
        keys = KeyFlows(self.policy, self._master_secret(secret), algorithm)
        self._upkeep = Upkeep(self.names, self.policy, keys)
        self._load_user = load_user
        self._on_event = on_event
        self._clock = clock
        self._entropy = entropy
        self._warned_at = 0
        self._check = self._upkeep.verifier.check
        self.recover_from_fork()
        survive_forks(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(issuer={self.names.issuer!r}, store={type(self._store).__name__})"

    def moment(self) -> Moment:
        """Return the time and the randomness for one call of a flow."""
        return Moment(self._clock(), self._entropy(ENTROPY))

    def _open(self, url: str) -> StoreT:
        raise NotImplementedError

    def _check_colour(self, store: object, on_event: Listener | None) -> None:
        """Refuse a store, or a listener, of the other colour."""
        raise NotImplementedError

    def _master_secret(self, secret: Secret | None) -> MasterSecret:
        if secret is not None:
            return MasterSecret.of(secret)
        if isinstance(self._store, MemoryStore | AsyncMemoryStore):  # what forgets its sessions needs no memory
            return MasterSecret.of(secrets.token_bytes(32))
        path = getattr(self._store, "path", None)
        if path is None:
            raise ConfigurationError("this store needs a secret: secret=… of at least 32 bytes, the same on every node")
        path = path.with_name(path.name + ".secret")
        found, made = secret_file.read_or_make(path)
        if made:
            _log.warning("made a secret in %s (mode 0600); keep it with the database, or give one with secret=…", path)
        return MasterSecret.of(found)

    def recover_from_fork(self) -> None:
        """Have nothing going on beside the requests: so it is at first, and in a forked child."""
        raise NotImplementedError

    def _note(self, event: Event) -> None:
        """Log an event, and refuse the access tokens of a session that it ends."""
        over = event.code in _ENDINGS or (event.code is EventCode.REJECTED and event.reason in _OVER)
        if over and event.session_id is not None:
            self._upkeep.learn(event.session_id, event.at)
        if event.code is EventCode.UNAVAILABLE:
            self._warn_of_store(event)
        level = _LEVELS.get(event.code, logging.DEBUG)
        _log.log(level, "%s session=%s subject=%s reason=%s", event.code, event.session_id, event.subject, event.reason)

    def _warn_of_store(self, event: Event) -> None:
        """Say once a second at the most what is wrong with the store: everybody who asks meets the same."""
        if abs(event.at - self._warned_at) >= _WARN_AT_MOST_EVERY:
            self._warned_at = event.at
            _log.warning("a request was answered with 503: %s", event.reason)

    def _checker(self) -> CheckT:
        if self.authenticate is None:
            raise ConfigurationError("login needs authenticate=…, a function of a name and a password; or use start")
        return self.authenticate


class Daypass(_Issuer[Store, Load, Check]):
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
        absolute_ttl: how long a session lives at the most.
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

    def _check_colour(self, store: object, on_event: Listener | None) -> None:
        if not isinstance(store, str) and (not isinstance(store, Store) or _is_async(store)):
            raise ConfigurationError("store has to be a URL such as sqlite:///app.db, or a Store, not an async one")
        if inspect.iscoroutinefunction(on_event):
            raise ConfigurationError("on_event is async; use AsyncDaypass, or give a plain function")

    def login(self, identifier: str, password: str, *, device: Device = _NOWHERE) -> Tokens:
        """Start a session for whoever `authenticate` says has these credentials.

        Raises:
            CredentialsRejected: nobody has, or they may not log in; nothing was started.
            ConfigurationError: no ``authenticate`` was given.
            StoreError: nothing was started.
        """
        return self.run(self.flows.login(Authenticate(self._checker(), identifier, password), device, self.moment()))

    def start(
        self, user: User, *, device: Device = _NOWHERE, client_id: str | None = None, scope: str | None = None
    ) -> Tokens:
        """Start a session for a user whom the application has authenticated in its own way.

        Args:
            user: who it is.
            device: where the session lives, for the list of the user's devices.
            client_id: the client whose session it is, and to which its refresh token is bound; the issuer's own unless
                one is given.
            scope: what the session is granted, words with spaces between them (RFC 6749 §3.3); None for all that the
                user may do.

        Raises:
            CredentialsRejected: the user is disabled; nothing was started.
            ConfigurationError: an argument is not what it has to be; nothing was started.
            StoreError: nothing was started.
        """
        return self.run(self.flows.start(user, device, self.moment(), client_id, scope))

    def refresh(self, refresh_token: str, *, client_id: str | None = None, scope: str | None = None) -> Tokens:
        """Return new tokens for a refresh token.

        Args:
            refresh_token: as it was given out.
            client_id: the client that presents it; the issuer's own unless one is given.
            scope: what the access token is to be used for, where that is less than was granted (RFC 6749 §6).

        Raises:
            ScopeRejected: more is asked for than was granted; nothing was changed.
            TokenRejected: it gets none; which one of its kinds says why. All but `TokenStale` are final.
            StoreError: nothing was decided; the same token may be presented again.
        """
        return self.run(self.flows.refresh(refresh_token, self.moment(), client_id, scope))

    def logout(self, refresh_token: str, *, client_id: str | None = None) -> bool:
        """End the session of a refresh token, however old it is; return whether there was one to end.

        Raises:
            StoreError: nothing was decided.
        """
        return self.run(self.flows.logout(refresh_token, self.moment(), client_id))

    def sessions(self, subject: str) -> tuple[Session, ...]:
        """Return a user's live sessions, the newest login first.

        Raises:
            StoreError: the store could not be asked.
        """
        return self.run(self.flows.sessions(subject, self.moment()))

    def end_session(self, subject: str, session_id: str) -> bool:
        """End one of a user's sessions; return False when that user has no such live session.

        Raises:
            StoreError: nothing was decided.
        """
        return self.run(self.flows.end_session(subject, session_id, self.moment()))

    def end_all(self, subject: str, *, keep: str | None = None) -> int:
        """End all of a user's sessions save ``keep``, a session's id; return how many were ended.

        Raises:
            StoreError: nothing was decided.
        """
        return self.run(self.flows.end_all(subject, keep, self.moment()))

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
        except KeyUnknown:
            known = self._upkeep.ring
            if self.run(self._upkeep.keys(now, anew=True)) is known:
                raise
            return self._check(access_token, now)

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
        self._store.close()

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

    def _answer(self, step: Step[Any]) -> Any:
        if isinstance(step, StoreStep):
            return self._store.perform(step)
        match step:
            case Keys(anew):
                now = self._clock()
                return self._upkeep.known(now, anew=anew) or run(self._upkeep.keys(now, anew=anew), self._answer)
            case Now():
                return self._clock()
            case LoadUser(subject):
                return _checked_user("load_user", self._load_user(subject))
            case Authenticate(check, identifier, password):
                return _checked_user("authenticate", check(identifier, password))
            case Ask(name, function, text):
                answer = function(text)
                _refuse_awaitable(name, answer)
                return answer
            case Verify(access_token):
                return self.verify(access_token)
            case Count(ask, key, rate, now):
                return ask(key, rate, now)
            case Emit(event):
                self._note(event)
                self._tell(event)
        return None

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            try:
                _refuse_awaitable("on_event", self._on_event(event))
            except Exception:
                _log.exception("on_event failed for %s", event.code)


class AsyncDaypass(_Issuer[AsyncStore, Load | AsyncLoad, Check | AsyncCheck]):
    """The same as `Daypass`, to be awaited; it never blocks the event loop.

    Args: as for `Daypass`. ``load_user``, ``authenticate`` and ``on_event`` may be async. The first two are called in
        a thread when they are not, so that one which asks a database or hashes a password holds nobody up.
    """

    _background: BackgroundTask | None
    _running: "set[asyncio.Task[Any]]"
    _ready: bool

    def _open(self, url: str) -> AsyncStore:
        return open_async_store(url)

    def _check_colour(self, store: object, on_event: Listener | None) -> None:  # noqa: ARG002 - either colour will do
        if not isinstance(store, str) and (not isinstance(store, AsyncStore) or not _is_async(store)):
            raise ConfigurationError("store has to be a URL such as sqlite:///app.db, or an AsyncStore")

    async def login(self, identifier: str, password: str, *, device: Device = _NOWHERE) -> Tokens:
        """Start a session for whoever `authenticate` says has these credentials.

        Raises:
            CredentialsRejected: nobody has, or they may not log in; nothing was started.
            ConfigurationError: no ``authenticate`` was given.
            StoreError: nothing was started.
        """
        return await self.run(
            self.flows.login(Authenticate(self._checker(), identifier, password), device, self.moment())
        )

    async def start(
        self, user: User, *, device: Device = _NOWHERE, client_id: str | None = None, scope: str | None = None
    ) -> Tokens:
        """Start a session for a user whom the application has authenticated in its own way.

        Arguments and errors are those of `Daypass.start`.
        """
        return await self.run(self.flows.start(user, device, self.moment(), client_id, scope))

    async def refresh(self, refresh_token: str, *, client_id: str | None = None, scope: str | None = None) -> Tokens:
        """Return new tokens for a refresh token; arguments and errors are those of `Daypass.refresh`."""
        return await self.run(self.flows.refresh(refresh_token, self.moment(), client_id, scope))

    async def logout(self, refresh_token: str, *, client_id: str | None = None) -> bool:
        """End the session of a refresh token, however old it is; return whether there was one to end.

        Raises:
            StoreError: nothing was decided.
        """
        return await self.run(self.flows.logout(refresh_token, self.moment(), client_id))

    async def sessions(self, subject: str) -> tuple[Session, ...]:
        """Return a user's live sessions, the newest login first.

        Raises:
            StoreError: the store could not be asked.
        """
        return await self.run(self.flows.sessions(subject, self.moment()))

    async def end_session(self, subject: str, session_id: str) -> bool:
        """End one of a user's sessions; return False when that user has no such live session.

        Raises:
            StoreError: nothing was decided.
        """
        return await self.run(self.flows.end_session(subject, session_id, self.moment()))

    async def end_all(self, subject: str, *, keep: str | None = None) -> int:
        """End all of a user's sessions save ``keep``, a session's id; return how many were ended.

        Raises:
            StoreError: nothing was decided.
        """
        return await self.run(self.flows.end_all(subject, keep, self.moment()))

    async def verify(self, access_token: str) -> AccessToken:
        """Return what an access token says.

        Raises:
            TokenMalformed: it is no access token of this issuer for this audience.
            TokenExpired: its time is over.
            SessionRevoked: its session was ended, as far as this process knows.
            StoreError: the signing keys could not be read.
        """
        if not self._ready:
            await self._get_ready()
        now = self._clock()
        try:
            return self._check(access_token, now)
        except KeyUnknown:
            known = self._upkeep.ring
            if await self.run(self._upkeep.keys(now, anew=True)) is known:
                raise
            return self._check(access_token, now)

    async def jwks(self) -> dict[str, Any]:
        """Return the public signing keys as a JWK Set (RFC 7517 §5).

        Raises:
            StoreError: they could not be read.
        """
        return (await self.run(self._upkeep.keys(self._clock()))).jwks()

    async def rotate_keys(self, *, at_once: bool = False) -> None:
        """Add new keys, for access tokens and for refresh tokens; no token breaks.

        They are published now and used ten minutes later, when all nodes and all caches of the key set have them.

        Args:
            at_once: use them in five seconds; whoever keeps a copy of the key set may not know them yet.

        Raises:
            StoreError: they may have been added, or not.
        """
        await self.run(self._upkeep.rotate(self._clock(), at_once=at_once))

    async def purge(self) -> int:
        """Remove all sessions that are over, in small batches; return how many.

        It need not be called: where `verify` is, or ``async with``, this is done beside the requests, a batch a second.

        Raises:
            StoreError: some may have been removed.
        """
        return await self.run(self._upkeep.purge(self._clock()))

    async def close(self) -> None:
        """Give back what the store holds, and end the upkeep; the next call begins both again."""
        background, self._background, self._ready = self._background, None, False
        if background is not None:
            await background.stop()
        await self._store.close()

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, flow: Flow[A]) -> A:
        """Drive a flow with this issuer's store and callbacks; for those who write an adapter.

        A caller that is cancelled does not stop it: what the store has done is told of, and acted upon, all the same.
        """
        import asyncio  # here, as below

        task = asyncio.get_running_loop().create_task(arun(flow, self._answer))
        self._running.add(task)  # a loop itself holds its tasks but weakly
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen: whoever asked was given it, or has gone

    async def _get_ready(self) -> None:
        """Read what verifying needs, and see to it that it stays up to date."""
        await self.run(self._upkeep.prepare(self._clock()))
        self._begin()
        self._ready = True

    def _begin(self) -> None:
        if self._background is None:
            self._background = BackgroundTask(self._upkeep.life, self._store, weakly(self._answer))
            self._background.task.add_done_callback(_weak_call(self._ended))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Notice that the event loop that had the upkeep has come to its end: another one begins it again."""
        if self._background is not None and self._background.task is task:
            self._background, self._ready = None, False

    def recover_from_fork(self) -> None:
        """Have no upkeep: so it is at first, and in a forked child."""
        self._running, self._background, self._ready = set(), None, False

    def _answer(self, step: Step[Any]) -> Any:
        if isinstance(step, StoreStep):
            return self._store.perform(step)
        match step:
            case Keys(anew):
                now = self._clock()
                return self._upkeep.known(now, anew=anew) or arun(self._upkeep.keys(now, anew=anew), self._answer)
            case Now():
                return self._clock()
            case LoadUser(subject):
                return self._load("load_user", self._load_user, subject)
            case Authenticate(check, identifier, password):
                return self._load("authenticate", check, identifier, password)
            case Ask(_, function, text):
                return self._ask(function, text)
            case Verify(access_token):
                return self.verify(access_token)
            case Count(ask, key, rate, now, waits):
                return self._in_thread(ask, key, rate, now) if waits else ask(key, rate, now)
            case Emit(event):
                self._note(event)
                return None if self._on_event is None else self._tell(self._on_event, event)
        return None

    async def _load(self, name: str, function: Callable[..., Any], *arguments: str) -> User | None:
        return _checked_user(name, await self._ask(function, *arguments))

    async def _ask(self, function: Callable[..., Any], *arguments: str) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        answer = await self._in_thread(function, *arguments)
        return await answer if inspect.isawaitable(answer) else answer

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        import asyncio  # here, because it is a third of what importing daypass would cost those who never use it

        return await asyncio.to_thread(function, *arguments)

    async def _tell(self, listener: Listener, event: Event) -> None:
        try:
            told = listener(event)
            if inspect.isawaitable(told):
                await told
        except Exception:
            _log.exception("on_event failed for %s", event.code)


def _weak_call(method: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return what calls ``method``, a bound one, as long as there is what it is bound to."""
    weak = weakref.WeakMethod(method)

    def call(argument: Any) -> None:
        bound = weak()
        if bound is not None:
            bound(argument)

    return call


def _is_async(store: object) -> bool:
    return inspect.iscoroutinefunction(getattr(store, "perform", None))


def _check_issuer(issuer: object) -> None:
    """Refuse an issuer that is no URL, or one with user, query or fragment (RFC 8414 §2)."""
    try:
        parts = urlsplit(issuer if isinstance(issuer, str) else "")
    except ValueError:
        parts = urlsplit("")
    strange = parts.query or parts.fragment or "@" in parts.netloc or any(c.isspace() for c in str(issuer))
    if parts.scheme not in ("https", "http") or not parts.hostname or strange:
        raise ConfigurationError(f"issuer={issuer!r} is no URL of an issuer; write https://api.example.com")


def _checked_user(name: str, user: object) -> User | None:
    _refuse_awaitable(name, user)
    if user is not None and not isinstance(user, User):
        raise ConfigurationError(f"{name} returned a {type(user).__name__}; it has to return a daypass.User or None")
    return user


def _refuse_awaitable(name: str, answer: object) -> None:
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise ConfigurationError(f"{name} is async; use AsyncDaypass, or give a plain function")
