"""One issuer process of the storm: ``python -m tests.storm.node STORE EVENTS PORT GRACE_PERIOD SESSION_IDLE_TTL SKEW``.

It writes each event to a file at once. So a kill loses no event of a request that got a response.
"""

import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

from daypass import AsyncDaypass, Event, User
from daypass.server import run
from daypass.web.starlette import auth_routes

SECRET = "a secret of the storm, for nobody else"


async def load_user(subject: str) -> User:
    return User(subject)


async def authenticate(name: str, _password: str) -> User:
    return User(name)


def main() -> None:
    store, events, port, grace_period, session_idle_ttl, skew = sys.argv[1:]
    logging.getLogger("daypass").setLevel(logging.ERROR)  # the events count the expected refusals
    log = os.open(Path(events), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(event: Event) -> None:
        os.write(log, f"{event.code} {event.session_id} {event.at} {event.reason}\n".encode())

    auth = AsyncDaypass(
        store,
        issuer="http://127.0.0.1",
        secret=SECRET,
        dpop=True,
        load_user=load_user,
        grace_period=float(grace_period),
        session_idle_ttl=float(session_idle_ttl),
        on_event=note,
        clock=lambda: int(time.time() * 1000 + float(skew) * 1000),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with auth:
            yield

    routes = [Mount("/auth", routes=auth_routes(auth, authenticate=authenticate))]
    app = Starlette(routes=routes, lifespan=lifespan)
    with run.bind("127.0.0.1", int(port)) as listening:
        run.serve(app, listening, lambda: os.write(1, f"{run.address(listening)}\n".encode()))


if __name__ == "__main__":
    main()
