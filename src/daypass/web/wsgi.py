"""Daypass in WSGI (PEP 3333): small applications to mount by hand, and the translation that Flask uses too.

app = well_known_app(DispatcherMiddleware(app, {"/auth": auth_app(auth, authenticate=check_password)}), auth)
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from daypass.flows import Call
from daypass.issuer import Check, Daypass
from daypass.session import Tokens
from daypass.session_options import SessionOptions
from daypass.user import User
from daypass.web import own_login
from daypass.web.application import Application, sync_application
from daypass.web.clients import Registry
from daypass.web.message import MAXIMUM_BODY, Request, Response, failure, too_large
from daypass.web.options import Options
from daypass.web.page_headers import Headers
from daypass.web.routes import Route, find_route, route_table

__all__ = [
    "auth_app",
    "log_in",
    "log_out",
    "oauth_app",
    "read_body",
    "read_request",
    "send",
    "well_known_app",
]

_BODILESS = (204, 304)
_DEFAULT_PORTS = {"http": "80", "https": "443"}

LOGIN_KEY = "daypass.login"
"""The key in the environ under which `daypass.web.wsgi_pages.Pages` puts the `BrowserLogin`."""


def auth_app(
    auth: Daypass | Application[Daypass],
    *,
    authenticate: Check | None = None,
    **options: Unpack[Options],
) -> WSGIApplication:
    """Return the application that serves the session endpoints, to be mounted at ``/auth``.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        authenticate: returns the `daypass.User` with a name (or address) and a password, None if they are wrong. The
            issuer's own unless given.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = sync_application(auth, options, authenticate=authenticate)
    return serving(application.auth, application.auth_routes)


def oauth_app(
    auth: Daypass | Application[Daypass],
    *,
    clients: Registry = (),
    **options: Unpack[Options],
) -> WSGIApplication:
    """Return the application that serves the OAuth endpoints, to be mounted at ``/oauth``.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        clients: the `daypass.web.clients.Client` objects there are, or a function that returns the one with an id, or
            None.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = sync_application(auth, options, clients=clients)
    return serving(application.auth, application.mounted_oauth_routes())


def well_known_app(
    app: WSGIApplication,
    auth: Daypass | Application[Daypass],
    *,
    clients: Registry = (),
    **options: Unpack[Options],
) -> WSGIApplication:
    """Return the application that serves the public keys and the metadata, and passes everything else to ``app``.

    Args:
        app: the application at the root.
        auth: the issuer, whose public signing keys are served.
        clients: the same as for `oauth_app`, if that is mounted; then there is the metadata for them, too.
        options: how they are served; ``oauth_path`` says where the OAuth endpoints are mounted if not at ``/oauth``.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = sync_application(auth, options, clients=clients)
    return serving(application.auth, application.well_known_routes, app)


def serving(auth: Daypass, routes: Iterable[Route], others: WSGIApplication | None = None) -> WSGIApplication:
    """Return the WSGI application of some routes; other paths go to ``others``, or get 404."""
    table = route_table(routes)

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = find_route(table, environ.get("PATH_INFO", ""))
        if found is not None:
            return send(_answer(auth, *found, environ), environ, start_response)
        if others is not None:
            return others(environ, start_response)
        return send(failure(404, "not_found", "There is nothing here"), environ, start_response)

    return serve


def send(response: Response, environ: WSGIEnvironment, start_response: StartResponse) -> Sequence[bytes]:
    """Begin the response and return its body; nothing for a HEAD (RFC 9110 §9.3.2)."""
    length = () if response.status in _BODILESS else (("content-length", str(len(response.body))),)
    start_response(f"{response.status} {HTTPStatus(response.status).phrase}", [*response.headers, *length])
    return [] if environ["REQUEST_METHOD"] == "HEAD" or not response.body else [response.body]


def log_in(
    auth: Daypass | Application[Daypass],
    environ: WSGIEnvironment,
    headers: list[tuple[str, str]],
    user: User,
    *,
    scope: str | None = None,
    device_name: str | None = None,
    cross_site: bool = False,
    **session: Unpack[SessionOptions],
) -> Tokens:
    """Log the browser in from your own application, after you authenticated the user.

    The cookie is added to ``headers``, those of your response. If `daypass.web.wsgi_pages.Pages` runs around your
    application, it sets the cookies. For the options, such as ``persistent=False``, see
    `daypass.web.own_login.log_in`.

    Raises:
        LoginRefused: nothing was started; answer with ``send(error.response, environ, start_response)``.
    """
    options: dict[str, Any] = {"scope": scope, "device_name": device_name, "cross_site": cross_site, **session}
    tokens, ours = log_in_or_refuse(auth, environ, user, **options)
    headers.extend(ours)
    return tokens


