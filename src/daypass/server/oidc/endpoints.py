"""The endpoints of logins at an OpenID Connect provider: login, callback, logout, back-channel logout."""

import logging
import re
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any
from urllib.parse import parse_qs

from daypass import refresh_token
from daypass.duration import SECOND
from daypass.errors import ConfigurationError, CredentialsRejected, StoreError
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Call
from daypass.server.oidc import login_state
from daypass.server.oidc.browser_pages import redirect, send_on, shown
from daypass.server.oidc.endpoint_paths import BACK_CHANNEL, CALLBACK, LOGIN, LOGOUT
from daypass.server.oidc.login_state import LoginState
from daypass.server.oidc.options import OidcOptions
from daypass.server.oidc.provider import LoggedIn, LoginDenied, Provider, ProviderUnavailable
from daypass.server.oidc.provider_sessions import ProviderSessions
from daypass.server.oidc.return_target import is_return
from daypass.server.oidc.tokens import TokenInvalid
from daypass.server.oidc.user_claims import NotAllowed, login_claims
from daypass.session_options import SessionOptions
from daypass.steps import Ask, Emit, Keys, LoadUser
from daypass.user import User
from daypass.web import cookies
from daypass.web.application import Application
from daypass.web.bearer import RETRY_AFTER, unavailable
from daypass.web.dbsc import registration_headers
from daypass.web.endpoints import end_replaced
from daypass.web.message import BadRequest, Request, Response, content_type, device_of, failure
from daypass.web.routes import Route

_PROMPTS = ("login", "select_account")
_HINT = re.compile(r"[!-~]{1,254}")
_NO_STORE = ("cache-control", "no-store")

_UNAVAILABLE = ("server_error", "temporarily_unavailable")
"""The errors of a provider that say nothing about the user (RFC 6749 §4.1.2.1)."""

_log = logging.getLogger("daypass")

Endpoint = Callable[["OidcEndpoints", Request, Call], Flow[Response]]


def _answering(endpoint: Endpoint) -> Endpoint:
    """Turn the errors of an endpoint into responses, and show them to a person."""

    @wraps(endpoint)
    def answered(self: "OidcEndpoints", request: Request, call: Call) -> Flow[Response]:
        response = yield from _caught(endpoint(self, request, call), call)
        return shown(request, response, self.path(request, LOGIN))

    return answered


def _caught(flow: Flow[Response], call: Call) -> Flow[Response]:
    """Turn the errors of a flow into responses."""
    try:
        return (yield from flow)
    except BadRequest as error:
        return error.response
    except CredentialsRejected as error:
        return failure(403, error.code, f"The login was refused: {error}")
    except (StoreError, ProviderUnavailable) as error:
        yield from _report(error, call)
        return unavailable(error) if isinstance(error, StoreError) else _provider_unavailable()
    except ConfigurationError as error:  # such as tables of an older version
        _log.error("a login at the OpenID provider failed: %s", error)
        return failure(500, "server_error", "This service is not set up correctly; its log says why")


def _report(error: StoreError | ProviderUnavailable, call: Call) -> Flow[None]:
    if isinstance(error, ProviderUnavailable):
        _log.warning("%s", error)
    yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))


