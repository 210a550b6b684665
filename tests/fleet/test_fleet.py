"""Short versions of the campaigns; `python -m tests.fleet` runs them at full size."""

import socket
import time
from collections.abc import Iterator

import pytest

from daypass.testing.loopback import serving
from tests.fleet.campaigns import SHORT, kills, many, outages, stopped
from tests.fleet.issuer import Issuer
from tests.servers import postgres


@pytest.fixture(autouse=True, scope="module")
def _clean() -> Iterator[None]:
    yield
    postgres.clean()


def test_request_that_was_cut_off_is_no_presentation() -> None:
    """If a worker is killed before it has sent its request, the server rejects nothing."""
    server = Issuer()
    with serving(server) as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        connection.sendall(b"POST /auth/refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 70\r\n\r\n")
        connection.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + 10
        while not server.counts and time.monotonic() < until:
            time.sleep(0.01)
    assert ({"cut": 1}, 0) == (server.counts, server.refused)


def test_killed_worker_costs_no_connection() -> None:
    """If a worker is killed during a refresh, another presents the same token again, and gets a new one."""
    kills("redis", SHORT)


def test_stopped_worker_writes_nothing_late() -> None:
    """If a worker is stopped for longer than its lease, another refreshes, and the late result is not written."""
    stopped("redis", SHORT)


def test_connections_expire_at_their_own_times() -> None:
    """Each connection is refreshed once for each expiry, by whichever worker finds it."""
    many("redis", SHORT)


def test_failover_loses_nothing() -> None:
    """Three machines with different clocks at a strict server: after a failover no token is presented twice."""
    outages("postgres-standby", SHORT)
