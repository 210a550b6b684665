"""Refreshes a second through the whole application, against an application that only signs and updates.

The server runs on one core and the load on the other, with 16 clients that each rotate their own session without a
pause (``grace_period=0``, so that every refresh is a rotation). The floors are applications of the same framework on
the same server: a constant answer, the same with one ES256 signature, and that with one plain conditional update of the
store (`floors`), except in memory. PostgreSQL and Redis are private servers that share the two cores; PostgreSQL has
its usual settings (it syncs what it answered), Redis syncs once a second.

    python benchmarks/refreshing.py [memory] [sqlite-full] [sqlite-normal] [postgres] [redis]
"""

import argparse
import asyncio
import contextlib
import gc
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import floors
from floor_apps import signer, starlette
from load import CLIENTS, Load, load
from measure import head, row
from starlette.applications import Starlette
from starlette.routing import Mount

from daypass import AsyncDaypass, User
from daypass.server import run
from daypass.store_steps import Migrate
from daypass.stores import AsyncStore, open_store
from daypass.stores.memory import AsyncMemoryStore
from daypass.web.starlette import auth_routes

ROUNDS = 3
USER = User("7", "ann", "ann@example.com")
STORES = ("memory", "sqlite-full", "sqlite-normal", "postgres", "redis")
MOST = {"sqlite-full": 1.0, "memory": None}
"""How many times the floor's CPU a refresh may cost, where it is not 1.35."""


def serve(what: str, store: str, url: str) -> None:
    """Be the server: one application, on the first core."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(0, {0})
    with run.bind("127.0.0.1", 0) as listening:
        address = run.address(listening)
        application = daypass(store, url, address) if what == "daypass" else floor(what, store, url)
        run.serve(application, listening, partial(started, address))


def started(address: str) -> None:
    """Do what docs/performance.md advises after the start; then be found."""
    gc.collect()
    gc.freeze()
    print(address, flush=True)


def daypass(store: str, url: str, address: str) -> Starlette:
    async def load_user(subject: str) -> User:
        return User(subject, "ann", "ann@example.com")

    async def authenticate(_name: str, _password: str) -> User:
        return USER

    auth = AsyncDaypass(opened(store, url), issuer=address, load_user=load_user, grace_period=0, secret="0" * 32)
    # Each client refreshes one session more often than the default limits allow.
    routes = auth_routes(auth, authenticate=authenticate, rate_limits=None)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with auth:
            yield

    return Starlette(routes=[Mount("/auth", routes=routes)], lifespan=lifespan)


def opened(store: str, url: str) -> AsyncStore:
    match store:
        case "memory":
            return AsyncMemoryStore()
        case "postgres":
            from daypass.stores.postgres import AsyncPostgresStore

            return AsyncPostgresStore(url)
        case "redis":
            from daypass.stores.redis import AsyncRedisStore

            return AsyncRedisStore(url)
    from daypass.stores.sqlite import AsyncSqliteStore

    return AsyncSqliteStore(url, synchronous="FULL" if store == "sqlite-full" else "NORMAL")


def floor(what: str, store: str, url: str) -> Starlette:
    sign = str if what == "constant" else signer("ES256")
    return starlette(sign, updating(store, url) if what == "update" else None)


def updating(store: str, url: str) -> floors.Update | None:
    match store:
        case "memory":
            return None
        case "postgres":
            return floors.postgres_update(url)
        case "redis":
            return floors.redis_update(url)
        case _:
            return floors.sqlite_update(url, store.partition("-")[2])


@contextlib.contextmanager
def place(store: str) -> Iterator[str]:
    """Give where an empty store is: a path, or the URL of a private server."""
    with contextlib.ExitStack() as stack:
        match store:
            case "postgres":
                from tests.servers import postgres

                settings = {"shared_buffers": "128MB", "autovacuum": "on"}
                server = postgres.PostgresServer(postgres.VERSIONS[-1], settings=settings)
                stack.callback(postgres.clean)
                stack.callback(server.remove)
                server.start()
                with contextlib.closing(open_store(server.url())) as opened:
                    opened.perform(Migrate())
                yield server.url()
            case "redis":
                from tests.servers.redis import Server

                yield stack.enter_context(Server("appendonly yes", "appendfsync everysec")).url
            case _:
                yield str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "app.db")


def measured(what: str, store: str) -> Load:
    """Put an application under load."""
    with place(store) as url, serving(what, store, url) as (address, pid):
        found = asyncio.run(load(address, pid, login=what == "daypass"))
    assert found.bad == 0, f"{found.bad} answers of {what} with {store} were no refresh"
    return found


@contextlib.contextmanager
def serving(what: str, store: str, url: str) -> Iterator[tuple[str, int]]:
    """Run an application in a process; give its address and its process id."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", what, store, url], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip(), server.pid
    finally:
        server.terminate()
        server.communicate()


def main(stores: list[str]) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    head(f"A refresh through the whole application: Starlette on uvicorn, {CLIENTS} clients")
    for what in ("constant", "signature"):
        found = measured(what, "sqlite-full")
        row(f"floor: {what}, CPU µs", f"{found.cpu:.0f}", "", "", f"{found.rate:,.0f} a second")
    for store in stores:
        pairs = [(measured("daypass", store), measured("update", store)) for _ in range(ROUNDS)]
        report(f"{store}: CPU µs", pairs, "cpu", "{:.0f}", MOST.get(store, 1.35))
        report(f"{store}: a second", pairs, "rate", "{:,.0f}")
        middle, tail = (statistics.median(getattr(ours, name) for ours, _ in pairs) for name in ("middle", "tail"))
        row(
            f"{store}: 99 of 100, and half, ms",
            f"{tail:.1f}",
            f"{middle:.1f}",
            f"{tail / middle:.2f}",
            "≤ 3 of half",
            met=tail <= 3 * middle,
        )


def report(name: str, pairs: list[tuple[Load, Load]], field: str, form: str, most: float | None = None) -> None:
    """Print one figure of ours and of the floor, and the median of their ratios."""
    values = [(getattr(ours, field), getattr(floor, field)) for ours, floor in pairs]
    ours, floor = (statistics.median(each) for each in zip(*values, strict=True))
    ratio = statistics.median(one / other for one, other in values)
    budget, met = ("", None) if most is None else (f"≤ {most} of the floor", ratio <= most)
    row(name, form.format(ours), form.format(floor), f"{ratio:.2f}", budget, met=met)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="*", metavar="STORE", help=", ".join(STORES))
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    serve(*options.serve) if options.serve else main(options.stores or list(STORES))
