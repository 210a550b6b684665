"""The demonstration's server, in its own process: an issuer, a small API that needs an access token, and the page.

It runs while its standard input is open, so it cannot outlive the process that started it.
"""

import hashlib
import os
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from daypass.clock import system_clock
from daypass.demo.page import page_routes
from daypass.demo.people import ACCESS_TTL, EMAIL, PASSWORD
from daypass.errors import DaypassError
from daypass.issuer import AsyncDaypass
from daypass.server import run, users
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore
from daypass.web.starlette import auth_routes, bearer, well_known_routes


def main() -> None:
    """Serve until standard input ends; report an error in one line on standard error."""
    if len(sys.argv) != 2:
        sys.exit("daypass: `daypass demo` starts this; alone it needs a folder: python -m daypass.demo.service FOLDER")
    try:
        serve(Path(sys.argv[1]) / "demo.db")
    except (DaypassError, OSError) as error:
        sys.exit(f"daypass: {error}")


def serve(database: Path) -> None:
    """Serve from a database until standard input ends; the first line printed is the address.

    Raises:
        ConfigurationError: no port is free.
        DaypassError: the database cannot be written.
    """
    with closing(SqliteStore(database)) as store:
        users.add(store, EMAIL, "demo", PASSWORD, system_clock())
    with run.bind("127.0.0.1", 0) as listening:
        address = run.address(listening)
        threading.Thread(target=_end_with_input, daemon=True).start()
        run.serve(build(database, address), listening, lambda: sys.stdout.write(f"{address}\n") and sys.stdout.flush())


def build(database: Path, address: str) -> Starlette:
    """Return the application: ``/auth``, the API below ``/api``, and the page at ``/``."""
    store = AsyncSqliteStore(database)
    known = users.Users(store)
    auth = AsyncDaypass(
        store, issuer=address, load_user=known.load, authenticate=known.check, access_ttl=ACCESS_TTL, idle_ttl="1h"
    )
    require = bearer(auth)

    async def notes(request: Request) -> JSONResponse:
        token = await require(request)
        return JSONResponse({"notes": ["Buy milk", "Water the plants"], "of": token.username})

    async def upload(request: Request) -> JSONResponse:
        await require(request)
        digest = hashlib.sha256()
        async for chunk in request.stream():
            digest.update(chunk)
        return JSONResponse({"sha256": digest.hexdigest()})

    api = [Route("/notes", notes, methods=["GET"]), Route("/uploads", upload, methods=["POST"])]
    return Starlette(
        routes=[
            Mount("/auth", routes=auth_routes(auth)),
            Mount("/api", routes=api),
            *well_known_routes(auth),
            *page_routes(store, known, address),
        ]
    )


def _end_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
