"""Pages without JavaScript: refreshes before an application that renders pages, sets cookies after it. Pure.

Each request brings two cookies: one with the refresh token, one with the access token. The access token's cookie lives
as long as that token. A good access token needs no store. If it is missing or expired, the request itself is the
refresh: `Pages.process_request` gets new tokens before the application runs, and `Pages.process_response` sets them in
the response. Ten requests of one page that meet the expiry together bring the same refresh token; by the rotation rule
all get the same successor.

A request with a refresh token and without a good access token:

| result of the refresh | the application sees | cookies |
|---|---|---|
| new tokens | the user | both are set; only the access token's if the refresh token is held back |
| *stale* | no user; GET and HEAD are first redirected to the same URL, once | kept |
| a definite rejection | no user | both cleared, only in the response to a navigation |
| the session is bound to a key that the browser has not proven | no user; 503 if the browser could not now | kept |
| the store is down | is not called: 503 with ``Retry-After`` | kept |
| too many refreshes of this session | is not called: 429 with ``Retry-After`` | kept |

*Stale* means that the browser has newer cookies by now. So it is redirected to the same URL, and the cookie `TRIED`
remembers for which token. If the browser comes back with the same token, it has no newer one: it is served as not
logged in, this once, and its cookies stay.

A definite rejection answers many requests of a page, including images, and some of these responses may arrive after a
new login. So only the response to a navigation clears cookies (``Sec-Fetch-Mode: navigate``, or no such header).

A cookie that is not a token of ours counts against its address, if limits are on, and needs no store. Its request is
served as not logged in, even above the limit: if it were refused, a stranger could keep everyone who shares that
address from the login page.

What an adapter does:

1. ``login = run(pages.process_request(request, call))``, without reading the body.
2. If there is a ``login.refusal``, send it, and do not call the application.
3. Give ``login`` to the application. If there is a ``login.authorization``, add it to the application's request.
4. When the application's response begins: ``ours = run(pages.process_response(login, call))``, with a new call. If
   there is a ``login.refusal`` now, send it instead. Otherwise send the response with ``merge_headers(theirs, ours)``.
"""

import hashlib
import html
import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from daypass.dbsc import DeviceBound
from daypass.duration import SECOND
from daypass.errors import (
    DeviceProofMissing,
    ProofRejected,
    StoreError,
    TokenExpired,
    TokenMalformed,
    TokenRejected,
    TokenStale,
)
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Call, Flows
from daypass.session import Confirmed, Tokens
from daypass.steps import Emit, Verify
from daypass.web import cookies
from daypass.web.bearer import unavailable
from daypass.web.browser_login import BrowserLogin
from daypass.web.cookies import ACCESS, TRIED, CookiePolicy
from daypass.web.dbsc import is_browsers_own, refused_device, registration_headers
from daypass.web.filter import Filter
from daypass.web.limits import Limiter, TooMany, limited_refresh
from daypass.web.message import BadRequest, Request, Response
from daypass.web.page_headers import CLEAR_SITE_DATA, Headers
from daypass.web.proofs import require_bearer

Render = Callable[[int, str, str], str]

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
"""Methods that change nothing (RFC 9110 §9.2.1); pages of other sites may cause them."""

_WEBSOCKET_HEADERS = frozenset(("sec-websocket-key", "sec-websocket-version"))
_LOG_IN = 401
_TRIED_AGE = 60 * SECOND
_CLEARS_WITHIN = 1 * SECOND
"""A slower answer clears no cookies: another tab may have logged in by then."""

_PARTS = frozenset(("audio", "font", "image", "manifest", "script", "style", "track", "video", "worker"))
"""What ``Sec-Fetch-Dest`` says of the parts of a page, which a browser may keep; Back shows pages, not their parts."""

_QUERY = "!$%&'()*+,-./:;=?@_~"


