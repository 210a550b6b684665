"""Serves the client for front ends, which `make build` makes from ``js/``: the module, its types, the npm package."""

import gzip
import hashlib
from functools import cache
from importlib.resources import files

from daypass.flow import Flow
from daypass.flows import Call
from daypass.web.cors import PUBLIC
from daypass.web.message import Request, Response
from daypass.web.routes import Operation

MAXIMUM_AGE = 600
"""Seconds for which a browser uses its copy without asking; then it asks by the ``ETag``."""

CONTENT_TYPES = {
    "daypass.js": "text/javascript; charset=utf-8",
    "daypass.d.ts": "text/plain; charset=utf-8",
    "daypass-axios.js": "text/javascript; charset=utf-8",
    "daypass-axios.d.ts": "text/plain; charset=utf-8",
    "daypass.tgz": "application/gzip",
}
"""The files that are served, below the place where the session endpoints are mounted."""


def serving(name: str) -> Operation:
    """Return what answers ``GET`` of a file: 200, compressed if the browser accepts that; 304 if it has it already.

    A page of any origin may load it: it holds only code.
    """

    def serve(request: Request, _call: Call) -> Flow[Response]:
        yield from ()
        return _response(name, request)

    return serve


def _response(name: str, request: Request) -> Response:
    content_type = CONTENT_TYPES[name]
    compressed = content_type.startswith("text/") and "gzip" in request.headers.get("accept-encoding", "")
    body, tag = _contents(name, compressed=compressed)
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
    return Response(200, (("content-type", content_type), *headers, *coding), body)


@cache
def _contents(name: str, *, compressed: bool) -> tuple[bytes, str]:
    """Return a file and its ``ETag``, which differs with the coding (RFC 9110 §8.8.3.3)."""
    content = files("daypass.web").joinpath("static", name).read_bytes()
    body = gzip.compress(content, mtime=0) if compressed else content
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'
