"""Daypass in Flask: the blueprints, and the guards that require an access token.

app.register_blueprint(auth_blueprint(auth, authenticate=check_password), url_prefix="/auth")
app.register_blueprint(well_known_blueprint(auth))
require = bearer(auth)

@app.get("/me")
@require
def me():
    return {"user": current_token.subject}

Inside a view write ``token = require()``. Both forms keep the token in ``flask.g.daypass_token`` for the rest of the
request; `current_token` is a proxy for it.
"""

import json
import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, cast, overload
from urllib.parse import urlencode
from wsgiref.types import WSGIEnvironment

try:
    from flask import Blueprint, current_app, g, has_request_context, request
    from flask import Request as FlaskRequest
    from flask import Response as FlaskResponse
    from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, default_exceptions
    from werkzeug.local import LocalProxy
except ModuleNotFoundError as missing:
    raise ImportError('daypass.web.flask needs Flask: pip install "daypass[flask]"') from missing

from daypass.access_token import AccessToken
from daypass.errors import ConfigurationError
from daypass.issuer import Check, Daypass
from daypass.session import Tokens
from daypass.session_options import SessionOptions
from daypass.user import User
from daypass.web import guard, wsgi
from daypass.web.application import Application, sync_application
from daypass.web.bearer import refused
from daypass.web.browser_login import BrowserLogin
from daypass.web.clients import Registry
from daypass.web.guard import Verifying
from daypass.web.message import MAXIMUM_BODY, Response, too_large
from daypass.web.options import Options
from daypass.web.own_login import LoginRefused
from daypass.web.page_headers import Headers
from daypass.web.routes import Route
from daypass.web.step_up import StepUp
from daypass.web.wsgi import LOGIN_KEY, read_request
from daypass.web.wsgi_pages import ISSUER_KEY

__all__ = [
    "Guard",
    "auth_blueprint",
    "bearer",
    "current_login",
    "current_token",
    "current_user",
    "log_in",
    "log_out",
    "oauth_blueprint",
    "well_known_blueprint",
]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def auth_blueprint(
    auth: Daypass | Application[Daypass],
    *,
    authenticate: Check | None = None,
    name: str = "daypass",
    **options: Unpack[Options],
) -> Blueprint:
    """Return the blueprint of the session endpoints, at ``/auth`` unless it is registered elsewhere.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        authenticate: returns the `daypass.User` with a name (or address) and a password, None if they are wrong. The
            issuer's own unless given.
        name: the blueprint's, for ``url_for("daypass.login")``.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = sync_application(auth, options, authenticate=authenticate)
    return _blueprint(application.auth, name, "/auth", application.auth_routes)


def oauth_blueprint(
    auth: Daypass | Application[Daypass],
    *,
    clients: Registry = (),
    name: str = "daypass_oauth",
    **options: Unpack[Options],
) -> Blueprint:
    """Return the blueprint of the OAuth endpoints, at ``/oauth`` unless it is registered elsewhere.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        clients: the `daypass.web.clients.Client` objects there are, or a function that returns the one with an id, or
            None.
        name: the blueprint's.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = sync_application(auth, options, clients=clients)
    return _blueprint(application.auth, name, "/oauth", application.mounted_oauth_routes())


