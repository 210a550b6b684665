"""What it costs to watch the service: audit trail, metrics for Prometheus and OpenTelemetry, a JSON log line a request.

Two applications of `daypass serve` in one process, one with all of that and one with none of it, answer the same
requests in turns. Requests come as bytes to the service's own connections, without a network; the store is in memory.
So nothing but the service takes time, which is the strictest case. What is measured is the CPU time of the thread that
answers. Exporting metrics is another thread's: some milliseconds a minute.

    python benchmarks/observing.py [--rounds 300]
"""

import argparse
import asyncio
import contextlib
import gc
import itertools
import os
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import uvicorn
from measure import head, row

from daypass import AsyncDaypass, User
from daypass.server import logs
from daypass.server.app import build_app
from daypass.server.connection import Connection, Connections
from daypass.stores.memory import AsyncMemoryStore

REQUESTS = 20
PAIRS = 8
BUDGET = 1.03
ISSUER = "https://auth.example.com"
COOKIE = re.compile(rb"set-cookie: (daypass[0-9a-z-]*|__Secure-daypass[0-9a-z-]*)=([^;]*)", re.IGNORECASE)


class Everybody:
    """Users whose password is not checked."""

    hashes = False

    async def check(self, identifier: str, _: str) -> User | None:
        return User(identifier)

    async def load(self, subject: str) -> User | None:
        return User(subject)

    async def close(self) -> None: ...


class Wire(asyncio.Transport):
    """What a connection writes to; a response is there when all of its body is."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.answered: asyncio.Future[bytes] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        top, separator, body = self.written.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", top)
        if separator and self.answered and len(body) >= (int(length[1]) if length else 0):
            self.written, answered, self.answered = b"", self.answered, None
            answered.set_result(top + separator + body)

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...

    def close(self) -> None: ...


class Service:
    """One application, and one client of it."""

    def __init__(self, what: str, connection: Connection) -> None:
        self.what = what
        self._connection = connection
        self._wire = Wire()
        connection.connection_made(self._wire)
        self._cookie, self._access = b"", b""

    async def _ask(self, request: bytes, body: bytes = b"") -> bytes:
        self._wire.answered = answered = asyncio.get_running_loop().create_future()
        self._connection.data_received(request + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        answer: bytes = await answered
        assert answer[9:12] in (b"200", b"204"), answer
        found, access = COOKIE.search(answer), answer.partition(b'"accessToken":"')[2].partition(b'"')[0]
        self._cookie = found[1] + b"=" + found[2] if found else self._cookie
        self._access = access or self._access
        return answer

    async def login(self) -> None:
        start = b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        await self._ask(start, b'{"username": "ann", "password": "x"}')

    async def refresh(self) -> None:
        await self._ask(b"POST /auth/refresh HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n" % self._cookie)

    async def check(self) -> None:
        await self._ask(b"GET /auth/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n" % self._access)

    async def microseconds(self, what: str) -> float:
        """Return the CPU time of one request, in µs."""
        logs.requests = LOG if self.what.startswith("on") else None
        asked = self.refresh if what == "refresh" else self.check
        began = time.thread_time()
        for _ in range(REQUESTS):
            await asked()
        LOG.flush()
        return (time.thread_time() - began) / REQUESTS * 1e6


LOG = logs.RequestLog()


@contextlib.asynccontextmanager
async def service(what: str, collector: str) -> AsyncIterator[Service]:
    """Give a service: ``on``, ``on, and traces``, ``off``, or ``bare``, which does not even count requests."""
    watched = what.startswith("on")
    users, store = Everybody(), AsyncMemoryStore()
    auth = AsyncDaypass(
        store,
        issuer=ISSUER,
        secret="0" * 32,
        load_user=users.load,
        authenticate=users.check,
        grace_period=0,
        audit_ttl="90d" if watched else None,
        clock=itertools.count(
            1_800_000_000_000
        ).__next__,  # so that each refresh has a millisecond of its own: it rotates
    )
    os.environ["OTEL_TRACES_EXPORTER"] = "otlp" if "traces" in what else "none"
    app = build_app(
        auth,
        store,
        users=users,
        metrics_token="t" * 32 if watched else None,
        otlp_endpoint=collector if watched else None,
        rate_limits=None,
        allow_insecure=True,
    )
    if what == "bare":
        app.user_middleware.clear()
    config = uvicorn.Config(app, http=Connection, ws="none", access_log=False, server_header=False, proxy_headers=False)
    config.load()
    async with app.router.lifespan_context(app):
        made = Service(what, Connection(config, Connections(8), {}))
        await made.login()
        yield made


@contextlib.contextmanager
def collecting() -> Iterator[str]:
    """Give the URL of a collector that takes everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


Figures = dict[str, list[tuple[float, float]]]
"""The µs of both in each round, by what was asked."""


async def compare(one: str, other: str, rounds: int, collector: str) -> Figures:
    """Measure two services in turns; several pairs, because each has another place in memory, which matters."""
    found: Figures = {"refresh": [], "check": []}
    for pair in range(PAIRS):
        names = (one, other) if pair % 2 else (other, one)
        async with service(names[0], collector) as first, service(names[1], collector) as second:
            gc.collect()
            gc.freeze()  # as the service does when it is ready
            for number in range(rounds // PAIRS + 1):
                turns = (first, second) if number % 2 else (second, first)
                for what, figures in found.items():
                    taken = {each.what: await each.microseconds(what) for each in turns}
                    if number:  # the first round warms up
                        figures.append((taken[one], taken[other]))
    return found


def main(rounds: int) -> int:
    os.environ["OTEL_METRIC_EXPORT_INTERVAL"] = "5000"
    head("A request that is watched: trail, metrics, log (CPU µs of the service)")
    kept = True
    with collecting() as collector, Path(os.devnull).open("w") as log, contextlib.redirect_stderr(log):
        for one, other, budget in (("on", "off", BUDGET), ("on", "bare", None), ("on, and traces", "off", None)):
            for what, figures in asyncio.run(compare(one, other, rounds, collector)).items():
                ratio = statistics.median(mine / theirs for mine, theirs in figures)
                mine, theirs = (min(each) for each in zip(*figures, strict=True))
                kept = kept and (budget is None or min(ratio, mine / theirs) <= budget)
                told = f"≤ {budget}; " if budget else ""
                name = f"{what}: {one}, against {other}"
                row(name, f"{mine:.1f}", f"{theirs:.1f}", f"{ratio:.3f}", f"{told}of the least: {mine / theirs:.3f}")
    return 0 if kept else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    sys.exit(main(parser.parse_args().rounds))
