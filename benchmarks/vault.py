"""What one refresh of a connection costs a vault on PostgreSQL, with few connections and with many: it must not grow.

    python benchmarks/vault.py                # 10,000 and 1,000,000 rows, a few minutes
    python benchmarks/vault.py 10000 10000000

The databases are on two private servers, and are measured in turns, so that other work on the machine hits all alike.
"""

import secrets
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import head, row

from daypass.client.sealing import Sealing
from daypass.client.storage import row as rows_of
from daypass.client.vault import Vault
from daypass.client.vault.postgres import PostgresVaultRows
from tests.servers.postgres import PostgresServer, clean

SECRET = "the secret of a benchmark, of more than 32 bytes"
ROUNDS = 400
SETTINGS = {"fsync": "off", "synchronous_commit": "off", "max_wal_size": "4GB", "maintenance_work_mem": "256MB"}

FILL = """
INSERT INTO daypass_connection
    (key, provider, format, revision, fence, sealed, written_at, expires_at, used_at, lease_until, lease, refreshes,
     repeats, lost)
SELECT provider || '/tenant-' || number, provider, 1, md5(number::text), 1, repeat(md5(number::text), 24), now, now,
    used, 0, 0, 0, 0, 0
FROM (
    SELECT number, (ARRAY['xero', 'google', 'quickbooks'])[1 + number %% 3] AS provider,
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now,
        (extract(epoch FROM clock_timestamp()) * 1000 - random() * 29 * 86400000)::bigint AS used
    FROM generate_series(1, %s) AS number
) AS rows
"""


class Filled:
    """A server with so many connections, a few of them idle for long."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.server = PostgresServer(16, SETTINGS)
        self.server.start()

    def fill(self) -> None:
        """Make the connections."""
        self.sealed = Sealing(SECRET).seal("x" * 400, "xero/tenant-1")
        self.rows = PostgresVaultRows(self.server.url())
        Vault(self.server.url(), secret=SECRET).put("warm", "up", refresh_token="r")
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(FILL, [self.size])
            connection.execute(
                "UPDATE daypass_connection SET used_at = used_at - 40 * 86400000::bigint WHERE key IN "
                "(SELECT key FROM daypass_connection ORDER BY md5(key) LIMIT 8000)"
            )
            connection.execute("VACUUM ANALYZE daypass_connection")

    def key(self) -> str:
        number = secrets.randbelow(self.size) + 1
        return f"{('xero', 'google', 'quickbooks')[number % 3]}/tenant-{number}"

    def refresh(self) -> None:
        """Do what one refresh asks of the database: read, take the turn, write the result."""
        key = self.key()
        found, now = self.rows.read(key)
        assert found is not None
        taken = rows_of.taken(found, now, 30_000, "bench", secrets.token_hex(8))
        assert self.rows.swap(key, found.revision, taken)
        after = rows_of.refreshed(taken, now, self.sealed, secrets.token_hex(8), lifetime=900_000)
        assert self.rows.swap(key, taken.revision, after)

    def read(self) -> None:
        assert self.rows.read(self.key())[0] is not None

    def claim(self) -> None:
        assert self.rows.claim("xero", 30 * 86_400_000, 300_000, 5)

    def page(self) -> None:
        assert self.rows.page("quickbooks", self.key(), 200)

    def plan(self) -> str:
        """Return how PostgreSQL finds what is idle."""
        with psycopg.connect(self.server.url()) as connection:
            found = connection.execute(
                "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT key FROM daypass_connection "
                "WHERE provider = 'xero' AND reason IS NULL AND sealed IS NOT NULL "
                "AND greatest(used_at, held_until) <= (extract(epoch FROM now()) * 1000)::bigint - 2592000000 "
                "ORDER BY greatest(used_at, held_until) LIMIT 20 FOR UPDATE SKIP LOCKED"
            )
            return "\n".join(line for (line,) in found)


def in_turns(databases: list[Filled], work: Callable[[Filled], None]) -> list[float]:
    """Return the median of each database, in microseconds."""
    spans: list[list[float]] = [[] for _ in databases]
    for _ in range(ROUNDS):
        for each, taken in zip(databases, spans, strict=True):
            started = time.perf_counter()
            work(each)
            taken.append((time.perf_counter() - started) * 1e6)
    return [statistics.median(each) for each in spans]


def main() -> None:
    sizes = [int(each) for each in sys.argv[1:]] or [10_000, 1_000_000]
    databases = [Filled(size) for size in sizes]
    try:
        for each in databases:
            each.fill()
            print(f"\n{each.size:,} connections:\n{each.plan()}")
        head("a vault on PostgreSQL: µs with many connections, and with few as the floor")
        for name, work in (
            ("read one row", Filled.read),
            ("one refresh: read, turn, result", Filled.refresh),
            ("claim five idle ones", Filled.claim),
            ("a page of 200", Filled.page),
        ):
            few, *_, many = in_turns(databases, work)
            row(name, f"{many:.0f}", f"{few:.0f}", f"{many / few:.2f}", "≤ 2, as the machine is busy")
    finally:
        for each in databases:
            each.server.remove()
        clean()


if __name__ == "__main__":
    main()
