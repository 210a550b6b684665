"""`Vault`: many connections to other services in one database, shared by many machines."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from daypass.client.auth import server_of
from daypass.client.clock import monotonic_ms
from daypass.client.events import Reporter, logger
from daypass.client.failures import described
from daypass.client.function import FunctionStrategy
from daypass.client.messages import Grant, Stale, Unavailable
from daypass.client.oauth import IDLE_TTL
from daypass.client.origin import plain_url
from daypass.client.parsing import is_token, jwt_lifetime, lifetime_in_milliseconds
from daypass.client.sealing import Sealing
from daypass.client.session import ClientSession
from daypass.client.storage.base import LOST_ANSWER, Facts, Turn
from daypass.client.storage.base import Kept as KeptText
from daypass.client.storage.memory import MemoryStorage
from daypass.client.storage.row import Row, begun
from daypass.client.storage.shared import SharedStorage
from daypass.client.timing import Timing
from daypass.client.vault.connection import Connection, key_of, names_in, shown
from daypass.client.vault.events import VaultEvent, VaultEventKind, VaultReporter, exposition
from daypass.client.vault.keeper import HOLD, SHARE, Kept, Outcome, keep_provider
from daypass.client.vault.rows import VaultRows, open_rows
from daypass.drive import run
from daypass.duration import Duration, milliseconds
from daypass.errors import ConfigurationError, DaypassError, RefreshUnavailable, StoreContended, StoreError
from daypass.secret import Secret

if TYPE_CHECKING:
    from daypass.client.strategy import Strategy

Provider: TypeAlias = "Strategy | tuple[str, Strategy | Callable[[str | None], Any]]"
"""The strategy of one provider, with the URL of the server if the strategy needs one."""

BATCH = 20
WORKERS = 4
PAGE = 200
SHOWN = 10
"""How many failures of a rewrap are listed."""

ATTEMPTS = 20
TURN = 40.0
"""Seconds that `Vault.remove` waits for a refresh in progress."""

REVOCATION_LIMIT = 30.0
"""Timeout of each step of a revocation, in seconds."""

_NO_URL = "https://localhost"


@dataclass(frozen=True, slots=True)
class Removed:
    """The result of `Vault.remove`.

    Attributes:
        revoked: whether the provider has revoked the refresh token.
        reason: why not, if not: then the token may still be valid there.
    """

    revoked: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """The progress of `Vault.rewrap`, in numbers of connections.

    Attributes:
        seen: checked so far.
        rewrapped: sealed again, with the newest secret.
        failed: could not be opened with any of the secrets; they were not changed.
        failures: the names and the reasons of the first of those.
    """

    seen: int = 0
    rewrapped: int = 0
    failed: int = 0
    failures: tuple[str, ...] = ()


class Vault:
    """Keeps the tokens of many connections, for any number of machines.

        vault = Vault("postgresql://vault@db.example.com/app", secret=os.environ["DAYPASS_VAULT_SECRET"])
        auth = DaypassAuth("https://api.xero.com", strategy=xero("app"), storage=vault.connection("xero", "tenant-42"))

    Every method may be called from any thread. `AsyncVault` has the same methods, to be awaited.

    Args:
        url: the URL of the database: ``postgresql://…``, ``redis://…``, ``redis+sentinel://…`` or
            ``redis+cluster://…``.
        secret: encrypts the rows: at least 32 bytes, not the server's ``DAYPASS_SECRET``. Give a list to rotate it: the
            first secret seals, all of them open. ``secret=[new, old]``
        providers: the strategy of each provider, for `keep`, and for `remove` to revoke. For a strategy that is not
            `OAuth`, also the URL of its server. ``providers={"xero": xero("app", "secret")}``
        on_event: called with each `VaultEvent`, in the thread where it happens; it must not block.
        client: a client of httpx2 or httpx to send through; by default one is opened when something is sent.
        options: arguments of the database's storage: `daypass.client.storage.PostgresStorage`, `RedisStorage`.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: Secret,
        providers: Mapping[str, Provider] | None = None,
        on_event: Callable[[VaultEvent], object] | None = None,
        client: Any = None,
        **options: Any,
    ) -> None:
        if on_event is not None and not callable(on_event):
            raise ConfigurationError(f"on_event is a function to call, or None; not {type(on_event).__name__}")
        self._providers = {provider: _strategy_of(provider, given) for provider, given in (providers or {}).items()}
        self._sealing = Sealing(secret)
        self._reporter = VaultReporter(on_event)
        self._client = client
        self._rows: VaultRows = open_rows(url, **options)

    def __repr__(self) -> str:
        return f"<Vault {self._rows!r}>"

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """How often each kind of event happened in this process, by kind and provider."""
        return self._reporter.counts

    def metrics(self) -> str:
        """Return `counts` in the text format of Prometheus."""
        return exposition(self.counts)

    def connection(self, provider: str, name: str) -> SharedStorage:
        """Return the storage of a connection, for ``DaypassAuth(…, storage=…)``; it uses this vault's pool.

        Raises:
            ConfigurationError: the provider or the name is invalid.
        """
        return _Connection(self._rows, self._sealing, self._reporter, provider, name)

    def put(
        self,
        provider: str,
        name: str,
        *,
        refresh_token: str,
        access_token: str | None = None,
        expires_in: float | None = None,
    ) -> None:
        """Store the tokens of a login, replacing the connection's tokens, which are not revoked.

        Args:
            provider: the provider, such as ``xero``.
            name: the account there, such as ``tenant-42``.
            refresh_token: the refresh token of the grant.
            access_token: the access token of the grant; without it, the first request waits for a refresh.
            expires_in: seconds until the access token expires; by default read from the token if it is a JWT.

        Raises:
            ConfigurationError: a token or a name is invalid; nothing was changed.
            StoreUnavailable: the database does not answer.
        """
        key = key_of(provider, name)
        for which, token in (("refresh_token", refresh_token), ("access_token", access_token)):
            if not (is_token(token) or (token is None and which == "access_token")):
                raise ConfigurationError(f"{which} is text in visible ASCII characters, as the provider gave it")
        lifetime: int | None = 0
        if access_token is not None:
            lifetime = lifetime_in_milliseconds(expires_in) or jwt_lifetime(access_token)
        text = self._record(provider, Grant(access_token or "", lifetime, refresh_token))
        self._begin(key, self._sealing.seal(text, key), lifetime)
        self._reporter.emit(VaultEventKind.PUT, provider, name)

    def connections(self, provider: str | None = None) -> Iterator[Connection]:
        """Yield each `Connection`, read page by page; a change meanwhile may be missed.

        Args:
            provider: the provider; ``None`` for all.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        for page in self.pages(provider):
            yield from page

    def pages(self, provider: str | None = None) -> Iterator[Sequence[Connection]]:
        """Yield the same as `connections`, a page at a time."""
        for rows, now in self._pages(provider):
            yield [shown(key, row, now) for key, row in rows if row.sealed is not None]

    def show(self, provider: str, name: str) -> Connection | None:
        """Return a `Connection`, without tokens; ``None`` if it does not exist.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        key = key_of(provider, name)
        row, now = self._rows.read(key)
        return None if row is None or row.sealed is None else shown(key, row, now)

    def remove(self, provider: str, name: str, *, only_if_revoked: bool = False) -> Removed:
        """Revoke a connection's refresh token at the provider (RFC 7009), then delete its row.

        No machine refreshes it meanwhile. Access tokens that workers have may stay valid until they expire.

        Args:
            provider: the provider.
            name: the account there.
            only_if_revoked: keep the row if the provider has not revoked the token, to try again later.

        Raises:
            ConfigurationError: there is no such connection.
            RefreshUnavailable: other machines kept refreshing it, or it was not revoked; the row is kept.
            StoreUnavailable: the database does not answer.
        """
        key = key_of(provider, name)
        with self._turn(key) as row:
            reason = self._revoke(key, row)
            if reason is not None:
                self._reporter.emit(VaultEventKind.NOT_REVOKED, provider, name, reason)
                if only_if_revoked:
                    raise RefreshUnavailable(f"{key} was not revoked, and is kept: {reason}")
            self._delete(key)
        self._reporter.emit(VaultEventKind.REMOVED, provider, name)
        return Removed(revoked=reason is None, reason=reason)

    def rewrap(
        self, *, on_progress: Callable[[Rewrapped], object] | None = None, stop: threading.Event | None = None
    ) -> Rewrapped:
        """Seal all rows that have an older secret with the newest one; return the numbers of rows.

        You may interrupt it and call it again, from any machine, while workers refresh.

        Args:
            on_progress: called after each page of rows.
            stop: ends it between two pages.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        done = Rewrapped()
        for rows, _ in self._pages(None):
            for key, row in rows:
                done = self._counted(done, key, row)
            if on_progress is not None:
                on_progress(done)
            if stop is not None and stop.is_set():
                break
        return done

    def keep(
        self,
        *,
        every: Duration | None = None,
        stop: threading.Event | None = None,
        batch: int = BATCH,
        workers: int = WORKERS,
    ) -> Kept:
        """Refresh the connections whose refresh tokens would expire from disuse, and return the results.

        A connection is due when half of its provider's ``idle_ttl`` has passed without a refresh. Any number of
        machines may call it at once: each connection is refreshed by one of them.

        Args:
            every: repeat with this interval until ``stop`` is set; by default there is one pass. ``every="10m"``
            stop: ends it after the current batch.
            batch: how many connections are claimed at a time.
            workers: how many are refreshed at a time.

        Raises:
            ConfigurationError: there are no providers, or a number is not above zero.
            StoreUnavailable: the database does not answer; with ``every``, it is tried again.
        """
        if not self._providers:
            raise ConfigurationError("keep needs to know how to refresh: Vault(…, providers={'xero': xero(…)})")
        if batch < 1 or workers < 1 or (every is not None and milliseconds(every) < 1):
            raise ConfigurationError("batch, workers and every are numbers above zero")
        stop = threading.Event() if stop is None else stop
        with ThreadPoolExecutor(workers, "daypass-keep") as threads, self._opened_client() as client:
            keep_once = partial(self._keep_once, client, threads, batch, stop)
            if every is None:
                return keep_once()
            kept, pause = Kept(), milliseconds(every) / 1000
            while True:
                try:
                    kept += keep_once()
                except StoreError as error:
                    logger.warning("keep goes on in %g s: %s", pause, error)
                if stop.wait(pause):
                    return kept

    def close(self) -> None:
        """Close the connections to the database."""
        self._rows.close()

    def _pages(self, provider: str | None) -> Iterator[tuple[Sequence[tuple[str, Row]], int]]:
        """Yield the keys and the rows of connections, and the time by the database's clock."""
        after: str | None = None
        while after != "":
            found, after, now = self._rows.page(provider, after or "", PAGE)
            if found:
                yield found, now

    def _begin(self, key: str, sealed: str, lifetime: int | None) -> None:
        for _ in range(ATTEMPTS):
            row, now = self._rows.read(key)
            new = begun(row, now, sealed, secrets.token_hex(8), lifetime=lifetime)
            if self._rows.swap(key, None if row is None else row.revision, new):
                return
        raise StoreContended(f"others changed the row {key!r} again and again; nothing was changed")

    @contextmanager
    def _turn(self, key: str) -> Iterator[Row]:
        """Prevent all machines from refreshing a connection, and yield its row."""
        row, _ = self._rows.read(key)
        if row is None or row.sealed is None:
            raise ConfigurationError(f"there is no connection {key!r} in the vault; nothing was changed")
        with SharedStorage(self._rows, key, self._sealing).refreshing(TURN) as held:
            row, _ = self._rows.read(key)
            if not held or row is None:
                raise RefreshUnavailable(f"{key} is being refreshed; try again. Nothing was changed")
            yield row

    def _counted(self, done: Rewrapped, key: str, row: Row) -> Rewrapped:
        try:
            return replace(done, seen=done.seen + 1, rewrapped=done.rewrapped + self._rewrap(key, row))
        except ConfigurationError as error:
            first = (*done.failures, str(error))[:SHOWN]
            return replace(done, seen=done.seen + 1, failed=done.failed + 1, failures=first)

    def _record(self, provider: str, grant: Grant) -> str:
        """Return the text of a new session."""
        found, place = self._providers.get(provider), MemoryStorage()
        session = ClientSession(
            timing=Timing(),
            clock=monotonic_ms,
            jitter=random.random,
            reporter=Reporter(monotonic_ms),
            storage=place,
            server=None if found is None else server_of(found[1], found[0]),
        )
        session.begin(grant)
        return str(place.load())

    def _revoke(self, key: str, row: Row) -> str | None:
        """Revoke the refresh token in a row; return why it is not revoked, ``None`` if it is."""
        found = self._providers.get(names_in(key)[0])
        if row.reason == LOST_ANSWER:
            return "an answer of the provider was lost, and the token in it"
        if row.reason is not None:
            return None
        if found is None:
            return "no provider of that name is configured"
        url, strategy = found
        try:
            return self._revoke_by(strategy, url, self._sealing.open(str(row.sealed), key))
        except ConfigurationError as error:
            return str(error)

    def _revoke_by(self, strategy: Strategy, url: str, text: str) -> str | None:
        from daypass.client.httpx import DaypassAuth

        place = MemoryStorage()
        place.save(text)
        tokens = DaypassAuth(url, strategy=strategy, storage=place).context.session.tokens
        if tokens is None:
            return None

        def send(message: Any) -> Any:
            return DaypassAuth.library.send(self._client, message.url(url), message, REVOCATION_LIMIT)

        try:
            done = run(strategy.logout(tokens), send)
        except Exception as error:
            return f"the provider did not answer ({described(error)})"
        return None if done else "the provider refused, or has no endpoint for it (RFC 7009)"

    def _delete(self, key: str) -> None:
        for _ in range(ATTEMPTS):
            row, _ = self._rows.read(key)
            if row is None or self._rows.swap(key, row.revision, None):
                return
        raise StoreContended(f"others changed the row {key!r} again and again; it was revoked and is not removed")

    def _rewrap(self, key: str, row: Row | None) -> bool:
        """Seal one row again, if it has an older secret; return whether it had.

        Raises:
            ConfigurationError: it cannot be opened.
        """
        for _ in range(ATTEMPTS):
            if row is None or row.sealed is None or self._sealing.is_newest(row.sealed):
                return False
            sealed = self._sealing.seal(self._sealing.open(row.sealed, key), key)
            if self._rows.swap(key, row.revision, replace(row, sealed=sealed, revision=secrets.token_hex(8))):
                return True
            row, _ = self._rows.read(key)
        raise ConfigurationError("it is being changed again and again; run this once more")

    @contextmanager
    def _opened_client(self) -> Iterator[Any]:
        """Yield one client for many refreshes: opening a client takes longer than sending a request."""
        if self._client is not None:
            yield self._client
            return
        from daypass.client.httpx_libraries import default_library

        direct = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"))  # without a proxy
        with default_library().Client(mounts=direct) as client:
            yield client

    def _keep_once(self, client: Any, threads: ThreadPoolExecutor, batch: int, stop: threading.Event) -> Kept:
        kept = Kept()
        for provider in self._providers:
            idle_ttl = self._idle_ttl(provider)
            if idle_ttl is not None:
                claim = partial(self._claim, provider, int(idle_ttl * SHARE), batch, monotonic_ms())
                kept = sum(keep_provider(claim, partial(self._refresh, client), threads, stop), kept)
        return kept

    def _claim(self, provider: str, idle_for: int, batch: int, since: int) -> list[str]:
        """Return the next batch of connections that were idle when the pass began: so the pass ends."""
        return self._rows.claim(provider, idle_for + monotonic_ms() - since, min(HOLD, idle_for), batch)

    def _idle_ttl(self, provider: str) -> int | None:
        found = self._providers.get(provider)
        default = milliseconds(IDLE_TTL)
        return default if found is None else getattr(found[1], "idle_ttl", default)

    def _refresh(self, client: Any, key: str) -> Outcome:
        """Refresh one connection, unless another machine has just done it."""
        provider, name = names_in(key)
        try:
            outcome, reason = self._refresh_now(client, provider, name)
        except DaypassError as error:
            outcome, reason = Outcome.FAILED, str(error)
        except Exception as error:  # an error of one connection: the others go on
            outcome, reason = Outcome.FAILED, described(error)
        if outcome is Outcome.FAILED:
            self._reporter.emit(VaultEventKind.KEEP_FAILED, provider, name, reason)
        return outcome

    def _refresh_now(self, client: Any, provider: str, name: str) -> tuple[Outcome, str | None]:
        from daypass.client.httpx import DaypassAuth

        url, strategy = self._providers[provider]
        storage = self.connection(provider, name)
        session, refresher, *_ = DaypassAuth(url, strategy=strategy, storage=storage, client=client).context
        if session.tokens is None:
            return Outcome.GONE, None
        state = refresher.wait(refresher.start(session.tokens.version, blocks=True))
        if state.tokens is None:
            return Outcome.NEEDS_LOGIN, state.ended
        if isinstance(state.outcome, Unavailable | Stale):
            return Outcome.FAILED, state.outcome.reason
        return Outcome.DONE, None


