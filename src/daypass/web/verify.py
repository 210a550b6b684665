"""``GET /auth/verify``: tells a proxy whether a request may pass, and whose it is. Pure.

For nginx's ``auth_request``, Traefik's ``forwardAuth`` and Caddy's ``forward_auth``, in front of any application. The
proxy sends the request's headers without its body, and its method in ``X-Forwarded-Method``. A proxy that does not say
the method may be asking for any; so the request is judged like one that writes:

| | |
|---|---|
| 204 | the access token, of the ``Authorization`` header or the cookie, is good; ``X-Auth-…`` say whose it is |
| 401 | nobody is logged in, or the access token is bad; with the challenge of RFC 6750 §3 |
| 403 | ``?scope=…`` asks for more than the token may do; or another site's page caused a request that writes, or may |
| 429 | too many refreshes of one session (`daypass.web.limits`); with ``Retry-After`` |
| 503 | the store is down, or the browser has newer cookies by now: the same request will do in a moment |

Where the cookie's access token is over and its refresh token is good, this answer sets both cookies. nginx up to 1.22
hands on but the first ``Set-Cookie`` of such an answer, and later ones join them in one line. So a proxy that asks for
it by ``Proxy-Set-Cookie: split`` gets each in a header of its own, ``X-Auth-Set-Cookie-1`` and ``-2``. No script of a
page can ask for that, because no browser lets one set a header whose name begins with ``Proxy-`` (Fetch §2.2.2): tokens
stay out of its reach.
"""

from dataclasses import replace
from urllib.parse import parse_qs, quote

from daypass import scope as scopes
from daypass.access_token import AccessToken
from daypass.errors import ScopeInsufficient, ScopeRejected, StoreError, TokenRejected
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Call
from daypass.steps import Emit
from daypass.web import cookies
from daypass.web.bearer import RETRY_AFTER, TokenMissing, bearer_token, forbidden, unauthorized, unavailable
from daypass.web.cookies import CookiePolicy
from daypass.web.message import BadRequest, Request, Response, failure
from daypass.web.page_headers import Headers
from daypass.web.pages import Pages

_UNTOLD = "POST"
"""What a request counts as whose method the proxy does not tell. Traefik and Caddy do so unasked, nginx when told."""

_PLAIN = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""What stands in a header as it is, besides letters and digits: all that ASCII can show, save the percent sign."""


class Verify:
    """Answers for proxies, by the rules that hold for pages.

    Args:
        pages: those rules.
        policy: how tokens may travel.
    """

    def __init__(self, pages: Pages, policy: CookiePolicy) -> None:
        self._pages = pages
        self._policy = policy

    def answer(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``GET /verify``; see the table above."""
        original = replace(request, method=request.headers.get("x-forwarded-method", _UNTOLD).upper())
        login = yield from self._pages.process_admitted(original, call)
        if login.state.stale:
            again = ("retry-after", str(RETRY_AFTER))
            return failure(503, "token_stale", "Try again in a moment").with_headers(again)
        if login.refusal is not None:
            return login.refusal
        headers = yield from self._pages.process_response(login, call)
        try:
            token = login.token
            if login.state.left_alone:
                cookies.require_secure_transport(request, self._policy)
                token = yield from bearer_token(request)
            elif token is None:
                raise TokenMissing("nobody is logged in")
            _require(token, request)
            response = Response(204, (("cache-control", "no-store"), *_user(token)))
        except BadRequest as error:
            response = error.response
        except TokenRejected as error:
            response = unauthorized(error)
        except ScopeRejected as error:
            response = failure(error.status, error.code, str(error))
        except ScopeInsufficient as error:
            response = forbidden(error)
        except StoreError as error:
            yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))
            response = unavailable(error)
        split = request.headers.get("proxy-set-cookie", "").lower() == "split"
        return response.with_headers(*_set_cookies(headers, split=split))


def _require(token: AccessToken, request: Request) -> None:
    asked = parse_qs(request.query, keep_blank_values=True)
    if asked.keys() - {"scope"}:  # a word that is spelt wrongly must not let everybody in
        raise BadRequest(400, "invalid_request", "Ask for scope=…, and nothing else")
    for wanted in asked.get("scope", ()):
        token.require(scopes.asked(wanted))


def _user(token: AccessToken) -> Headers:
    """Return whose the token is, in headers that no name can break out of.

    What is not visible ASCII, and the percent sign, is percent-encoded in UTF-8 (RFC 3986 §2.1); a reader decodes it.
    The spaces of a scope stay.
    """
    said = {
        "x-auth-subject": quote(token.subject, safe=_PLAIN),
        "x-auth-username": quote(token.username or "", safe=_PLAIN),
        "x-auth-email": quote(token.email or "", safe=_PLAIN),
        "x-auth-session": quote(token.session_id, safe=_PLAIN),
        "x-auth-scope": " ".join(quote(word, safe=_PLAIN) for word in scopes.words(token.scope)),
    }
    return tuple((name, value) for name, value in said.items() if value)


def _set_cookies(headers: Headers, *, split: bool) -> Headers:
    values = [value for name, value in headers if name == "set-cookie"]
    if split:
        return tuple((f"x-auth-set-cookie-{number}", value) for number, value in enumerate(values, 1))
    return tuple(("set-cookie", value) for value in values)
