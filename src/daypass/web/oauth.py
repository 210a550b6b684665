"""The OAuth endpoints: refresh (RFC 6749 §6), revoke (RFC 7009), introspect (RFC 7662), metadata (RFC 8414). Pure.

For clients that know nothing of Daypass. The only grant is ``refresh_token``: the application starts sessions itself
(`daypass.Daypass.start`), however it logs its users in.

**A stale refresh token** does not get ``invalid_grant`` here. Its client is most likely one of two processes that share
a session: the other process has a newer token, and nothing was changed. For an OAuth client ``invalid_grant`` means
that the session has ended: it deletes its tokens, perhaps the newer one too, and its user is logged out. So the
response is the same as when the store is down: not now, try again (503, ``temporarily_unavailable``, ``Retry-After``).
A client that reads its storage before it retries finds the newer token. A client that sends the same token again gets
the same response until the grace period has passed; after that the token counts as *reuse*. The 409 of the session
endpoints would say more, but OAuth has no such response, and many applications treat any 4xx as final.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from daypass import scope as scopes
from daypass.dpop import DPoP
from daypass.duration import SECOND
from daypass.errors import (
    DaypassError,
    ProofRejected,
    ScopeRejected,
    StoreError,
    TokenMalformed,
    TokenRejected,
    TokenStale,
)
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Call, Flows
from daypass.session import BEARER, DPOP, Tokens
from daypass.steps import Emit, Verify
from daypass.web import cookies
from daypass.web.bearer import REALM, RETRY_AFTER
from daypass.web.clients import Client, ClientRejected, Clients, TwoMethods
from daypass.web.cookies import CookiePolicy
from daypass.web.limits import Limiter, TooMany, limited_refresh
from daypass.web.message import BadRequest, Request, Response, answer, content_type, grace_header
from daypass.web.proofs import proof_of, with_nonce
from daypass.web.session_times import round_up

METADATA_PATH = "/.well-known/oauth-authorization-server"
JWKS_PATH = "/.well-known/jwks.json"

_MAXIMUM_FIELDS = 100
_OURS = frozenset(("grant_type", "refresh_token", "scope", "client_id", "client_secret", "token", "token_type_hint"))
"""The known parameters; others are ignored, also when repeated (RFC 6749 §3.2, RFC 8707 §2)."""

_TOLD = (
    *("scope", "client_id", "username", "exp", "iat", "sub", "aud", "iss", "jti", "sid", "cnf"),
    *("auth_time", "acr", "amr", "act"),
)
"""The claims of an access token that introspection returns (RFC 7662 §2.2, RFC 9470 §6.2, RFC 8693 §4.1)."""

_BY_SECRET = ("client_secret_basic", "client_secret_post")
_METADATA_AGE = 300

Form = Mapping[str, str]
Endpoint = Callable[["OAuth", Request, Form, Client, Call], Flow[Response]]


class _Refused(DaypassError):
    """An error response by RFC 6749 §5.2."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.response = _error(status, code, description)


def _answering(endpoint: Endpoint) -> Callable[["OAuth", Request, Call], Flow[Response]]:
    """Parse the form, authenticate the client, and turn errors into the responses of RFC 6749 §5.2."""

    @wraps(endpoint)
    def answered(self: "OAuth", request: Request, call: Call) -> Flow[Response]:
        try:
            form = self._form(request)
            client = yield from self._client(request, form, call)
            response = yield from endpoint(self, request, form, client, call)
        except _Refused as refused:
            response = refused.response
        except TwoMethods as error:
            response = _error(400, "invalid_request", str(error))
        except TooMany as error:
            too_many = _error(429, "too_many_requests", "there were too many of these; try again later")
            response = too_many.with_headers(error.retry_after)
        except ClientRejected as error:
            yield from Emit(Event(EventCode.REJECTED, call.now, reason="invalid_client"))
            response = _error(401, "invalid_client", str(error))
            if error.by_header:
                response = response.with_headers(("www-authenticate", f'Basic realm="{REALM}", charset="UTF-8"'))
        except StoreError as error:
            yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))
            response = _later("nothing was decided; try again in a moment")
        return response.with_headers(("pragma", "no-cache"))

    return answered


