"""The routes that an adapter mounts: for each path and method a flow from a request to a response. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from daypass.flow import Flow
from daypass.flows import Call
from daypass.web.filter import Filter
from daypass.web.message import BadRequest, Request, Response, failure

_PARAMETER = re.compile(r"{(\w+)}")

Operation = Callable[[Request, Call], Flow[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One path.

    Attributes:
        path: below the mount, such as ``/sessions/{session_id}``; the part in braces becomes `Request.session_id`.
        operations: by method.
        filter: checks every request, and adds CORS headers to every response.
    """

    path: str
    operations: Mapping[str, Operation]
    filter: Filter

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods to mount: those of its operations, HEAD if there is a GET, and OPTIONS."""
        head = ("HEAD",) if "GET" in self.operations else ()
        return (*self.operations, *head, "OPTIONS")

    def refuse(self, request: Request, response: Response) -> Response:
        """Return the final response to a request whose body the adapter did not read.

        Args:
            request: without its body.
            response: such as `daypass.web.message.too_large`.
        """
        return self.filter.outgoing(request, response)

    def answer(self, request: Request, call: Call) -> Flow[Response]:
        """Return the response to a request of any method; for a HEAD, the adapter drops the body."""
        try:
            request = self.filter.incoming(request)
        except BadRequest as error:
            return self.filter.outgoing(request, error.response)
        if request.method == "OPTIONS":
            return self.filter.preflight(request, self.methods)
        operation = self.operations.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            allowed = ("allow", ", ".join(self.methods))
            refused = failure(405, "method_not_allowed", "This method is not possible here").with_headers(allowed)
            return self.filter.outgoing(request, refused)
        return self.filter.outgoing(request, (yield from operation(request, call)))


def route_table(routes: Iterable[Route]) -> Sequence[tuple["re.Pattern[str]", Route]]:
    """Return the table for `find_route`, for an adapter whose framework has no routes."""
    return [(_pattern(route.path), route) for route in routes]


def find_route(table: Sequence[tuple["re.Pattern[str]", Route]], path: str) -> tuple[Route, str | None] | None:
    """Return the route of a path and the ``{session_id}`` in it; None if there is no such route."""
    for pattern, route in table:
        found = pattern.fullmatch(path)
        if found is not None:
            return route, found.groupdict().get("session_id")
    return None


def _pattern(path: str) -> "re.Pattern[str]":
    parts = _PARAMETER.split(path)  # text and names alternate
    return re.compile("".join(f"(?P<{part}>[^/]+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))
