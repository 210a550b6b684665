"""The shared part of `Daypass` and `AsyncDaypass`: the arguments, the clock, the randomness, the store, the policy."""

import functools
import inspect
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar, Unpack
from urllib.parse import urlsplit

from daypass.access_token import AccessToken, Names
from daypass.audit import AuditTrail
from daypass.clock import system_clock
from daypass.dbsc import DeviceBound, device_bound_of
from daypass.dpop import DPoP, dpop_of, require_replay_cache
from daypass.duration import HOUR, SECOND, Duration, milliseconds
from daypass.errors import ConfigurationError
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import ENTROPY, Call, Flows, SessionLimit
from daypass.forks import survive_forks
from daypass.key_flows import KeyFlows
from daypass.keys import ALGORITHMS, Algorithm, MasterSecret
from daypass.old_tokens import Migration, OldTokens
from daypass.policy import Policy
from daypass.secret import Secret
from daypass.stores import AsyncStore, Store
from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.tally import Tally
from daypass.unknown_options import NoOptions, refuse_unknown
from daypass.upkeep import Upkeep
from daypass.user import User
from daypass.watching import Connections

Load = Callable[[str], User | None]
AsyncLoad = Callable[[str], Awaitable[User | None]]
Check = Callable[[str, str], User | None]
AsyncCheck = Callable[[str, str], Awaitable[User | None]]
WhenFull = Literal["end_oldest", "refuse"]
Listener = Callable[[Event], object]

StoreT = TypeVar("StoreT", bound=Store | AsyncStore)
LoadT = TypeVar("LoadT", bound=Callable[[str], Any])
CheckT = TypeVar("CheckT", bound=Callable[[str, str], Any])

_log = logging.getLogger("daypass")

_LONGEST_HOST = 100
_LEVELS = {
    EventCode.REUSED: logging.WARNING,
    EventCode.SUSPECTED: logging.WARNING,
    EventCode.ENDED_EVERYONE: logging.WARNING,
    EventCode.CLOCK_OFF: logging.WARNING,
    EventCode.CUT_OFF: logging.WARNING,
    EventCode.POLLING: logging.WARNING,
    EventCode.LISTENING: logging.INFO,
}
_WARN_AT_MOST_EVERY = 1 * SECOND
NODE_SIZE = 8
"""How many random bytes name a process."""


