"""``GET /auth/verify`` (forward auth): tells a proxy whether to allow a request, and whose it is. Pure.

For nginx's ``auth_request``, Traefik's ``forwardAuth`` and Caddy's ``forward_auth``, in front of any application. The
proxy sends the request's headers without its body, and its method in ``X-Forwarded-Method``. If the proxy does not send
the method, the request is judged like a ``POST``:

| | |
|---|---|
| 204 | the access token, of the ``Authorization`` header or the cookie, is valid; ``X-Auth-…`` say whose it is |
| 400 | the request has a header that looks like one of ours, such as ``X_Auth_Subject``, or an unknown parameter |
| 401 | not logged in, or the access token is invalid; with the challenge of RFC 6750 §3 |
| 401 | ``?max_age=…`` or ``?acr=…`` asks for a newer or stronger login; with the challenge of RFC 9470 §3 |
| 403 | ``?scope=…`` asks for more than the token may do; or a page of another site caused a write or a WebSocket |
| 429 | too many refreshes of one session (`daypass.web.limits`); with ``Retry-After`` |
| 503 | the store is down, or the browser has newer cookies by now: the same request will pass in a moment |

Every answer has each of the `IDENTITY` headers, empty if there is no value. So a proxy that copies them replaces what a
client sent, and a template such as Caddy's ``{rp.header.X-Auth-Email}`` always has a value.

If the cookie's access token has expired and its refresh token is good, this answer sets both cookies. nginx up to 1.22
reads only the first ``Set-Cookie`` of a subrequest, and later versions join them in one line. So a proxy can ask with
``Proxy-Set-Cookie: split``. Then each is in a header of its own, ``X-Auth-Set-Cookie-1`` and ``-2``, empty if no cookie
changes. No script of a page can ask for that: browsers let no script set a header whose name begins with ``Proxy-``
(Fetch §2.2.2). So tokens stay ``HttpOnly``.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import cast
from urllib.parse import parse_qs, quote

from daypass import scope as scopes
from daypass.access_token import AccessToken
from daypass.errors import ConfigurationError, ScopeInsufficient, ScopeRejected, StoreError, TokenRejected
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Call
from daypass.steps import Emit
from daypass.web import cookies
from daypass.web.bearer import RETRY_AFTER, TokenMissing, bearer_token, forbidden, unauthorized, unavailable
from daypass.web.browser_login import BrowserLogin
from daypass.web.cookies import CookiePolicy
from daypass.web.message import BadRequest, Request, Response, failure
from daypass.web.page_headers import Headers
from daypass.web.pages import Pages
from daypass.web.step_up import StepUp, checked_step_up

IDENTITY = ("x-auth-subject", "x-auth-username", "x-auth-email", "x-auth-session", "x-auth-scope")
"""The headers that say whose a request is."""

_SET_COOKIES = ("x-auth-set-cookie-1", "x-auth-set-cookie-2")
_RESERVED = frozenset((*IDENTITY, *_SET_COOKIES))

_DEFAULT_METHOD = "POST"
"""The method assumed if the proxy sends none. Traefik and Caddy send it by default, nginx if configured."""

_PLAIN = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""Characters that are not percent-encoded in a header, besides letters and digits: visible ASCII without ``%``."""


