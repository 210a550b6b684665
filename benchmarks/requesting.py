"""What a request with a valid token costs each client over the bare one, without a network in between.

The bare client sends an `Authorization` header of its own. In niquests any ``auth`` takes time, so the bare client has
one there, too, which only sets that header; the rows without a budget are over a session that has none.

What stands in for the network answers at once: a transport (httpx2, httpx), an adapter (requests, niquests), a last
middleware (aiohttp).
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import httpx
import httpx2
import niquests
import niquests.adapters
import niquests.auth
import requests
import requests.adapters
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey
from measure import head, row
from measure import in_turns as measured

from daypass.client import aiohttp as for_aiohttp
from daypass.client import httpx as for_httpx
from daypass.client import niquests as for_niquests
from daypass.client import requests as for_requests
from daypass.client.clock import wall_ms
from daypass.client.dpop import Proofs

BASE = "https://api.example.com"
ME = f"{BASE}/me"
BARE = {"Authorization": "Bearer a.b.c"}
RAW = SimpleNamespace(headers={}, _original_response=None)
TOKENS: dict[str, Any] = {"access_token": "a.b.c", "refresh_token": "dpr_x", "expires_in": 900}


ROUNDS = 60
CALLS = 200

Figures = tuple[float, float, float]
"""Medians over the rounds: ours, the bare client's, and the difference between neighbours, which drift leaves alone."""


def tell(name: str, figures: Figures, *, decides: bool = True) -> None:
    ours, bare, extra = figures
    budget, met = ("≤ 5 µs over it", extra <= 5) if decides else ("", None)
    row(name, f"{ours:.1f}", f"{bare:.1f}", f"{extra:+.1f} µs", budget, met=met)


def summed_up(ours: list[float], bare: list[float]) -> Figures:
    differences = [one - other for one, other in zip(ours, bare, strict=True)]
    return statistics.median(ours), statistics.median(bare), statistics.median(differences)


def in_turns(ours: Callable[[], object], bare: Callable[[], object]) -> Figures:
    """Measure both, in turns, in short slices of the thread's own time, which leaves other work out."""

    def microseconds(call: Callable[[], object]) -> float:
        started = time.thread_time()
        for _ in range(CALLS):
            call()
        return (time.thread_time() - started) / CALLS * 1e6

    pairs = [(microseconds(ours), microseconds(bare)) for _ in range(ROUNDS)]
    return summed_up([pair[0] for pair in pairs], [pair[1] for pair in pairs])


