"""Translates requests and responses between Django and Daypass."""

from http.cookies import SimpleCookie

from django.http import HttpRequest, HttpResponse
from django.http.request import HttpHeaders, UnreadablePostError
from django.http.response import HttpResponseBase

from daypass.web.message import MAXIMUM_BODY, Request, Response, failure, too_large

_JOINED = "vary", "www-authenticate"
"""Response headers that may stand several times; Django keeps one of each name, so they are joined (RFC 9110 §5.3)."""


class Unfit(Exception):
    """The request's body is unusable: it is too large, or the client disconnected while sending it.

    Attributes:
        response: what to answer, before the filter adds CORS headers.
    """

    def __init__(self, response: Response, *, nobody_there: bool = False) -> None:
        super().__init__("the body is too large, or incomplete")
        self.response = response
        self._nobody_there = nobody_there

    def answer(self, response: Response, method: str | None = "GET") -> HttpResponse:
        """Return ``response`` as Django's; if the client is gone, Django does not log a warning."""
        given = returned(response, method)
        given._has_been_logged = self._nobody_there  # type: ignore[attr-defined]  # noqa: SLF001 - Django's own mark
        return given


def translated(request: HttpRequest, body: bytes = b"", session_id: str | None = None) -> Request:
    """Return the content of a Django request, interpreted by the project's settings.

    The scheme follows ``SECURE_PROXY_SSL_HEADER``, the host ``ALLOWED_HOSTS`` and ``USE_X_FORWARDED_HOST``. The
    request's own body is not read.

    Args:
        request: Django's request.
        body: what was read of its body.
        session_id: the session id in its path.

    Raises:
        DisallowedHost: the host is not one of the project's; Django answers 400.
    """
    headers = {name.lower(): value for name, value in HttpHeaders(request.META).items()}
    cookies = _cookies(request)
    if cookies is not None:
        headers["cookie"] = cookies
    return Request(
        scheme=request.scheme or "http",
        host=request.get_host(),
        headers=headers,
        body=body,
        address=request.META.get("REMOTE_ADDR") or None,
        session_id=session_id,
        method=request.method or "GET",
        query=request.META.get("QUERY_STRING", ""),
        path=request.path,
    )


def read(request: HttpRequest) -> bytes:
    """Return the body of a request for one of our endpoints, whatever ``DATA_UPLOAD_MAX_MEMORY_SIZE`` allows.

    Raises:
        Unfit: it is longer than `MAXIMUM_BODY`, or the client disconnected while sending it.
    """
    announced = request.META.get("CONTENT_LENGTH") or ""
    stream = request
    if not announced and request.META.get("wsgi.input_terminated") and request.META.get("HTTP_TRANSFER_ENCODING"):
        stream = request.META["wsgi.input"]  # under WSGI Django reads nothing of a body without a length
    body = bytearray()
    try:
        while len(body) <= MAXIMUM_BODY and (chunk := stream.read(MAXIMUM_BODY + 1 - len(body))):
            body += chunk
    except (UnreadablePostError, OSError):
        raise Unfit(_incomplete(), nobody_there=True) from None
    if len(body) > MAXIMUM_BODY:
        raise Unfit(too_large())
    if announced.isdecimal() and len(body) < int(announced):
        raise Unfit(_incomplete(), nobody_there=True)
    return bytes(body)


def returned(response: Response, method: str | None = "GET") -> HttpResponse:
    """Return our response as Django's; to a HEAD without its body, but with its length."""
    given = HttpResponse(b"" if method == "HEAD" else response.body, status=response.status)
    del given.headers["Content-Type"]  # Django would add its own
    if response.status not in (204, 304):
        given.headers["Content-Length"] = str(len(response.body))
    put(given, response.headers)
    return given


def put(response: HttpResponseBase, headers: tuple[tuple[str, str], ...]) -> None:
    """Add our headers to a Django response; its cookies stay."""
    for name, value in headers:
        if name == "set-cookie":
            _set_cookie(response, value)
        elif name in _JOINED and response.has_header(name):
            response.headers[name] = f"{response.headers[name]}, {value}"
        else:
            response.headers[name] = value


def _set_cookie(response: HttpResponseBase, header: str) -> None:
    """Add one ``Set-Cookie``: Django keeps cookies in a dict, apart from the other headers."""
    for name, morsel in SimpleCookie(header).items():
        # two of one name differ by their path; to the dict of them, any key will do
        dict.__setitem__(response.cookies, name if name not in response.cookies else f"{name};{header}", morsel)


def _cookies(request: HttpRequest) -> str | None:
    """Return the request's cookies if they came as separate headers, which HTTP/2 allows (RFC 9113 §8.2.3)."""
    scope = getattr(request, "scope", None)
    if scope is None:
        return None
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"]
    return "; ".join(sent) if len(sent) > 1 else None


def _incomplete() -> Response:
    return failure(400, "invalid_request", "The body is incomplete")
