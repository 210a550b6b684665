"""What a fleet may rely on, in a few seconds each; `python -m tests.fleet` runs the same at full size."""

from collections.abc import Iterator

import pytest

from tests.fleet.campaigns import SHORT, expiries, kills, many, outages, stopped
from tests.servers import postgres


@pytest.fixture(autouse=True, scope="module")
def _clean() -> Iterator[None]:
    yield
    postgres.clean()


def test_each_expiry_is_one_refresh() -> None:
    """Three machines with clocks of their own, a strict server: as many refreshes as expiries, and no call fails."""
    expiries("postgres", SHORT)


def test_killed_worker_costs_no_connection() -> None:
    """It is killed while it refreshes: another presents the same token again, and the server answers."""
    kills("redis", SHORT)


def test_stopped_worker_writes_nothing_late() -> None:
    """It is stopped for longer than its lease: another refreshes, and what it brings when it goes on is not kept."""
    stopped("redis", SHORT)


def test_connections_expire_at_their_own_times() -> None:
    """Each is refreshed once for each expiry, whichever worker finds it."""
    many("redis", SHORT)


def test_failover_loses_nothing() -> None:
    """The standby takes over while workers refresh at a strict server: no token is presented twice."""
    outages("postgres-standby", SHORT)
