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

STATIC = files("daypass.web").joinpath("static")

KINDS = {"js": "text/javascript; charset=utf-8", "ts": "text/plain; charset=utf-8", "tgz": "application/gzip"}

CONTENT_TYPES = {
    each.name: KINDS[each.name.rpartition(".")[2]]
    for each in sorted(STATIC.iterdir(), key=lambda each: each.name)
    if not each.name.endswith(".br")
}
"""The files that are served, below the place where the session endpoints are mounted: all that the build has made."""


def serving(name: str) -> Operation:
    """Return the operation that serves a file: 200, compressed if the browser accepts that; 304 if it has it already.

    A page of any origin may load it: it holds only code.
    """

    def serve(request: Request, _call: Call) -> Flow[Response]:
        yield from ()
        return _response(name, request)

    return serve


def _response(name: str, request: Request) -> Response:
    coding = _coding(name, request.headers.get("accept-encoding", ""))
    body, tag = _contents(name, coding)
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
    encoding = (("content-encoding", coding),) if coding else ()
    return Response(200, (("content-type", CONTENT_TYPES[name]), *headers, *encoding), body)


def _coding(name: str, accepted: str) -> str:
    """Return how a file is compressed: by Brotli where the build has done that, which browsers accept over HTTPS."""
    codings = {each.strip() for each in accepted.replace(" ", "").split(",")}
    codings = {name for name, _, quality in (each.partition(";") for each in codings) if quality != "q=0"}
    if "br" in codings and name == "daypass.js":
        return "br"
    return "gzip" if "gzip" in codings and CONTENT_TYPES[name].startswith("text/") else ""


@cache
def _contents(name: str, coding: str) -> tuple[bytes, str]:
    """Return a file and its ``ETag``, which differs with the coding (RFC 9110 §8.8.3.3)."""
    content = STATIC.joinpath(f"{name}.br" if coding == "br" else name).read_bytes()
    body = gzip.compress(content, mtime=0) if coding == "gzip" else content
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'
