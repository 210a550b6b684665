"""The adapter that the scenarios need for each client: a `Subject`.

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
"""A kind of body: ``multipart`` contains an open file, ``file`` is one, ``stream`` can be read only once."""

KINDS: tuple[Kind, ...] = ("none", "bytes", "json", "form", "multipart", "file", "stream")

CHUNK = 65_536


class Subject(ABC):
    """One user with one client, on one `daypass.testing.strict_server.StrictServer`.

    Every method blocks, for sync and async clients, and may be called from any thread. The arguments of the class are
    the server's URL (its session endpoints are at ``/auth``) and, for a client that keeps sessions, the path of a file
    for the session; a session in that file is used. Other processes must be able to import the class by its name.

    Attributes:
        name: for the table.
        session_over: the error of a request when the session has ended.
        unavailable: the error of a request that cannot be sent now but may be later.
        kinds: the kinds of bodies that the library sends.
        keeps: whether it keeps sessions in files, shared by processes.
        is_async: whether its callers are tasks.
        modules: the modules that its processes need, so that they are loaded only once.
        proves: whether it can bind its session to a key by DPoP (RFC 9449); then it has `bound`.
    """

    name: ClassVar[str]
    session_over: ClassVar[tuple[type[Exception], ...]]
    unavailable: ClassVar[tuple[type[Exception], ...]]
    kinds: ClassVar[tuple[Kind, ...]] = KINDS
    keeps: ClassVar[bool] = True
    is_async: ClassVar[bool] = False
    proves: ClassVar[bool] = False
    modules: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(self, url: str, path: Path | None = None) -> None:
        """Create the client."""

    @classmethod
    def bound(cls, url: str, path: Path | None = None) -> Subject:
        """Create a client whose login binds the session to a key; only for one that `proves`."""
        raise NotImplementedError(f"{cls.name} proves nothing: set proves = False")

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
            method: the HTTP method.
            url: the path or URL.
            kind: the kind of its body.
            content: the content of the body, or of its file; for a form and JSON, only its length is used.
        """

    @abstractmethod
    def leave(self, url: str, seconds: float) -> None:
        """Send a GET whose caller gives up after so many seconds: cancelled, or timed out."""

    @abstractmethod
    def twin(self) -> Subject:
        """Return another client with the same session object, in its own thread and on its own event loop."""

    @abstractmethod
    def close(self) -> None:
        """Close the client."""

    def burst(self, count: int, url: str = "/me") -> list[Any]:
        """Send so many GETs at once; return the status or the exception of each."""
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
