"""Finds the kind of `daypass.client.body.Body` of an httpx request, and prepares it to be sent again.

Multipart is sent again if all its files can be rewound: httpx rewinds them. A seekable file is rewound to the position
it had at first: httpx would send it empty. A body that can be read only once is recorded.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from daypass.client.body import REPEATABLE, AsyncRecorded, Body, Recorded, SeekableFile, is_seekable
from daypass.client.httpx_libraries import library_of


class _Streams(NamedTuple):
    """The classes of streams of one library, and those of a recorded body."""

    bytes: type[Any]
    sync: type[Any]
    async_: type[Any]
    recorded: type[Any]
    async_recorded: type[Any]


@lru_cache(maxsize=16)
def _streams_of(request: Any) -> _Streams:
    library = library_of(request)
    sync, async_ = library.SyncByteStream, library.AsyncByteStream
    recorded = type("RecordedStream", (Recorded, sync), {})
    return _Streams(library.ByteStream, sync, async_, recorded, type("RecordedStream", (AsyncRecorded, async_), {}))


def body_of(request: Any, limit: int, *, is_async: bool) -> Body:
    """Return the body of ``request``; if it can be read only once, record it while it is sent.

    Args:
        request: of httpx2 or httpx; its ``stream`` is replaced if the body can be read only once.
        limit: how many bytes of such a body are kept.
        is_async: which kind of client sends it.
    """
    kind: Any = type(request)
    stream, streams = request.stream, _streams_of(kind)
    if isinstance(stream, streams.bytes):
        return REPEATABLE
    return _file_or_list(stream) or _multipart(stream) or _record(request, streams, limit, is_async=is_async)


def _file_or_list(stream: Any) -> Body | None:
    # `_stream` is what the caller gave as `content`, kept there by IteratorByteStream in both libraries. If that
    # name changes, the body is recorded like any other, and the tests of rewinding fail.
    source: Any = getattr(stream, "_stream", None)
    if isinstance(source, (list, tuple)):
        return REPEATABLE
    if not hasattr(source, "read") or not is_seekable(source):
        return None
    return SeekableFile(source, source.tell())


def _multipart(stream: Any) -> Body | None:
    fields = getattr(stream, "fields", None)
    if not isinstance(fields, list):
        return None
    files = [field.file for field in fields if hasattr(field, "file")]
    return REPEATABLE if all(isinstance(file, (bytes, str)) or is_seekable(file) for file in files) else None


def _record(request: Any, streams: _Streams, limit: int, *, is_async: bool) -> Body:
    stream = request.stream
    if not isinstance(stream, streams.async_ if is_async else streams.sync):
        return REPEATABLE  # the client is about to refuse it with its own error
    recorded: Body = (streams.async_recorded if is_async else streams.recorded)(stream, limit)
    request.stream = recorded
    return recorded
