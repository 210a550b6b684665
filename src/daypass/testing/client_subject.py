"""What the scenarios for clients need of a client: a small adapter, a `Subject`.

Write one for your own client, and run `daypass.testing.client_contract.ClientContract` on it. Those for Daypass's own
clients are in `daypass.testing.client_subjects`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Literal

Kind = Literal["none", "bytes", "json", "form", "multipart", "file", "stream"]
"""A class of bodies: ``multipart`` has an open file in it, ``file`` is one, ``stream`` can be read only once."""

KINDS: tuple[Kind, ...] = ("none", "bytes", "json", "form", "multipart", "file", "stream")

CHUNK = 65_536


class Subject(ABC):
    """One user with one client, on one `daypass.testing.strict_server.StrictServer`.

    Every method blocks, whatever the client's colour, and may be called from any thread. It is made by its class, with
    the server's URL (its session endpoints are at ``/auth``) and, for a client that keeps sessions, the path of a file
    to keep it in; what that file has is gone on with. The class has to be importable by its name, in other processes.

    Attributes:
        name: for the table.
        session_over: what a request raises when the session has ended.
        unavailable: what a request raises when it cannot go on now, and may later.
        kinds: the classes of bodies that the library sends.
        keeps: whether it keeps sessions in files, shared by processes.
        is_async: whether its callers are tasks.
    """

    name: ClassVar[str]
    session_over: ClassVar[tuple[type[Exception], ...]]
    unavailable: ClassVar[tuple[type[Exception], ...]]
    kinds: ClassVar[tuple[Kind, ...]] = KINDS
    keeps: ClassVar[bool] = True
    is_async: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, url: str, path: Path | None = None) -> None:
        """Make it."""

    @abstractmethod
    def login(self) -> None:
        """Log in, with `daypass.testing.strict_server.PASSWORD`."""

    @abstractmethod
    def logout(self) -> None:
        """Log out."""

    @abstractmethod
    def request(self, method: str, url: str, kind: Kind = "none", content: bytes = b"") -> int:
        """Send a request, to a path of the server's or a whole URL, following redirects; return the status.

        Args:
            method: of the request.
            url: where to.
            kind: the class of its body.
            content: of the body, or of what is in it; a form and JSON are made of its length.
        """

    @abstractmethod
    def leave(self, url: str, seconds: float) -> None:
        """Send a GET, and have its caller give up after so many seconds: cancelled, or out of time."""

    @abstractmethod
    def twin(self) -> Subject:
        """Return another client with the very same session object, in a thread and on an event loop of its own."""

    @abstractmethod
    def close(self) -> None:
        """Close the client."""

    def burst(self, count: int, url: str = "/me") -> list[Any]:
        """Send so many GETs at once; return each one's status, or the exception it raised."""
        start = threading.Barrier(count)

        def one(_: int) -> Any:
            start.wait()
            return outcome(lambda: self.request("GET", url))

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the exception it raises."""
    try:
        return call()
    except Exception as error:
        return error


def chunks(content: bytes) -> Iterator[bytes]:
    """Yield ``content`` in pieces: a body that can be read only once."""
    return (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))
