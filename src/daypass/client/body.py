"""Prepares request bodies to be sent again, for every HTTP library.

    body                                        the second time
    none, bytes, JSON, form, list of bytes      as it is
    a seekable file                             from where it was the first time
    anything that can be read only once         from a copy kept while it was sent, up to a bound

A body that is larger than the bound, or can no longer be rewound, is not sent again: never an empty or partial body.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Protocol

KEPT_AT_MOST = 1_048_576
"""Default for how many bytes are kept of a body that can be read only once."""

_CHUNK = 65_536


class Body(Protocol):
    """A request's body: whether and how it can be sent again."""

    @property
    def sure(self) -> bool:
        """Whether it can certainly be sent again; known before it is sent."""

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again; asked after it was sent."""

    def rewind(self) -> bool:
        """Make it ready to be sent again as a whole; return ``False`` if that is no longer possible."""

    def forget(self) -> None:
        """Drop the copy that was kept for sending it again."""


class Repeatable:
    """A body that is the same every time."""

    sure = repeatable = True

    def rewind(self) -> bool:
        """Do nothing: it is ready."""
        return True

    def forget(self) -> None:
        """Do nothing: nothing was kept."""


class Unrepeatable:
    """A body that cannot be sent again."""

    sure = repeatable = False

    def rewind(self) -> bool:
        """Refuse."""
        return False

    def forget(self) -> None:
        """Do nothing: nothing was kept."""


class SeekableFile:
    """A file that is sent from its current position, not always its beginning."""

    sure = repeatable = True

    def __init__(self, file: Any, position: int) -> None:
        self._file = file
        self._position = position

    def rewind(self) -> bool:
        """Go back to that position; ``False`` if the file has been closed meanwhile."""
        try:
            self._file.seek(self._position)
        except (OSError, ValueError):
            return False
        return True

    def forget(self) -> None:
        """Do nothing: nothing was kept."""


class _Recorded:
    """Keeps a copy of the bytes that pass through, up to a limit."""

    sure = False

    def __init__(self, limit: int) -> None:
        self._kept: list[bytes] | None = []
        self._room = limit

    @property
    def repeatable(self) -> bool:
        return self._kept is not None

    def rewind(self) -> bool:
        return self._kept is not None

    def forget(self) -> None:
        self._kept = None

    def _keep(self, chunk: bytes) -> None:
        self._room -= len(chunk)
        if self._kept is None or self._room < 0:
            self._kept = None
        else:
            self._kept.append(chunk)

    def _replayed(self) -> list[bytes]:
        if self._kept is None:
            raise RuntimeError("this body was read once and was too large to be kept: it cannot be sent again")
        return list(self._kept)


class Recorded(_Recorded):
    """A body that can be read only once, with a copy of its beginning.

    Iterated again, it gives the copy, then the part that was not read yet. So a body can be sent again even if the
    server answered before it had read everything.
    """

    def __init__(self, source: Iterable[bytes], limit: int) -> None:
        super().__init__(limit)
        self._rest: Iterator[bytes] = iter(source)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._replayed()
        for chunk in self._rest:
            self._keep(chunk)
            yield chunk


class AsyncRecorded(_Recorded):
    """The async version of `Recorded`."""

    def __init__(self, source: AsyncIterable[bytes], limit: int) -> None:
        super().__init__(limit)
        self._rest: AsyncIterator[bytes] = aiter(source)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._replayed():
            yield chunk
        async for chunk in self._rest:
            self._keep(chunk)
            yield chunk


REPEATABLE = Repeatable()
UNREPEATABLE = Unrepeatable()


def is_seekable(file: Any) -> bool:
    """Return whether a file can go back to its current position."""
    try:
        return bool(file.seekable())
    except (AttributeError, OSError, ValueError):
        return False


def chunks_of(file: Any) -> Iterator[bytes]:
    """Read a file that cannot be rewound, piece by piece."""
    read: Callable[[], bytes] = lambda: file.read(_CHUNK)  # noqa: E731 - for `iter`, with its type
    return iter(read, b"")


def body_to_send(given: Any, limit: int) -> tuple[Body, Any]:
    """Return the `Body` of a request and what to send instead: a recording if it can be read only once.

    Args:
        given: the body as the caller passed it to the library: bytes, text, a file, an iterable.
        limit: how many bytes to keep of a body that can be read only once.
    """
    if given is None or isinstance(given, (bytes, bytearray, str, list, tuple)):
        return REPEATABLE, given
    if hasattr(given, "__aiter__"):
        recorded: AsyncRecorded | Recorded = AsyncRecorded(given, limit)
    elif is_seekable(given):
        return SeekableFile(given, given.tell()), given
    elif hasattr(given, "read"):
        recorded = Recorded(chunks_of(given), limit)
    elif isinstance(given, Iterable):
        recorded = Recorded(given, limit)
    else:
        return UNREPEATABLE, given
    return recorded, recorded
