"""Logs a browser in or out from an application's own endpoint: sign-up, magic link, OAuth callback, passkey. Pure.

The adapters have these as ``log_in(auth, request, response, user)`` and ``log_out(auth, request, response)``.
"""

from collections.abc import Generator
from typing import Any, TypeVar, Unpack

from daypass.errors import CredentialsRejected, DaypassError, ProofRejected, StoreError
from daypass.flow import Flow
from daypass.flows import Call
from daypass.session import Tokens
from daypass.session_options import SessionOptions
from daypass.user import User
from daypass.web import cookies
from daypass.web.application import Application
from daypass.web.bearer import challenge, unavailable
from daypass.web.browser_login import BrowserLogin
from daypass.web.dbsc import registration_headers
from daypass.web.endpoints import end_replaced, nobody_logged_in
from daypass.web.message import BadRequest, Request, Response, device_of, failure
from daypass.web.page_headers import Headers
from daypass.web.pages import SAFE_METHODS
from daypass.web.proofs import proof_of, refused_proof

T = TypeVar("T")


class LoginRefused(DaypassError):
    """The browser was not logged in or out; send ``response`` instead of your own.

    Attributes:
        response: 401 if the user is disabled; 403 if a page of another site caused the request, or it came by plain
            HTTP; 503 if the store is down.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(f"the login or logout was refused ({response.status})")
        self.response = response


def log_in(
    app: Application[Any],
    request: Request,
    user: User,
    call: Call,
    login: BrowserLogin | None = None,
    *,
    scope: str | None = None,
    device_name: str | None = None,
    cross_site: bool = False,
    **session: Unpack[SessionOptions],
) -> Flow[tuple[Tokens, Headers]]:
    """Start a session for a user whom the application has authenticated; return its tokens, and the headers to add.

    The session that the browser had before is ended (OWASP: session fixation).

    Args:
        app: the application.
        request: as it came in.
        user: who logs in.
        call: the time and the randomness.
        login: the state of `daypass.web.pages.Pages`, if it runs around the endpoint; it then sets the cookies.
        scope: what the session is granted; None grants everything that the user may do.
        device_name: for the list of devices.
        cross_site: whether a page of another site may send the request, as an identity provider's form does. By default
            such a request is refused unless it is a GET: it could log a victim in as somebody else. Check the
            provider's ``state`` yourself, for a GET too.
        session: the options of the session, such as ``persistent=False``; see `SessionOptions`.

    Raises:
        LoginRefused: nothing was started.
    """
    return _refusing(_log_in(app, request, user, call, login, scope, device_name, session, cross_site=cross_site))


def log_out(
    app: Application[Any], request: Request, call: Call, login: BrowserLogin | None = None, *, everywhere: bool = False
) -> Flow[tuple[None, Headers]]:
    """End the session of the browser's cookie; return the headers that remove the cookie.

    Args:
        app: the application.
        request: as it came in.
        call: the time and the randomness.
        login: the state of `daypass.web.pages.Pages`, if it runs around the endpoint; it then clears the cookies.
        everywhere: whether to end all sessions of the user, on every device. Needs a live session.

    Raises:
        LoginRefused: the session lives on.
    """
    return _refusing(_log_out(app, request, call, login, everywhere=everywhere))


def application_for(auth: Any) -> Application[Any]:
    """Return an application as it is; for an issuer, return its application without options, always the same one."""
    if isinstance(auth, Application):
        return auth
    known: Application[Any] = vars(auth).setdefault("_application_without_options", None) or Application(auth)
    vars(auth)["_application_without_options"] = known
    return known


def _log_in(
    app: Application[Any],
    request: Request,
    user: User,
    call: Call,
    login: BrowserLogin | None,
    scope: str | None,
    device_name: str | None,
    session: SessionOptions,
    *,
    cross_site: bool,
) -> Flow[tuple[Tokens, Headers]]:
    request = app.filter.incoming(request)
    flows, policy = app.auth.flows, app.cookie_policy
    cookies.require_secure_transport(request, policy)
    if request.method not in SAFE_METHODS and not cross_site:
        cookies.require_same_site(request, policy)
    proof = yield from proof_of(app.auth.dpop, request, call.now, stranger=True)
    if proof is not None:
        session = {**session, "key": proof.key.jwk}
    tokens = yield from flows.start(user, device_of(request, device_name), call, None, scope, session)
    if login is not None:
        login.log_in(tokens, cross_site=True)
        return tokens, ()
    yield from end_replaced(flows, policy, request, call)
    cookie = cookies.write_session(request, policy, tokens, call.now, new=True)
    asked = registration_headers(app.auth.device_bound, request, tokens, policy, call)
    return tokens, (cookie, ("cache-control", "no-store"), *asked)


def _log_out(
    app: Application[Any], request: Request, call: Call, login: BrowserLogin | None, *, everywhere: bool
) -> Flow[tuple[None, Headers]]:
    request = app.filter.incoming(request)
    if login is not None:
        cookies.require_same_site(request, app.cookie_policy)
        if everywhere and login.token is None:
            raise LoginRefused(nobody_logged_in())
        login.log_out(everywhere=everywhere)
        return None, ()
    response = yield from app.endpoints.own_logout(request, call, everywhere=everywhere)
    if response.status != _NO_CONTENT:
        raise LoginRefused(response)
    return None, tuple(header for header in response.headers if header[0] in ("set-cookie", "clear-site-data"))


def _refusing(flow: Generator[Any, Any, T]) -> Flow[T]:
    """Turn the errors of a flow into `LoginRefused`."""
    try:
        return (yield from flow)
    except BadRequest as error:
        refusal = error.response
    except ProofRejected as error:
        refusal = refused_proof(error)
    except CredentialsRejected as error:
        refusal = challenge(failure(error.status, error.code))
    except StoreError as error:
        refusal = unavailable(error)
    raise LoginRefused(refusal)


_NO_CONTENT = 204
