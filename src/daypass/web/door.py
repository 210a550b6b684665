"""What all requests come in by, and all responses go out by, whichever endpoint is asked. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from daypass.web.message import Request, Response


@dataclass(frozen=True, slots=True)
class Door:
    """How requests are let in.

    Attributes:
        allowed_origins: other origins whose pages may read what is answered.
    """

    allowed_origins: Collection[str] = ()

    def come_in(self, request: Request) -> Request:
        """Return the request as the client sent it."""
        return request

    def preflight(self, request: Request, methods: Sequence[str]) -> Response:  # noqa: ARG002
        """Answer ``OPTIONS``."""
        return Response(204, (("allow", ", ".join(methods)),))

    def go_out(self, request: Request, response: Response) -> Response:  # noqa: ARG002
        """Return the response as the client is to see it."""
        return response