class _Connection(SharedStorage):
    """The storage of one connection; it reports events when it is written.

    Args:
        rows: the rows of the database.
        sealing: encrypts the text.
        reporter: for events.
        provider: the provider.
        name: the account there.
    """

    def __init__(self, rows: VaultRows, sealing: Sealing, reporter: VaultReporter, provider: str, name: str) -> None:
        super().__init__(rows, key_of(provider, name), sealing)
        self._report = partial(reporter.emit, provider=provider, name=name)

    def replace(
        self, expected: Callable[[KeptText], bool], text: str | None, facts: Facts, turn: Turn | None = None
    ) -> bool:
        """Replace the text as `SharedStorage.replace` does, and report a refresh or the end of the connection."""
        written = super().replace(expected, text, facts, turn)
        if written and facts.ended is not None:
            self._report(VaultEventKind.NEEDS_LOGIN, reason=facts.ended)
            if facts.ended == LOST_ANSWER:
                self._report(VaultEventKind.LOST_ANSWER, reason=facts.ended)
        elif written and turn is not None:
            self._report(VaultEventKind.REFRESHED)
        return written


def _strategy_of(provider: str, given: Any) -> tuple[str, Strategy]:
    """Return the URL of a provider's server, and its strategy."""
    key_of(provider, "any name")
    url, strategy = given if isinstance(given, tuple) and len(given) == 2 else (_NO_URL, given)
    if callable(strategy) and not hasattr(strategy, "begins_by_refreshing"):
        strategy = FunctionStrategy(strategy)
    if not hasattr(strategy, "begins_by_refreshing"):
        raise ConfigurationError(
            f"invalid provider {provider!r}: expected a strategy such as providers.xero(…), or the URL of its "
            "server and a strategy"
        )
    return plain_url(url), strategy
