"""One server process: ``python -m tests.sockets.server STORE ISSUER``. It prints its port, and ends with its input."""

import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from daypass import AsyncDaypass, User
from daypass.server import run
from daypass.web.starlette import bearer

from .open_files import allow

SECRET = "a master secret of thirty-two bytes and more"


async def load(subject: str) -> User:
    return User(subject)


def application(store: str, issuer: str) -> Starlette:
    auth = AsyncDaypass(store, issuer=issuer, secret=SECRET, load_user=load)
    require = bearer(auth)

    async def watched(websocket: WebSocket) -> None:
        async with require.watch(websocket) as open_socket:
            async for text in open_socket.iter_text():
                await open_socket.send_text(text)

    async def unwatched(websocket: WebSocket) -> None:
        await require(websocket)
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with auth:
            yield

    routes = [WebSocketRoute("/watched", watched), WebSocketRoute("/unwatched", unwatched)]
    return Starlette(routes=routes, lifespan=lifespan)


def main(store: str, issuer: str) -> None:
    allow()
    listening = run.bind("127.0.0.1", 0)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    configuration = uvicorn.Config(
        application(store, issuer), log_level="error", ws="websockets-sansio", ws_ping_interval=None, backlog=4096
    )
    uvicorn.Server(configuration).run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
