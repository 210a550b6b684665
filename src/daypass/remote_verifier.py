"""Verifies an issuer's access tokens in another service, by the keys that the issuer publishes.

A check costs no I/O: the keys are kept, and fetched anew by a thread of their own before they are old. An issuer that
is down is not missed: the last good keys are used on, for a day. A token that names an unknown key has them fetched,
once in three seconds at the most, whoever sends such tokens and however many.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from urllib.parse import urlsplit

from daypass import jwk_set
from daypass.access_token import AccessToken, Names
from daypass.clock import system_clock
from daypass.duration import DAY, MINUTE, SECOND, Duration, milliseconds
from daypass.errors import ConfigurationError, DaypassError, KeysUnavailable, KeyUnknown
from daypass.forks import survive_forks
from daypass.http_get import SECONDS, fetch
from daypass.keys import SigningKey
from daypass.verifier import Verifier

APART = 3 * SECOND
"""Between two fetches, whatever is asked; at-once rotation uses a new key five seconds after it was published."""

KEPT = 1 * DAY
"""For how long the last good keys are used while the issuer cannot be asked."""

_PATIENCE = 2 * SECONDS + 1
"""Seconds: what finds out where the keys are and what fetches them, and a moment."""

Fetch = Future[None]
Checking = Generator[Fetch, None, AccessToken]

_log = logging.getLogger("daypass")


class _Remote:
    """What both colours share: everything but the waiting."""

    def __init__(
        self,
        issuer: str,
        *,
        audience: str | None = None,
        jwks_url: str | None = None,
        leeway: Duration = 0,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        if type(issuer) is not str or not issuer:
            raise ConfigurationError("issuer has to be the URL that access tokens name as theirs")
        if audience is not None and (type(audience) is not str or not audience):
            raise ConfigurationError("audience has to be text, and not empty; the issuer's own unless one is given")
        if jwks_url is None:
            jwk_set.checked_url("issuer", issuer)
            if urlsplit(issuer).query:
                raise ConfigurationError(f"issuer={issuer!r} is no URL of an issuer; write https://api.example.com")
        else:
            jwk_set.checked_url("jwks_url", jwks_url)
        self._leeway = milliseconds(leeway)
        if self._leeway > MINUTE:
            raise ConfigurationError("leeway may be one minute at the most; set the clocks right instead")
        self._names = Names(issuer, audience or issuer, "")
        self._given_url = jwks_url
        self._url = jwks_url
        self._clock = clock
        self._keys: jwk_set.Keys = {}
        self._fetched_at = self._tried_at = clock() - KEPT
        self._fresh_for = 0
        self._failure: DaypassError | None = None
        self.recover_from_fork()
        survive_forks(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(issuer={self._names.issuer!r}, audience={self._names.audience!r})"

    def recover_from_fork(self) -> None:
        """Have no fetch underway, and no lock held: so it is at first, and in a forked child."""
        self._lock = threading.Lock()
        self._underway: Fetch | None = None
        self._verifier = Verifier(self._names, self._find_key, leeway=self._leeway)
        self._check = self._verifier.check

    def _find_key(self, kid: str) -> SigningKey | None:
        return self._keys.get(kid)

    def _at_hand(self, text: str) -> AccessToken | None:
        """Return what a token says by the keys that are here, None where others have to be asked for first."""
        now = self._clock()
        if self._is_fresh(now):
            try:
                return self._check(text, now)
            except KeyUnknown:
                pass
        return None

    def _is_fresh(self, now: int) -> bool:
        """Tell whether the keys are young; from half of their time on they are fetched anew."""
        return abs(now - self._fetched_at) * 2 < self._fresh_for

    def _checking(self, text: str) -> Checking:
        """Check an access token, yielding each fetch that has to be waited for."""
        now = self._clock()
        fetch = None if self._is_fresh(now) else self._begin(now)
        age = abs(now - self._fetched_at)
        if not self._keys or age >= KEPT:
            if fetch is not None:
                yield fetch
            if not self._keys or abs(self._clock() - self._fetched_at) >= KEPT:
                raise self._why()
        elif fetch is not None and age >= self._fresh_for and self._failure is None:
            yield fetch  # nobody asked for long; should it fail, the last good keys are used, and nobody waits again
        keys = self._keys
        try:
            return self._check(text, now)
        except KeyUnknown:
            fetch = self._begin(now, join=True)
            if fetch is not None:
                yield fetch
            if self._keys is keys:
                if self._failure is not None:  # whether there is such a key cannot be said
                    raise KeysUnavailable(str(self._failure)) from None
                raise
        return self._check(text, self._clock())

    def _why(self) -> DaypassError:
        """Return the error to raise where keys are missing: one of its own, because it is raised many times."""
        failure = self._failure
        if failure is None:
            return KeysUnavailable("the issuer's keys were not fetched in time")
        return type(failure)(str(failure))

    # ---- fetching

    def _begin(self, now: int, *, join: bool = False) -> Fetch | None:
        """Return the fetch to wait for, begun now; None where there is none to begin.

        Args:
            now: milliseconds since the epoch.
            join: return the one that is underway, too; so it is for all as long as there are no keys.
        """
        with self._lock:
            if self._underway is not None:
                return self._underway if join or not self._keys else None
            if abs(now - self._tried_at) < APART:
                return None
            self._tried_at = now
            fetch: Fetch = Future()
            fetch.set_running_or_notify_cancel()  # so that whoever stops waiting cancels it for nobody else
            self._underway = fetch
        try:
            threading.Thread(target=self._fetch, args=(fetch,), name="daypass-keys", daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter is about to end
            self._end(fetch, KeysUnavailable("no thread could be started to fetch the issuer's keys"))
        return fetch

    def _fetch(self, fetch: Fetch) -> None:
        failure: DaypassError | None
        try:
            self._read()
            failure = None
        except DaypassError as error:
            failure = error
        except Exception as error:
            _log.exception("fetching the issuer's keys failed")
            failure = KeysUnavailable(f"the issuer's keys could not be fetched: {type(error).__name__}")
        self._end(fetch, failure)

    def _read(self) -> None:
        url = self._url or self._find_url()
        answer = fetch(url)
        if answer.status != 200:
            raise KeysUnavailable(f"{url} answered with {answer.status}")
        keys = jwk_set.keys_in(answer.body)
        gone = not self._keys.keys() <= keys.keys()
        changed = any(key.public != keys[kid].public for kid, key in self._keys.items() if kid in keys)
        self._keys, self._url = keys, url
        self._fetched_at, self._fresh_for = self._clock(), jwk_set.fresh_for(answer.cache_control)
        if gone or changed:
            self._verifier.forget()

    def _find_url(self) -> str:
        """Return where the issuer says that its keys are; where it does not tell of itself, where Daypass has them."""
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
            self._url = self._given_url  # they may have moved: it is found anew
        self._failure = failure
        with self._lock:
            if self._underway is fetch:
                self._underway = None
        fetch.set_result(None)


class RemoteVerifier(_Remote):
    """Verifies the access tokens of an issuer that is elsewhere.

    It may be shared by threads, and needs no closing. What it knows of sessions is what their tokens say: the token of
    an ended session is good here until it expires. `AsyncRemoteVerifier` is the same with ``await``.

    Args:
        issuer: the URL that access tokens name as their issuer (RFC 8414 §2).
        audience: whom they have to be for; the issuer itself unless told otherwise, as it is with `Daypass`.
        jwks_url: where the keys are; found from the issuer's own metadata (RFC 8414), else
            ``<issuer>/.well-known/jwks.json``. HTTPS, or plain HTTP on loopback; redirects are not followed.
        leeway: by how much clocks may differ, a minute at the most.
        clock: returns the time in milliseconds since the epoch.

    Raises:
        ConfigurationError: an argument cannot work; the message says what to write instead.
    """

    def verify(self, access_token: str) -> AccessToken:
        """Return what an access token says (RFC 9068 §4).

        It waits only where there is nothing to judge by: for the first keys, and for a key that is not known; of many
        threads one fetches.

        Raises:
            TokenMalformed: it is no access token of this issuer for this audience.
            TokenExpired: its time is over.
            KeysUnavailable: there are no keys, or not the one it names, and the issuer cannot be asked; nothing was
                decided.
            ConfigurationError: what the issuer publishes cannot work: another issuer's metadata, or no public keys.
        """
        token = self._at_hand(access_token)
        if token is not None:
            return token
        checking = self._checking(access_token)
        while True:
            try:
                fetch = next(checking)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
            _wait(fetch)


class AsyncRemoteVerifier(_Remote):
    """`RemoteVerifier` with ``await``: it never blocks the event loop, and may be shared by several."""

    async def verify(self, access_token: str) -> AccessToken:
        """Return what an access token says; as `RemoteVerifier.verify`, errors included."""
        token = self._at_hand(access_token)
        if token is not None:
            return token
        checking = self._checking(access_token)
        while True:
            try:
                fetch = next(checking)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
            await _await(fetch)


def _wait(fetch: Fetch) -> None:
    """Wait for a fetch as long as it may take; what it came to is told elsewhere."""
    with contextlib.suppress(TimeoutError):
        fetch.result(_PATIENCE)


async def _await(fetch: Fetch) -> None:
    import asyncio  # here, because it is a third of what importing daypass would cost those who never use it

    waiting = asyncio.wrap_future(fetch)
    try:
        await asyncio.wait([waiting], timeout=_PATIENCE)
    finally:
        waiting.cancel()