class Issuer(Generic[StoreT, LoadT, CheckT]):
    """The base of the sync and the async issuer: everything except driving the flows."""

    awaits: ClassVar[bool]
    """Whether its methods and its store are async."""

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
        session_idle_ttl: Duration = "12h",
        max_sessions: int | None = None,
        when_full: WhenFull = "end_oldest",
        notice_devices: bool = False,
        dpop: bool | DPoP = False,
        device_bound: bool | DeviceBound = False,
        migrate: OldTokens | Sequence[OldTokens] = (),
        audit_ttl: Duration | None = None,
        on_event: Listener | None = None,
        clock: Callable[[], int] = system_clock,
        entropy: Callable[[int], bytes] = os.urandom,
        **unknown: Unpack[NoOptions],
    ) -> None:
        refuse_unknown(unknown, inspect.signature(Issuer.__init__).parameters.keys() - {"self", "unknown"}, "argument")
        check_issuer(issuer)
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
        self._check_colour(store, {"load_user": load_user, "authenticate": authenticate, "on_event": on_event})
        self.policy = Policy.of(
            access_ttl=access_ttl,
            idle_ttl=idle_ttl,
            absolute_ttl=absolute_ttl,
            grace_period=grace_period,
            leeway=leeway,
            key_ttl=key_ttl,
            session_idle_ttl=session_idle_ttl,
        )
        self.names = Names(issuer, audience or issuer, client_id)
        self.authenticate = authenticate
        self._store: StoreT = self._open(store) if isinstance(store, str) else store
        master = self._master_secret(secret)
        limit = _session_limit(max_sessions, when_full, notice_devices)
        self.flows = Flows(self.names, self.policy, limit, Migration(migrate, master.old_token_key))
        self.dpop = dpop_of(dpop)
        if self.dpop is not None:
            self.dpop.share_nonces(master.nonce_key)
        require_replay_cache(self.dpop, self._store, awaits=self.awaits)
        self.device_bound = device_bound_of(device_bound, self.policy.access_ttl)
        if self.device_bound is not None:
            self.device_bound.share_secret(master.nonce_key)
        keys = KeyFlows(self.policy, master, algorithm)
        self.tally = Tally()
        self._upkeep = Upkeep(
            self.names, self.policy, keys, entropy(NODE_SIZE).hex(), self.tally, self._trail(audit_ttl)
        )
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

    @property
    def audit_lost(self) -> int:
        """How many records of this process the audit trail lacks, because too many came at once."""
        return 0 if self._upkeep.trail is None else self._upkeep.trail.lost

    @property
    def store_type(self) -> type:
        """The class of the store."""
        return type(self._store)

    def key_ages(self) -> dict[str, int]:
        """Return for how long the keys in use have been used, in milliseconds: ``signing`` and ``refresh``.

        Empty before this process has read them.
        """
        ring, now = self._upkeep.ring, self._clock()
        if ring is None:
            return {}
        began = {"signing": ring.signing_key(now).used_from, "refresh": ring.refresh_key(now).used_from}
        return {kind: max(0, now - used_from) for kind, used_from in began.items()}

    @property
    def is_audited(self) -> bool:
        """Whether the store keeps an audit trail."""
        return self._upkeep.trail is not None

    def now(self) -> int:
        """Return the time in milliseconds since the epoch; for authors of adapters."""
        return self._clock()

    def new_call(self) -> Call:
        """Return the time and the randomness for one call of a flow."""
        return Call(self._clock(), self._entropy(ENTROPY))

    def _trail(self, kept: Duration | None) -> AuditTrail | None:
        if kept is None:
            return None
        span = milliseconds(kept)
        if span < HOUR:
            raise ConfigurationError(f"invalid audit_ttl {kept!r}: write a duration of at least an hour, or None")
        if not hasattr(self._store, "perform_operator"):
            raise ConfigurationError(f"{type(self._store).__name__} keeps no audit trail: leave out audit_ttl")
        return AuditTrail(span, self.tally, "")

    def _open(self, url: str) -> StoreT:
        raise NotImplementedError

    def _check_colour(self, store: object, functions: Mapping[str, object]) -> None:
        """Refuse an async store or function in the sync issuer, and a sync store in the async one."""
        raise NotImplementedError

    def _master_secret(self, secret: Secret | None) -> MasterSecret:
        if secret is not None:
            return MasterSecret.of(secret)
        if isinstance(self._store, MemoryStore | AsyncMemoryStore):  # the sessions are lost at exit anyway
            return MasterSecret.of(secrets.token_bytes(32))
        path = getattr(self._store, "path", None)
        holds_keys: Callable[[], bool] = getattr(self._store, "holds_keys", lambda: False)
        if path is None:
            raise ConfigurationError("this store needs a secret: secret=… of at least 32 bytes, the same on every node")
        database, path = path, path.with_name(path.name + ".secret")
        if not path.exists() and holds_keys():
            raise ConfigurationError(
                f"the secret file {path} is missing, and the keys in {database} need it; restore the file, or give its "
                "content as the secret. Nothing was made. If it is lost, remove all keys (daypass key list, daypass "
                "key retire KID) and everybody has to log in again"
            )
        from daypass import secret_file  # here, because only a store in a file has one

        found, made = secret_file.read_or_make(path)
        if made:
            _log.warning("made a secret in %s (mode 0600); keep it with the database, or give one with secret=…", path)
        return MasterSecret.of(found)

    def recover_from_fork(self) -> None:
        """Reset: no background work, as at first and in a forked child."""
        self._upkeep.recover_from_fork(self._entropy(NODE_SIZE).hex())
        self._connections = Connections(self._upkeep.verifier, self._clock)
        self.tally.process = _process()

    def _note(self, event: Event) -> None:
        """Count an event, log it, and add it to the audit trail."""
        self.tally.count_event(event.code)
        if self._upkeep.trail is not None:
            self._upkeep.trail.add(event)
        if event.code is EventCode.UNAVAILABLE:
            self._warn_of_store(event)
        level = _LEVELS.get(event.code, logging.DEBUG)
        if _log.isEnabledFor(level):
            subject, reason = one_line(event.subject), one_line(event.reason)
            _log.log(level, "%s session=%s subject=%s reason=%s", event.code, event.session_id, subject, reason)

    def _warn_of_store(self, event: Event) -> None:
        """Log the store's fault at most once a second: every caller meets the same error."""
        if abs(event.at - self._warned_at) >= _WARN_AT_MOST_EVERY:
            self._warned_at = event.at
            _log.warning("a request was answered with 503: %s", one_line(event.reason))

    def _old_access(self, access_token: str) -> Flow[AccessToken | None]:
        """Return what an access token of your previous library says; None if it is not one.

        Raises:
            TokenExpired, SessionRevoked: it is one, and it has expired or its session has ended.
            StoreError: it could not be read.
        """
        token = yield from self.flows.migration.access(access_token, self.names)
        return None if token is None else self._upkeep.verifier.check_old(token, self._clock())

    def _checker(self) -> CheckT:
        if self.authenticate is None:
            raise ConfigurationError("login needs authenticate=…, a function of a name and a password; or use start")
        return self.authenticate


