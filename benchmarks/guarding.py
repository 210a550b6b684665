"""What a guard costs, for a token that was checked before, in applications that do nothing else (`guarded_apps`).

The floor is a route that also reads the ``Authorization`` header, as the framework's own documentation does it, and
does nothing with it. The applications are called in this process, without a server. With ``--servers`` they run on real
ones: FastAPI on uvicorn, Flask and Django on granian, which ``make bench-peers`` installs.
"""

import asyncio
import io
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

from guarded_apps import django_app, fastapi_app, flask_app
from in_process import cpu, receive, scope_of
from load import Client, Crowd
from measure import head, microseconds, row

ROUNDS = 40
SECONDS = 0.7
MOST = 0.03

Pairs = list[tuple[float, float]]
"""The µs of a request to the guarded route and of one to the floor, in each round."""


async def in_fastapi() -> None:
    """Measure FastAPI in this process."""
    app = fastapi_app()
    body = b""

    async def send(message: Any) -> None:
        nonlocal body
        assert message.get("status", 200) == 200
        body = message.get("body", b"")

    await app(scope_of("/token", method="GET"), receive, send)
    sent = (b"authorization", b"Bearer " + body)

    def asks(path: str) -> Callable[[], Awaitable[None]]:
        return lambda: app(scope_of(path, sent, method="GET"), receive, send)

    routes = ("/me", "/open", "/header")
    taken = [[await cpu(asks(route)) for route in routes] for _ in range(ROUNDS)]
    tell("FastAPI, over its HTTPBearer", [(ours, scheme) for ours, scheme, _ in taken])
    tell("FastAPI, over a bare dependency", [(ours, header) for ours, _, header in taken], decides=False)


def in_wsgi(app: WSGIApplication) -> Pairs:
    """Measure an application of Flask or Django in this process."""

    def asks(path: str, authorization: str = "") -> Callable[[], list[bytes]]:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "1",
            "HTTP_HOST": "127.0.0.1:1",
            "HTTP_AUTHORIZATION": authorization,
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
        }

        def answered(status: str, *_: object) -> Any:
            assert status.startswith("200")

        return lambda: list(app(dict(environ), answered))

    sent = f"Bearer {b''.join(asks('/token')()).decode()}"
    ours, bare = asks("/me", sent), asks("/open", sent)
    return [(microseconds(ours), microseconds(bare)) for _ in range(ROUNDS)]


class Reader(Client):
    """A client that asks for one route after the other."""

    def __init__(self, host: str, period: float, token: str) -> None:
        super().__init__(host, period, iter(()))
        self.path = "/open"
        self.rest = f" HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"

    def write(self, path: str = "", body: bytes = b"") -> None:  # noqa: ARG002 - it asks for its own path
        self.transport.write(f"GET {self.path}{self.rest}".encode())  # type: ignore[attr-defined]  # as in `Client`


def on_servers() -> None:
    """Measure the three on their servers."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from peers import GRANIAN_THERE, UVICORN_HERE, ours

    from compare.peers import running

    for name, server in (("fastapi", UVICORN_HERE), ("flask", GRANIAN_THERE), ("django", GRANIAN_THERE)):
        kind = ours(*server, "--factory", f"guarded_apps:{name}_app")
        with tempfile.TemporaryDirectory() as folder, running(kind, Path(folder)) as peer:
            tell(f"{name} on {server[2]}", asyncio.run(under_load(peer.url, peer.pid, peer.client.get("/token").text)))


async def under_load(address: str, pid: int, token: str) -> Pairs:
    """Ask for both routes in turns."""
    crowd = Crowd([pid], lambda host, period: Reader(host, period, token))
    await crowd.come(address, login=False)
    pairs = []
    for _ in range(ROUNDS):
        taken = []
        for path in ("/me", "/open"):
            for client in crowd.clients:
                client.path = path  # type: ignore[attr-defined]  # they are readers
            await asyncio.sleep(0.05)  # until the last answers of the route before have come
            load = await crowd.watched(SECONDS)
            assert load.bad == 0, f"{load.bad} answers were not the route's"
            taken.append(load.cpu)
        pairs.append((taken[0], taken[1]))
    await crowd.leave()
    return pairs


def tell(name: str, pairs: Pairs, *, decides: bool = True) -> None:
    ours, bare = (statistics.median(each) for each in zip(*pairs, strict=True))
    share = statistics.median((one - other) / one for one, other in pairs)
    budget, met = (f"≤ {MOST:.0%} of it", share <= MOST) if decides else ("", None)
    row(f"a known token, {name}", f"{ours:.1f}", f"{bare:.1f}", f"{share:.1%}", budget, met=met)


def main() -> None:
    if sys.argv[1:] == ["--servers"]:
        head("A guarded route on its server (µs of CPU)")
        on_servers()
        return
    head("A guarded route in one process (µs of CPU)")
    asyncio.run(in_fastapi())
    tell("Flask", in_wsgi(flask_app()))
    tell("Django", in_wsgi(django_app()))


if __name__ == "__main__":
    main()
