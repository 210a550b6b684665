"""The first-party endpoints: a request in, a response out. Pure, like the flows that they are made of.

Every rejected refresh token gets the same response, except for a stale one: the reason is for the event log.

A cookie is removed only after its user asked for a logout or for the end of that session, and got it. A failure does
not remove it. A rejected refresh does not either: when that response arrives, a login in another tab may have put a new
token into the same jar, and HTTP cannot remove a cookie only if it is still the one that was sent. The dead cookie
costs its client one rejected request, and the next login replaces it.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial, wraps
from typing import Any
from urllib.parse import parse_qs

from daypass.access_token import AccessToken
from daypass.dbsc import DeviceBound
from daypass.dpop import DPoP, UnusedProof
from daypass.duration import SECOND
from daypass.errors import (
    CredentialsRejected,
    DeviceProofMissing,
    ImpersonationRejected,
    ProofRejected,
    StoreError,
    TokenMalformed,
    TokenRejected,
    TokenStale,
)
from daypass.event import Event, EventCode
from daypass.flow import A, Flow
from daypass.flows import Call, Flows
from daypass.refresh_token import RefreshToken
from daypass.session import BEARER, Device, Session, Tokens
from daypass.session_options import SessionOptions
from daypass.steps import Authenticate, Emit, Keys, Verify
from daypass.store_steps import Find
from daypass.user import RESERVED_CLAIMS
from daypass.web import cookies
from daypass.web.bearer import bearer_token, challenge, require_own_client, unauthorized, unavailable, user_of
from daypass.web.cookies import ACCESS, CookiePolicy, Kind
from daypass.web.cors import PUBLIC
from daypass.web.dbsc import refused_device, registration_headers, shown_token
from daypass.web.limits import Limiter, limited_refresh
from daypass.web.login_slots import Busy, LoginSlots
from daypass.web.message import (
    BadRequest,
    Request,
    Response,
    answer,
    content_type,
    device_of,
    failure,
    grace_header,
    json_object,
)
from daypass.web.page_headers import CLEAR_SITE_DATA, Headers
from daypass.web.proofs import proof_of, read_proof, refused_proof, use_proof
from daypass.web.session_times import SessionTimes

_LONGEST = 1024
_UNFIT = re.compile("[\0\ud800-\udfff]")
"""What JSON can say and no UTF-8, password hash or database keeps: half a surrogate pair, and NUL."""

_LAST_TIME = 253_402_300_799_999
"""The last moment that RFC 3339 can write: the end of the year 9999."""

_SESSION_ID = 32

_OWN_FIELDS = frozenset(("email", "username", "password", "tokenDelivery", "deviceName"))

MAXIMUM_PAGE = 100
"""Sessions in one answer."""

_LIMIT = re.compile(r"[0-9]{1,3}")
_CURSOR = re.compile(r"([0-9]{1,15})\.([0-9a-f]{32})")


Endpoint = Callable[..., Flow[Response]]


def _answering(endpoint: Endpoint) -> Endpoint:
    """Turn the errors that any endpoint may raise into responses."""

    @wraps(endpoint)
    def answered(self: "Endpoints", request: Request, call: Call, **options: Any) -> Flow[Response]:
        try:
            response = yield from endpoint(self, request, call, **options)
        except BadRequest as error:
            response = error.response
        except TokenRejected as error:
            response = unauthorized(error)
        except StoreError as error:
            yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))
            response = unavailable(error)
        return response.with_headers(("vary", "Origin, Sec-Fetch-Site"))

    return answered


class Endpoints:
    """The first-party endpoints of one issuer; each returns a flow that ends in a response.

    Args:
        flows: the flows of the issuer.
        cookie_policy: how the cookie is set and used.
        authenticate: returns the `daypass.User` with a name (or address) and a password, or None. If it has a parameter
            ``fields``, it gets the other fields of the login's body in it.
        limiter: counts logins and refreshes; None sets no limits.
        slots: limits how many passwords are checked at the same time; None sets no limit.
        dpop: the requirements for DPoP proofs; None if sessions cannot be bound to keys by DPoP.
        device_bound: the requirements for browsers that bind their sessions to a key; None if they cannot here.
    """

    def __init__(
        self,
        flows: Flows,
        cookie_policy: CookiePolicy,
        authenticate: Callable[[str, str], Any] | None,
        limiter: Limiter | None = None,
        slots: LoginSlots | None = None,
        dpop: DPoP | None = None,
        device_bound: DeviceBound | None = None,
    ) -> None:
        self._flows = flows
        self._dpop = dpop
        self._device = device_bound
        self._slots = slots
        self._limiter = limiter
        self._cookies = cookie_policy
        self._authenticate = authenticate
        self._takes_fields = _takes_fields(authenticate)
        self._times = SessionTimes(flows.policy)

    @_answering
    def login(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``POST /login``: 200 with tokens, 401 if the credentials are wrong.

        A login always starts a new session; the session of the cookie that it replaces is ended.
        """
        self._admit(request)
        if self._authenticate is None:
            raise BadRequest(404, "not_found", "This issuer has no login of its own")
        body = json_object(request)
        email, username = _text(body, "email"), _text(body, "username")
        identifier = email or username
        password = _text(body, "password")
        if not identifier or not password:
            raise BadRequest(400, "invalid_request", "Send email (or username) and password, as text")
        delivery = _delivery(body, "cookie")
        device, options = device_of(request, _text(body, "deviceName")), _session_options(body)
        credentials = Authenticate(self._checking(body), identifier, password)
        try:
            unused = read_proof(self._dpop, request, call.now)
            login = self._proven_login(unused, credentials, device, call, options)
            tokens = yield from self._within_limits(login, request, identifier, call)
        except ProofRejected as error:
            return refused_proof(error)
        except CredentialsRejected as error:
            return challenge(failure(error.status, error.code))
        if delivery == "cookie":
            yield from end_replaced(self._flows, self._cookies, request, call)
        delivered = self._deliver(request, tokens, call, in_body=delivery == "body", new=True)
        if delivery == "body":
            return delivered
        mounted = request.path.removesuffix("/login")
        return delivered.with_headers(
            *registration_headers(self._device, request, tokens, self._cookies, call, mounted)
        )

    def _proven_login(
        self, unused: UnusedProof | None, credentials: Authenticate, device: Device, call: Call, options: SessionOptions
    ) -> Flow[Tokens]:
        """Log in, with a session that is bound to the key of the proof, if there is one."""
        proof = yield from use_proof(self._dpop, unused, call.now, stranger=True)
        if proof is not None:
            options["key"] = proof.key.jwk
        return (yield from self._flows.login(credentials, device, call, options))

    @_answering
    def confirm(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``POST /confirm``: 200 with an access token that says that its user was authenticated just now.

        The password is checked as by a login, with the same limits. The session and its refresh token stay as they are.
        If the browser has a page's cookie with an older access token of the session, the new one takes its place.
        """
        self._admit(request)
        token = yield from self._own_bearer(request, call)
        if self._authenticate is None:
            raise BadRequest(404, "not_found", "This issuer has no login of its own")
        body = json_object(request)
        password = _text(body, "password")
        user = yield from user_of(token)
        identifier = _text(body, "email") or _text(body, "username") or user.email or user.username
        if not identifier or not password:
            raise BadRequest(400, "invalid_request", "Send password, as text; and email, if the user has neither name")
        check = Authenticate(self._checking(body), identifier, password)
        confirming = self._flows.confirm_by(check, token, call)
        try:
            confirmed = yield from self._within_limits(confirming, request, identifier, call)
        except CredentialsRejected as error:
            return challenge(failure(error.status, error.code))
        except ImpersonationRejected as error:
            return failure(error.status, error.code, str(error))
        content = {
            "accessToken": confirmed.access_token,
            "tokenType": confirmed.token_type,
            "expiresIn": confirmed.expires_in,
            "refreshExpiresIn": _seconds_left(confirmed.session, call.now),
        }
        its_page = (yield from self._page_session(request)) == token.session_id
        newer = (cookies.write_access(request, self._cookies, confirmed, call.now),) if its_page else ()
        return answer(200, content).with_headers(*newer)

    def _page_session(self, request: Request) -> Flow[str | None]:
        """Return the session of the access token in the cookie of pages; None without a live one."""
        text = cookies.read(request, self._cookies, ACCESS)
        try:
            return None if text is None else (yield from Verify(text)).session_id
        except (TokenRejected, StoreError):
            return None

    def _within_limits(self, checking: Flow[A], request: Request, identifier: str, call: Call) -> Flow[A]:
        """Check a password within the limits of logins, and count the result; raises what ``checking`` raises.

        Raises:
            TooMany: the limit is reached; the password was not checked.
        """
        if self._limiter is not None:
            yield from self._limiter.login(request, identifier, call.now)
        try:
            done = yield from (checking if self._slots is None else self._slots.during(checking, call.now))
        except (Busy, StoreError):
            if self._limiter is not None:
                yield from self._limiter.take_back(request, identifier, call.now)
            raise
        if self._limiter is not None:
            yield from self._limiter.logged_in(request, identifier, call.now)
        return done

    def _checking(self, body: Mapping[str, Any]) -> Callable[..., Any]:
        """Return the function that checks a password; it gets the other fields of the body if it takes them."""
        check: Callable[..., Any] = self._authenticate  # type: ignore[assignment]  # the callers ensure that
        if not self._takes_fields:
            return check
        return partial(check, fields={name: value for name, value in body.items() if name not in _OWN_FIELDS})

    @_answering
    def refresh(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``POST /refresh``: 200 with tokens, 401 if the session has ended, 409 if the token is stale."""
        self._admit(request)
        text, in_body = self._refresh_token(request)
        if text is None:
            return challenge(failure(401, "invalid_grant"))
        if in_body and self._flows.migration.may_be_old(text):  # a page may move its token into the cookie
            in_body = _delivery(json_object(request), "body") == "body"
        kept = None if in_body else (yield from self._kept(request, text, call))
        if kept is not None:
            return kept
        try:
            tokens = yield from limited_refresh(self._flows, self._limiter, request, text, call, dpop=self._dpop)
        except DeviceProofMissing as error:
            return refused_device(request, error)
        except ProofRejected as error:
            return refused_proof(error)
        except TokenStale as error:
            return failure(error.status, error.code, "A newer refresh token was given out")
        except TokenRejected as error:
            return challenge(failure(error.status, "invalid_grant"))
        return self._deliver(request, tokens, call, in_body=in_body)

    def _kept(self, request: Request, text: str, call: Call) -> Flow[Response | None]:
        """Answer a refresh of a session that is bound to its browser: with the access token of its cookie.

        None if the session is not, or there is no good access token. A new one needs a proof by the browser, which sets
        the cookie (`daypass.web.dbsc`).
        """
        access = None if self._device is None else (yield from shown_token(request, self._cookies))
        token = None if access is None else (yield from self._open(text))
        if access is None or token is None or token.session_id != access.session_id:
            return None
        if self._limiter is not None:
            yield from self._limiter.refresh(access.session_id, call.now)
        session = yield from self._flows.find_live(access.session_id, call)
        if session is None or not session.device_bound:
            return None
        content = {
            "accessToken": cookies.read(request, self._cookies, ACCESS),
            "tokenType": BEARER,
            "expiresIn": max(1, (access.expires_at - call.now) // SECOND),
            "refreshExpiresIn": _seconds_left(session, call.now),
        }
        return answer(200, content).with_headers(grace_header(self._flows.policy))

    @_answering
    def logout(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``POST /logout``: 204, whether there was a session to end or not; the cookie is removed.

        A cookie of 0.1 beside it is removed too, and its session ended; otherwise it would log the browser in again.

        With ``{"everywhere": true}`` all of the user's sessions end. Without a live session the user is unknown, and
        the response is 401.
        """
        self._admit(request)
        return (yield from self._log_out(request, call, everywhere=_everywhere(request)))

    @_answering
    def own_logout(self, request: Request, call: Call, *, everywhere: bool) -> Flow[Response]:
        """Answer a logout at an application's own endpoint, as `logout` does; the body is the application's."""
        self._admit(request)
        return (yield from self._log_out(request, call, everywhere=everywhere))

    def _log_out(self, request: Request, call: Call, *, everywhere: bool) -> Flow[Response]:
        text, in_body = self._refresh_token(request)
        token = yield from self._open(text)
        try:
            proof = None if token is None else (yield from proof_of(self._dpop, request, call.now))
        except ProofRejected as error:
            return refused_proof(error)
        shown = yield from shown_token(request, self._cookies)
        if everywhere:
            if token is None or not (yield from self._flows.logout_everywhere(token, call, proof, shown)):
                return nobody_logged_in()
        elif token is not None:
            yield from self._flows.logout(token, call, proof, shown)
        done = Response(204, (("cache-control", "no-store"),))
        foreign = token is None and cookies.may_be_another_applications(request, self._cookies)
        if in_body or foreign:
            return done
        done = done.with_headers(*self._cleared(request))
        old = yield from self._open(cookies.read_old(request, self._cookies))
        if old is not None:
            yield from self._flows.logout(old, call)
            done = done.with_headers(*cookies.clear_old(request, self._cookies))
        older = yield from self._open(cookies.read_older(request, self._cookies))
        if older is None:
            return done
        yield from self._flows.logout(older, call)
        return done.with_headers(cookies.clear_older(request, self._cookies))

    @_answering
    def me(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``GET /me``: 200 with the access token's user, 401 without a valid access token."""
        token = yield from self._bearer(request, call)
        return answer(200, _user(token))

    @_answering
    def sessions(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``GET /sessions``: 200 with the user's devices, the newest login first, a page at a time."""
        token = yield from self._own_bearer(request, call)
        limit, after = _page(request.query)
        found = yield from self._flows.sessions(token.subject, call, limit, after)
        content: dict[str, Any] = {"sessions": [self._listed(session, token.session_id, call.now) for session in found]}
        if len(found) == limit:
            content["next"] = f"{found[-1].created_at}.{found[-1].id}"
        return answer(200, content)

    def _listed(self, session: Session, current: str, now: int) -> dict[str, Any]:
        is_current = session.id == current
        times = self._times.of(session, now, asks=is_current)
        return {
            "id": session.id,
            "deviceName": session.device.name,
            "userAgent": session.device.user_agent,
            "address": session.device.address,
            "createdAt": _iso(times.created_at),
            "lastUsedAt": _iso(times.last_used_at),
            "expiresAt": _iso(times.expires_at),
            "current": is_current,
            "persistent": session.persistent,
            "bound": session.key_thumbprint is not None,
            "actor": session.actor,
        }

    @_answering
    def end_session(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``DELETE /sessions/{id}``: 204, or 404 if the user has no such session.

        The cookie is removed if it is that session's.
        """
        token = yield from self._own_bearer(request, call)
        session_id = request.session_id or ""
        if not _is_session_id(session_id):
            return failure(404, "not_found", "Session not found")
        its_cookie = (yield from self._cookie_session(request)) == session_id
        ended = yield from self._flows.end_session(token.subject, session_id, call)
        if not ended:
            return failure(404, "not_found", "Session not found")
        return self._ended(request, its_cookie=its_cookie)

    @_answering
    def end_all(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``DELETE /sessions``: 204; all of the user's sessions are ended, including this one.

        With ``?keep=current`` all except this one. The cookie is removed only if its session has ended and is this
        user's: another user may have logged in since.
        """
        token = yield from self._own_bearer(request, call)
        if request.query not in ("", "keep=current"):
            raise BadRequest(400, "invalid_request", "Ask for all, or with keep=current for all but this one")
        keep = token.session_id if request.query else None
        yield from self._flows.end_all(token.subject, keep, call)
        return self._ended(request, its_cookie=(yield from self._has_ended(request, token.subject, call)))

    def _has_ended(self, request: Request, subject: str, call: Call) -> Flow[bool]:
        """Return whether the cookie belongs to a session of this user that has ended."""
        try:
            cookie = yield from self._cookie_session(request)
            found = None if cookie is None else (yield from Find(cookie))
        except StoreError:  # the request succeeded; one more dead cookie does no harm
            return False
        return found is not None and found.subject == subject and not found.is_live(call.now)

    def _cookie_session(self, request: Request) -> Flow[str | None]:
        """Return the id of the session that the cookie belongs to; it may have ended."""
        token = yield from self._open(cookies.read(request, self._cookies))
        return None if token is None else token.session_id

    def _open(self, text: str | None) -> Flow[RefreshToken | None]:
        """Decode a refresh token; None if there is none, or it is not one of ours."""
        try:
            return None if text is None else (yield from self._flows.open(text))
        except TokenMalformed:
            return None

    def _ended(self, request: Request, *, its_cookie: bool) -> Response:
        done = Response(204, (("cache-control", "no-store"),))
        return done.with_headers(*self._cleared(request)) if its_cookie else done

    def _cleared(self, request: Request) -> Headers:
        """Return the headers that remove the cookies of a session that has ended."""
        kinds: tuple[Kind, ...] = ("",) if cookies.read(request, self._cookies, ACCESS) is None else ("", ACCESS)
        return (*(cookies.clear(request, self._cookies, kind) for kind in kinds), CLEAR_SITE_DATA)

    @_answering
    def jwks(self, _request: Request, _call: Call) -> Flow[Response]:
        """Answer ``GET /.well-known/jwks.json``: 200 with the public signing keys (RFC 7517 §5)."""
        ring = yield from Keys()
        keys = answer(200, ring.jwks())
        headers = (("content-type", "application/jwk-set+json"), ("cache-control", "public, max-age=300"), PUBLIC)
        return Response(200, headers, keys.body)

    def _admit(self, request: Request) -> None:
        cookies.require_secure_transport(request, self._cookies)
        cookies.require_same_site(request, self._cookies)

    def _bearer(self, request: Request, call: Call) -> Flow[AccessToken]:
        cookies.require_secure_transport(request, self._cookies)
        return (yield from bearer_token(request, self._dpop, call.now))

    def _own_bearer(self, request: Request, call: Call) -> Flow[AccessToken]:
        """Return the contents of the access token, if it was issued to the issuer's own client."""
        token = yield from self._bearer(request, call)
        require_own_client(token, self._flows.names.client_id)
        return token

    def _refresh_token(self, request: Request) -> tuple[str | None, bool]:
        """Return the presented refresh token, and whether it came in the body rather than in the cookie."""
        cookie = cookies.read(request, self._cookies) or cookies.read_old(request, self._cookies)
        if request.body and content_type(request) == "application/json":
            try:
                text = json_object(request).get("refreshToken")
                if text is not None and not isinstance(text, str):
                    raise BadRequest(400, "invalid_request", "refreshToken has to be text")
            except BadRequest:
                if cookie is None:  # a client with a cookie may send any body, or none
                    raise
                text = None
            if text:
                return text, True
        return cookie, False

    def _deliver(self, request: Request, tokens: Tokens, call: Call, *, in_body: bool, new: bool = False) -> Response:
        content: dict[str, Any] = {
            "accessToken": tokens.access_token,
            "tokenType": tokens.token_type,
            "expiresIn": tokens.expires_in,
            "refreshExpiresIn": _seconds_left(tokens.session, call.now),
        }
        grace = grace_header(self._flows.policy)
        if not tokens.replaces:
            return answer(200, content).with_headers(grace)
        if in_body:
            content |= {"refreshToken": tokens.refresh_token, "persistent": tokens.session.persistent}
            return answer(200, content).with_headers(grace)
        cookie = cookies.write_session(request, self._cookies, tokens, call.now, new=new)
        return answer(200, content).with_headers(grace, cookie)


def _seconds_left(session: Session, now: int) -> int:
    """Return for how long a session lasts if it is not used."""
    return max(0, session.expires_at - now) // SECOND


def nobody_logged_in() -> Response:
    """Return the response to a logout everywhere that does not identify the user."""
    return challenge(failure(401, "invalid_grant", "Nobody is logged in here; no session was ended"))


def _everywhere(request: Request) -> bool:
    """Return what the body of a logout says of other devices; any other body is ignored, as in 0.1."""
    if b"everywhere" not in request.body:
        return False
    everywhere = json_object(request).get("everywhere", False)
    if not isinstance(everywhere, bool):
        raise BadRequest(400, "invalid_request", "everywhere must be true or false")
    return everywhere


def _delivery(body: Mapping[str, Any], default: str) -> str:
    """Return whether to send the refresh token in a cookie or in the body."""
    delivery: str = body.get("tokenDelivery", default)
    if delivery not in ("cookie", "body"):
        raise BadRequest(400, "invalid_request", "tokenDelivery is either cookie or body")
    return delivery


def _session_options(body: Mapping[str, Any]) -> SessionOptions:
    """Return the session options in the body of a login."""
    remember = body.get("remember", True)
    if not isinstance(remember, bool):
        raise BadRequest(400, "invalid_request", "remember must be true or false")
    return SessionOptions() if remember else SessionOptions(persistent=False)


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _LONGEST or _UNFIT.search(value):
        raise BadRequest(400, "invalid_request", f"{name} must be text of at most {_LONGEST} characters")
    return value


def end_replaced(flows: Flows, policy: CookiePolicy, request: Request, call: Call) -> Flow[None]:
    """End the session whose cookie a login replaces, even another user's: only a thief could still have its token.

    The login succeeds even if the store cannot do that.
    """
    for replaced in (cookies.read(request, policy), cookies.read_old(request, policy)):
        if replaced is None:
            continue
        try:
            yield from flows.logout_text(replaced, call, shown=(yield from shown_token(request, policy)))
        except StoreError as error:
            yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))


def _user(token: AccessToken) -> dict[str, Any]:
    return {
        "subject": token.subject,
        "username": token.username,
        "email": token.email,
        "sessionId": token.session_id,
        "claims": {name: value for name, value in token.claims.items() if name not in RESERVED_CLAIMS},
    }


def _takes_fields(check: Callable[..., Any] | None) -> bool:
    """Return whether ``authenticate`` has a parameter ``fields``: it gets the other fields of a login's body."""
    try:
        return check is not None and "fields" in inspect.signature(check).parameters
    except (TypeError, ValueError):  # a builtin function without a signature
        return False


def _page(query: str) -> tuple[int, tuple[int, str] | None]:
    """Return the limit of a page, and the ``(created_at, id)`` it begins after."""
    asked = parse_qs(query, keep_blank_values=True)
    refused = BadRequest(
        400, "invalid_request", f"Send limit=1 to {MAXIMUM_PAGE}, after=the next of the page before, or nothing"
    )
    if asked.keys() - {"limit", "after"} or any(len(values) > 1 for values in asked.values()):
        raise refused
    limit = asked.get("limit", [str(MAXIMUM_PAGE)])[0]
    after = _CURSOR.fullmatch(asked["after"][0]) if "after" in asked else None
    if ("after" in asked and after is None) or not _LIMIT.fullmatch(limit) or not 1 <= int(limit) <= MAXIMUM_PAGE:
        raise refused
    return int(limit), None if after is None else (int(after[1]), after[2])


def _iso(time: int) -> str:
    moment = datetime.fromtimestamp(min(time, _LAST_TIME) / SECOND, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_session_id(text: str) -> bool:
    return len(text) == _SESSION_ID and all(character in "0123456789abcdef" for character in text)