def _process() -> dict[str, object]:
    """Return what people know this process by."""
    import socket  # here, because nothing else needs it at once

    return {"host": socket.gethostname()[:_LONGEST_HOST], "pid": os.getpid()}


def _session_limit(maximum: object, when_full: object, notices: object) -> SessionLimit:
    if maximum is not None and (type(maximum) is not int or maximum < 1):
        raise ConfigurationError(f"invalid max_sessions {maximum!r}: write a number from 1, or None for any number")
    if when_full not in ("end_oldest", "refuse"):
        raise ConfigurationError(f"invalid when_full {when_full!r}: write 'end_oldest' or 'refuse'")
    if when_full == "refuse" and maximum is None:
        raise ConfigurationError("when_full='refuse' needs max_sessions: write max_sessions=3")
    if type(notices) is not bool:
        raise ConfigurationError(f"invalid notice_devices {notices!r}: write True or False")
    return SessionLimit(maximum, when_full == "end_oldest", notices)


def is_async(store: object) -> bool:
    """Return whether a store must be awaited."""
    return inspect.iscoroutinefunction(getattr(store, "perform", None))


def check_issuer(issuer: object) -> None:
    """Refuse an issuer that is not a URL, or a URL with user, query or fragment (RFC 8414 §2)."""
    try:
        parts = urlsplit(issuer if isinstance(issuer, str) else "")
    except ValueError:
        parts = urlsplit("")
    strange = parts.query or parts.fragment or "@" in parts.netloc or any(c.isspace() for c in str(issuer))
    if parts.scheme not in ("https", "http") or not parts.hostname or strange:
        raise ConfigurationError(f"invalid issuer {issuer!r}: write a URL such as https://api.example.com")


def is_async_function(function: object) -> bool:
    """Return whether a function or a callable object is async; for a partial, the function it wraps decides."""
    while isinstance(function, functools.partial):
        function = function.func
    return any(map(inspect.iscoroutinefunction, (function, getattr(type(function), "__call__", None))))  # noqa: B004 - it is not asked whether it is callable


def one_line(text: str | None) -> str | None:
    """Return a text for a log line; if it has control characters such as line breaks, as a Python literal."""
    return text if text is None or text.isprintable() else repr(text)


def checked_user(name: str, user: object) -> User | None:
    """Return what a function of the application returned, which must be a user or None.

    Raises:
        ConfigurationError: it is not.
    """
    if user is None or isinstance(user, User):
        return user
    refuse_awaitable(name, user)
    raise ConfigurationError(f"{name} returned a {type(user).__name__}; it has to return a daypass.User or None")


def loaded_user(subject: str, user: object) -> User | None:
    """Return what ``load_user`` returned for ``subject``.

    Raises:
        ConfigurationError: it is neither a user nor None, or another user. The request fails (500); the log says why.
    """
    loaded = checked_user("load_user", user)
    if loaded is not None and loaded.subject != subject:
        message = f"load_user({subject!r}) returned the user {loaded.subject!r}; return the user asked for, or None"
        _log.error(message)
        raise ConfigurationError(message)
    return loaded


def refuse_awaitable(name: str, answer: object) -> None:
    """Refuse an awaitable.

    Raises:
        ConfigurationError: it is one.
    """
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise ConfigurationError(f"{name} is async; use AsyncDaypass, or give a plain function")
