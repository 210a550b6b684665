"""What a request with a valid token costs each client over the bare one, without a network in between.

The bare client sends an `Authorization` header of its own. What stands in for the network answers at once: a transport
(httpx2, httpx), an adapter (requests, niquests), a last middleware (aiohttp).
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx
import httpx2
import niquests
import niquests.adapters
import requests
import requests.adapters
from measure import ROUNDS, SLICE, head, in_turns, row

from daypass.client import aiohttp as for_aiohttp
from daypass.client import httpx as for_httpx
from daypass.client import niquests as for_niquests
from daypass.client import requests as for_requests

BASE = "https://api.example.com"
ME = f"{BASE}/me"
BARE = {"Authorization": "Bearer a.b.c"}
TOKENS: dict[str, Any] = {"access_token": "a.b.c", "refresh_token": "dpr_x", "expires_in": 900}


def tell(name: str, figures: dict[str, float]) -> None:
    extra = figures["ours"] - figures["bare"]
    row(name, f"{figures['ours']:.1f}", f"{figures['bare']:.1f}", f"+{extra:.1f} µs", "≤ 5 µs over it")


async def in_turns_async(calls: dict[str, Callable[[], Awaitable[object]]]) -> dict[str, float]:
    """Do as `in_turns`, on one event loop."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            count, started = 0, time.perf_counter()
            while (now := time.perf_counter()) < started + SLICE:
                for _ in range(20):
                    await call()
                count += 20
            taken[name].append((now - started) / count * 1e6)
    return {name: statistics.median(values) for name, values in taken.items()}


def blocking_httpx(library: Any) -> dict[str, float]:
    transport = library.MockTransport(lambda _: library.Response(200, content=b"ok"))
    auth = for_httpx.DaypassAuth(f"{BASE}/auth")
    auth.start(**TOKENS)
    with library.Client(transport=transport, headers=BARE) as bare, library.Client(transport=transport) as ours:
        auth.attach(ours)
        return in_turns({"ours": lambda: ours.get(ME), "bare": lambda: bare.get(ME)})


async def async_httpx(library: Any) -> dict[str, float]:
    transport = library.MockTransport(lambda _: library.Response(200, content=b"ok"))
    auth = for_httpx.DaypassAuth(f"{BASE}/auth")
    auth.start(**TOKENS)
    async with (
        library.AsyncClient(transport=transport, headers=BARE) as bare,
        library.AsyncClient(transport=transport) as ours,
    ):
        auth.attach(ours)
        return await in_turns_async({"ours": lambda: ours.get(ME), "bare": lambda: bare.get(ME)})


def blocking_requests(library: Any, module: Any) -> dict[str, float]:
    class Answers(library.adapters.BaseAdapter):  # type: ignore[misc]  # the library is known at run time only
        def send(self, request: Any, **_: Any) -> Any:
            response = library.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response._content = b"ok"
            return response

        def close(self) -> None:
            pass

    auth = module.DaypassAuth(f"{BASE}/auth")
    auth.start(**TOKENS)
    with library.Session() as bare, library.Session() as ours:
        bare.headers.update(BARE)
        for session in (bare, ours):
            session.trust_env = False
            session.mount("https://", Answers())
        auth.attach(ours)
        return in_turns({"ours": lambda: ours.get(ME), "bare": lambda: bare.get(ME)})


async def async_niquests(library: Any) -> dict[str, float]:
    class Answers(library.adapters.AsyncBaseAdapter):  # type: ignore[misc]  # the library is known at run time only
        async def send(self, request: Any, **_: Any) -> Any:
            response = library.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response._content = b"ok"
            return response

        async def close(self) -> None:
            pass

    auth = for_niquests.AsyncDaypassAuth(f"{BASE}/auth")
    auth.start(**TOKENS)
    async with library.AsyncSession() as bare, library.AsyncSession() as ours:
        bare.headers.update(BARE)
        for session in (bare, ours):
            session.trust_env = False
            session.mount("https://", Answers())
        auth.attach(ours)
        return await in_turns_async({"ours": lambda: ours.get(ME), "bare": lambda: bare.get(ME)})


async def async_aiohttp() -> dict[str, float]:
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
        return await in_turns_async({"ours": lambda: ours.get(ME), "bare": lambda: bare.get(ME)})


def main() -> None:
    head("A client's request with a valid token (µs)")
    tell("httpx2.Client.get", blocking_httpx(httpx2))
    tell("httpx2.AsyncClient.get", asyncio.run(async_httpx(httpx2)))
    tell("httpx.Client.get", blocking_httpx(httpx))
    tell("httpx.AsyncClient.get", asyncio.run(async_httpx(httpx)))
    tell("requests.Session.get", blocking_requests(requests, for_requests))
    tell("aiohttp.ClientSession.get", asyncio.run(async_aiohttp()))
    tell("niquests.Session.get", blocking_requests(niquests, for_niquests))
    tell("niquests.AsyncSession.get", asyncio.run(async_niquests(niquests)))


if __name__ == "__main__":
    main()
