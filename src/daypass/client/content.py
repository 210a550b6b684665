"""The body of an answer to Daypass's own messages, bounded before and after it is decoded. Pure.

A few kilobytes of gzip can hold gigabytes. So Daypass asks for no content coding. If a body is coded anyway, Daypass
decodes it by itself, up to a bound. A body in an unknown coding counts as empty.
"""

import zlib

from daypass.client.messages import LONGEST_ANSWER

ACCEPT_ENCODING = ("Accept-Encoding", "identity")
"""The header by which a message asks for no content coding."""

_GZIP = 16 + zlib.MAX_WBITS


def is_enough(raw: bytes | bytearray) -> bool:
    """Tell whether enough of a body has been read."""
    return len(raw) > LONGEST_ANSWER


def content_of(raw: bytes, encoding: str | None) -> bytes:
    """Return a body, decoded; what is longer than `LONGEST_ANSWER` is cut off.

    Args:
        raw: the body as it came.
        encoding: the ``Content-Encoding`` header.
    """
    coding = (encoding or "identity").strip().lower()
    if coding == "identity":
        return raw[:LONGEST_ANSWER]
    if coding in ("gzip", "x-gzip"):
        return _inflated(raw, _GZIP)
    if coding == "deflate":
        return _inflated(raw, zlib.MAX_WBITS) or _inflated(raw, -zlib.MAX_WBITS)
    return b""


def _inflated(raw: bytes, window: int) -> bytes:
    try:
        return zlib.decompressobj(window).decompress(raw, LONGEST_ANSWER)
    except zlib.error:
        return b""