def well_known_blueprint(
    auth: Daypass | Application[Daypass],
    *,
    clients: Registry = (),
    name: str = "daypass_well_known",
    **options: Unpack[Options],
) -> Blueprint:
    """Return the blueprint at the root of the host: the public signing keys, and the metadata for OAuth clients.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        clients: the same as for `oauth_blueprint`, if that is registered.
        name: the blueprint's.
        options: how they are served; ``oauth_path`` says where the OAuth endpoints are if not at ``/oauth``.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = sync_application(auth, options, clients=clients)
    return _blueprint(application.auth, name, None, application.well_known_routes)


class Guard(guard.SyncGuard[T]):
    """Requires an access token of a request; `bearer` and `current_user` return one.

    ``require()`` returns the token or the user, inside a view. ``@require`` above a view, plain or async, requires it
    before the view is called. Either way the access token is then in ``flask.g.daypass_token``, and the user, if one is
    required, in ``flask.g.daypass_user``.

    Raises:
        HTTPException: 401 with the challenge of RFC 6750 §3 when there is no token, or it was refused, or its user is
            gone; 403 when its scope does not allow this; 503 with ``Retry-After`` when the store does not answer. The
            response has the JSON shape of every failure, unless the application has an error handler of its own.
        ConfigurationError: ``require()`` was called outside a request.
    """

    @overload
    def __call__(self) -> T: ...

    @overload
    def __call__(self, view: Callable[P, R]) -> Callable[P, R]: ...

    def __call__(self, view: Callable[P, R] | None = None) -> T | Callable[P, R]:
        """Return the token or the user; or, given a view, the view that requires it."""
        if view is not None:
            return self._in_front_of(view)
        try:
            environ, held = _found(request).environ, _found(g)
        except RuntimeError:
            raise ConfigurationError(
                "call require() only inside a request; to guard a view write @require without parentheses"
            ) from None
        asked = None if self._dpop is None else lambda: read_request(environ)
        known = self._known(environ) if LOGIN_KEY in environ else None
        try:
            token, user = self.admit(environ.get("HTTP_AUTHORIZATION", ""), asked=asked, known=known)
        except guard.REFUSED as error:
            held.daypass_token = None
            raise _refusal(refused(error)) from None
        held.daypass_token = token
        if not self._user:
            return cast("T", token)
        held.daypass_user = user
        return cast("T", user)

    def _known(self, environ: WSGIEnvironment) -> AccessToken | None:
        """Return the access token of this request if `Pages` has checked it."""
        login: BrowserLogin = environ[LOGIN_KEY]
        same = login.authorization == environ.get("HTTP_AUTHORIZATION") and environ.get(ISSUER_KEY) is self._auth
        return login.token if same else None

    def _in_front_of(self, view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def required(*args: P.args, **kwargs: P.kwargs) -> R:
            self()
            return cast("R", current_app.ensure_sync(view)(*args, **kwargs))

        return required


@overload
def bearer(
    auth: Verifying | Application[Daypass],
    scope: str | None = None,
    *,
    optional: Literal[False] = False,
    **step_up: Unpack[StepUp],
) -> Guard[AccessToken]: ...


@overload
def bearer(
    auth: Verifying | Application[Daypass], scope: str | None = None, *, optional: bool, **step_up: Unpack[StepUp]
) -> Guard[AccessToken | None]: ...


def bearer(
    auth: Verifying | Application[Daypass],
    scope: str | None = None,
    *,
    optional: bool = False,
    **step_up: Unpack[StepUp],
) -> Guard[Any]:
    """Return a `Guard` that requires an access token.

    Args:
        auth: a `Daypass`, or a `daypass.RemoteVerifier` if the issuer is another service.
        scope: the scope that is required, words with spaces between them (RFC 6749 §3.3).
        optional: return None if no access token was sent; an invalid one is still refused.
        step_up: ``max_age="5m"``: how recently, ``acr="mfa"``: how the user must have been authenticated. Otherwise 401
            with ``insufficient_user_authentication`` (RFC 9470).

    Raises:
        ConfigurationError: ``auth`` needs an event loop, or ``scope`` is not a scope.
    """
    return Guard(auth, scope, optional=optional, **step_up)


@overload
def current_user(
    auth: Daypass | Application[Daypass],
    scope: str | None = None,
    *,
    optional: Literal[False] = False,
    **step_up: Unpack[StepUp],
) -> Guard[User]: ...


@overload
def current_user(
    auth: Daypass | Application[Daypass], scope: str | None = None, *, optional: bool, **step_up: Unpack[StepUp]
) -> Guard[User | None]: ...


def current_user(
    auth: Daypass | Application[Daypass], scope: str | None = None, *, optional: bool = False, **step_up: Unpack[StepUp]
) -> Guard[Any]:
    """Return a `Guard` that requires an access token and gives its user, as ``load_user`` returns them now.

    Arguments and errors: see `bearer`; verifiers do not know users. A user who is gone or disabled gets 401.
    """
    return Guard(auth, scope, optional=optional, user=True, **step_up)


def _found(proxy: Any) -> Any:
    """Return the object that a proxy of Flask stands for: the proxy looks it up for each attribute, in 0.5 µs."""
    return proxy._get_current_object()  # noqa: SLF001 - Flask documents it


def _held() -> AccessToken | None:
    if not has_request_context() or "daypass_token" not in g:
        raise RuntimeError("no access token was required in this request: write @require above the view")
    return cast("AccessToken | None", g.daypass_token)


current_token = cast("AccessToken", LocalProxy(_held))
"""The access token of this request; false if it was optional and none was sent."""


def _login() -> BrowserLogin:
    if not has_request_context() or LOGIN_KEY not in request.environ:
        raise RuntimeError("there are no pages: write app.wsgi_app = daypass.web.wsgi_pages.Pages(app.wsgi_app, auth)")
    return cast("BrowserLogin", request.environ[LOGIN_KEY])


current_login = cast("BrowserLogin", LocalProxy(_login))
"""The login of this request, in an application with `daypass.web.wsgi_pages.Pages` around it."""


def log_in(
    auth: Daypass | Application[Daypass],
    request: FlaskRequest,
    response: FlaskResponse,
    user: User,
    *,
    scope: str | None = None,
    device_name: str | None = None,
    cross_site: bool = False,
    **session: Unpack[SessionOptions],
) -> Tokens:
    """Log the browser in from a view of your own, after you authenticated the user; ``response`` sets the cookie.

    Give the `Application` if your blueprints have options. If `daypass.web.wsgi_pages.Pages` runs around the view, it
    sets the cookies. For the options, such as ``persistent=False``, see `daypass.web.own_login.log_in`.

    Returns:
        The tokens of the new session; send ``access_token`` and ``expires_in`` to a page with JavaScript.

    Raises:
        HTTPException: 401 if the user is disabled; 403 if a page of another site caused the request, or it came by
            plain HTTP; 503 if the store is down. Nothing was started.
    """
    options: dict[str, Any] = {"scope": scope, "device_name": device_name, "cross_site": cross_site, **session}
    try:
        tokens, headers = wsgi.log_in_or_refuse(auth, request.environ, user, **options)
    except LoginRefused as error:
        raise _refusal(error.response) from None
    _put(response, headers)
    return tokens


def log_out(
    auth: Daypass | Application[Daypass], request: FlaskRequest, response: FlaskResponse, *, everywhere: bool = False
) -> None:
    """End the session of the browser's cookie from a view of your own, and remove the cookie by ``response``.

    ``everywhere`` ends all sessions of the user, on every device.

    Raises:
        HTTPException: 401 if ``everywhere`` was asked for without a live session; 403 if a page of another site caused
            the request, or it came by plain HTTP; 503 if the store is down. The session continues.
    """
    try:
        headers = wsgi.log_out_or_refuse(auth, request.environ, everywhere=everywhere)
    except LoginRefused as error:
        raise _refusal(error.response) from None
    _put(response, headers)


def _put(response: FlaskResponse, headers: Headers) -> None:
    for name, value in headers:
        if name == "set-cookie":
            response.headers.add(name, value)
        else:
            response.headers.setdefault(name, value)


def _refusal(response: Response) -> HTTPException:
    """Return the error for the application's own handlers, which answers with ``response`` unless they do."""
    message = json.loads(response.body)["message"]
    return default_exceptions[response.status](message, _returned(response))


