"""The access token of a request (RFC 6750), and the responses that refuse it. Pure."""

from daypass.access_token import AccessToken, refused_as_sent
from daypass.dpop import DPoP
from daypass.errors import (
    AuthenticationInsufficient,
    ProofRejected,
    ScopeInsufficient,
    SessionRevoked,
    StoreError,
    TokenRejected,
)
from daypass.flow import Flow
from daypass.session_options import kept_user
from daypass.steps import LoadUser, Verify
from daypass.store_steps import Find
from daypass.user import User
from daypass.web.message import BadRequest, Request, Response, failure
from daypass.web.proofs import dpop_text, require_bearer, require_proof, sent_by_dpop, with_nonce

REALM = "daypass"
RETRY_AFTER = 1
"""Seconds to wait when the store is down; the client has its own growing pauses."""


class TokenMissing(TokenRejected):
    """The request has no access token."""

    code = "token_missing"


def bearer_token(request: Request, dpop: DPoP | None = None, now: int = 0) -> Flow[AccessToken]:
    """Return the contents of the access token in the ``Authorization`` header (RFC 6750 §2.1, RFC 9449 §7.1).

    Args:
        request: as the client sent it.
        dpop: the requirements for the proof of a bound token; None if proofs are not accepted.
        now: milliseconds since the epoch, to check the proof.

    Raises:
        TokenRejected: the token is missing, or was refused.
    """
    authorization = request.headers.get("authorization", "")
    text = None if dpop is None else dpop_text(authorization)
    if text is None or dpop is None:
        return require_bearer((yield from Verify(bearer_text(authorization))), dpop)
    try:
        token = yield from Verify(text)
        yield from require_proof(dpop, request, token, text, now)
    except TokenRejected as error:
        raise sent_by_dpop(error, dpop) from None
    return token


def bearer_text(authorization: str) -> str:
    """Return the access token in an ``Authorization`` header, unchecked.

    Raises:
        TokenMissing: there is no token.
    """
    scheme, _, rest = authorization.partition(" ")
    text = rest.strip()
    if scheme.lower() != "bearer" or not text:
        raise TokenMissing("no access token was sent")
    return text


def require_own_client(token: AccessToken, client_id: str) -> None:
    """Refuse an access token that was issued to another client (RFC 9068 §2.2, ``client_id``).

    Only the issuer's own client manages an account: it lists and ends sessions. The scope does not matter here. A
    session of the own client that was narrowed is still its user's, who must be able to end the others from anywhere.

    Raises:
        BadRequest: it was issued to another client; 403 with the challenge of RFC 6750 §3.1.
    """
    if token.client_id != client_id:
        refusal = BadRequest(403, ScopeInsufficient.code, "Another client's access token does not allow this")
        scheme = refused_as_sent(token, ScopeInsufficient("")).scheme
        needed = f'{scheme} realm="{REALM}", error="{ScopeInsufficient.code}"'
        refusal.response = refusal.response.with_headers(("www-authenticate", needed))
        raise refusal


def user_of(token: AccessToken) -> Flow[User]:
    """Return the user of an access token, as `load_user` knows them now, or as its session keeps them.

    Raises:
        SessionRevoked: the user is gone or disabled; the session itself ends with its next refresh.
    """
    user = yield from LoadUser(token.subject)
    session = (yield from Find(token.session_id)) if user is None else None
    if session is not None:
        user = kept_user(session)
    if user is None or user.disabled:
        raise refused_as_sent(token, SessionRevoked("the access token's user is gone or disabled"))
    return user


def refused(error: TokenRejected | ScopeInsufficient | StoreError) -> Response:
    """Return the 401, 403 or 503 for a request whose access token is refused, or cannot be checked now."""
    if isinstance(error, ScopeInsufficient):
        return forbidden(error)
    return unauthorized(error) if isinstance(error, TokenRejected) else unavailable(error)


def unavailable(error: StoreError) -> Response:
    """Return the 503 for a store that failed; nothing was decided, and no cookie changes."""
    failed = failure(error.status, error.code, "Try again in a moment")
    return failed.with_headers(("retry-after", str(RETRY_AFTER)))


def unauthorized(error: TokenRejected) -> Response:
    """Return the 401 for a refused access token, with its challenge (RFC 6750 §3)."""
    if isinstance(error, TokenMissing):  # RFC 6750 §3.1: without a token, the challenge has no error
        return challenge(failure(401, "invalid_token"))
    if isinstance(error, ProofRejected):
        refusal = failure(401, error.code, str(error)).with_headers(_challenge(error, error.code, _description(error)))
        return with_nonce(refusal, error)
    if isinstance(error, AuthenticationInsufficient):
        return step_up(error)
    return failure(401, "invalid_token").with_headers(_challenge(error, "invalid_token", _description(error)))


def step_up(error: AuthenticationInsufficient) -> Response:
    """Return the 401 that asks for another authentication, with what is needed (RFC 9470 §3)."""
    challenged = _challenge(error, error.code, _description(error) + needed(error))
    return failure(401, error.code, str(error)).with_headers(challenged)


def needed(error: AuthenticationInsufficient) -> str:
    """Return which authentication is needed, as further parameters of a challenge (RFC 9470 §3)."""
    max_age = "" if error.max_age is None else f', max_age="{error.max_age}"'
    return max_age if error.acr is None else f'{max_age}, acr_values="{error.acr}"'


def forbidden(error: ScopeInsufficient) -> Response:
    """Return the 403 for an access token that may not do this, with what it would need (RFC 6750 §3.1)."""
    challenged = _challenge(error, error.code, f', scope="{error.scope}"')
    return failure(error.status, error.code, str(error)).with_headers(challenged)


def _challenge(error: TokenRejected | ScopeInsufficient, code: str, further: str) -> tuple[str, str]:
    """Return the challenge by the scheme that the token was sent by (RFC 6750 §3, RFC 9449 §7.1)."""
    algorithms = f', algs="{" ".join(error.algorithms)}"' if error.algorithms else ""
    return "www-authenticate", f'{error.scheme} realm="{REALM}", error="{code}"{further}{algorithms}'


def _description(error: TokenRejected) -> str:
    return f', error_description="{error}"'


def challenge(response: Response) -> Response:
    """Return a 401 with the challenge of RFC 6750 §3, without a reason."""
    return response.with_headers(("www-authenticate", f'Bearer realm="{REALM}"'))
