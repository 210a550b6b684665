"""What all requests come in by, and all responses go out by, whichever endpoint is asked. Pure."""

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
class Door:
    """How requests are let in.

    Attributes:
        allowed_origins: other origins whose pages may read what is answered.
        proxies: those that are believed when they say who has sent a request, and how.
    """

    allowed_origins: Collection[str] = ()
    proxies: Proxies = field(default_factory=Proxies)

    def come_in(self, request: Request) -> Request:
        """Return the request as the client sent it.

        Raises:
            BadRequest: a header or the query is too long to look at (RFC 6585 §5, RFC 9110 §15.5.15), or a trusted
                proxy says what makes no sense. Nothing was looked up, and ``.response`` is what to answer.
        """
        headers = request.headers
        for name, longest in _BOUNDS.items():
            if len(headers.get(name, "")) > longest:
                raise _too_large(f"{name} may have {longest} characters at the most")
        if headers.get("cookie", "").count(";") >= MOST_COOKIES:
            raise _too_large(f"Send {MOST_COOKIES} cookies at the most")
        if len(request.query) > MAXIMUM_QUERY:
            raise BadRequest(414, "uri_too_long", f"The query may have {MAXIMUM_QUERY} characters at the most")
        return self.proxies.as_sent(request)

    def preflight(self, request: Request, methods: Sequence[str]) -> Response:
        """Answer ``OPTIONS``: 204 with the methods, and to a page of an allowed origin what it may send."""
        return cors.preflight(request, methods, self.allowed_origins)

    def go_out(self, request: Request, response: Response) -> Response:
        """Return the response as the client is to see it: readable for pages of allowed origins, and no others."""
        return cors.readable(request, response, self.allowed_origins)


def _too_large(message: str) -> BadRequest:
    return BadRequest(431, "request_header_fields_too_large", message)
