"""The body of a response to Daypass's own messages, with a size limit before and after decoding. Pure.

A few kilobytes of gzip can hold gigabytes. So Daypass asks for no content coding. If a body is coded anyway, Daypass
decodes it by itself, up to a limit. A body in an unknown coding counts as empty.
"""

import zlib

from daypass.client.messages import LONGEST_ANSWER

ACCEPT_ENCODING = ("Accept-Encoding", "identity")
"""The header that asks the server for no content coding."""

_GZIP = 16 + zlib.MAX_WBITS


def is_enough(raw: bytes | bytearray) -> bool:
    """Return whether enough of a body has been read."""
    return len(raw) > LONGEST_ANSWER


def content_of(raw: bytes, encoding: str | None) -> bytes:
    """Return a body, decoded and cut off at `LONGEST_ANSWER` bytes.

    Args:
        raw: the body as received.
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
