"""`daypass serve` on several nodes over PostgreSQL and Redis: one truth, and what a fault of their server costs."""

import contextlib
import json
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import psycopg
import pytest

from ..cookie_names import refresh_cookie
from ..servers import postgres
from ..servers import redis as servers
from .processes import PASSWORD, PATIENCE, SECRET, Service, daypass, eventually, launch, running

GIVEN = {"DAYPASS_SECRET": SECRET}
Fault = Callable[[], AbstractContextManager[None]]


class Postgres:
    """A PostgreSQL server, and what may befall it."""

    def __init__(self) -> None:
        settings = {"max_connections": "20", "superuser_reserved_connections": "0"}
        self.server = postgres.PostgresServer(settings=settings)
        self.server.start()
        self.url = self.server.url(timeout="1s").replace("daypass@", "daypass:hunter2@")
        self.faults: dict[str, Fault] = {
            "killed": self.killed,
            "frozen": self.server.frozen,
            "read-only": self.read_only,
            "out of connections": self.exhausted,
        }

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        self.server.kill()
        yield
        self.server.start()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        with psycopg.connect(self.server.url(), autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            admin.execute("SELECT pg_reload_conf()")
            time.sleep(0.3)
            yield
            admin.execute("SET default_transaction_read_only = off")
            admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            admin.execute("SELECT pg_reload_conf()")

    @contextlib.contextmanager
    def exhausted(self) -> Iterator[None]:
        """Let others have all connections, those of Daypass too."""
        with contextlib.ExitStack() as stack:
            admin = stack.enter_context(psycopg.connect(self.server.url(), autocommit=True))
            left = True
            while left:
                with contextlib.suppress(psycopg.OperationalError):
                    while True:
                        stack.enter_context(psycopg.connect(self.server.url()))
                ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'daypass'"
                left = bool(admin.execute(ended).fetchall())
            yield


class Redis:
    """A Redis server, and what may befall it."""

    def __init__(self, server: servers.Server) -> None:
        self.server = server
        self.url = f"{server.url}?timeout=1"
        self.faults: dict[str, Fault] = {"killed": self.killed, "frozen": server.frozen, "full": self.full}

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        self.server.kill()
        yield
        self.server.start()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        with self.server.client as client:
            client.config_set("maxmemory", 1)
            yield
            client.config_set("maxmemory", 0)


Place = Postgres | Redis


@pytest.fixture(scope="module")
def postgres_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    place = Postgres()
    try:
        prepare(place.url, tmp_path_factory.mktemp("postgres"))
        yield place
    finally:
        place.server.remove()
        postgres.clean()


@pytest.fixture(scope="module")
def redis_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with servers.Server("appendonly yes", "appendfsync always") as server:
        place = Redis(server)
        prepare(place.url, tmp_path_factory.mktemp("redis"))
        yield place


@pytest.fixture(params=["postgres", "redis"])
def place(request: pytest.FixtureRequest) -> Place:
    """Give servers with one user, Alice."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


def prepare(url: str, folder: Path) -> None:
    """Make the tables and a user, as an operator does; if tables are missing, one line says so."""
    if url.startswith("postgresql"):
        refused = daypass("serve", "--port", "0", "--store", url, folder=folder, given=GIVEN)
        assert (1, "", 1) == (refused.returncode, refused.stdout, refused.stderr.count("\n"))
        assert refused.stderr.startswith("daypass: the tables in postgresql://daypass@127.0.0.1:")
        assert "run: daypass store migrate --store" in refused.stderr
        assert "hunter2" not in refused.stderr
    migrated = daypass("store", "migrate", "--store", url, folder=folder)
    assert (0, "") == (migrated.returncode, migrated.stderr)
    user = ("alice@example.com", "--username", "Alice")
    added = daypass("user", "add", *user, "--store", url, folder=folder, text=PASSWORD)
    assert (0, "") == (added.returncode, added.stderr)


@contextlib.contextmanager
def node(place: Place, folder: Path, *options: str) -> Iterator[Service]:
    """Run a node in strict mode, so that each refresh rotates; one cookie for all ports, as behind a proxy."""
    with running(
        "--store", place.url, "--grace-period", "0s", "--cookie-name", "daypass", *options, folder=folder, given=GIVEN
    ) as service:
        yield service


def me(service: Service, client: httpx2.Client, token: str) -> int:
    return client.get(f"{service.address}/auth/me", headers={"authorization": f"Bearer {token}"}).status_code


def refreshed(service: Service, client: httpx2.Client) -> str:
    """Refresh with the client's cookie; return the access token."""
    time.sleep(0.002)  # the grace period is 0, and a clock counts milliseconds
    answer = client.post(f"{service.address}/auth/refresh")
    assert 200 == answer.status_code, answer.text
    return str(answer.json()["accessToken"])


def key_of(token: str) -> str:
    head = token.partition(".")[0]
    return str(json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


def login(service: Service, client: httpx2.Client) -> str:
    answer = client.post(f"{service.address}/auth/login", json={"username": "alice", "password": PASSWORD})
    assert 200 == answer.status_code, answer.text
    return str(answer.json()["accessToken"])


# ---- one truth


def test_nodes_are_one_to_their_users(place: Place, tmp_path: Path) -> None:
    """Login on one, refresh on the other; keys are replaced and no token breaks; logout on one ends it for all."""
    with (
        node(place, tmp_path) as one,
        node(place, tmp_path) as other,
        httpx2.Client(timeout=PATIENCE) as client,
    ):
        tokens = [login(one, client), refreshed(other, client), refreshed(one, client)]
        rotated = daypass("keys", "rotate", "--now", "--store", place.url, folder=tmp_path, given=GIVEN)
        assert (0, "") == (rotated.returncode, rotated.stderr)
        with node(place, tmp_path) as new:  # has read the new keys, which the others have not

            def signs_with_another() -> bool:
                tokens.append(refreshed(new, client))
                return key_of(tokens[-1]) != key_of(tokens[0])

            eventually(signs_with_another)
            tokens += [refreshed(each, client) for each in (one, other, new)]
            assert {200} == {me(each, client, token) for each in (one, other, new) for token in tokens}
            assert 204 == client.post(f"{one.address}/auth/logout").status_code
            for each in (one, other, new):
                eventually(lambda each=each: me(each, client, tokens[-1]) == 401)  # type: ignore[misc]


def test_a_node_that_is_killed_in_mid_traffic(place: Place, tmp_path: Path) -> None:
    """Clients whose request it had continue with the same cookie on another node; nobody is logged out."""
    with node(place, tmp_path) as doomed, node(place, tmp_path) as other:
        killed = threading.Event()

        def use() -> tuple[int, int]:
            """Refresh on the one that will be killed, and on the other once that fails; return how often on each."""
            before, after = 0, 0
            with httpx2.Client(timeout=PATIENCE) as client:
                login(other, client)
                with contextlib.suppress(httpx2.TransportError):
                    while True:
                        refreshed(doomed, client)
                        before += 1
                assert killed.wait(PATIENCE)
                for _ in range(5):
                    refreshed(other, client)
                    after += 1
            return before, after

        with ThreadPoolExecutor(6) as users:
            using = [users.submit(use) for _ in range(6)]
            time.sleep(1.5)
            doomed.process.kill()
            killed.set()
            done = [each.result(PATIENCE) for each in using]
        assert sum(before for before, _ in done) > 0
        assert [5] * 6 == [after for _, after in done]


# ---- faults


FAULTS = [
    ("postgres", "killed"),
    ("postgres", "frozen"),
    ("postgres", "read-only"),
    ("postgres", "out of connections"),
    ("redis", "killed"),
    ("redis", "frozen"),
    ("redis", "full"),
]


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
def test_a_fault_of_the_store_is_a_503_and_logs_nobody_out(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, fault: str
) -> None:
    """Each answer says to try again later and touches no cookie, checks go on; then the same cookie is good again."""
    place: Place = request.getfixturevalue(f"{kind}_place")
    with (
        node(place, tmp_path) as service,
        httpx2.Client(timeout=PATIENCE) as client,
        httpx2.Client(timeout=PATIENCE) as leaving,
    ):
        token = login(service, client)
        login(service, leaving)
        token = refreshed(service, client)
        assert 200 == me(service, client, token)
        cookies = [refresh_cookie(client.cookies), refresh_cookie(leaving.cookies)]
        credentials = {"username": "alice", "password": PASSWORD}
        asks: dict[str, Callable[[], httpx2.Response]] = {
            "refresh": lambda: client.post(f"{service.address}/auth/refresh"),
            "login": lambda: client.post(f"{service.address}/auth/login", json=credentials),
            "logout": lambda: leaving.post(f"{service.address}/auth/logout"),
            "readyz": lambda: client.get(f"{service.address}/readyz"),
        }
        with place.faults[fault]():
            eventually(lambda: asks["readyz"]().status_code == 503)  # the result is cached for a second
            for _ in range(2):
                for name, ask in asks.items():
                    answer = ask()
                    assert (name, 503, "1") == (name, answer.status_code, answer.headers.get("retry-after"))
                    assert "set-cookie" not in answer.headers
                    assert 200 == me(service, client, token)
        assert cookies == [refresh_cookie(client.cookies), refresh_cookie(leaving.cookies)]
        eventually(lambda: asks["readyz"]().status_code == 200)
        answers: list[int] = []

        def recovered() -> bool:
            answers.append(asks["refresh"]().status_code)
            return answers[-1] != 503

        eventually(recovered)
        assert 200 == answers[-1], answers
        assert cookies[0] != refresh_cookie(client.cookies)
        assert 204 == asks["logout"]().status_code
        assert 200 == me(service, client, refreshed(service, client))
        assert 0 == service.end()


def test_a_node_ends_while_the_server_is_frozen(place: Place, tmp_path: Path) -> None:
    """A signal ends it with status 0, whatever it waits for; also if it waits for its store from the start."""
    with node(place, tmp_path) as service, httpx2.Client(timeout=PATIENCE) as client:
        token = login(service, client)
        assert 200 == me(service, client, token)
        with place.server.frozen():
            assert 0 == service.end()
            with launch(["--port", "0", "--store", place.url], tmp_path, GIVEN) as waiting:
                assert waiting.stderr is not None
                said = waiting.stderr.readline()
                waiting.terminate()
                assert 0 == waiting.wait(PATIENCE)
    assert said.startswith("waiting for the store: ")
    assert "did not answer" in said
    assert "hunter2" not in said
