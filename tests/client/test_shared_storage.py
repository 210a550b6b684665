"""Sessions in a database that many machines share: what a client does with them, and what it does not."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from daypass.client.events import ClientEvent
from daypass.client.httpx import DaypassAuth
from daypass.client.sealing import Sealing
from daypass.client.storage import RedisStorage
from daypass.client.storage.base import Kept, Turn
from daypass.client.storage.redis import RedisRows
from daypass.client.storage.row import Row, Watch, begun, taken
from daypass.client.storage.shared import Rows, SharedStorage
from daypass.client.timing import Timing, silence_after
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable
from daypass.testing.strict_server import PASSWORD
from tests.servers import redis

LIFETIME = 900_000
SECRET = "a secret of the tests, of at least 32 bytes"
KEY = "xero/tenant-42"
TIMING = Timing(fresh=0, pause=10, backoff=20)


class Counted:
    """The rows of a database; notes what is asked of it.

    Attributes:
        asked: ``"read"`` or ``"swap"`` for each trip.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.asked: list[str] = []

    def read(self, key: str) -> tuple[Row | None, int]:
        self.asked.append("read")
        return self._rows.read(key)

    def swap(self, key: str, revision: str | None, row: Row | None) -> bool:
        self.asked.append("swap")
        return self._rows.swap(key, revision, row)

    def close(self) -> None:
        self._rows.close()


@pytest.fixture
def rows(redis_server: str) -> Iterator[RedisRows]:
    with redis.prefix(redis_server) as prefix:
        made = RedisRows(redis_server, prefix=prefix)
        yield made
        made.close()


class Worker:
    """One process of one machine, with its own clocks."""

    def __init__(self, url: str, rows: Rows, clock: Any, ahead: int = 0, **options: Any) -> None:
        self.events: list[ClientEvent] = []
        self.url = url
        self.auth = DaypassAuth(
            f"{url}/auth",
            storage=SharedStorage(rows, KEY, Sealing(SECRET)),
            clock=lambda: clock() + ahead,
            wall_clock=lambda: time.time_ns() // 1_000_000 + ahead,
            on_event=self.events.append,
            timing=TIMING,
            **options,
        )

    def login(self) -> None:
        with httpx2.Client(base_url=self.url) as client:
            self.auth.login(client, email="ada@example.com", password=PASSWORD)

    def get(self) -> int:
        return httpx2.get(f"{self.url}/me", auth=self.auth).status_code

    def saw(self, kind: str) -> int:
        return sum(event.kind == kind for event in self.events)


NewWorker = Callable[..., Worker]


@pytest.fixture
def new_worker(url: str, rows: RedisRows, clock: Any) -> NewWorker:
    return lambda rows=rows, **options: Worker(url, rows, clock, **options)


def test_good_token_asks_nobody(new_worker: NewWorker, rows: RedisRows, issuer: Any, clock: Any) -> None:
    """No trip to the database for a request with it; three for a refresh; one where another worker has refreshed."""
    one, two = Counted(rows), Counted(rows)
    first = new_worker(one)
    first.login()
    second = new_worker(two)
    one.asked.clear()
    two.asked.clear()
    for _ in range(20):
        assert (200, 200) == (first.get(), second.get())
    assert ([], []) == (one.asked, two.asked)
    clock.advance(LIFETIME)
    assert 200 == first.get()
    assert 200 == second.get()
    assert (["read", "swap", "swap"], ["read"]) == (one.asked, two.asked)
    assert (1, 1) == (issuer.counts["refreshes"], second.saw("adopted"))


class Slow(Counted):
    """If the database is slow to write, that part of the lease has passed when the turn begins."""

    def __init__(self, rows: Rows, clock: Any, takes: int) -> None:
        super().__init__(rows)
        self._clock, self._takes = clock, takes

    def swap(self, key: str, revision: str | None, row: Row | None) -> bool:
        done = super().swap(key, revision, row)
        self._clock.advance(self._takes)
        return done


class Noted(SharedStorage):
    """Notes for how many seconds the turn is waited for, and how long a lease is."""

    asked = (0.0, 0.0)

    @contextmanager
    def turn(self, settled: Callable[[Kept], bool], seconds: float, lease: float) -> Iterator[Turn]:
        self.asked = (seconds, lease)
        with super().turn(settled, seconds, lease) as turn:
            yield turn


