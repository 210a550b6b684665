"""Pages without JavaScript: what happens before and after an application that renders them. Pure.

Two cookies travel with each request: the refresh token's, and one with the access token, which lives no longer than
that does. A good access token costs no store. Where it is missing or over, the request itself is the refresh:
`Pages.enter` has the new tokens before the application begins, and `Pages.leave` puts them into the response. Ten
requests of one page that meet the expiry at once come with the same refresh token, and by the rotation rule all get the
same successor.

What a request with a refresh token and without a good access token comes to:

| the refresh is answered with | the application sees | cookies |
|---|---|---|
| new tokens | the user | both are set; the access token's alone when the refresh token is held back |
| *stale* | for GET and HEAD, a redirect to the same URL, once; else nobody | none is changed |
| a definite rejection | nobody | both are cleared, by an answer to a navigation alone |
| the store is down | is not called: 503 with ``Retry-After`` | none is changed |
| too many refreshes of this session | is not called: 429 with ``Retry-After`` | none is changed |

*Stale* says that the browser has newer cookies by now: it is sent once more to where it wanted to go, and remembers in
a cookie of its own, `TRIED`, which token that was for. A browser that comes back with the same token has no newer one;
it is served as nobody's for the moment, and its cookies stay as they are.

A definite rejection is answered to many requests of a page, to images too, and some of these answers may arrive after a
new login. So only the answer to a navigation clears cookies (``Sec-Fetch-Mode: navigate``, or a client that sends
none).

A cookie that is no token of ours counts against its address, if anything is counted, and costs no store; its request is
nobody's, however many there were. Were it refused, a stranger could keep all who share an address from the login page.

What an adapter does, whatever its framework:

1. ``visit = run(pages.enter(request, moment))``. The body need not be read for it.
2. If there is a ``visit.refusal``, send that, and do not call the application.
3. Hand on ``visit``. If there is a ``visit.authorization``, the application's request gets it as its ``Authorization``.
4. When the application begins its response: ``ours = run(pages.leave(visit, moment))``, with a new moment. If there is
   a ``visit.refusal`` now, send that in place of the response. Else send the response with
   ``merge_headers(its headers, ours)``.
"""

import hashlib
import html
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Unpack
from urllib.parse import quote

from daypass.access_token import AccessToken
from daypass.duration import SECOND
from daypass.errors import ConfigurationError, StoreError, TokenRejected, TokenStale
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Flows, Moment
from daypass.session import Tokens
from daypass.steps import Emit, Now, Verify
from daypass.web import cookies
from daypass.web.bearer import unavailable
from daypass.web.cookies import CookiePolicy
from daypass.web.filter import Filter
from daypass.web.limits import Limiter, TooMany, refreshed
from daypass.web.message import BadRequest, Request, Response
from daypass.web.options import Options

Headers = tuple[tuple[str, str], ...]
Render = Callable[[int, str, str], str]

ACCESS = "daypass-access"
"""The name of the cookie with the access token; over HTTPS it has ``__Host-`` before it."""

TRIED = "daypass-tried"
"""The name of the cookie that says for which refresh token a page was already sent to itself; likewise."""

LONGEST = 4096
"""Bytes of a cookie's name and value: browsers keep no longer one (RFC 6265bis §5.6)."""

_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
_TRIED_AGE = 60 * SECOND
_QUERY = "!$%&'()*+,-./:;=?@_~"


@dataclass(slots=True)
class Notes:
    """What `Pages` notes of a visit, and what the application asks of it; for `Pages` alone.

    Attributes:
        client_id: the issuer's own.
        left_alone: whether the request bears an ``Authorization`` of its own.
        presented: the refresh token that came with it.
        session: the access token that was found or got.
        tokens: what the refresh gave.
        stale: whether the browser has newer cookies than these.
        clear: whether the cookies are dead.
        login: the tokens that the browser is to get.
        cross_site: whether another site's page may cause that.
        log_out: whether the session is to be ended.
        ended: refresh tokens of other sessions that are to be ended.
        identifier: whose login was counted.
    """

    client_id: str
    left_alone: bool = False
    presented: str | None = field(default=None, repr=False)
    session: AccessToken | None = None
    tokens: Tokens | None = None
    stale: bool = False
    clear: bool = False
    login: Tokens | None = None
    cross_site: bool = False
    log_out: bool = False
    ended: list[str] = field(default_factory=list, repr=False)
    identifier: str | None = field(default=None, repr=False)


