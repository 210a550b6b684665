"""A wire between a client and a server that counts how often something goes there and back, and can be cut."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Wire:
    """Passes on what is sent to a port.

    Attributes:
        port: where to connect to.
        round_trips: how often a client spoke after the server had, over all connections.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.round_trips = 0
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Cut every connection that there is, and none that comes meanwhile."""
        for each in tuple(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += (near, far)
                turn = [True]
                threading.Thread(target=self._pass_on, args=(near, far, turn, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(far, near, turn, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, turn: list[bool], client: bool) -> None:  # noqa: FBT001 - who speaks
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if client and turn[0]:
                    self.round_trips += 1
                turn[0] = not client
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for each in self._sockets:
            each.close()
