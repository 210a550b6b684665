"""A small WebSocket client (RFC 6455): ten thousand of them must fit beside the measured servers."""

import asyncio
import json
import struct
from collections.abc import Callable

TEXT, CLOSE = 1, 8
_ACCEPTED = b'{"type":"daypass.accepted"'


class Client(asyncio.Protocol):
    """One connection.

    Args:
        access_token: the access token of the handshake.
        path: the path of the handshake.
        ended: called with this client when the connection has ended.

    Attributes:
        opened: a future, done when the server has answered 101.
        code: the close code, 0 without a close frame; None while it is open.
        accepted: the number of newer access tokens that the server has accepted.
        echoed: the last message of the application.
    """

    __slots__ = ("_access_token", "_ended", "_path", "_rest", "_transport", "accepted", "code", "echoed", "opened")

    def __init__(self, access_token: str, path: str, ended: "Callable[[Client], object]") -> None:
        self._access_token = access_token
        self._path = path
        self._ended = ended
        self._rest = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.code: int | None = None
        self.accepted = 0
        self.echoed = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        head = (
            f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {self._access_token}\r\n\r\n"
        )
        self._write(head.encode())
        self._access_token = ""

    def send(self, text: str) -> None:
        content = text.encode()
        length = bytes((128 | len(content),)) if len(content) < 126 else struct.pack("!BH", 128 | 126, len(content))
        self._write(bytes((128 | TEXT,)) + length + bytes(4) + content)  # masked by zeros

    def renew(self, access_token: str) -> None:
        self.send(json.dumps({"type": "daypass.token", "accessToken": access_token}, separators=(",", ":")))

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self.opened.done():
            head, _, data = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(head.split(b"\r\n")[0].decode()))
                return
            self.opened.set_result(None)
        while len(data) >= 2 and len(data) >= (size := _size(data)):
            self._take(data[0] & 15, data[4 if data[1] == 126 else 2 : size])
            data = data[size:]
        self._rest = data

    def connection_lost(self, _: Exception | None) -> None:
        self._end(0)

    def _take(self, opcode: int, content: bytes) -> None:
        if opcode == CLOSE:
            self._end(int.from_bytes(content[:2], "big"))
            self._transport.close()
        elif content.startswith(_ACCEPTED):
            self.accepted += 1
        elif opcode == TEXT:
            self.echoed = content.decode()

    def _end(self, code: int) -> None:
        if self.code is None:
            self.code = code
            self._ended(self)
            if not self.opened.done():
                self.opened.set_exception(ConnectionError("closed"))

    def _write(self, data: bytes) -> None:
        self._transport.write(data)  # type: ignore[attr-defined]  # asyncio types it as a base transport


def _size(data: bytes) -> int:
    """Return the length of the first frame; servers send no frames of 64 KiB here."""
    if data[1] != 126:
        return 2 + data[1]
    return 4 + int.from_bytes(data[2:4], "big") if len(data) >= 4 else 4