def log_out(
    auth: Daypass | Application[Daypass],
    environ: WSGIEnvironment,
    headers: list[tuple[str, str]],
    *,
    everywhere: bool = False,
) -> None:
    """End the session of the browser's cookie; what removes the cookie is added to ``headers``.

    ``everywhere`` ends all sessions of the user, on every device; without a live session it is refused with 401.

    Raises:
        LoginRefused: the session continues; answer with ``send(error.response, environ, start_response)``.
    """
    headers.extend(log_out_or_refuse(auth, environ, everywhere=everywhere))


def log_in_or_refuse(auth: Any, environ: WSGIEnvironment, user: User, **options: Any) -> tuple[Tokens, Headers]:
    """Log in; return the tokens, and the headers to add to the response."""
    app, call = _login_application(auth)
    return app.auth.run(own_login.log_in(app, read_request(environ), user, call, environ.get(LOGIN_KEY), **options))


def log_out_or_refuse(auth: Any, environ: WSGIEnvironment, **options: Any) -> Headers:
    """Log out; return the headers to add to the response."""
    app, call = _login_application(auth)
    login = environ.get(LOGIN_KEY)
    _, headers = app.auth.run(own_login.log_out(app, read_request(environ), call, login, **options))
    return headers


def _login_application(auth: Any) -> tuple[Application[Daypass], Call]:
    app = sync_application(own_login.application_for(auth), {})
    return app, app.auth.new_call()


def read_request(environ: WSGIEnvironment, body: bytes = b"", session_id: str | None = None) -> Request:
    """Return the request in an environ, without reading its body.

    The server has joined headers of one name, and its strings are latin-1 (PEP 3333). The HTTP/2 server has joined
    several cookie headers (RFC 9113 §8.2.3). Cookies joined by a comma are not split here, because then a cookie of
    another name could smuggle in one of ours.

    Args:
        environ: the request, as the server gives it.
        body: what was read of its body, such as by `read_body`.
        session_id: the one parameter that a path may have.
    """
    headers = {
        name[5:].lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and name not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.lower().replace("_", "-")] = environ[name]
    scheme = environ["wsgi.url_scheme"]
    return Request(
        scheme=scheme,
        host=headers["host"] if "host" in headers else _server(environ, scheme),
        headers=headers,
        body=body,
        address=environ.get("REMOTE_ADDR") or None,
        session_id=session_id,
        method=environ["REQUEST_METHOD"],
        query=environ.get("QUERY_STRING", ""),
        path=_whole_path(environ),
    )


def _whole_path(environ: WSGIEnvironment) -> str:
    """Return the path including the mount's; WSGI gives UTF-8 as Latin-1 (PEP 3333)."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path.encode("latin-1", "replace").decode("utf-8", "replace") or "/"


def read_body(environ: WSGIEnvironment) -> bytes | Response:
    """Return the body; or the response to one that is too large, or that the client did not send in full.

    At most `MAXIMUM_BODY` bytes are kept, whatever the ``Content-Length`` says. A body without a length is read if the
    server ends the stream (``wsgi.input_terminated``); otherwise it counts as empty.
    """
    declared = environ.get("CONTENT_LENGTH") or None
    if declared is not None and not (declared.isascii() and declared.isdigit()):
        return failure(400, "invalid_request", "Content-Length is not a number")
    if declared is not None and (len(declared) > 9 or int(declared) > MAXIMUM_BODY):
        return too_large()
    expected = None if declared is None else int(declared)
    wanted = MAXIMUM_BODY + 1 if environ.get("wsgi.input_terminated") else expected or 0
    body = bytearray()
    try:
        while len(body) < wanted and (chunk := environ["wsgi.input"].read(wanted - len(body))):
            body += chunk
    except OSError:  # the client has gone away, or sent broken chunks
        return _cut_short()
    if len(body) > MAXIMUM_BODY:
        return too_large()
    return _cut_short() if expected not in (None, len(body)) else bytes(body)


def _answer(auth: Daypass, route: Route, session_id: str | None, environ: WSGIEnvironment) -> Response:
    body = read_body(environ)
    if isinstance(body, Response):
        return route.refuse(read_request(environ), body)
    request = read_request(environ, body, session_id)
    return auth.run(route.answer(request, auth.new_call()))


def _cut_short() -> Response:
    return failure(400, "invalid_request", "The body is shorter than its Content-Length")


def _server(environ: WSGIEnvironment, scheme: str) -> str:
    """Return the host of a request without a ``Host`` header, as HTTP/1.0 allows (PEP 3333, URL Reconstruction)."""
    name, port = environ.get("SERVER_NAME", ""), environ.get("SERVER_PORT", "")
    return name if port in ("", _DEFAULT_PORTS.get(scheme)) else f"{name}:{port}"
