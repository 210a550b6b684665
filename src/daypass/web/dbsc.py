"""Device Bound Session Credentials at the session endpoints: registration, and refresh with a proof. Pure.

A browser that can do this reads `registration_headers` of a login's response, makes a key, and registers it. From its
first proof on, the session is bound to the key:

- Only `DeviceEndpoints.refresh` gives new tokens, for the refresh token in the cookie *and* a proof by the key. It sets
  the cookies of both tokens.
- The access token's cookie is the one that the browser keeps fresh: if it is missing, the browser sends no request
  before it has proven its key. So every other place finds a good access token in the cookie, and needs no refresh.
- ``POST /auth/refresh`` answers with the access token of the cookie (`shown_token`).

So a copied cookie jar has one access token, until that expires, and gets no further one.

A browser ends its registration when a response to its proof has a status of 400 to 499 other than 403. So all that is
temporary is answered with 503, and only what has ended with ``"continue": false``.
"""

from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

from daypass.access_token import AccessToken
from daypass.dbsc import DeviceBound, Registration
from daypass.duration import SECOND
from daypass.errors import (
    DeviceProofMissing,
    ProofRejected,
    StoreError,
    TokenRejected,
    TokenStale,
)
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Call, Flows
from daypass.refresh_token import RefreshToken
from daypass.session import Confirmed, Tokens
from daypass.steps import Emit, Verify
from daypass.web import cookies
from daypass.web.bearer import RETRY_AFTER, challenge, unavailable
from daypass.web.cookies import ACCESS, CookiePolicy, SameSite
from daypass.web.limits import Limiter, TooMany, limited_refresh
from daypass.web.message import BadRequest, Request, Response, answer, failure
from daypass.web.page_headers import Headers
from daypass.web.proofs import encoded_path

REGISTER, REFRESH = "/device/register", "/device/refresh"
"""The paths, below the session endpoints."""

REGISTRATION = "secure-session-registration"
CHALLENGE = "secure-session-challenge"
RESPONSE = "secure-session-response"
SESSION = "sec-secure-session-id"
SKIPPED = "secure-session-skipped"

LONGEST_PROOF = 8192
FIRST_SPAN = 60 * SECOND
"""How long after its registration a browser makes the first proof, at most; it binds the session."""

_UNAVAILABLE = 503
_NOT_BOUND = "the session of a login is not bound to a key, although device_bound is on"
_SHARE = 4
"""The access token's cookie goes before the last fourth of the token's life, as clients refresh before it expires."""


def registration_headers(
    device_bound: DeviceBound | None,
    request: Request,
    tokens: Tokens,
    policy: CookiePolicy,
    call: Call,
    path: str | None = None,
) -> Headers:
    """Return the header that asks the browser to register the session of a login.

    No header is given without HTTPS, where browsers would not register, and if the access token is too long for a
    cookie: the log says so. Nor if the login is not remembered, because that cookie would outlive the browser.

    Args:
        device_bound: the requirements; None asks for nothing.
        request: the login.
        tokens: of the new session.
        policy: how its cookies are set.
        call: the time and the randomness.
        path: where the session endpoints are mounted, decoded; that of ``device_bound`` by default.
    """
    if device_bound is None or tokens.session.key_thumbprint is not None or not tokens.session.persistent:
        return ()
    if not _can_be_bound(request, tokens, policy):
        return ()
    mounted = device_bound.path if path is None else encoded_path(path)
    challenge = device_bound.registration_challenge(tokens.session.id, policy.same_site, call.now, call.entropy)
    algorithms, session_id = " ".join(device_bound.algorithms), tokens.session.id
    asked = f'({algorithms});path="{mounted}{REGISTER}";challenge="{challenge}";authorization="{session_id}"'
    return ((REGISTRATION, asked),)


def _can_be_bound(request: Request, tokens: Tokens, policy: CookiePolicy) -> bool:
    """Return whether a browser could bind the session of a login. If not, warn, except of HTTP on loopback."""
    if not request.is_https:
        if not cookies.is_loopback(request.host):
            policy.log.warn(("not_bound", "http"), f"{_NOT_BOUND}: it came by plain HTTP. {cookies.BEHIND_PROXY}")
        return False
    if not cookies.fits(request, policy, tokens.access_token):
        policy.log.warn(
            ("not_bound", "size"),
            f"{_NOT_BOUND}: its access token does not fit in a cookie of {cookies.LONGEST} bytes; give its user "
            "fewer claims",
        )
        return False
    return True


