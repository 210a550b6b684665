"""Lets pages of other origins read our responses (CORS, in the Fetch standard). Pure.

An origin that was not configured gets no CORS headers: neither a wildcard, nor its own name back.
"""

from collections.abc import Collection, Sequence

from daypass.web.message import Request, Response

MAXIMUM_AGE = 600
"""Seconds for which a browser need not ask again; Chromium accepts at most two hours, Safari ten minutes."""

ALLOWED_HEADERS = "authorization, content-type, dpop, x-daypass-passive"
"""What our own clients send beyond what every page may."""

EXPOSED_HEADERS = "DPoP-Nonce, Retry-After, WWW-Authenticate"
"""What our own clients read beyond what every page may."""

PUBLIC = ("access-control-allow-origin", "*")
"""Only for what every page may read: code and public keys. No response to a cookie has it."""


def preflight(request: Request, methods: Sequence[str], allowed: Collection[str]) -> Response:
    """Answer ``OPTIONS``: 204; for an allowed origin, with what it may send."""
    headers = (
        ("allow", ", ".join(methods)),
        ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    )
    origin = request.headers.get("origin")
    if origin is None or origin not in allowed:
        return Response(204, headers)
    return Response(204, headers).with_headers(
        *_allowing(origin),
        ("access-control-allow-methods", ", ".join(method for method in methods if method != "OPTIONS")),
        ("access-control-allow-headers", ALLOWED_HEADERS),
        ("access-control-max-age", str(MAXIMUM_AGE)),
    )


def readable(request: Request, response: Response, allowed: Collection[str]) -> Response:
    """Return the response with CORS headers for a page of an allowed origin; otherwise unchanged."""
    if not allowed or any(name == PUBLIC[0] for name, _ in response.headers):
        return response
    varies = any(name == "vary" and "origin" in value.lower() for name, value in response.headers)
    if not varies:
        response = response.with_headers(("vary", "Origin"))
    origin = request.headers.get("origin")
    if origin is None or origin not in allowed:
        return response
    return response.with_headers(*_allowing(origin), ("access-control-expose-headers", EXPOSED_HEADERS))


def _allowing(origin: str) -> tuple[tuple[str, str], ...]:
    return (("access-control-allow-origin", origin), ("access-control-allow-credentials", "true"))
