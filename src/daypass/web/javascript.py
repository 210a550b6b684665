"""Serves ``daypass.js``, the browser's client: the one file that `make build` makes from ``js/``."""

import gzip
import hashlib
from functools import cache
from importlib.resources import files

from daypass.web.cors import PUBLIC
from daypass.web.message import Request, Response

MAXIMUM_AGE = 600
"""Seconds for which a browser uses its copy without asking; then it asks by the ``ETag``."""


def serve_module(request: Request) -> Response:
    """Return ``daypass.js``, compressed if the browser accepts that; 304 if it has the file already.

    A page of any origin may load it: it holds only code.
    """
    compressed = "gzip" in request.headers.get("accept-encoding", "")
    body, tag = _module(compressed=compressed)
    headers = (
        ("etag", tag),
        ("cache-control", f"public, max-age={MAXIMUM_AGE}"),
        ("vary", "Accept-Encoding"),
        PUBLIC,
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
    )
    if tag in request.headers.get("if-none-match", ""):
        return Response(304, headers)
    coding = (("content-encoding", "gzip"),) if compressed else ()
    return Response(200, (("content-type", "text/javascript; charset=utf-8"), *headers, *coding), body)


@cache
def _module(*, compressed: bool) -> tuple[bytes, str]:
    """Return the module and its ``ETag``, which differs with the coding (RFC 9110 §8.8.3.3)."""
    text = files("daypass.web").joinpath("static", "daypass.js").read_bytes()
    body = gzip.compress(text, mtime=0) if compressed else text
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'