class OidcEndpoints:
    """The endpoints for one application and its provider.

    Args:
        app: the application whose sessions are started.
        options: how the provider is used.
        provider: the provider.
        own_users: whether the application knows these users; otherwise each session keeps what the provider said.
    """

    def __init__(self, app: Application[Any], options: OidcOptions, provider: Provider, *, own_users: bool) -> None:
        self._app = app
        self._options = options
        self._provider = provider
        self._own_users = own_users
        self._ttl = min(options.session_ttl, app.auth.flows.policy.absolute_ttl)
        self._sessions = ProviderSessions(app.auth.flows, (options.issuer, options.client_id), self._ttl)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes, to be mounted at ``/auth``."""
        app = self._app
        return (
            Route(LOGIN, {"GET": self.login}, app.filter),
            Route(CALLBACK, {"GET": self.callback}, app.filter),
            Route(LOGOUT, {"POST": self.logout}, app.filter),
            Route(BACK_CHANNEL, {"POST": self.back_channel_logout}, app.filter),
        )

    @staticmethod
    def path(request: Request, route: str) -> str:
        """Return the path of one of our routes, for a browser that sent ``request`` to another of them."""
        return request.path.rpartition("/oidc/")[0] + route

    @_answering
    def login(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``GET /oidc/login``: 303 to the provider. The query may have ``return_to``, ``remember``, and more."""
        cookies.require_secure_transport(request, self._app.cookie_policy)
        if request.headers.get("sec-fetch-mode", "navigate") != "navigate":
            raise BadRequest(400, "invalid_request", "Open this URL in the browser: location.assign('…/oidc/login')")
        asked = _query(request)
        return_to = self._checked_return(asked.pop("return_to", self._options.return_to))
        remember = asked.pop("remember", "true")
        if remember not in ("true", "false"):
            raise BadRequest(400, "invalid_request", "remember must be true or false")
        _check_asked(asked)
        ring = yield from Keys()
        key = login_state.key_of(ring.refresh_key(call.now).mac_key)
        begun = LoginState.begin(key, call.entropy, call.now, return_to, remember=remember == "true")
        url = yield from _asking(lambda: self._provider.login_url(begun.state, begun.nonce, begun.verifier, asked))
        policy = self._app.cookie_policy
        forgotten = login_state.forget_many(request, policy)
        return redirect(url, *forgotten, begun.set_cookie(request, policy))

    @_answering
    def callback(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``GET /oidc/callback``: start a session and send the browser on, or say why not."""
        policy = self._app.cookie_policy
        cookies.require_secure_transport(request, policy)
        query = _query(request)
        state = query.get("state", "")
        ring = yield from Keys()
        keys = (login_state.key_of(key.mac_key) for key in ring.refresh_keys)
        begun = login_state.find(request, policy, state, keys, call.now)
        if begun is None:
            raise BadRequest(400, "invalid_state", "This login was not started in this browser, or it took too long")
        forgotten = login_state.forget(request, policy, state)
        response = yield from _caught(self._finish(request, query, begun, call), call)
        return response.with_headers(forgotten)

    @_answering
    def logout(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``POST /oidc/logout``, a form: end the browser's session, and send it to the provider's logout."""
        response = yield from self._app.endpoints.own_logout(request, call, everywhere=False)
        if response.status >= 400:
            return response
        name = _hint_name(request, self._app.cookie_policy)
        hint = next((value for found, value in login_state.pairs(request) if found == name), None)
        kept = tuple(header for header in response.headers if header[0] in ("set-cookie", "clear-site-data"))
        try:
            url = yield from _asking(lambda: self._provider.logout_url(hint))
        except ProviderUnavailable:  # the session here has ended
            url = None
        return redirect(url or self._options.return_to, *kept, self._hint_cookie(request, "", 0))

    def back_channel_logout(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``POST /oidc/backchannel-logout``: 200 if the sessions have ended, 400 if not (Back-Channel §2.8)."""
        try:
            yield from self._log_out(request, call)
            return Response(200, (_NO_STORE,))
        except BadRequest as error:
            return error.response
        except TokenInvalid as error:
            return failure(400, "invalid_request", str(error))
        except (StoreError, ProviderUnavailable) as error:
            yield from _report(error, call)
            return failure(400, "temporarily_unavailable", "The logout failed; try again in a moment")

    def _log_out(self, request: Request, call: Call) -> Flow[None]:
        cookies.require_secure_transport(request, self._app.cookie_policy)
        if content_type(request) != "application/x-www-form-urlencoded":
            raise TokenInvalid("send logout_token in a form")
        sent = parse_qs(request.body.decode("latin-1")).get("logout_token", [])
        if len(sent) != 1:
            raise TokenInvalid("send one logout_token")
        token = yield from _asking(lambda: self._provider.read_logout(sent[0], call.now // SECOND))
        if (yield from self._sessions.is_replayed(token, call.now)):
            raise TokenInvalid("this logout token was used before")
        yield from self._sessions.log_out(token, call)

    # ---- parts of the callback

    def _finish(self, request: Request, query: dict[str, str], begun: LoginState, call: Call) -> Flow[Response]:
        try:
            yield from _asking(lambda: self._provider.check_issuer(query.get("iss")))
            _check_error(query)
            logged_in = yield from _asking(
                lambda: self._provider.log_in(query.get("code", ""), begun.nonce, begun.verifier, call.now // SECOND)
            )
            user = yield from self._user(logged_in)
        except LoginDenied as error:
            return (yield from self._failed(request, call, 401, str(error), error.code))
        except TokenInvalid as error:
            return (yield from self._failed(request, call, 401, f"the login cannot be trusted: {error}"))
        except NotAllowed as error:
            return (yield from self._failed(request, call, 403, str(error)))
        return (yield from self._start(request, begun, user, logged_in, call))

    def _failed(
        self, request: Request, call: Call, status: int, message: str, reason: str | None = None
    ) -> Flow[Response]:
        """Return the response to a login that failed, and emit the event; its reason has no words of strangers."""
        event = Event(EventCode.LOGIN_FAILED, call.now, reason=reason or message, address=request.address)
        yield from Emit(event)
        if self._app.limiter is not None:
            yield from self._app.limiter.stranger(request, call.now)
        code = "login_failed" if status == 401 else "not_allowed"
        return failure(status, code, f"{message[:1].upper()}{message[1:]}")

    def _user(self, logged_in: LoggedIn) -> Flow[User]:
        """Return the user who has logged in.

        Raises:
            NotAllowed: the rules, or the application's own users, do not let them in.
        """
        claimed = self._options.rules.user(logged_in.claims)
        known = yield from LoadUser(claimed.subject)
        if not self._own_users:
            if known is not None:  # a built-in user has this subject: accounts are never linked
                raise NotAllowed("a user with a password has this subject already")
            return claimed
        if known is None or known.disabled:
            raise NotAllowed("this account is not known here, or is disabled")
        return known

    def _start(
        self, request: Request, begun: LoginState, user: User, logged_in: LoggedIn, call: Call
    ) -> Flow[Response]:
        claims = logged_in.claims
        subject, sid = claims["sub"], claims.get("sid")
        sid = sid if isinstance(sid, str) and sid else None
        session_id = refresh_token.session_id(call.secret)
        yield from self._sessions.note(session_id, subject, sid, call.now)
        options = SessionOptions(
            persistent=begun.remember,
            absolute_ttl=f"{self._ttl}ms",
            claims=login_claims(claims),
            keep_user=not self._own_users,
        )
        auth_time = claims.get("auth_time")
        if isinstance(auth_time, int) and auth_time > 0:
            options["authenticated_at"] = auth_time * SECOND
        flows, policy = self._app.auth.flows, self._app.cookie_policy
        tokens = yield from flows.start(user, device_of(request, None), call, options=options)
        if (yield from self._sessions.logged_out_since(int(claims["iat"]), subject, sid, call.now)):
            yield from flows.log_out_session(session_id, call)
            return (yield from self._failed(request, call, 401, "the provider has ended this login meanwhile"))
        yield from end_replaced(flows, policy, request, call)
        cookie = cookies.write_session(request, policy, tokens, call.now, new=True)
        hint = self._hint_cookie(request, logged_in.id_token, self._ttl // SECOND)
        mounted = request.path.removesuffix(CALLBACK)
        device = registration_headers(self._app.auth.device_bound, request, tokens, policy, call, mounted)
        return send_on(request, begun.return_to, cookie, hint, *device)

    def _hint_cookie(self, request: Request, id_token: str, age: int) -> tuple[str, str]:
        """Return the header that keeps the ID token in the browser, for the provider's logout; too long a one is not.

        Its path is that of our endpoints, so that no other request has it.
        """
        name = _hint_name(request, self._app.cookie_policy)
        if len(name) + len(id_token) >= cookies.LONGEST:
            id_token, age = "", 0
        secure = "; Secure" if request.is_https else ""
        path = self.path(request, LOGOUT)
        return "set-cookie", f"{name}={id_token}; Path={path}; Max-Age={age}; HttpOnly{secure}; SameSite=Strict"

    def _checked_return(self, text: str) -> str:
        """Return where to go after a login: a path here, or a URL of an origin that is allowed.

        Raises:
            BadRequest: it is neither.
        """
        origins = (self._options.origin, *self._app.cookie_policy.allowed_origins)
        if is_return(text, origins):
            return text
        raise BadRequest(
            400, "invalid_request", "return_to must be a path such as /orders, or a URL of one of the allowed_origins"
        )


def _query(request: Request) -> dict[str, str]:
    """Return the query's parameters, each of which may be there once."""
    found = parse_qs(request.query, keep_blank_values=True)
    if any(len(values) > 1 for values in found.values()):
        raise BadRequest(400, "invalid_request", "A parameter is there twice")
    return {name: values[0] for name, values in found.items()}


def _check_asked(asked: dict[str, str]) -> None:
    """Check the parameters that are passed on to the provider."""
    unknown = asked.keys() - {"prompt", "login_hint"}
    if unknown:
        raise BadRequest(400, "invalid_request", "Send return_to, remember, prompt or login_hint")
    if asked.get("prompt", "login") not in _PROMPTS or not _HINT.fullmatch(asked.get("login_hint", "-")):
        raise BadRequest(400, "invalid_request", "prompt must be login or select_account, login_hint a name or address")


def _asking(ask: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """Ask the provider, by an async function."""

    async def asked(_: str) -> Any:
        return await ask()

    return (yield from Ask("provider", asked, ""))


def _check_error(query: dict[str, str]) -> None:
    """Check that a callback brings no error; its words are the provider's, to be shown as they are.

    Raises:
        LoginDenied: the provider, or the user there, said no.
        ProviderUnavailable: the provider has a problem.
    """
    if "error" not in query:
        return
    code = query["error"] if re.fullmatch("[a-z_]{1,64}", query["error"]) else "error"
    if code in _UNAVAILABLE:
        raise ProviderUnavailable(f"the OpenID provider answered {code} to a login")
    told = "".join(each for each in query.get("error_description", "") if each.isprintable())[:200]
    raise LoginDenied(f"the provider did not log you in: {code}" + (f" ({told})" if told else ""), code)


def _provider_unavailable() -> Response:
    failed = failure(503, "provider_unavailable", "The login provider cannot be reached; try again in a moment")
    return failed.with_headers(("retry-after", str(RETRY_AFTER)))


def _hint_name(request: Request, policy: cookies.CookiePolicy) -> str:
    prefix = "__Secure-" if request.is_https else ""
    return f"{prefix}{login_state.base_name(policy)}-id-token"
