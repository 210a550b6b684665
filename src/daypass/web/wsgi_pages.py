"""Pages without JavaScript in WSGI (PEP 3333): a middleware, around Flask or anything else.

app.wsgi_app = Pages(app.wsgi_app, auth)

`daypass.web.pages` says what it does. The application finds the `BrowserLogin` in ``environ["daypass.login"]``.
"""

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from daypass.issuer import Daypass
from daypass.web.application import Application, sync_application
from daypass.web.browser_login import BrowserLogin
from daypass.web.message import Response
from daypass.web.options import Options
from daypass.web.page_headers import Headers, merge_headers
from daypass.web.pages import Render
from daypass.web.wsgi import LOGIN_KEY, read_request, send

__all__ = [
    "Pages",
]

ISSUER_KEY = "daypass.issuer"
"""The key of the issuer in the environ."""

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Pages:
    """WSGI middleware that keeps the users of pages logged in.

    A request with a valid access token, or one that was refreshed, has the token in ``environ["HTTP_AUTHORIZATION"]``,
    unless the client sent an ``Authorization``. Bodies are not touched. Responses are passed on as they come and are
    never buffered.

    Args:
        app: the application.
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        render: called with a status, an error code and a sentence; returns the HTML page for a refusal.
        options: how cookies are set and used; ``same_site`` is ``Lax`` by default.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self,
        app: WSGIApplication,
        auth: Daypass | Application[Daypass],
        *,
        render: Render | None = None,
        **options: Unpack[Options],
    ) -> None:
        application = sync_application(auth, options)
        self._app = app
        self._auth = application.auth
        self._pages = application.pages(render)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        auth = self._auth
        login = auth.run(self._pages.process_request(read_request(environ), auth.new_call()))
        if login.refusal is not None:
            return send(login.refusal, environ, start_response)
        environ[LOGIN_KEY], environ[ISSUER_KEY] = login, auth
        if login.authorization is not None:
            environ["HTTP_AUTHORIZATION"] = login.authorization
        response = _PageResponse(
            lambda: auth.run(self._pages.process_response(login, auth.new_call())), login, environ, start_response
        )
        body = self._app(environ, response.start)
        if not response.began:  # a generator calls start_response when its first piece is read
            return _DeferredBody(body, response)
        return body if response.instead is None else response.replace(body)


class _PageResponse:
    """The application's response to one request.

    Attributes:
        began: whether the application has called ``start_response``.
        instead: the body to send instead of the application's.
    """

    def __init__(
        self, leave: Callable[[], Headers], login: BrowserLogin, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self._leave = leave
        self._visit = login
        self._environ = environ
        self._start_response = start_response
        self._ours: Headers = ()
        self.began = False
        self.instead: list[bytes] | None = None

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Start the response, or start it again for an error; `Pages.process_response` runs once.

        A refusal, such as a logout while the store is down, replaces the response and its body.
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
            exc_info = None  # break the reference cycle with the traceback (PEP 3333)

    def _send(self, refusal: Response, exc_info: _ExcInfo | None) -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], _: _ExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            return self._start_response(status, headers, exc_info)

        return send(refusal, self._environ, start)

    def replace(self, body: Iterable[bytes]) -> list[bytes]:
        """Close the application's body and return the body to send instead."""
        _close(body)
        return self.instead or []


class _DeferredBody:
    """The body of an application that calls ``start_response`` only when its body is read."""

    def __init__(self, body: Iterable[bytes], response: _PageResponse) -> None:
        self._body = body
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            if self._response.instead is not None:
                break
            yield piece
        yield from self._response.instead or ()

    def close(self) -> None:
        """Close the application's body (PEP 3333)."""
        _close(self._body)


def _close(body: Any) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _discard(_: bytes) -> None:
    """Ignore what an application writes after its response was replaced."""