class OAuth:
    """The OAuth endpoints of one issuer; each returns a flow that ends in a response.

    Args:
        flows: the flows of the issuer.
        policy: whether plain HTTP is accepted.
        clients: the registered clients.
        path: where the endpoints are mounted, below the issuer.
        limiter: counts refreshes and failed client authentications; None sets no limits.
        dpop: the requirements for DPoP proofs; None if they are not used.
    """

    def __init__(
        self,
        flows: Flows,
        policy: CookiePolicy,
        clients: Clients,
        path: str,
        limiter: Limiter | None = None,
        dpop: DPoP | None = None,
    ) -> None:
        self._dpop = dpop
        self._flows = flows
        self._policy = policy
        self._clients = clients
        self._path = path
        self._limiter = limiter

    @_answering
    def token(self, request: Request, form: Form, client: Client, call: Call) -> Flow[Response]:
        """Answer ``POST /token`` (RFC 6749 §6): 200 with tokens; 400 with the reason; 503 to try again later.

        The response has no ``refresh_token`` if the client must keep the one it has (RFC 6749 §6).
        """
        grant_type = _required(form, "grant_type")
        if grant_type != "refresh_token":
            raise _Refused(400, "unsupported_grant_type", "the only grant here is refresh_token")
        refresh_token = _required(form, "refresh_token")
        try:
            scope = scopes.asked(form["scope"]) if "scope" in form else None
            tokens = yield from limited_refresh(
                self._flows, self._limiter, request, refresh_token, call, client.id, scope, client.scope, self._dpop
            )
        except ProofRejected as error:
            return with_nonce(_error(error.status, error.code, str(error)), error)
        except ScopeRejected as error:
            raise _Refused(error.status, error.code, str(error)) from None
        except TokenStale:
            return _later("a newer refresh token was given out moments ago, and this one was not used: use that one")
        except TokenRejected:
            raise _Refused(400, "invalid_grant", "the refresh token gets nothing any more") from None
        return answer(200, _granted(tokens)).with_headers(grace_header(self._flows.policy))

    @_answering
    def revoke(self, request: Request, form: Form, client: Client, call: Call) -> Flow[Response]:
        """Answer ``POST /revoke`` (RFC 7009): 200 if the token's session has ended, or if it is not a token.

        A refresh token ends its session, however old it is. An access token ends it too: it cannot be revoked without
        its session, and a client that revokes it is logging out (RFC 7009 §2.1). ``token_type_hint`` is not needed: the
        two look different (RFC 7009 §2.1 lets a server ignore it).

        A refresh token of another client is invalid here, because it is bound to that client, and is answered as such
        (RFC 7009 §2.2). An access token of another client is recognised, and refused with ``invalid_grant`` (RFC 7009
        §2.1): its holder can read in it whose it is. Nothing is revoked in either case.
        """
        token = _required(form, "token")
        try:
            proof = yield from proof_of(self._dpop, request, call.now)
        except ProofRejected as error:
            return with_nonce(_error(error.status, error.code, str(error)), error)
        if not (yield from self._flows.logout_text(token, call, client.id, proof)):
            try:
                access = yield from Verify(token)
            except TokenRejected:
                return _done()
            if access.client_id != client.id:
                raise _Refused(400, "invalid_grant", "the access token was issued to another client")
            yield from self._flows.end_session(access.subject, access.session_id, call)
        return _done()

    @_answering
    def introspect(
        self,
        request: Request,  # noqa: ARG002
        form: Form,
        client: Client,
        call: Call,
    ) -> Flow[Response]:
        """Answer ``POST /introspect`` (RFC 7662): 200 with the contents of a token, or that it is not active.

        An access token of any client is active until it expires or its session ends. The session is looked up in the
        store, so an ending is known at once, not a second later. A refresh token is shown only to its own client. It is
        judged as by a refresh, but not used.
        """
        if not client.introspects:
            raise _Refused(400, "unauthorized_client", "this client may not introspect")
        token = _required(form, "token")
        told = (yield from self._access_token(token, call)) or (yield from self._refresh_token(token, client, call))
        return answer(200, {"active": True, **told} if told else {"active": False})

    def metadata(self, request: Request, _call: Call) -> Flow[Response]:  # noqa: ARG002
        """Answer ``GET /.well-known/oauth-authorization-server``: 200 with the metadata (RFC 8414 §2)."""
        yield from ()
        issuer = self._flows.names.issuer
        base = issuer.rstrip("/")
        content: dict[str, Any] = {
            "issuer": issuer,
            "token_endpoint": f"{base}{self._path}/token",
            "jwks_uri": f"{base}{JWKS_PATH}",
            "response_types_supported": [],
            "grant_types_supported": ["refresh_token"],
            "token_endpoint_auth_methods_supported": [*_BY_SECRET, "none"],
            "revocation_endpoint": f"{base}{self._path}/revoke",
            "revocation_endpoint_auth_methods_supported": [*_BY_SECRET, "none"],
            "introspection_endpoint": f"{base}{self._path}/introspect",
            "introspection_endpoint_auth_methods_supported": [*_BY_SECRET],
        }
        if self._dpop is not None:
            content["dpop_signing_alg_values_supported"] = list(self._dpop.algorithms)
        known = self._clients.scopes
        if known is not None:
            content["scopes_supported"] = list(known)
        headers = (("content-type", "application/json"), ("cache-control", f"public, max-age={_METADATA_AGE}"))
        return Response(200, headers, answer(200, content).body)

    # ---- parts of the above

    def _client(self, request: Request, form: Form, call: Call) -> Flow[Client]:
        """Return the client that sends the request.

        Only failures are counted: a valid client is accepted, however many strangers share its address.
        """
        try:
            return (yield from self._clients.authenticate(request, form))
        except ClientRejected:
            if self._limiter is not None:
                yield from self._limiter.stranger(request, call.now)
            raise

    def _form(self, request: Request) -> Form:
        """Return the parameters in the body; one without a value counts as missing (RFC 6749 §3.2)."""
        try:
            cookies.require_secure_transport(request, self._policy)
        except BadRequest as error:
            raise _Refused(400, "invalid_request", str(error)) from None
        if content_type(request) != "application/x-www-form-urlencoded":
            raise _Refused(400, "invalid_request", "send the body as application/x-www-form-urlencoded")
        try:
            pairs = parse_qsl(
                request.body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAXIMUM_FIELDS
            )
        except ValueError:
            raise _Refused(400, "invalid_request", "the body is not a form") from None
        known = [(name, value) for name, value in pairs if name in _OURS]
        form = dict(known)
        if len(form) != len(known):
            raise _Refused(400, "invalid_request", "a parameter is there twice")
        return {name: value for name, value in form.items() if value}

    def _access_token(self, text: str, call: Call) -> Flow[dict[str, Any] | None]:
        try:
            token = yield from Verify(text)
        except TokenRejected:
            return None
        if (yield from self._flows.find_live(token.session_id, call)) is None:
            return None
        claims = token.claims
        bound = token.key_thumbprint is not None
        return {"token_type": DPOP if bound else BEARER, **{name: claims[name] for name in _TOLD if name in claims}}

    def _refresh_token(self, text: str, client: Client, call: Call) -> Flow[dict[str, Any] | None]:
        try:
            refresh_token = yield from self._flows.open(text, client.id)
        except TokenMalformed:
            return None
        found = yield from self._flows.examine(refresh_token, call)
        if found is None:
            return None
        session, user = found
        told = {
            "scope": scopes.within(session.scope, user.scope) or None,
            "client_id": session.client_id,
            "username": user.username,
            "exp": round_up(self._flows.policy.latest_end_of(session)) // SECOND,  # does not reveal refreshes
            "sub": session.subject,
            "iss": self._flows.names.issuer,
            "sid": session.id,
            "cnf": None if session.key_thumbprint is None else {"jkt": session.key_thumbprint},
        }
        return {name: value for name, value in told.items() if value is not None}