def _blueprint(auth: Daypass, name: str, prefix: str | None, routes: Iterable[Route]) -> Blueprint:
    blueprint = Blueprint(name, __name__, url_prefix=prefix)
    for route in routes:
        blueprint.add_url_rule(
            re.sub(r"{(\w+)}", r"<\1>", route.path),
            endpoint=re.sub(r"\W+", "_", route.path).strip("_"),
            view_func=_view(auth, route),
            methods=route.methods,
            provide_automatic_options=False,
        )
    return blueprint


def _view(auth: Daypass, route: Route) -> Callable[..., FlaskResponse]:
    def serve(session_id: str | None = None) -> FlaskResponse:
        asked: FlaskRequest = _found(request)
        body = _body_of(asked)
        if body is None:
            return _returned(route.refuse(read_request(asked.environ), too_large()))
        return _returned(auth.run(route.answer(read_request(asked.environ, body, session_id), auth.new_call())))

    return serve


def _body_of(asked: FlaskRequest) -> bytes | None:
    """Return the body, also if a hook of the application has read it before; None if it is too large.

    Werkzeug answers 400 if the client goes away in the middle of it. A form that was read before is written again.
    """
    if asked.environ.get("CONTENT_LENGTH") == "0":  # as of most refreshes
        return b""
    asked.max_content_length = MAXIMUM_BODY + 1  # a chunked body is cut off there
    try:
        body = asked.get_data() or urlencode(list(asked.form.items(multi=True))).encode()
    except RequestEntityTooLarge:
        return None
    return body if len(body) <= MAXIMUM_BODY else None


def _returned(response: Response) -> FlaskResponse:
    returned = FlaskResponse(response.body, response.status, response.headers)
    if not any(name == "content-type" for name, _ in response.headers):
        del returned.headers["content-type"]  # which Flask has added
    return returned
