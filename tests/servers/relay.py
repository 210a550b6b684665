"""A relay between a client and a server: counts what goes through, and can lose or refuse some of it."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

Message = tuple[bytes, bytes]


class Relay:
    """A TCP relay in front of a PostgreSQL server, in threads of its own.

    Args:
        port: of the server, on this machine.
        startup: is given what a client begins with; what it returns is answered at once, and the server not asked.
        passes: returns whether the client gets a message of the server, by its kind and its body.

    Attributes:
        port: where clients connect to.
        flights: how often the client sent something after the server had, on all connections together.
        silent: while it is true, nothing goes through in either direction.
    """

    def __init__(
        self,
        port: int,
        startup: Callable[[bytes], bytes | None] = lambda _: None,
        passes: Callable[[bytes, bytes], bool] = lambda _kind, _body: True,
    ) -> None:
        self._server = port
        self._startup = startup
        self._passes = passes
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.flights = 0
        self.silent = False
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        """End all connections, and accept no more."""
        for each in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """End the connections that there are."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, server]
                turn = [True]
                self._start(self._upwards, client, server, turn)
                self._start(self._downwards, client, server, turn)

    def _upwards(self, client: socket.socket, server: socket.socket, turn: list[bool]) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                answer = self._startup(data)
                if answer is not None:
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_RDWR)
                    break
                if turn[0]:
                    self.flights += 1
                    turn[0] = False
                if not self.silent:
                    server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _downwards(self, client: socket.socket, server: socket.socket, turn: list[bool]) -> None:
        buffer, plain = b"", False
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                turn[0] = True
                if not plain and data in (b"N", b"G"):  # TLS and GSS are not available
                    client.sendall(data)
                    continue
                plain, buffer = True, buffer + data
                out = b""
                while len(buffer) >= 5 and len(buffer) > (length := struct.unpack(">I", buffer[1:5])[0]):
                    message, buffer = buffer[: length + 1], buffer[length + 1 :]
                    out += message if self._passes(message[:1], message[5:]) else b""
                if out and not self.silent:
                    client.sendall(out)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


def refusal(severity: str, state: str, text: str) -> bytes:
    """Return the message by which a server refuses something."""
    fields = b"".join(
        kind + value.encode() + b"\0"
        for kind, value in ((b"S", severity), (b"V", severity), (b"C", state), (b"M", text))
    )
    return b"E" + struct.pack(">I", len(fields) + 5) + fields + b"\0"
