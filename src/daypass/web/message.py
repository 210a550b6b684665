"""A request and a response as the endpoints see them, whatever framework they came through."""

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from daypass.duration import SECOND
from daypass.errors import DaypassError
from daypass.policy import Policy
from daypass.session import Device
from daypass.value import value

MAXIMUM_BODY = 65_536
"""The bytes that an adapter reads of a body; it answers a longer one with `too_large`."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


@value(frozen=True, slots=True)
class Request:
    """An HTTP request.

    Attributes:
        scheme: ``https`` or ``http``, as the client used it.
        host: the ``Host`` header, with its port if it has one.
        headers: by lower-case name; several of one name joined as RFC 9110 §5.3 says, cookies by ``; ``.
        body: read in full.
        address: the client's, if known.
        session_id: the id in the path, for the one endpoint whose path has one.
        method: in capitals.
        query: the text after the ``?``, still encoded.
        path: as the client wrote it, decoded, including the path of the mount.
    """

    scheme: str
    host: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    address: str | None = None
    session_id: str | None = None
    method: str = "GET"
    query: str = field(default="", repr=False)
    path: str = "/"

    @property
    def is_https(self) -> bool:
        """Whether the client used HTTPS."""
        return self.scheme == "https"


@value(frozen=True, slots=True)
class Response:
    """An HTTP response; the headers are pairs, because a name may occur several times."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)

    def with_headers(self, *headers: tuple[str, str]) -> "Response":
        """Return the same response with further headers."""
        return Response(self.status, (*self.headers, *headers), self.body)


class BadRequest(DaypassError):
    """An invalid request, or one that its origin may not make.

    The exception stays inside this package: the caller gets ``response``.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = failure(status, code, message)


def answer(status: int, content: Mapping[str, Any]) -> Response:
    """Return a JSON response with ``Cache-Control: no-store`` (RFC 6749 §5.1)."""
    headers = (("content-type", "application/json"), ("cache-control", "no-store"))
    return Response(status, headers, _encode(content).encode())


def grace_header(policy: Policy) -> tuple[str, str]:
    """Return the header with the seconds for which the same refresh token gets the same response."""
    return "daypass-grace", str(policy.grace_period // SECOND)


def failure(status: int, code: str, message: str = "Authentication failed") -> Response:
    """Return the JSON shape of every failure."""
    return answer(status, {"message": message, "error": code})


def too_large() -> Response:
    """Return the response to a body of more than `MAXIMUM_BODY` bytes."""
    return failure(413, "content_too_large", f"The body is too large: send at most {MAXIMUM_BODY} bytes")


def json_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body, which is required.

    Raises:
        BadRequest: the content type is wrong, or the body is not a JSON object.
    """
    if content_type(request) != "application/json":
        raise BadRequest(415, "unsupported_media_type", "Send the body as application/json")
    try:
        content = json.loads(request.body.decode("utf-8-sig"))  # never UTF-16 or UTF-32 (RFC 8259 §8.1)
    except (ValueError, RecursionError):
        raise BadRequest(400, "invalid_request", "The body is not JSON") from None
    if not isinstance(content, dict):
        raise BadRequest(400, "invalid_request", "The body is not a JSON object")
    return content


def content_type(request: Request) -> str:
    """Return the media type of the body, without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def device_of(request: Request, name: str | None) -> Device:
    """Return the device that a request comes from; long names are cut."""
    agent = request.headers.get("user-agent")
    return Device(name and name[:100], agent and agent[:200], request.address)
