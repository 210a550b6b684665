"""Verifies an issuer's access tokens in another service, by the keys that the issuer publishes.

A check needs no I/O: the keys are cached, and a background thread fetches them again before they are old. While the
issuer is down, the last good keys are used, for a day. A token with an unknown key waits for a fetch that begins after
the token came: all such tokens share one fetch, at most one a second. Tokens with a known key never wait for it.
"""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, ClassVar, TypeVar, Unpack
from urllib.parse import urlsplit

from daypass import jwk_set
from daypass.access_token import AccessToken, Names
from daypass.clock import system_clock
from daypass.dpop import DPoP, dpop_of, require_replay_cache
from daypass.drive import arun, run
from daypass.duration import DAY, MINUTE, SECOND, Duration, milliseconds
from daypass.ending_feed import EndingFeed, FeedState
from daypass.ending_log import EVERYONE
from daypass.errors import ConfigurationError, DaypassError, KeysUnavailable, KeyUnknown, TokenRejected
from daypass.flow import Flow, Step
from daypass.forks import survive_forks
from daypass.http_get import SECONDS, fetch
from daypass.keys import SigningKey
from daypass.operator_steps import InStore
from daypass.security_event import read_event
from daypass.unknown_options import NoOptions, refuse_unknown
from daypass.verifier import Verifier
from daypass.waiting import await_for, wait_for
from daypass.watching import AsyncWatch, Connections, Watch

APART = 3 * SECOND
"""Between two fetches of keys that have become old, or that could not be fetched."""

APART_FOR_UNKNOWN = 1 * SECOND
"""Between two fetches for tokens that name an unknown key."""

KEPT = 1 * DAY
"""For how long the last good keys are used while the issuer cannot be asked."""

_PATIENCE = 4 * SECONDS + 2
"""Seconds: the fetch that is running and the next one, each of which may first find out where the keys are."""

_PATIENCE_FOR_OLD = 1.0
"""Seconds that a token with a known key waits for keys that are old; then it is checked by the old keys."""

_ARGUMENTS = ("audience", "jwks_url", "leeway", "endings", "client_id", "client_secret", "dpop", "clock")

Fetch = Future[DaypassError | None]
"""A fetch of the keys; its result is why it failed."""

Checking = Generator[tuple[Fetch, float], None, AccessToken]
"""Yields each fetch to wait for, and for how many seconds."""

A = TypeVar("A")

_log = logging.getLogger("daypass")


