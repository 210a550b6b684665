"""What holds for all tests."""

import os
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.servers import postgres

from .servers import redis as redis_servers

if TYPE_CHECKING:
    from daypass.testing.loopback import Loopback

pytest.register_assert_rewrite("daypass.testing")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio alone, which is what Daypass is for."""
    return "asyncio"


@pytest.fixture(scope="session")
def loopbacks() -> "Iterator[tuple[Loopback, Loopback]]":
    """Give two servers on loopback for all tests of this process; a test gives each its application."""
    from daypass.testing.loopback import Loopback  # here, after the assertions of daypass.testing are rewritten

    pair = Loopback(), Loopback()
    for each in pair:
        each.start()
    yield pair
    for each in pair:
        each.stop()


@pytest.fixture(scope="session")
def postgres_at() -> Iterator[Callable[[int], str]]:
    """Give what returns the URL of a server of a version, one for all tests of this process.

    ``DAYPASS_TEST_POSTGRES`` is the URL of another, which then stands for every version.
    """
    running: dict[int, postgres.PostgresServer] = {}

    def url(version: int = postgres.VERSIONS[0]) -> str:
        if "DAYPASS_TEST_POSTGRES" in os.environ:
            return os.environ["DAYPASS_TEST_POSTGRES"]
        if version not in running:
            server = running[version] = postgres.PostgresServer(version)
            server.start()
        return running[version].url()

    yield url
    for server in running.values():
        server.remove()
    postgres.clean()


@pytest.fixture
def postgres_url(postgres_at: Callable[..., str]) -> str:
    """Give the URL of a schema with empty tables."""
    return postgres.tables(postgres_at())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """Give the URL of a Redis server, for tests that need no more than one and harm nobody else's data."""
    with redis_servers.any_server() as url:
        yield url


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[str]:
    """Give the URL of a Redis cluster."""
    with redis_servers.Cluster() as cluster:
        yield cluster.url


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let nothing be skipped where ``CI=true``: a test that cannot run there fails, and says why."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI=true does not allow: {report.longrepr}"
    return report
