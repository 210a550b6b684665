"""Whether the body of an httpx request can be sent again, and how it is made ready for that.

    body                                        the second time
    none, bytes, JSON, form, list of bytes      as it is
    multipart                                   as it is: httpx rewinds its files, where they can be rewound
    a seekable file                             from where it was the first time; httpx would send it empty
    anything that can be read only once         from a copy kept while it was sent, up to a bound

What is larger than the bound, or cannot be rewound any more, is not sent again: never an empty or a partial body.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from daypass.client.libraries import classes

if TYPE_CHECKING:
    import httpx2

    _SyncStream = httpx2.SyncByteStream
    _AsyncStream = httpx2.AsyncByteStream
else:
    _SyncStream = type("_SyncStream", classes("SyncByteStream"), {})
    _AsyncStream = type("_AsyncStream", classes("AsyncByteStream"), {})

_BYTES = classes("ByteStream")
_SYNC = classes("SyncByteStream")
_ASYNC = classes("AsyncByteStream")

KEPT_AT_MOST = 1_048_576
"""Bytes of a body that can be read only once which are kept for a second sending, unless told otherwise."""


class Body(Protocol):
    """A request's body, seen from the question whether it can be sent again."""

    @property
    def sure(self) -> bool:
        """Whether it is known before it is sent that it can be sent again."""

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again, as it stands after being sent."""

    def rewind(self) -> bool:
        """Make it ready to be sent again, whole; ``False`` where that is no longer possible."""

    def forget(self) -> None:
        """Let go of what was kept for sending it again."""


class Repeatable:
    """A body that is the same every time."""

    sure = repeatable = True

    def rewind(self) -> bool:
        """Do nothing: it is ready."""
        return True

    def forget(self) -> None:
        """Do nothing: nothing was kept."""


class SeekableFile:
    """A file that is sent from where it stands, which need not be its beginning."""

    sure = repeatable = True

    def __init__(self, file: Any, position: int) -> None:
        self._file = file
        self._position = position

    def rewind(self) -> bool:
        """Go back to where the file stood; ``False`` where it has been closed meanwhile."""
        try:
            self._file.seek(self._position)
        except (OSError, ValueError):
            return False
        return True

    def forget(self) -> None:
        """Do nothing: nothing was kept."""


class _Recorded:
    """Keeps what went through it, up to a bound."""

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


class RecordedStream(_Recorded, _SyncStream):
    """A body that can be read only once, with a copy of its beginning.

    Iterated again, it gives the copy and then goes on with what had not been read: so a server that answers before it
    has read everything costs nothing.
    """

    def __init__(self, stream: Any, limit: int) -> None:
        super().__init__(limit)
        self._rest: Iterator[bytes] = iter(stream)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._replayed()
        for chunk in self._rest:
            self._keep(chunk)
            yield chunk


class AsyncRecordedStream(_Recorded, _AsyncStream):
    """The async twin of `RecordedStream`."""

    def __init__(self, stream: Any, limit: int) -> None:
        super().__init__(limit)
        self._rest: AsyncIterator[bytes] = aiter(stream)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._replayed():
            yield chunk
        async for chunk in self._rest:
            self._keep(chunk)
            yield chunk


REPEATABLE = Repeatable()


def body_of(request: Any, limit: int, *, is_async: bool) -> Body:
    """Return the body of ``request``, and have it recorded while it is sent where that is needed.

    Args:
        request: of httpx2 or httpx; its ``stream`` is replaced where the body can be read only once.
        limit: how many bytes of such a body are kept.
        is_async: which kind of client sends it.
    """
    stream = request.stream
    if isinstance(stream, _BYTES):
        return REPEATABLE
    return _file_or_list(stream) or _multipart(stream) or _record(request, limit, is_async=is_async)


def _file_or_list(stream: Any) -> Body | None:
    # `_stream` is what the caller gave as `content`, kept there by IteratorByteStream in both libraries. Should that
    # name change, the body is recorded like any other, and the tests of rewinding say so.
    source: Any = getattr(stream, "_stream", None)
    if isinstance(source, (list, tuple)):
        return REPEATABLE
    if not hasattr(source, "read") or not _seekable(source):
        return None
    return SeekableFile(source, source.tell())


def _multipart(stream: Any) -> Body | None:
    fields = getattr(stream, "fields", None)
    if not isinstance(fields, list):
        return None
    files = [field.file for field in fields if hasattr(field, "file")]
    return REPEATABLE if all(isinstance(file, (bytes, str)) or _seekable(file) for file in files) else None


def _record(request: Any, limit: int, *, is_async: bool) -> Body:
    stream = request.stream
    if not isinstance(stream, _ASYNC if is_async else _SYNC):
        return REPEATABLE  # the client is about to refuse it, in its own words
    recorded = AsyncRecordedStream(stream, limit) if is_async else RecordedStream(stream, limit)
    request.stream = recorded
    return recorded


def _seekable(file: Any) -> bool:
    try:
        return bool(file.seekable())
    except (AttributeError, OSError, ValueError):
        return False