class _Remote:
    """The base of the sync and the async verifier: everything except the waiting."""

    awaits: ClassVar[bool]

    def __init__(
        self,
        issuer: str,
        *,
        audience: str | None = None,
        jwks_url: str | None = None,
        leeway: Duration = 0,
        endings: bool | str = False,
        client_id: str | None = None,
        client_secret: str | None = None,
        dpop: bool | DPoP = False,
        clock: Callable[[], int] = system_clock,
        **unknown: Unpack[NoOptions],
    ) -> None:
        refuse_unknown(unknown, _ARGUMENTS, "argument")
        if type(issuer) is not str or not issuer:
            raise ConfigurationError("issuer must be the URL in the iss claim of the access tokens")
        if audience is not None and (type(audience) is not str or not audience):
            raise ConfigurationError("audience must be text that is not empty; leave it out to use the issuer")
        if jwks_url is None:
            jwk_set.checked_url("issuer", issuer)
            if urlsplit(issuer).query:
                raise ConfigurationError(f"invalid issuer {issuer!r}: write a URL such as https://api.example.com")
        else:
            jwk_set.checked_url("jwks_url", jwks_url)
        self._leeway = milliseconds(leeway)
        if self._leeway > MINUTE:
            raise ConfigurationError("leeway must be at most one minute; synchronise the clocks instead")
        self._names = Names(issuer, audience or issuer, "")
        self.dpop = dpop_of(dpop)
        require_replay_cache(self.dpop, None, awaits=self.awaits)
        self._given_url = jwks_url
        self._url = jwks_url
        self._clock = clock
        self._client_id = ""
        self._feed = self._made_feed(client_id, client_secret, endings)
        self._keys: jwk_set.Keys = {}
        self._fetched_at = self._tried_at = clock() - KEPT
        self._fresh_for = 0
        self._failure: DaypassError | None = None
        self.recover_from_fork()
        survive_forks(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(issuer={self._names.issuer!r}, audience={self._names.audience!r})"

    def recover_from_fork(self) -> None:
        """Forget the running fetches: at first, and in a forked child."""
        self._lock = threading.Lock()
        self._running: Fetch | None = None
        self._next: Fetch | None = None
        self._is_late = False
        self._verifier = Verifier(self._names, self._find_key, leeway=self._leeway)
        self._check = self._verifier.check
        self._following = False
        self._connections = Connections(self._verifier, self._clock)

    @property
    def endings(self) -> FeedState | None:
        """How it learns of ended sessions now; None if this was not asked for."""
        return None if self._feed is None else self._feed.state

    def _made_feed(self, client_id: str | None, client_secret: str | None, url: str | bool) -> EndingFeed | None:  # noqa: FBT001 - True is the usual URL
        if not url:
            if client_id is not None or client_secret is not None:
                raise ConfigurationError("client_id and client_secret are of use with endings=True alone")
            return None
        if not client_id or not client_secret:
            raise ConfigurationError("endings needs client_id and client_secret: register this service at the issuer")
        found = f"{self._names.issuer.rstrip('/')}/auth/endings" if url is True else url
        jwk_set.checked_url("endings", found)
        self._client_id = client_id
        return EndingFeed(found, client_id, client_secret, weakref.WeakMethod(self._learn))

    def _learn(self, event: str) -> None:
        """Refuse the access tokens of the session that an event is about.

        Raises:
            KeyUnknown: the event is signed with a key that is not known yet; it must be sent again.
            TokenMalformed: it is not an event for this service.
        """
        try:
            ending = read_event(event, self._find_key, self._names.issuer, self._client_id)
        except KeyUnknown:
            fetch = self._begin_next(self._clock())
            if fetch is not None:
                wait_for(fetch, _PATIENCE)
            ending = read_event(event, self._find_key, self._names.issuer, self._client_id)
        if ending is None:
            return
        if ending.session_id == EVERYONE:
            self._verifier.end_everyone(ending.ended_at)
        else:
            self._verifier.end(ending.session_id, self._clock(), ending.until + self._leeway)

    def _follow(self, feed: EndingFeed) -> None:
        """Begin to follow the endings, unless a thread does already; it stops when this verifier is deleted."""
        with self._lock:
            if self._following:
                return
            self._following = True
        over = threading.Event()
        weakref.finalize(self, over.set).atexit = False
        threading.Thread(
            target=feed.follow, args=(over,), name=f"daypass-endings {self._names.issuer}", daemon=True
        ).start()

    def _find_key(self, kid: str) -> SigningKey | None:
        return self._keys.get(kid)

    def now(self) -> int:
        """Return the time in milliseconds since the epoch; for authors of adapters."""
        return self._clock()

    def _at_hand(self, text: str) -> AccessToken | None:
        """Return what a token says, by the cached keys; None if keys must be fetched first."""
        if self._feed is not None and not self._following:
            self._follow(self._feed)
        now = self._clock()
        if self._is_fresh(now):
            try:
                return self._check(text, now)
            except KeyUnknown:
                pass
        return None

    def _is_fresh(self, now: int) -> bool:
        """Return whether the keys are fresh; after half of their lifetime they are fetched again."""
        return abs(now - self._fetched_at) * 2 < self._fresh_for

    def _checking(self, text: str) -> Checking:
        """Check an access token, yielding each fetch that it must wait for."""
        now = self._clock()
        fetch = None if self._is_fresh(now) else self._begin(now)
        age = abs(now - self._fetched_at)
        if not self._is_usable(now):
            if fetch is not None:
                yield fetch, _PATIENCE
            if not self._is_usable(self._clock()):
                raise self._why()
        elif fetch is not None and age >= self._fresh_for and self._failure is None and not self._is_late:
            yield fetch, _PATIENCE_FOR_OLD  # a key may have been removed since
            self._is_late = not fetch.done()  # then no other token waits until a fetch succeeds
        try:
            return self._check(text, now)
        except KeyUnknown:
            yield from self._fetch_for_unknown(now)
        return self._check(text, self._clock())

    def _fetch_for_unknown(self, now: int) -> Generator[tuple[Fetch, float], None, None]:
        """Wait for a fetch that begins after now.

        Raises:
            KeysUnavailable: this fetch failed, or the one before it; whether there is such a key is not known.
        """
        fetch = self._begin_next(now)
        if fetch is not None:
            yield fetch, _PATIENCE
        failure = fetch.result() if fetch is not None and fetch.done() else self._why()
        if failure is not None:
            raise KeysUnavailable(str(failure))

    def _is_usable(self, now: int) -> bool:
        return bool(self._keys) and abs(now - self._fetched_at) < KEPT

    def _why(self) -> DaypassError:
        """Return the error to raise if keys are missing: a new instance each time, because it is raised many times."""
        failure = self._failure
        if failure is None:
            return KeysUnavailable("the issuer's keys were not fetched in time")
        return type(failure)(str(failure))

    # ---- fetching

    def _begin(self, now: int) -> Fetch | None:
        """Return the running or pending fetch, or begin one; None if the last one was too recent."""
        with self._lock:
            found = self._next or self._running
            if found is not None:
                return found
            return None if abs(now - self._tried_at) < APART else self._start(0)

    def _begin_next(self, now: int) -> Fetch | None:
        """Return the next fetch, which has not begun; None soon after a failed one."""
        with self._lock:
            if self._next is not None:
                return self._next
            since = abs(now - self._tried_at)
            if self._failure is not None and since < APART and self._running is None:
                return None
            return self._start(max(0, APART_FOR_UNKNOWN - since))

    def _start(self, delay: int) -> Fetch:
        """Begin a fetch in a new thread, after the one that is running and ``delay`` milliseconds."""
        fetch: Fetch = Future()
        fetch.set_running_or_notify_cancel()  # a caller that stops waiting does not cancel it for the others
        self._next = fetch
        thread = threading.Thread(
            target=self._fetch, args=(fetch, self._running, delay), name="daypass-keys", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no threads left, or the interpreter is shutting down
            self._next = None
            fetch.set_result(KeysUnavailable("no thread could be started to fetch the issuer's keys"))
        return fetch

    def _fetch(self, fetch: Fetch, before: Fetch | None, delay: int) -> None:
        failure = None if before is None else before.result()
        if failure is None:
            time.sleep(delay / SECOND)
            with self._lock:
                self._running, self._next, self._tried_at = fetch, None, self._clock()
            failure = self._attempt()
        self._end(fetch, failure)

    def _attempt(self) -> DaypassError | None:
        try:
            self._read()
        except DaypassError as error:
            return error
        except Exception as error:
            _log.exception("fetching the issuer's keys failed")
            return KeysUnavailable(f"the issuer's keys could not be fetched: {type(error).__name__}")
        return None

    def _read(self) -> None:
        url = self._url or self._find_url()
        answer = fetch(url)
        if answer.status != 200:
            hint = ": mount the issuer's well-known routes there, or give jwks_url" if answer.status == 404 else ""
            raise KeysUnavailable(f"{url} answered with {answer.status}{hint}")
        keys = jwk_set.keys_in(answer.body)
        gone = not self._keys.keys() <= keys.keys()
        changed = any(key.public != keys[kid].public for kid, key in self._keys.items() if kid in keys)
        self._keys, self._url = keys, url
        self._fetched_at, self._fresh_for = self._clock(), jwk_set.fresh_for(answer.cache_control)
        if gone or changed:
            self._verifier.forget()

    def _find_url(self) -> str:
        """Return the URL of the keys in the issuer's metadata; without metadata, the URL that Daypass uses."""
        issuer = self._names.issuer
        url = jwk_set.metadata_url(issuer)
        answer = fetch(url)
        if answer.status == 200:
            return jwk_set.url_in(answer.body, issuer)
        if 400 <= answer.status < 500:
            return jwk_set.default_url(issuer)
        raise KeysUnavailable(f"{url} answered with {answer.status}")

    def _end(self, fetch: Fetch, failure: DaypassError | None) -> None:
        if failure is None and self._failure is not None:
            _log.warning("the keys of %s could be fetched again", self._names.issuer)
        elif failure is not None and self._failure is None:
            _log.warning("the keys of %s could not be fetched: %s", self._names.issuer, failure)
        if failure is not None:
            self._url = self._given_url  # they may have moved: look up the URL again
        self._failure, self._is_late = failure, False
        with self._lock:
            self._running = None if self._running is fetch else self._running
            self._next = None if self._next is fetch else self._next
        fetch.set_result(failure)


class RemoteVerifier(_Remote):
    """Verifies the access tokens of another service's issuer.

    Threads may share it, and it needs no closing. Without ``endings`` it does not learn of ended sessions: their access
    tokens are accepted until they expire. `AsyncRemoteVerifier` is the same with ``await``.

    Args:
        issuer: the URL that access tokens name as their issuer (RFC 8414 §2).
        audience: whom the tokens must be for; the issuer by default, as with `Daypass`.
        jwks_url: the URL of the keys; by default from the issuer's own metadata (RFC 8414), otherwise
            ``<issuer>/.well-known/jwks.json``. HTTPS, or plain HTTP on loopback; redirects are not followed.
        leeway: by how much clocks may differ, at most a minute.
        endings: whether to learn within a second of ended sessions, from ``<issuer>/auth/endings``; or the URL of that
            endpoint. The attribute `endings` then says how this is done.
        client_id: the id of this service, registered at the issuer with ``introspects=True``; for ``endings``.
        client_secret: the secret of that client.
        dpop: whether guards accept access tokens that are bound to a key (RFC 9449): True, or a `DPoP` with options. By
            default each process remembers the proofs that it has accepted; with several, give them a store:
            ``DPoP(replay_cache=open_store("redis://…"))``.
        clock: returns the time in milliseconds since the epoch.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write instead.
    """

    awaits = False

    def run(self, flow: Flow[A]) -> A:
        """Drive the check of a proof, with the store that remembers proofs; for authors of adapters."""
        return run(flow, _answer)

    def verify(self, access_token: str) -> AccessToken:
        """Return what an access token says (RFC 9068 §4).

        It waits for the first keys and for an unknown key. It waits at most a second if the keys are old because
        nothing was checked for minutes. Threads that wait share one fetch.

        Raises:
            TokenMalformed: it is not an access token of this issuer for this audience.
            TokenExpired: it has expired.
            KeysUnavailable: the keys, or the one it names, are missing and the issuer cannot be asked; nothing was
                decided.
            ConfigurationError: what the issuer publishes is unusable: another issuer's metadata, or no public keys.
        """
        token = self._at_hand(access_token)
        if token is not None:
            return token
        checking = self._checking(access_token)
        while True:
            try:
                fetch, seconds = next(checking)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
            wait_for(fetch, seconds)

    def watch(self, access_token: str, *, on_end: Callable[[TokenRejected], object] | None = None) -> Watch:
        """Watch an open connection, as `Daypass.watch`; without ``endings`` it ends when its access token expires."""
        return Watch(self._connections, self.verify, access_token, on_end)


class AsyncRemoteVerifier(_Remote):
    """`RemoteVerifier` with ``await``: it never blocks the event loop, and several event loops may share it."""

    awaits = True

    async def run(self, flow: Flow[A]) -> A:
        """Drive the check of a proof, with the store that remembers proofs; for authors of adapters."""
        return await arun(flow, _answer)

    async def verify(self, access_token: str) -> AccessToken:
        """Return what an access token says; as `RemoteVerifier.verify`, errors included."""
        token = self._at_hand(access_token)
        if token is not None:
            return token
        checking = self._checking(access_token)
        while True:
            try:
                fetch, seconds = next(checking)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
            await await_for(fetch, seconds)

    def watch(self, access_token: str, *, on_end: Callable[[TokenRejected], object] | None = None) -> AsyncWatch:
        """Watch an open connection, as `AsyncDaypass.watch`; without ``endings`` it ends when its token expires."""
        return AsyncWatch(self._connections, self.verify, access_token, on_end)


def _answer(step: Step[Any]) -> Any:
    """Answer the one step that a verifier has: it asks the store of used proofs."""
    if not isinstance(step, InStore):
        raise TypeError(f"a verifier has no answer to {type(step).__name__}")
    return step.store.perform_operator(step.step)