def shown_token(request: Request, policy: CookiePolicy) -> Flow[AccessToken | None]:
    """Return the access token in the request's cookie; None without a good one that needs no proof."""
    text = cookies.read(request, policy, ACCESS)
    try:
        token = None if text is None else (yield from Verify(text))
    except TokenRejected:
        return None
    return token if token is not None and token.key_thumbprint is None else None


def _is_led_here(request: Request) -> bool:
    """Return whether a link or a redirect of another origin led to this page."""
    headers = request.headers
    is_page = request.method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    return is_page and headers.get("sec-fetch-site") in ("cross-site", "same-site")


def is_browsers_own(request: Request) -> bool:
    """Return whether a browser sends a request by itself, to register a key or to prove it; no script can do that."""
    return SESSION in request.headers or RESPONSE in request.headers


def refused_device(request: Request, error: DeviceProofMissing) -> Response:
    """Return the response to a refresh token of a bound session whose browser has not proven its key.

    503 if the same request will pass: the browser says that it could not prove the key now; or a page of another origin
    led to this one, and then it proves none. In that case the header ``Refresh`` loads the page again, from here.
    Otherwise the browser has no key: 401.
    """
    is_skipped, is_led = error.session_id in request.headers.get(SKIPPED, ""), _is_led_here(request)
    if is_skipped or is_led:
        again = (("retry-after", str(RETRY_AFTER)), *((("refresh", "0"),) if is_led else ()))
        return failure(503, error.code, "Try again in a moment").with_headers(*again)
    return challenge(failure(401, "invalid_grant", "The session is bound to a key of another browser: log in"))