class Verify:
    """Answers proxies by the rules of pages.

    Args:
        pages: the pages.
        policy: how tokens may be sent.
    """

    def __init__(self, pages: Pages, policy: CookiePolicy) -> None:
        self._pages = pages
        self._policy = policy

    def answer(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``GET /verify``; see the table above."""
        response, headers = yield from self._judge(request, call)
        split = request.headers.get("proxy-set-cookie", "").lower() == "split"
        known = {name for name, _ in response.headers}
        absent = tuple((name, "") for name in IDENTITY if name not in known)
        return response.with_headers(*absent, *_set_cookies(headers, split=split))

    def _judge(self, request: Request, call: Call) -> Flow[tuple[Response, Headers]]:
        """Return the response, and the headers of `Pages.process_response`."""
        if imitation := next(filter(_imitates, request.headers), None):
            return failure(400, "invalid_request", f"The header {imitation} is not allowed here"), ()
        original = replace(request, method=request.headers.get("x-forwarded-method", _DEFAULT_METHOD).upper())
        login = yield from self._pages.process_admitted(original, call)
        if login.state.stale:
            again = ("retry-after", str(RETRY_AFTER))
            return failure(503, "token_stale", "Try again in a moment").with_headers(again), ()
        if login.refusal is not None:
            return login.refusal, ()
        headers = yield from self._pages.process_response(login, call)
        return (yield from self._answer_for(login, request, call)), headers

    def _answer_for(self, login: BrowserLogin, request: Request, call: Call) -> Flow[Response]:
        try:
            token = login.token
            if login.state.left_alone:
                cookies.require_secure_transport(request, self._policy)
                token = yield from bearer_token(request)
            elif token is None:
                raise TokenMissing("not logged in")
            _require(token, request, call.now)
            return Response(204, (("cache-control", "no-store"), *_identity(token)))
        except BadRequest as error:
            return error.response
        except TokenRejected as error:
            return unauthorized(error)
        except ScopeRejected as error:
            return failure(error.status, error.code, str(error))
        except ScopeInsufficient as error:
            return forbidden(error)
        except StoreError as error:
            yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))
            return unavailable(error)


def _imitates(name: str) -> bool:
    """Return whether some applications would read a header as one of ours: CGI and WSGI turn ``-`` into ``_``."""
    return "_" in name and name.replace("_", "-") in _RESERVED


def _require(token: AccessToken, request: Request, now: int) -> None:
    """Refuse a token that does not meet the proxy's requirements; refuse a misspelt parameter, too."""
    query = parse_qs(request.query, keep_blank_values=True)
    unknown = query.keys() - {"scope", *StepUp.__annotations__}
    if unknown:
        raise BadRequest(400, "invalid_request", "Write /auth/verify?scope=read, ?max_age=5m or ?acr=mfa")
    for wanted in query.get("scope", ()):
        token.require(scopes.asked(wanted))
    max_age, acr = _step_up(query)
    token.require_authentication(now, max_age, acr)


def _step_up(query: Mapping[str, list[str]]) -> tuple[int | None, str | None]:
    """Return the ``max_age`` in milliseconds and the ``acr`` that a proxy asks for."""
    asked = {name: values for name in StepUp.__annotations__ if (values := query.get(name))}
    if any(len(values) > 1 for values in asked.values()):
        raise BadRequest(400, "invalid_request", "Write max_age and acr once: ?max_age=5m&acr=mfa+phr")
    step_up = {name: int(values[0]) if values[0].isdecimal() else values[0] for name, values in asked.items()}
    try:
        return checked_step_up("/auth/verify", cast("StepUp", step_up))
    except ConfigurationError as error:
        raise BadRequest(400, "invalid_request", str(error)) from None


def _identity(token: AccessToken) -> Headers:
    """Return the token's identity as headers, encoded so that no value can inject another header.

    ``%`` and everything except visible ASCII is percent-encoded in UTF-8 (RFC 3986 §2.1). A scope keeps its spaces.
    """
    values = (
        quote(token.subject, safe=_PLAIN),
        quote(token.username or "", safe=_PLAIN),
        quote(token.email or "", safe=_PLAIN),
        quote(token.session_id, safe=_PLAIN),
        " ".join(quote(word, safe=_PLAIN) for word in scopes.words(token.scope)),
    )
    return tuple(zip(IDENTITY, values, strict=True))


def _set_cookies(headers: Headers, *, split: bool) -> Headers:
    values = [value for name, value in headers if name == "set-cookie"]
    if split:
        return tuple(zip_longest(_SET_COOKIES, values, fillvalue=""))
    return tuple(("set-cookie", value) for value in values)
