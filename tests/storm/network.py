"""The network of the storm: a proxy that loses, repeats, delays and truncates requests and responses."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field

from .weather import Weather


@dataclass(slots=True)
class Network:
    """A proxy on loopback in front of the nodes; each connection carries one request.

    Attributes:
        ports: the ports of the nodes.
        weather: chooses the fate of a message by its name in ``X-Message``.
        seen: the number of messages by fate.
        overdue: requests that a node still worked on when their client had timed out. It happens only if the machine is
            too slow for this many users, and then the rule promises nothing.
    """

    ports: list[int]
    weather: Weather
    seen: "Counter[str]" = field(default_factory=Counter)
    overdue: int = 0
    _under_way: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def serve(self) -> asyncio.Server:
        """Listen on a free port."""
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def calm_down(self) -> None:
        """Wait until no message is in transit."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._carry(reader, writer))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            request, name, sent = await _read(reader)
            answer = await self._deliver(request, name, sent)
            if answer:
                writer.write(answer)
                await writer.drain()
        await hang_up(writer)

    async def _copy(self, request: bytes, sent: float, node: int, delay: float) -> None:
        await self._send(request, sent, node, delay)

    async def _deliver(self, request: bytes, name: str, sent: float) -> bytes:
        fate = self.weather.fate(name)
        if fate.twin is not None:
            self.seen["requests repeated"] += 1
            self._start(self._copy(request, sent, fate.twin, fate.twin_delay))
        if fate.request_lost:
            self.seen["requests lost"] += 1
            return b""
        self.seen["messages delayed"] += bool(fate.request_delay) + bool(fate.answer_delay)
        answer = await self._send(request, sent, fate.node, fate.request_delay)
        if not answer:
            self.seen["nodes found dead"] += 1
            return b""
        await asyncio.sleep(fate.answer_delay)
        if fate.answer_lost:
            self.seen["answers lost"] += 1
            return b""
        if fate.answer_cut:
            self.seen["answers cut"] += 1
            return answer[: len(answer) // 2]
        return answer

    async def _send(self, request: bytes, sent: float, node: int, delay: float) -> bytes:
        """Return the response of a node; nothing if it is dead, or is killed meanwhile."""
        await asyncio.sleep(delay)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[node])
        except OSError:
            return b""
        try:
            writer.write(request)
            return await reader.read()  # the request has `Connection: close`
        except OSError:
            return b""
        finally:
            self.overdue += time.monotonic() - sent > self.weather.scale.patience
            await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection in whatever state it is."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, str, float]:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
    body = await reader.readexactly(int(fields["Content-Length"]))
    return head + body, fields["X-Message"], float(fields["X-Sent"])