@pytest.mark.parametrize(("takes", "sent"), [(0, True), (20_000, True), (38_000, False)])
def test_refresh_ends_before_its_lease(
    rows: RedisRows, url: str, issuer: Any, clock: Any, takes: int, *, sent: bool
) -> None:
    """Each step of it is limited by the rest of the lease; with no rest it is not sent. The token is not lost."""
    slow, limits = Slow(rows, clock, 0), list[float]()
    storage = Noted(slow, KEY, Sealing(SECRET), clock=clock)
    hooks = {"request": [lambda request: limits.append(request.extensions["timeout"]["read"])]}
    with httpx2.Client(base_url=url, event_hooks=hooks) as client:
        auth = DaypassAuth(f"{url}/auth", storage=storage, clock=clock, timing=TIMING)
        auth.login(client, email="ada@example.com", password=PASSWORD)
        clock.advance(LIFETIME)
        limits.clear()
        slow._takes = takes
        if sent:
            assert 200 == client.get("/me", auth=auth).status_code
            assert 0 < limits[0] <= min(TIMING.strict_deadline, TIMING.lease_for(0) - takes) / 1000
        else:
            with pytest.raises(RefreshUnavailable, match="stopped for so long that its turn to refresh is over"):
                client.get("/me", auth=auth)
    assert int(sent) == issuer.counts["refreshes"]
    seconds, lease = storage.asked
    assert seconds > lease + silence_after(int(lease * 1000)) / 1000


def test_clocks_of_machines_may_differ(new_worker: NewWorker, issuer: Any, clock: Any) -> None:
    """The age of a token is measured by the database's clock: machines whose clocks differ by hours do not refresh."""
    new_worker().login()
    for ahead in (-7_200_000, 7_200_000):
        worker = new_worker(ahead=ahead)
        assert 890 < (worker.auth.expires_in or 0) <= 900
        assert 200 == worker.get()
    assert 0 == issuer.counts["refreshes"]


def test_database_that_is_down_logs_nobody_out(new_worker: NewWorker, url: str, issuer: Any, clock: Any) -> None:
    """A token that is good is used; else `RefreshUnavailable`. Nothing is sent without the turn."""
    with redis.Server("appendonly yes", "appendfsync always") as server:
        rows = RedisRows(server.url, timeout="500ms")
        worker = new_worker(rows)
        worker.login()
        server.kill()
        assert 200 == worker.get()
        late = new_worker(rows)
        with pytest.raises(RefreshUnavailable, match=r"no tokens now: the Redis server .* cannot be used"):
            late.get()
        clock.advance(LIFETIME)
        with pytest.raises(RefreshUnavailable, match=r"the Redis server .* cannot be used"):
            worker.get()
        assert [] == issuer.presented
        server.start()
        clock.advance(1_000)
        assert (200, 200) == (worker.get(), late.get())
        assert 1 == issuer.counts["refreshes"]
        rows.close()


def test_lost_answer_needs_a_login(new_worker: NewWorker, rows: RedisRows, issuer: Any, clock: Any) -> None:
    """A strict server refuses the same token: the reason is in the row, counted, and reported by one event."""
    first = new_worker()
    first.login()
    second = new_worker()
    clock.advance(LIFETIME)
    issuer.lose = 1
    with pytest.raises(RefreshUnavailable):
        first.get()
    row, _ = rows.read(KEY)
    assert row is not None
    assert (True, None, 0) == (row.in_doubt, row.reason, row.lost)
    workers: list[Callable[[], Worker]] = [lambda: second, lambda: first, new_worker]
    for worker in workers:
        clock.advance(1_000)
        with pytest.raises(LoginRequired, match="lost_answer: the answer to a refresh was lost"):
            worker().get()
    row, _ = rows.read(KEY)
    assert row is not None
    assert ("lost_answer", 1, 1) == (row.reason, row.repeats, row.lost)
    assert (0, 1) == (first.saw("lost_answer"), second.saw("lost_answer"))
    assert 2 == issuer.counts["refreshes"]
    first.login()
    assert (200, 200) == (first.get(), second.get())