class Visit:
    """One request on its way through an application that renders pages.

    Attributes:
        request: as the client sent it.
        token: the user's access token; None where nobody is logged in.
        refusal: what to send instead of calling the application or, after `Pages.leave`, instead of its response.
        authorization: what the application's request gets as its ``Authorization`` header, None where it is left alone.
    """

    __slots__ = ("_limiter", "authorization", "notes", "refusal", "request", "token")

    def __init__(self, request: Request, client_id: str, limiter: Limiter | None = None) -> None:
        self.request = request
        self.token: AccessToken | None = None
        self.refusal: Response | None = None
        self.authorization: str | None = None
        self.notes = Notes(client_id)
        self._limiter = limiter

    def __repr__(self) -> str:
        return f"Visit({self.request.method}, subject={self.token.subject if self.token else None!r})"

    def count_login(self, identifier: str) -> Flow[int]:
        """Count a login by a form, before its password is looked at: ``wait = auth.run(visit.count_login(name))``.

        With an `AsyncDaypass`, ``await`` it. A `log_in` in the same request notes where this name has logged in, so
        that strangers cannot use up its logins from there.

        Args:
            identifier: the name or address that is to be logged in, as it was sent.

        Returns:
            0 when it may be tried, as always where no ``rate_limits`` were given; else for how many seconds there may
            be none more. Answer 429 with that in ``Retry-After`` (RFC 6585 §4), without a look at the password.
        """
        if self._limiter is not None:
            try:
                yield from self._limiter.login(self.request, identifier, (yield from Now()))
            except TooMany as error:
                return error.wait
            self.notes.identifier = identifier
        return 0

    def log_in(self, tokens: Tokens, *, cross_site: bool = False) -> None:
        """Let the response log the browser in, with the tokens of `Daypass.login` or `Daypass.start`.

        The session that the browser had before is ended, so that nobody goes on using it (OWASP: session fixation).
        ``token`` stays as it was at the beginning of this request.

        Args:
            tokens: of the new session.
            cross_site: whether a form on another site's page may cause this login. Else such a request, which could
                log a victim in as somebody else, is answered with 403, and the new session is ended. Only for an
                answer of an identity provider that comes as a ``POST`` and is checked in its own way.

        Raises:
            ConfigurationError: they are of another client than the issuer's own, whose refresh token no page can use.
        """
        if tokens.session.client_id != self.notes.client_id:
            raise ConfigurationError("log_in needs tokens of the issuer's own client: call start without client_id")
        if self.notes.login is not None and self.notes.login.session.id != tokens.session.id:
            self.notes.ended.append(self.notes.login.refresh_token)
        self.notes.login, self.notes.cross_site, self.notes.log_out = tokens, cross_site, False

    def log_out(self) -> None:
        """Let the response end the browser's session and clear its cookies; ``token`` is None from now on.

        When the store is down then, the session would live on. So the browser is told that: the application's response
        is replaced by 503, and no cookie is changed.
        """
        if self.notes.login is not None:
            self.notes.ended.append(self.notes.login.refresh_token)
        self.notes.login, self.notes.log_out, self.token = None, True, None


