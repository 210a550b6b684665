"""Checks on every request, and CORS on every response, whatever the endpoint. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from daypass.access_token import MAXIMUM_LENGTH
from daypass.web import cors
from daypass.web.message import BadRequest, Request, Response
from daypass.web.proxies import Proxies

MAXIMUM_AUTHORIZATION = MAXIMUM_LENGTH + 64
"""Characters: the longest access token, and the word before it."""

MAXIMUM_COOKIES = 16_384
"""Characters of all cookies together."""

MOST_COOKIES = 300
"""Browsers keep about 180 for one site."""

MAXIMUM_QUERY = 4096

_BOUNDS = {"authorization": MAXIMUM_AUTHORIZATION, "cookie": MAXIMUM_COOKIES}


@dataclass(frozen=True, slots=True)
class Filter:
    """Checks requests before an endpoint sees them, and finishes responses.

    Attributes:
        allowed_origins: other origins whose pages may read the responses.
        proxies: which proxies are trusted to say who sent a request, and how.
    """

    allowed_origins: Collection[str] = ()
    proxies: Proxies = field(default_factory=Proxies)

    def incoming(self, request: Request) -> Request:
        """Return the request as the client sent it, before any proxy changed it.

        Raises:
            BadRequest: a header or the query is too long (RFC 6585 §5, RFC 9110 §15.5.15), or a trusted proxy sent a
                header that cannot be parsed. ``.response`` is what to answer; nothing was looked up.
        """
        headers = request.headers
        for name, longest in _BOUNDS.items():
            if len(headers.get(name, "")) > longest:
                raise _too_large(f"{name} is too long: send at most {longest} characters")
        if headers.get("cookie", "").count(";") >= MOST_COOKIES:
            raise _too_large(f"Too many cookies: send at most {MOST_COOKIES}")
        if len(request.query) > MAXIMUM_QUERY:
            raise BadRequest(414, "uri_too_long", f"The query is too long: send at most {MAXIMUM_QUERY} characters")
        return self.proxies.as_sent(request)

    def preflight(self, request: Request, methods: Sequence[str]) -> Response:
        """Answer ``OPTIONS``: 204 with the methods, and for an allowed origin what its pages may send."""
        return cors.preflight(request, methods, self.allowed_origins)

    def outgoing(self, request: Request, response: Response) -> Response:
        """Return the response with CORS headers, so that only pages of allowed origins can read it."""
        return cors.readable(request, response, self.allowed_origins)


def _too_large(message: str) -> BadRequest:
    return BadRequest(431, "request_header_fields_too_large", message)