def test_lost_answer_is_asked_for_again_where_it_can_be(new_worker: NewWorker, issuer: Any, clock: Any) -> None:
    """A server with a grace period gives the same response again: the user stays logged in."""
    issuer.grace = 30
    first = new_worker()
    first.login()
    second = new_worker()
    clock.advance(LIFETIME)
    issuer.lose = 3
    with pytest.raises(RefreshUnavailable):
        first.get()
    assert 200 == second.get()
    assert (1, 3, 0) == (issuer.counts["rotated"], issuer.counts["repeated"], issuer.counts["reused"])


def test_definite_rejection_is_a_rejection(new_worker: NewWorker, rows: RedisRows, issuer: Any, clock: Any) -> None:
    """Without a doubt the reason is the server's own, for all machines."""
    first = new_worker()
    first.login()
    second = new_worker()
    issuer.end_sessions()
    clock.advance(LIFETIME)
    for worker in (first, second):
        with pytest.raises(LoginRequired, match=r"the session has ended: the refresh was rejected \(401\)"):
            worker.get()
    row, _ = rows.read(KEY)
    assert row is not None
    assert ("the refresh was rejected (401)", 0, 1) == (row.reason, row.lost, issuer.counts["refreshes"])


def test_database_that_fails_after_the_answer_loses_nothing(
    new_worker: NewWorker, url: str, issuer: Any, clock: Any
) -> None:
    """The answer stays in memory, and is written when the database is back: before another may present the token."""
    with redis.Server("appendonly yes", "appendfsync always") as server:
        rows = RedisRows(server.url, timeout="500ms")
        worker = new_worker(rows)
        worker.login()
        before, _ = rows.read(KEY)
        clock.advance(LIFETIME)
        with refreshing_at(issuer):
            worker.auth._refresher.start_behind(worker.auth._session.tokens.version, blocks=True)  # type: ignore[union-attr]  # it is logged in
            assert issuer.refreshing.wait(10)
            server.kill()
        assert 200 == worker.get()
        assert 1 == worker.saw("storage_failed")
        server.start()
        until = time.monotonic() + 10
        while time.monotonic() < until and (row := rows.read(KEY)[0]) and before and row.sealed == before.sealed:
            time.sleep(0.05)
        assert 200 == new_worker(rows).get()
        assert (1, 1) == (issuer.counts["refreshes"], issuer.counts["rotated"])
        rows.close()


@contextmanager
def refreshing_at(issuer: Any) -> Iterator[None]:
    """Hold the answer to a refresh back, meanwhile."""
    issuer.refreshing.clear()
    issuer.gate = threading.Event()
    try:
        yield
    finally:
        issuer.gate.set()
        issuer.gate = None


def test_row_is_sealed_for_its_key(rows: RedisRows) -> None:
    """No token is readable in the row, another secret does not open it, and it cannot be moved to another key."""
    SharedStorage(rows, KEY, Sealing(SECRET)).save("token")
    row, _ = rows.read(KEY)
    assert row is not None
    assert "token" not in f"{row.sealed} {row!r}"
    with pytest.raises(ConfigurationError, match="another secret"):
        SharedStorage(rows, KEY, Sealing("x" * 32)).load()
    assert rows.swap("xero/other", None, row)
    with pytest.raises(ConfigurationError, match="belongs to another connection"):
        SharedStorage(rows, "xero/other", Sealing(SECRET)).load()
    assert "token" == SharedStorage(rows, KEY, Sealing(["y" * 32, SECRET])).load()


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 513])
def test_key_that_cannot_be_shown_is_refused(redis_server: str, key: str) -> None:
    """It is the name that people type and see."""
    with pytest.raises(ConfigurationError, match="invalid key"):
        RedisStorage(redis_server, key, secret=SECRET)


def test_lease_is_not_taken_away_by_the_clock_alone() -> None:
    """After a failover the database's clock may be another: the lease has to be silent for a while by one's own."""
    row = taken(begun(None, 1_000, "sealed", "a", lifetime=None), 1_000, 10_000, "host:1", "b")
    watch = Watch()
    assert not watch.is_free(row, 10_999, 0)
    assert not watch.is_free(row, 9_000_000, 100)
    assert not watch.is_free(row, 9_000_000, 2_099)
    assert watch.is_free(row, 9_000_000, 2_100)
    renewed = taken(row, 9_000_000, 10_000, "host:2", "c")
    assert (False, row.fence + 1) == (watch.is_free(renewed, 9_000_001, 2_200), renewed.fence)
