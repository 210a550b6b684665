"""What a refresh costs inside one process, without a socket.

It goes through the whole ASGI application, with sixteen sessions in memory and ``grace_period=0``, so that each one is
a rotation. Its floor is the bare ES256 signature.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from measure import head, row

from daypass import AsyncDaypass, User
from daypass.keys import SigningKey
from daypass.stores.memory import AsyncMemoryStore
from daypass.web.asgi import auth_app

USER = User("7", "ann", "ann@example.com")
ISSUER = "http://127.0.0.1:1"
SESSIONS = 16
ROUNDS = 40
CALLS = 96


async def load_user(_: str) -> User:
    return USER


def scope_of(path: str, *headers: tuple[bytes, bytes], method: str = "POST") -> dict[str, Any]:
    """Return the ASGI scope of a request on loopback."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 1),
        "client": ("127.0.0.1", 2),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:1"), (b"content-length", b"0"), *headers],
        "state": {},
    }


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def refreshing() -> Callable[[], Awaitable[None]]:
    """Return what refreshes the next of the sessions."""
    auth = AsyncDaypass(AsyncMemoryStore(), issuer=ISSUER, load_user=load_user, grace_period=0, secret="0" * 32)
    app = auth_app(auth, rate_limits=None)
    cookies = [f"daypass-1={(await auth.start(USER)).refresh_token}".encode() for _ in range(SESSIONS)]
    turns = itertools.cycle(range(SESSIONS))

    async def refresh() -> None:
        turn = next(turns)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
                cookies[turn] = dict(message["headers"])[b"set-cookie"].partition(b";")[0]

        await app(scope_of("/refresh", (b"cookie", cookies[turn])), receive, send)

    return refresh


async def cpu(call: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU time of one call, in µs."""
    started = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - started) / CALLS * 1e6


async def refresh_row() -> None:
    refresh, private = await refreshing(), SigningKey.generate("ES256").key.private_key
    assert isinstance(private, EllipticCurvePrivateKey)

    async def signature() -> None:
        private.sign(b"x" * 500, ECDSA(SHA256()))

    pairs = [(await cpu(refresh), await cpu(signature)) for _ in range(ROUNDS)]
    ours, bare = (min(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    row("a refresh, in memory", f"{ours:.0f}", f"{bare:.0f}", f"{ratio:.2f}", "≤ 6.2 bare signatures", met=ratio <= 6.2)


def main() -> None:
    head("In one process (µs of CPU)")
    asyncio.run(refresh_row())


if __name__ == "__main__":
    main()
