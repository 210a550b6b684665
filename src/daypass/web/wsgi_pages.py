"""Pages without JavaScript in WSGI (PEP 3333): a middleware, around Flask or anything else.

app.wsgi_app = Pages(app.wsgi_app, auth)

What it does, and why, stands in `daypass.web.pages`; this translates. The application finds the `Visit` in
``environ["daypass.visit"]``.
"""

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from daypass.issuer import Daypass
from daypass.web import pages
from daypass.web.message import Response
from daypass.web.options import Options
from daypass.web.pages import Headers, Render, Visit, merge_headers
from daypass.web.wsgi import read_request, require_sync, send

ENVIRON_KEY = "daypass.visit"
"""Where the application finds the visit; a name with a dot, because the others are for text (PEP 3333)."""

ISSUER_KEY = "daypass.issuer"
"""Where it finds whose visit that is."""

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Pages:
    """The application with its pages' users logged in: a WSGI application itself.

    A request that comes with a good access token, or gets one by its refresh token, has it in
    ``environ["HTTP_AUTHORIZATION"]``, unless it brought an ``Authorization`` of its own. The body is not touched. The
    response is passed on as it comes, and is never gathered.

    Args:
        app: the application.
        auth: the issuer.
        render: returns the HTML page for a refusal, of a status, an error code and a sentence about it.
        options: how cookies are set and used; ``same_site`` is ``Lax`` unless given.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(
        self, app: WSGIApplication, auth: Daypass, *, render: Render | None = None, **options: Unpack[Options]
    ) -> None:
        require_sync(auth)
        self._app = app
        self._auth = auth
        self._pages = pages.Pages.of(auth, render=render, **options)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        auth = self._auth
        visit = auth.run(self._pages.enter(read_request(environ), auth.moment()))
        if visit.refusal is not None:
            return send(visit.refusal, environ, start_response)
        environ[ENVIRON_KEY], environ[ISSUER_KEY] = visit, auth
        if visit.authorization is not None:
            environ["HTTP_AUTHORIZATION"] = visit.authorization
        passage = _Passage(lambda: auth.run(self._pages.leave(visit, auth.moment())), visit, environ, start_response)
        body = self._app(environ, passage.start)
        if not passage.began:  # a generator, say, begins its response when it is asked for its first piece
            return _Late(body, passage)
        return body if passage.instead is None else passage.replace(body)


class _Passage:
    """The response of one request on its way through.

    Attributes:
        began: whether the application has called ``start_response``.
        instead: the body that is sent instead of the application's.
    """

    def __init__(
        self, leave: Callable[[], Headers], visit: Visit, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self._leave = leave
        self._visit = visit
        self._environ = environ
        self._start_response = start_response
        self._ours: Headers = ()
        self.began = False
        self.instead: list[bytes] | None = None

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Begin the response, or begin it anew for an error: what `leave` does is done once, its headers go with each.

        What was asked of the visit and could not be done replaces the response, and what the application writes.
        """
        try:
            if not self.began:
                self._ours, self.began = self._leave(), True
            refusal = self._visit.refusal
            if refusal is None:
                return self._start_response(status, merge_headers(headers, self._ours), exc_info)
            self.instead = list(self._send(refusal, exc_info))
            return _discard
        finally:
            exc_info = None  # a traceback that holds the frame it stands in would keep both (PEP 3333)

    def _send(self, refusal: Response, exc_info: _ExcInfo | None) -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], _: _ExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            return self._start_response(status, headers, exc_info)

        return send(refusal, self._environ, start)

    def replace(self, body: Iterable[bytes]) -> list[bytes]:
        """Close the application's body and return what is sent instead."""
        _close(body)
        return self.instead or []


class _Late:
    """The body of an application that had not begun its response when it returned."""

    def __init__(self, body: Iterable[bytes], passage: _Passage) -> None:
        self._body = body
        self._passage = passage

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            if self._passage.instead is not None:
                break
            yield piece
        yield from self._passage.instead or ()

    def close(self) -> None:
        """Close the application's body, as the server does with each (PEP 3333)."""
        _close(self._body)


def _close(body: Any) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _discard(_: bytes) -> None:
    """Take what an application writes whose response is replaced."""