async def in_turns_async(ours: Callable[[], Awaitable[object]], bare: Callable[[], Awaitable[object]]) -> Figures:
    """Do as `in_turns`, on one event loop."""

    async def microseconds(call: Callable[[], Awaitable[object]]) -> float:
        started = time.thread_time()
        for _ in range(CALLS):
            await call()
        return (time.thread_time() - started) / CALLS * 1e6

    pairs = [(await microseconds(ours), await microseconds(bare)) for _ in range(ROUNDS)]
    return summed_up([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def blocking_httpx(library: Any) -> Figures:
    transport = library.MockTransport(lambda _: library.Response(200, content=b"ok"))
    auth = for_httpx.DaypassAuth(f"{BASE}/auth")
    auth.start(**TOKENS)
    with library.Client(transport=transport, headers=BARE) as bare, library.Client(transport=transport) as ours:
        auth.attach(ours)
        return in_turns(lambda: ours.get(ME), lambda: bare.get(ME))


async def async_httpx(library: Any) -> Figures:
    transport = library.MockTransport(lambda _: library.Response(200, content=b"ok"))
    auth = for_httpx.DaypassAuth(f"{BASE}/auth")
    auth.start(**TOKENS)
    async with (
        library.AsyncClient(transport=transport, headers=BARE) as bare,
        library.AsyncClient(transport=transport) as ours,
    ):
        auth.attach(ours)
        return await in_turns_async(lambda: ours.get(ME), lambda: bare.get(ME))


class HeaderAuth(niquests.auth.AuthBase):
    """The least that an auth of niquests can do."""

    def __call__(self, request: Any) -> Any:
        request.headers.update(BARE)
        return request


class AsyncHeaderAuth(niquests.auth.AsyncAuthBase):
    async def __call__(self, request: Any) -> Any:
        request.headers.update(BARE)
        return request


def blocking_requests(library: Any, module: Any, bare_auth: Any = None) -> Figures:
    class Answers(library.adapters.BaseAdapter):  # type: ignore[misc]  # the library is known at run time only
        def send(self, request: Any, **_: Any) -> Any:
            response = library.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response._content, response.raw = b"ok", RAW
            return response

        def close(self) -> None:
            pass

    auth = module.DaypassAuth(f"{BASE}/auth")
    auth.start(**TOKENS)
    with library.Session() as bare, library.Session() as ours:
        bare.auth = bare_auth
        bare.headers.update({} if bare_auth else BARE)
        for session in (bare, ours):
            session.trust_env = False
            session.mount("https://", Answers())
        auth.attach(ours)
        return in_turns(lambda: ours.get(ME), lambda: bare.get(ME))


async def async_niquests(library: Any, bare_auth: Any = None) -> Figures:
    class Answers(library.adapters.AsyncBaseAdapter):  # type: ignore[misc]  # the library is known at run time only
        async def send(self, request: Any, **_: Any) -> Any:
            response = library.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response._content, response.raw = b"ok", RAW
            return response

        async def close(self) -> None:
            pass

    auth = for_niquests.AsyncDaypassAuth(f"{BASE}/auth")
    auth.start(**TOKENS)
    async with library.AsyncSession() as bare, library.AsyncSession() as ours:
        bare.auth = bare_auth
        bare.headers.update({} if bare_auth else BARE)
        for session in (bare, ours):
            session.trust_env = False
            session.mount("https://", Answers())
        auth.attach(ours)
        return await in_turns_async(lambda: ours.get(ME), lambda: bare.get(ME))


async def async_aiohttp() -> Figures:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/") as constant:
        await constant.read()
    server.close()

    async def answers(_: aiohttp.ClientRequest, __: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        return constant

    auth = for_aiohttp.DaypassAuth(f"{BASE}/auth")
    auth.start(**TOKENS)
    async with (
        aiohttp.ClientSession(headers=BARE, middlewares=[answers]) as bare,
        aiohttp.ClientSession(middlewares=[auth, answers]) as ours,
    ):
        return await in_turns_async(lambda: ours.get(ME), lambda: bare.get(ME))


def tell_proofs() -> None:
    """Print what ``dpop=True`` adds to a request of httpx2, against the bare ES256 signature."""
    key = ECKey.generate_key("P-256")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=b"ok"))
    bearer, bound = (for_httpx.DaypassAuth(f"{BASE}/auth", dpop=dpop) for dpop in (False, True))
    bearer.start(**TOKENS)
    bound.start(**TOKENS, key=key.as_dict(private=True))
    with httpx2.Client(transport=transport) as plain, httpx2.Client(transport=transport) as ours:
        bearer.attach(plain)
        bound.attach(ours)
        assert "dpop" in ours.get(ME).request.headers
        _, _, adds = in_turns(lambda: ours.get(ME), lambda: plain.get(ME))
    proofs, text = Proofs(wall_ms), json.dumps(key.as_dict(private=True))
    sign = cast("EllipticCurvePrivateKey", key.private_key).sign
    content = bytes(400)  # about as long as what a proof signs
    figures = measured(
        {"proof": lambda: proofs.of(text, "GET", ME, "a.b.c"), "bare": lambda: sign(content, ECDSA(SHA256()))}
    )
    floor = figures["bare"]
    ratio = figures["proof"] / floor
    row("DPoP proof", f"{figures['proof']:.1f}", f"{floor:.1f}", f"{ratio:.2f}", "≤ 2 bare signatures", met=ratio <= 2)
    row("httpx2.Client.get, dpop=True adds", f"{adds:.1f}", f"{floor:.1f}", f"{adds / floor:.2f}", "")


def main() -> None:
    head("A client's request with a valid token (µs)")
    tell("httpx2.Client.get", blocking_httpx(httpx2))
    tell("httpx2.AsyncClient.get", asyncio.run(async_httpx(httpx2)))
    tell("httpx.Client.get", blocking_httpx(httpx))
    tell("httpx.AsyncClient.get", asyncio.run(async_httpx(httpx)))
    tell("requests.Session.get", blocking_requests(requests, for_requests))
    tell("aiohttp.ClientSession.get", asyncio.run(async_aiohttp()))
    tell("niquests.Session.get, over an auth", blocking_requests(niquests, for_niquests, HeaderAuth()))
    tell("niquests.AsyncSession.get, over an auth", asyncio.run(async_niquests(niquests, AsyncHeaderAuth())))
    tell("niquests.Session.get, over no auth", blocking_requests(niquests, for_niquests), decides=False)
    tell("niquests.AsyncSession.get, over no auth", asyncio.run(async_niquests(niquests)), decides=False)
    tell_proofs()


if __name__ == "__main__":
    main()