class Pages:
    """What happens before and after the pages of one issuer.

    Args:
        flows: the flows of the issuer.
        policy: how cookies are set and from where they may be used; with ``same_site="Strict"``, users who follow a
            link from another site appear logged out, so use ``"Lax"``.
        filter_: checks every request, and adds CORS headers to every response.
        render: called with a status, an error code and a sentence about it; returns the HTML page for a refusal.
            Clients that accept ``text/html`` get it; others get JSON.
        limiter: counts refreshes and, through `BrowserLogin.count_login`, logins; None sets no limit.
        device_bound: the requirements for browsers that bind their sessions to a key; None if they cannot here.
    """

    def __init__(
        self,
        flows: Flows,
        policy: CookiePolicy,
        filter_: Filter,
        *,
        render: Render | None = None,
        limiter: Limiter | None = None,
        device_bound: DeviceBound | None = None,
    ) -> None:
        self._device = device_bound
        self._flows = flows
        self._policy = policy
        self._filter = filter_
        self._render = render or _page
        self._limiter = limiter

    # ---- before the application

    def process_request(self, request: Request, call: Call) -> Flow[BrowserLogin]:
        """Find the user of a request, and refresh if needed; the body is not read.

        A request with its own ``Authorization`` is left alone, except for ``Basic``: that protects the whole site and
        does not conflict. A request without our cookies costs no look-up.
        """
        try:
            request = self._filter.incoming(request)
        except BadRequest as error:
            login = BrowserLogin(request, self._flows.names.client_id, self._limiter)
            login.state.left_alone, login.refusal = True, self._refuse(request, error.response)
            return login
        return (yield from self.process_admitted(request, call))

    def process_admitted(self, request: Request, call: Call) -> Flow[BrowserLogin]:
        """Do what `process_request` does, for a request that has passed the filter already."""
        login = BrowserLogin(request, self._flows.names.client_id, self._limiter)
        login.state.began_at = call.now
        policy = self._policy
        access, login.state.presented = cookies.read(request, policy, ACCESS), cookies.read(request, policy)
        own = request.headers.get("authorization")
        if is_browsers_own(request):
            login.state.left_alone = True
            return login
        if own is not None and own.partition(" ")[0].lower() != "basic":
            login.state.left_alone = True
            return login
        if access is None and login.state.presented is None:
            login.state.presented = cookies.read_old(request, policy)
        if access is None and login.state.presented is None:
            return login
        try:
            self._admit(request)
            yield from self._recognise(login, access, call)
        except BadRequest as error:
            login.refusal = self._refuse(request, error.response)
        except StoreError as error:
            yield from self._unavailable(login, error, call)
        if login.state.session is not None and login.refusal is None:
            login.token = login.state.session
            if own is None:
                text = access if login.state.tokens is None else login.state.tokens.access_token
                login.authorization = f"Bearer {text}"
        return login

    def _admit(self, request: Request) -> None:
        cookies.require_secure_transport(request, self._policy)
        if request.method not in SAFE_METHODS or _is_websocket(request):
            cookies.require_same_site(request, self._policy)

    def _recognise(self, login: BrowserLogin, access: str | None, call: Call) -> Flow[None]:
        """Find the login's session, by its access token or otherwise by its refresh token."""
        if access is not None:
            try:
                login.state.session = require_bearer((yield from Verify(access)), None)
            except TokenRejected:
                pass
            else:
                return
        if login.state.presented is not None:
            yield from self._refresh(login, login.state.presented, call)

    def _refresh(self, login: BrowserLogin, text: str, call: Call) -> Flow[None]:
        try:
            login.state.tokens = yield from limited_refresh(self._flows, self._limiter, login.request, text, call)
            login.state.session = yield from Verify(login.state.tokens.access_token)
        except TokenStale:
            self._send_again(login, text)
        except DeviceProofMissing as error:
            refusal = refused_device(login.request, error)
            if refusal.status != _LOG_IN:
                login.refusal = self._refuse(login.request, refusal)
        except ProofRejected:  # the client still has a key, and may prove it
            pass
        except TooMany as error:
            if not error.by_address:
                raise
            login.state.clear = self._may_clear(login.request, authentic=False)
        except TokenRejected as error:  # of the new access token: the session ended just now
            authentic = not isinstance(error, TokenMalformed)
            if not authentic and self._flows.migration.may_be_old(
                text
            ):  # an old cookie of a visitor who is not logged in
                login.state.presented = None
                return
            login.state.clear = login.state.tokens is None and self._may_clear(login.request, authentic=authentic)

    def _may_clear(self, request: Request, *, authentic: bool) -> bool:
        """Return whether the response to a rejected refresh clears the cookies, which may be another application's."""
        return _is_navigation(request) and (authentic or not cookies.may_be_another_applications(request, self._policy))

    def _send_again(self, login: BrowserLogin, text: str) -> None:
        """Redirect the browser to the same URL once, unless it has just come back with the same token."""
        login.state.stale = True
        mark = hashlib.sha256(text.encode()).hexdigest()[:16]
        request = login.request
        known = cookies.read(request, self._policy, TRIED) == mark
        if known or request.method not in ("GET", "HEAD") or _is_websocket(request):
            return
        here = f"?{quote(request.query, safe=_QUERY)}"  # the same path, wherever the application is mounted
        tried = cookies.write(request, self._policy, mark, _TRIED_AGE, 0, TRIED)
        login.refusal = Response(307, (("location", here), ("cache-control", "no-store"), tried))

    # ---- after the application

    def process_response(self, login: BrowserLogin, call: Call) -> Flow[Headers]:
        """Do what the application asked for, and return the headers for its response, for `merge_headers`.

        They are ``set-cookie`` for each cookie that changes; ``cache-control: no-store`` if the request has one of our
        cookies or the response sets one, so that Back does not show the page after a logout (``private`` for the
        images, scripts and styles of such a page); ``clear-site-data`` at a logout; and ``vary: Cookie``, unless the
        request was left alone. If what it asked for failed, there is a ``login.refusal`` to send instead.
        """
        request = login.request
        if login.state.login is None and login.state.left_alone and not login.state.log_out:
            return ()
        changed: Headers
        try:
            if login.state.login is not None:
                changed = yield from self._logged_in(login, login.state.login, call)
            elif login.state.log_out:
                changed = yield from self._logged_out(login, call)
            elif login.state.confirmed is not None:
                changed = yield from self._confirmed(login, login.state.confirmed, call)
            elif login.state.tokens is not None:
                changed = yield from self._both(request, login.state.tokens, call)
            elif login.state.clear and call.now - login.state.began_at < _CLEARS_WITHIN:
                changed = self._cleared(request)
            else:
                changed = ()
        except BadRequest as error:
            login.refusal = self._refuse(request, error.response)
            return ()
        except StoreError as error:
            yield from self._unavailable(login, error, call)
            return ()
        came = login.state.presented is not None or login.state.session is not None
        control = "private" if request.headers.get("sec-fetch-dest") in _PARTS else "no-store"
        kept = (("cache-control", control),) if came or changed else ()
        return (*changed, *kept, ("vary", "Cookie"))

    def _logged_in(self, login: BrowserLogin, tokens: Tokens, call: Call) -> Flow[Headers]:
        request = login.request
        try:
            cookies.require_secure_transport(request, self._policy)
            if request.method not in SAFE_METHODS and not login.state.cross_site:
                cookies.require_same_site(request, self._policy)
        except BadRequest:
            yield from self._flows.logout_text(tokens.refresh_token, call)
            raise
        yield from self._count_success(login, call)
        try:
            yield from self._end_others(login, call, keep=tokens.session.id)
        except StoreError as error:  # the login has succeeded anyway
            yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))
        both = yield from self._both(request, tokens, call, new=True)
        return (*both, *registration_headers(self._device, request, tokens, self._policy, call))

    def _count_success(self, login: BrowserLogin, call: Call) -> Flow[None]:
        """Note that the counted password was right."""
        if self._limiter is not None and login.state.identifier is not None:
            yield from self._limiter.logged_in(login.request, login.state.identifier, call.now)

    def _confirmed(self, login: BrowserLogin, confirmed: Confirmed, call: Call) -> Flow[Headers]:
        yield from self._count_success(login, call)
        tokens = login.state.tokens
        if tokens is None:
            lives = yield from self._lives(confirmed, call)
            return (cookies.write_access(login.request, self._policy, confirmed, call.now),) if lives else ()
        newer = replace(tokens, access_token=confirmed.access_token, expires_in=confirmed.expires_in)
        return (yield from self._both(login.request, newer, call))

    def _logged_out(self, login: BrowserLogin, call: Call) -> Flow[Headers]:
        if login.state.everywhere:
            yield from self._end_everywhere(login, call)
        yield from self._end_others(login, call, keep=None)
        request, policy = login.request, self._policy
        cleared = (*self._cleared(request), *cookies.clear_old(request, policy), CLEAR_SITE_DATA)
        try:
            older = yield from self._flows.open(cookies.read_older(request, policy) or "")
        except TokenMalformed:  # there is none, or it is another application's
            return cleared
        yield from self._flows.logout(older, call)
        return (*cleared, *(cookies.clear_older(request, policy, kind) for kind in (ACCESS, "")))

    def _end_everywhere(self, login: BrowserLogin, call: Call) -> Flow[None]:
        """End the user's sessions on other devices; this one ends last, so that a failed logout can be repeated."""
        session = login.state.session
        if session is not None:
            yield from self._flows.end_all(session.subject, session.session_id, call)
            return
        try:
            token = yield from self._flows.open(login.state.presented or "")
        except TokenMalformed:
            return
        yield from self._flows.logout_everywhere(token, call)

    def _end_others(self, login: BrowserLogin, call: Call, *, keep: str | None) -> Flow[None]:
        """End every session that this login has shown, except ``keep``."""
        if login.state.presented is not None:
            login.state.ended.append(login.state.presented)
        old = cookies.read_old(login.request, self._policy)
        if old is not None:
            login.state.ended.append(old)
        seen = {keep, None if login.state.login is None else login.state.login.session.actor_session_id}
        for text in login.state.ended:
            try:
                token = yield from self._flows.open(text)
            except TokenMalformed:
                continue
            if token.session_id not in seen:
                seen.add(token.session_id)
                yield from self._flows.logout(token, call, shown=login.state.session)
        session = login.state.session
        if session is not None and session.session_id not in seen:
            yield from self._flows.end_session(session.subject, session.session_id, call)

    def _both(self, request: Request, tokens: Tokens, call: Call, *, new: bool = False) -> Flow[Headers]:
        """Return the headers that set both cookies; only the access token's if the refresh token is not replaced.

        They set nothing if the session has ended since: while the application ran, another tab may have logged in. A
        response that arrives after that login's would replace the new session by the old one.
        """
        if not (yield from self._lives(tokens, call)):
            return ()
        headers = (cookies.write_access(request, self._policy, tokens, call.now, new=new),)
        if not tokens.replaces:
            return headers
        return (*headers, cookies.write_session(request, self._policy, tokens, call.now, new=new))

    def _lives(self, tokens: Tokens | Confirmed, call: Call) -> Flow[bool]:
        """Return whether the session of new tokens is still live; no I/O unless the access token has expired."""
        try:
            yield from Verify(tokens.access_token)
        except TokenExpired:
            try:
                return (yield from self._flows.find_live(tokens.session.id, call)) is not None
            except StoreError:
                return False
        except TokenRejected:
            return False
        return True

    def _cleared(self, request: Request) -> Headers:
        return (cookies.clear(request, self._policy, ACCESS), cookies.clear(request, self._policy))

    # ---- refusals

    def _unavailable(self, login: BrowserLogin, error: StoreError, call: Call) -> Flow[None]:
        yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))
        login.refusal = self._refuse(login.request, unavailable(error))

    def _refuse(self, request: Request, refusal: Response) -> Response:
        """Return a refusal as a page, for clients that accept HTML."""
        if "text/html" in request.headers.get("accept", ""):
            others = (header for header in refusal.headers if header[0] != "content-type")
            said = json.loads(refusal.body)
            body = self._render(refusal.status, said["error"], said["message"]).encode()
            refusal = Response(refusal.status, (("content-type", "text/html; charset=utf-8"), *others), body)
        return self._filter.outgoing(request, refusal)


def _is_navigation(request: Request) -> bool:
    return request.headers.get("sec-fetch-mode", "navigate") == "navigate"


def _is_websocket(request: Request) -> bool:
    """Return whether a request opens a WebSocket; nginx drops ``Upgrade`` from the subrequest of ``auth_request``."""
    headers = request.headers
    return (
        not _WEBSOCKET_HEADERS.isdisjoint(headers)
        or headers.get("upgrade", "").lower() == "websocket"
        or headers.get("sec-fetch-mode", "").lower() == "websocket"
    )


def _page(status: int, _code: str, message: str) -> str:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{status}</title>'
    return f"{head}<p>{html.escape(message)}.</p></html>"