def metadata_path(issuer: str) -> str:
    """Return the path of an issuer's metadata at its host: the well-known one, and the issuer's own (RFC 8414 §3.1)."""
    return METADATA_PATH + issuer_path(issuer)


def issuer_path(issuer: str) -> str:
    """Return the path of an issuer, without the trailing slash; empty for most."""
    return urlsplit(issuer).path.rstrip("/")


def _granted(tokens: Tokens) -> dict[str, Any]:
    """Return a success by RFC 6749 §5.1, with ``scope`` if the tokens have one."""
    content: dict[str, Any] = {
        "access_token": tokens.access_token,
        "token_type": tokens.token_type,
        "expires_in": tokens.expires_in,
    }
    if tokens.replaces:
        content["refresh_token"] = tokens.refresh_token
    if tokens.scope is not None:
        content["scope"] = tokens.scope
    return content


def _required(form: Form, name: str) -> str:
    if name not in form:
        raise _Refused(400, "invalid_request", f"{name} is missing")
    return form[name]


def _error(status: int, code: str, description: str) -> Response:
    return answer(status, {"error": code, "error_description": description})


def _later(description: str) -> Response:
    return _error(503, StoreError.code, description).with_headers(("retry-after", str(RETRY_AFTER)))


def _done() -> Response:
    return Response(200, (("cache-control", "no-store"),))
