"""A real nginx that ends TLS, with each configuration that this project shows."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daypass import AsyncDaypass, Event, User
from daypass.testing import Clock
from daypass.web import Application
from daypass.web.starlette import auth_routes

from ..server.certificates import write_certificate
from ..servers import nginx
from ..servers.application import serving
from ..web.reverse_proxies import shown

ROOT = Path(__file__).parents[2]

ANN = User("7", username="ann", claims={"groups": "x" * 2500})
"""Her access token is nearly as long as a cookie may be."""

PAGE = "<!doctype html><title>{user}</title><form method=post><input name=text value=kept><button>Send</button></form>"

Configuration = Callable[[str, str], str]
"""Returns the content of nginx's ``http`` block from the addresses of Daypass and of the application."""


class Site:
    """An issuer, and an application behind the same nginx that knows nothing of it.

    Attributes:
        seen: the path and the status of each request to the session endpoints.
        reached: the path of each request to the application, and its user.
    """

    def __init__(self) -> None:
        self.clock, self.events, self.seen = Clock(), list[Event](), list[tuple[str, int]]()
        self.reached: list[tuple[str, str]] = []
        self.auth = AsyncDaypass(
            "memory:",
            issuer="https://localhost",
            load_user={"7": ANN}.get,
            authenticate=lambda name, password: ANN if (name, password) == ("ann", "correct") else None,
            on_event=self.events.append,
            clock=self.clock,
            device_bound=True,
        )
        application = Application(self.auth, same_site="Lax", trusted_proxies=["127.0.0.1"], proxy_header="X-Forwarded")
        self._daypass = Starlette(routes=[Mount("/auth", routes=auth_routes(application))])
        self._behind = Starlette(routes=[Route("/{path:path}", self._page, methods=["GET", "POST"])])

    @property
    def codes(self) -> list[str]:
        return [str(event.code) for event in self.events]

    def count(self, path: str) -> list[int]:
        """Return the statuses of the requests to a path since the last call."""
        seen = [status for where, status in self.seen if where == f"/auth/device/{path}"]
        self.seen.clear()
        return seen

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[tuple[str, str]]:
        """Serve both without TLS; give their addresses. ``port`` is that of the issuer."""
        with serving(self._noted(), port=port) as daypass, serving(self._behind) as application:
            yield daypass.removeprefix("http://"), application.removeprefix("http://")

    def _noted(self) -> ASGIApp:
        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.seen.append((scope["path"], message["status"]))
                await send(message)

            await self._daypass(scope, receive, noted)

        return noting

    async def _page(self, request: Request) -> HTMLResponse:
        sent, user = (await request.body()).decode(), request.headers.get("x-auth-username", "nobody")
        self.reached.append((request.url.path, user))
        return HTMLResponse(PAGE.format(user=user) + f"<p>{sent}</p>")


@dataclass(frozen=True)
class Proxy:
    """A running nginx.

    Attributes:
        port: on loopback; it speaks TLS and HTTP/2.
        certificate: for ``localhost``.
    """

    port: int
    certificate: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


def forward_auth(daypass: str, application: str) -> str:
    """Return the configuration of docs/forward-auth.md."""
    text = shown("nginx").replace("127.0.0.1:8001", daypass).replace("127.0.0.1:8002", application)
    return text.replace("listen 8080;", "LISTEN")


def serve(daypass: str, _: str) -> str:
    """Return the location of docs/serve.md, in a server."""
    (location,) = re.findall(r"^```nginx\n(.*?)^```", (ROOT / "docs/serve.md").read_text(), re.MULTILINE | re.DOTALL)
    return f"server {{\nLISTEN\n{location.replace('127.0.0.1:8000', daypass)}}}\n"


def compose(daypass: str, _: str) -> str:
    """Return the configuration of deploy/compose, with one node."""
    text = (ROOT / "deploy/compose/nginx.conf").read_text().replace("node1:8000", daypass)
    return re.sub(r"\s+server node\d:.*|\s+ssl_certificate.*", "", text).replace("listen 443 ssl;", "LISTEN")


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def running(folder: Path, configuration: str, port: int = 0, program: Path = nginx.NGINX) -> Iterator[Proxy]:
    """Run nginx, with what it listens on instead of ``LISTEN``; on a free port unless given."""
    port = port or free_port()
    pem, key = folder / "certificate.pem", folder / "key.pem"
    if not pem.exists():
        write_certificate(folder)
    listen = f"listen 127.0.0.1:{port} ssl http2;\nssl_certificate {pem};\nssl_certificate_key {key};"
    with nginx.serving(folder, port, configuration.replace("LISTEN", listen), program):
        yield Proxy(port, pem)