class Pages:
    """What happens before and after the pages of one issuer.

    Args:
        flows: the issuer's.
        policy: how cookies are set and from where they may be used; ``same_site="Lax"``, or a link from elsewhere finds
            nobody logged in.
        filter_: checks every request, and adds CORS headers to every response.
        access_name: the name of the cookie with the access token, without ``__Host-``.
        render: returns the HTML page for a refusal, of a status, an error code and a sentence about it. It is sent to
            whoever accepts ``text/html``; others get JSON.
        limiter: counts refreshes and, by `Visit.count_login`, logins, if anybody does.
    """

    def __init__(
        self,
        flows: Flows,
        policy: CookiePolicy,
        filter_: Filter,
        *,
        access_name: str = ACCESS,
        render: Render | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self._flows = flows
        self._policy = policy
        self._filter = filter_
        self._access_name = access_name
        self._render = render or _page
        self._limiter = limiter

    @classmethod
    def of(cls, auth: Any, *, render: Render | None = None, **options: Unpack[Options]) -> "Pages":
        """Return the pages of an issuer, a `Daypass` or an `AsyncDaypass`; ``same_site`` is ``Lax`` unless given.

        Raises:
            ConfigurationError: an option cannot work.
        """
        from daypass.web.site import Site  # here, because a site has pages too

        options.setdefault("same_site", "Lax")
        site = Site(auth, **options)
        return cls(auth.flows, site.policy, site.filter, render=render, limiter=site.limiter)

    # ---- before the application

    def enter(self, request: Request, moment: Moment) -> Flow[Visit]:
        """Find out who comes, and refresh where that is needed; the body is not looked at.

        A request with an ``Authorization`` of its own is left alone, save for ``Basic``: that one belongs to whoever
        guards the whole site, and is in nobody's way. A request without our cookies asks nothing of anybody.
        """
        try:
            request = self._filter.incoming(request)
        except BadRequest as error:
            visit = Visit(request, self._flows.names.client_id, self._limiter)
            visit.notes.left_alone, visit.refusal = True, self._refuse(request, error.response)
            return visit
        return (yield from self.receive(request, moment))

    def receive(self, request: Request, moment: Moment) -> Flow[Visit]:
        """Do as `enter` does for a request that has passed the filter already."""
        visit = Visit(request, self._flows.names.client_id, self._limiter)
        access, visit.notes.presented = cookies.read(request, self._access_name), cookies.read(request)
        own = request.headers.get("authorization")
        if own is not None and own.partition(" ")[0].lower() != "basic":
            visit.notes.left_alone = True
            return visit
        if access is None and visit.notes.presented is None:
            return visit
        try:
            self._admit(request)
            yield from self._recognise(visit, access, moment)
        except BadRequest as error:
            visit.refusal = self._refuse(request, error.response)
        except StoreError as error:
            yield from self._unavailable(visit, error, moment)
        if visit.notes.session is not None and visit.refusal is None:
            visit.token = visit.notes.session
            if own is None:
                text = access if visit.notes.tokens is None else visit.notes.tokens.access_token
                visit.authorization = f"Bearer {text}"
        return visit

    def _admit(self, request: Request) -> None:
        cookies.require_secure_transport(request, self._policy)
        if request.method not in _SAFE or _is_websocket(request):
            cookies.require_same_site(request, self._policy)

    def _recognise(self, visit: Visit, access: str | None, moment: Moment) -> Flow[None]:
        """Find the visit's session, by its access token or else by its refresh token."""
        if access is not None:
            try:
                visit.notes.session = yield from Verify(access)
            except TokenRejected:
                pass
            else:
                return
        if visit.notes.presented is not None:
            yield from self._refresh(visit, visit.notes.presented, moment)

    def _refresh(self, visit: Visit, text: str, moment: Moment) -> Flow[None]:
        try:
            session, refresh = self._flows.session_of(text), self._flows.refresh(text, moment)
            visit.notes.tokens = yield from refreshed(self._limiter, visit.request, session, refresh, moment.now)
            visit.notes.session = yield from Verify(visit.notes.tokens.access_token)
        except TokenStale:
            self._send_again(visit, text)
        except TooMany as error:
            if not error.by_address:
                raise
            visit.notes.clear = _is_navigation(visit.request)
        except TokenRejected:  # if it is the new access token, it was ended meanwhile: the next request is told so
            visit.notes.clear = visit.notes.tokens is None and _is_navigation(visit.request)

    def _send_again(self, visit: Visit, text: str) -> None:
        """Send the browser once more to where it wanted to go, unless it has just come back with the same token."""
        visit.notes.stale = True
        mark = hashlib.sha256(text.encode()).hexdigest()[:16]
        request = visit.request
        known = cookies.read(request, TRIED) == mark
        if known or request.method not in ("GET", "HEAD") or _is_websocket(request):
            return
        here = f"?{quote(request.query, safe=_QUERY)}"  # the same path, wherever the application is mounted
        tried = cookies.write(request, self._policy, mark, _TRIED_AGE, 0, TRIED)
        visit.refusal = Response(307, (("location", here), ("cache-control", "no-store"), tried))

    # ---- after the application

    def leave(self, visit: Visit, moment: Moment) -> Flow[Headers]:
        """Do what the application asked for, and return the headers that its response gets, by `merge_headers`.

        They are ``set-cookie``, for each cookie that changes; ``cache-control: private`` where the request brought one
        of our cookies or the response sets one; and ``vary: Cookie``, always, unless the request was left alone. When
        what was asked for could not be done there is a ``visit.refusal``, to be sent in place of the response.
        """
        request = visit.request
        if visit.notes.login is None and visit.notes.left_alone and not visit.notes.log_out:
            return ()
        changed: Headers
        try:
            if visit.notes.login is not None:
                changed = yield from self._logged_in(visit, visit.notes.login, moment)
            elif visit.notes.log_out:
                changed = yield from self._logged_out(visit, moment)
            elif visit.notes.tokens is not None:
                changed = self._both(request, visit.notes.tokens, moment.now)
            else:
                changed = self._cleared(request) if visit.notes.clear else ()
        except BadRequest as error:
            visit.refusal = self._refuse(request, error.response)
            return ()
        except StoreError as error:
            yield from self._unavailable(visit, error, moment)
            return ()
        came = visit.notes.presented is not None or visit.notes.session is not None
        private = (("cache-control", "private"),) if came or changed else ()
        return (*changed, *private, ("vary", "Cookie"))

    def _logged_in(self, visit: Visit, tokens: Tokens, moment: Moment) -> Flow[Headers]:
        request = visit.request
        try:
            cookies.require_secure_transport(request, self._policy)
            if request.method not in _SAFE and not visit.notes.cross_site:
                cookies.require_same_site(request, self._policy)
        except BadRequest:
            yield from self._flows.logout(tokens.refresh_token, moment)
            raise
        if self._limiter is not None and visit.notes.identifier is not None:
            yield from self._limiter.logged_in(request, visit.notes.identifier, moment.now)
        try:
            yield from self._end_others(visit, moment, keep=tokens.session.id)
        except StoreError as error:  # the login has succeeded all the same
            yield from Emit(Event(EventCode.UNAVAILABLE, moment.now, reason=str(error)))
        return self._both(request, tokens, moment.now)

    def _logged_out(self, visit: Visit, moment: Moment) -> Flow[Headers]:
        yield from self._end_others(visit, moment, keep=None)
        return self._cleared(visit.request)

    def _end_others(self, visit: Visit, moment: Moment, *, keep: str | None) -> Flow[None]:
        """End every session that this visit has shown, save ``keep``."""
        if visit.notes.presented is not None:
            visit.notes.ended.append(visit.notes.presented)
        seen = {keep}
        for text in visit.notes.ended:
            session_id = yield from self._flows.session_of(text)
            if session_id is not None and session_id not in seen:
                seen.add(session_id)
                yield from self._flows.logout(text, moment)
        session = visit.notes.session
        if session is not None and session.session_id not in seen:
            yield from self._flows.end_session(session.subject, session.session_id, moment)

    def _both(self, request: Request, tokens: Tokens, now: int) -> Headers:
        """Return what sets the access token's cookie and, where it is to be replaced, the refresh token's."""
        # that of the token itself, which counts in whole seconds
        until = (now // SECOND + tokens.expires_in) * SECOND
        access = cookies.write(request, self._policy, tokens.access_token, until, now, self._access_name)
        fits = len(tokens.access_token) + len(self._access_name) + len("__Host-") <= LONGEST
        headers = (access,) if fits else (cookies.clear(request, self._policy, self._access_name),)
        if not tokens.replaces:
            return headers
        end = tokens.session.expires_at
        return (*headers, cookies.write(request, self._policy, tokens.refresh_token, end, now))

    def _cleared(self, request: Request) -> Headers:
        return (cookies.clear(request, self._policy, self._access_name), cookies.clear(request, self._policy))

    # ---- refusals

    def _unavailable(self, visit: Visit, error: StoreError, moment: Moment) -> Flow[None]:
        yield from Emit(Event(EventCode.UNAVAILABLE, moment.now, reason=str(error)))
        visit.refusal = self._refuse(visit.request, unavailable(error))

    def _refuse(self, request: Request, refusal: Response) -> Response:
        """Return a refusal as a page, for whoever reads pages."""
        if "text/html" in request.headers.get("accept", ""):
            others = (header for header in refusal.headers if header[0] != "content-type")
            said = json.loads(refusal.body)
            body = self._render(refusal.status, said["error"], said["message"]).encode()
            refusal = Response(refusal.status, (("content-type", "text/html; charset=utf-8"), *others), body)
        return self._filter.outgoing(request, refusal)


def merge_headers(theirs: Iterable[tuple[str, str]], ours: Headers) -> list[tuple[str, str]]:
    """Return the headers of an application's response, ``theirs``, with those of `Pages.leave`; all adapters do this.

    Each ``set-cookie`` is added. Of ``cache-control`` and ``vary`` there is one each afterwards, or none:

    - A response that sets one of our cookies is private, whatever the application says: ``public`` and ``s-maxage`` are
      taken out, and ``private`` is added unless ``private`` or ``no-store`` is there.
    - Else, what the application says is ``public`` (or has an ``s-maxage``) stays so, without ``vary: Cookie``: it has
      said that this is the same for everybody.
    - Else ``private`` is added, where `leave` says so, unless ``private`` or ``no-store`` is there.
    - ``Cookie`` is added to ``vary`` unless it is there, or ``*`` is.

    Names are compared whatever their case; those of ``theirs`` stay as they are.
    """
    theirs = list(theirs)
    if not ours:
        return theirs
    set_cookies = [header for header in ours if header[0] == "set-cookie"]
    said = _words(theirs, "cache-control")
    shared = [word for word in said if _directive(word) in ("public", "s-maxage")]
    merged = [header for header in theirs if header[0].lower() not in ("cache-control", "vary")]
    vary = _words(theirs, "vary")
    if shared and not set_cookies:
        control = said
    else:
        control = [word for word in said if word not in shared]
        closed = any(_directive(word) in ("private", "no-store") for word in control)
        if not closed and (set_cookies or ("cache-control", "private") in ours):
            control.append("private")
        if not {word.lower() for word in vary} & {"*", "cookie"}:
            vary.append("Cookie")
    if control:
        merged.append(("cache-control", ", ".join(control)))
    if vary:
        merged.append(("vary", ", ".join(vary)))
    return merged + set_cookies


def _words(headers: list[tuple[str, str]], name: str) -> list[str]:
    lines = [value for found, value in headers if found.lower() == name]
    return [word.strip() for word in ",".join(lines).split(",") if word.strip()]


def _directive(word: str) -> str:
    return word.partition("=")[0].strip().lower()


def _is_navigation(request: Request) -> bool:
    return request.headers.get("sec-fetch-mode", "navigate") == "navigate"


def _is_websocket(request: Request) -> bool:
    return request.headers.get("upgrade", "").lower() == "websocket"


def _page(status: int, _code: str, message: str) -> str:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{status}</title>'
    return f"{head}<p>{html.escape(message)}.</p></html>"