class DeviceEndpoints:
    """The endpoints that browsers call by themselves; each returns a flow that ends in a response.

    Args:
        flows: the flows of the issuer.
        policy: how cookies are set.
        device_bound: the requirements; None if it is off.
        limiter: counts refreshes; None sets no limits.
    """

    def __init__(
        self, flows: Flows, policy: CookiePolicy, device_bound: DeviceBound | None, limiter: Limiter | None
    ) -> None:
        self._flows = flows
        self._policy = policy
        self._device = device_bound
        self._limiter = limiter

    def register(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``POST /device/register``: 200 with the registration, 403 if there is nothing to register."""
        if self._device is None:
            return failure(404, "not_found", "This issuer binds no sessions to devices")
        try:
            return (yield from self._register(self._device, request, call))
        except BadRequest as error:
            return error.response
        except TokenRejected as error:
            return failure(403, "device_not_registered", str(error))
        except StoreError as error:
            return (yield from self._unavailable(error, call))

    def _register(self, device: DeviceBound, request: Request, call: Call) -> Flow[Response]:
        self._admit(request)
        text = cookies.read(request, self._policy)
        token = None if text is None else (yield from self._flows.open(text))
        known = None if token is None else token.session_id
        registration = device.register(_text(request, RESPONSE), known, call.now)
        session = yield from self._flows.find_live(registration.session_id, call)
        if session is None or session.key_thumbprint is not None or session.client_id != self._flows.names.client_id:
            raise ProofRejected("the session has ended, or is bound already")
        if token is None:
            return self._registered(device, request, registration, call)
        access = yield from self._flows.access(session, call)
        policy = self._policy_of(registration)
        cookie = cookies.write_access(request, policy, access, call.now, lasts=min(FIRST_SPAN, _span(access)))
        return self._registered(device, request, registration, call).with_headers(cookie)

    def refresh(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``POST /device/refresh``: 200 with new cookies for a proof, 403 with a challenge without one.

        ``"continue": false`` ends the registration: its session has ended, or the browser has another one.
        """
        if self._device is None:
            return failure(503, "not_available", "This issuer binds no sessions to devices now")
        identifier = _text(request, SESSION)
        registration = self._device.registration(identifier)
        if registration is None:
            return _over(identifier)
        response = yield from self._judge(self._device, request, registration, call)
        if response.status != _UNAVAILABLE:
            return response
        return response.with_headers(self._next_challenge(self._device, registration, call))  # that one is used up

    def _judge(self, device: DeviceBound, request: Request, registration: Registration, call: Call) -> Flow[Response]:
        try:
            self._admit(request)
            return (yield from self._refresh(device, request, registration, call))
        except TooMany as error:
            return failure(503, "too_many_requests", "Try again later").with_headers(error.retry_after)
        except BadRequest as error:
            return error.response
        except TokenStale:
            return failure(503, "token_stale", "Try again in a moment").with_headers(("retry-after", str(RETRY_AFTER)))
        except TokenRejected:
            return _over(registration.text)
        except StoreError as error:
            return (yield from self._unavailable(error, call))

    def _refresh(self, device: DeviceBound, request: Request, registration: Registration, call: Call) -> Flow[Response]:
        try:
            proof = device.prove(_text(request, RESPONSE), registration, call.now)
        except ProofRejected:
            needed = self._next_challenge(device, registration, call)
            return failure(403, "device_proof_missing", "Sign the challenge").with_headers(needed)
        text = cookies.read(request, self._policy)
        if text is None:
            return (yield from self._without_token(registration, call))
        token = yield from self._flows.open(text)
        if token.session_id != registration.session_id:
            return _over(registration.text)
        if not registration.authentic:
            yield from self._require_bound(token, proof.thumbprint, call)
        tokens = yield from limited_refresh(self._flows, self._limiter, request, text, call, proof=proof)
        if tokens.session.key_thumbprint is None:
            yield from self._flows.bind(tokens.session.id, proof, call)
        policy = self._policy_of(registration)
        lasts = _span(tokens) * (_SHARE - 1) // _SHARE
        headers = [cookies.write_access(request, policy, tokens, call.now, lasts=lasts)]
        if tokens.replaces:
            headers.append(cookies.write_session(request, policy, tokens, call.now))
        return self._registered(device, request, registration, call).with_headers(*headers)

    def _without_token(self, registration: Registration, call: Call) -> Flow[Response]:
        """Answer a proof without a refresh token: browsers send no cookies if a page of another site is the cause."""
        if (yield from self._flows.find_live(registration.session_id, call)) is None:
            return _over(registration.text)
        again = ("retry-after", str(RETRY_AFTER))
        return failure(503, "token_missing", "Send the refresh token too").with_headers(again)

    def _require_bound(self, token: RefreshToken, thumbprint: str, call: Call) -> Flow[None]:
        """Refuse a registration that is not ours, unless the session is bound to its key already."""
        session = yield from self._flows.find_live(token.session_id, call)
        if session is None or session.key_thumbprint != thumbprint:
            raise ProofRejected("this registration was not made here")

    def _registered(self, device: DeviceBound, request: Request, registration: Registration, call: Call) -> Response:
        """Return what the browser keeps of its registration, and the challenge for its next proof."""
        policy = self._policy_of(registration)
        name, attributes = cookies.described(request, policy, ACCESS)
        mounted = encoded_path(request.path.removesuffix(REGISTER).removesuffix(REFRESH))
        hosts = [urlsplit(each).hostname for each in policy.allowed_origins]
        content: dict[str, Any] = {
            "session_identifier": registration.text,
            "refresh_url": mounted + REFRESH,
            "scope": {
                "origin": f"https://{request.host}",
                "include_site": False,
                "scope_specification": [
                    {"type": "exclude", "domain": urlsplit(f"//{request.host}").hostname, "path": path}
                    for path in device.exclude
                ],
            },
            "credentials": [{"type": "cookie", "name": name, "attributes": attributes}],
            "allowed_refresh_initiators": hosts,
        }
        return answer(200, content).with_headers(self._next_challenge(device, registration, call))

    def _next_challenge(self, device: DeviceBound, registration: Registration, call: Call) -> tuple[str, str]:
        made = device.challenge(registration, call.now, call.entropy)
        return CHALLENGE, f'"{made}";id="{registration.text}"'

    def _policy_of(self, registration: Registration) -> CookiePolicy:
        return replace(self._policy, same_site=cast("SameSite", registration.same_site))

    def _admit(self, request: Request) -> None:
        cookies.require_secure_transport(request, self._policy)
        cookies.require_same_site(request, self._policy)

    def _unavailable(self, error: StoreError, call: Call) -> Flow[Response]:
        yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))
        return unavailable(error)


def _text(request: Request, name: str) -> str:
    """Return the text of a header: a string of RFC 9651 §3.3.3 in the draft, bare in browsers."""
    text = request.headers.get(name, "")
    return text.strip().removeprefix('"').removesuffix('"') if len(text) <= LONGEST_PROOF else ""


def _span(tokens: Tokens | Confirmed) -> int:
    return tokens.expires_in * SECOND


def _over(identifier: str) -> Response:
    """Return the response that ends a registration."""
    return answer(200, {"session_identifier": identifier, "continue": False})
