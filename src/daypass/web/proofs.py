"""The DPoP proof of a request (RFC 9449), and the responses to an invalid one. Pure."""

from urllib.parse import quote

from daypass.access_token import AccessToken
from daypass.dpop import DPoP
from daypass.errors import NonceRequired, ProofRejected, TokenRejected
from daypass.proof import ALGORITHMS, Proof
from daypass.web.message import Request, Response, failure

HEADER = "dpop"
NONCE = "dpop-nonce"
_SCHEME = "dpop "
_PLAIN = "/!$&'()*+,;=:@~"


class BoundTokenWithoutProof(ProofRejected):
    """An access token that is bound to a key was sent as a bearer token (RFC 9449 §7.2)."""

    code = "invalid_token"


def proof_of(dpop: DPoP | None, request: Request, now: int, *, stranger: bool = False) -> Proof | None:
    """Return the contents of a request's proof; None for a request without one, or if DPoP is off.

    Args:
        dpop: the requirements for proofs.
        request: as the client sent it.
        now: milliseconds since the epoch.
        stranger: whether the sender is still unknown.

    Raises:
        ProofRejected: it is invalid.
    """
    text = request.headers.get(HEADER)
    if dpop is None or text is None:
        return None
    return dpop.check(text, request.method, url_of(request), now, stranger=stranger)


def dpop_text(authorization: str) -> str | None:
    """Return the access token in an ``Authorization`` header of the scheme ``DPoP``; None for another scheme."""
    return authorization[len(_SCHEME) :].strip() if authorization[: len(_SCHEME)].lower() == _SCHEME else None


def sent_by_dpop(error: TokenRejected) -> TokenRejected:
    """Return the refusal of an access token that was sent by DPoP: its challenge names that scheme (RFC 9449 §7.1)."""
    error.scheme = "DPoP"
    return error


def require_proof(dpop: DPoP, request: Request, token: AccessToken, text: str, now: int) -> None:
    """Check that the request proves to have the key that its access token is bound to (RFC 9449 §7).

    Args:
        dpop: the requirements for proofs.
        request: as the client sent it.
        token: the contents of the access token.
        text: the access token.
        now: milliseconds since the epoch.

    Raises:
        ProofRejected: it does not, or the token is not bound.
    """
    if token.key_thumbprint is None:
        raise BoundTokenWithoutProof("an access token that is not bound to a key is sent as a bearer token")
    proof = request.headers.get(HEADER, "")
    url, bound = url_of(request), token.key_thumbprint
    dpop.check(proof, request.method, url, now, access_token=text, key_thumbprint=bound)


def require_bearer(token: AccessToken) -> AccessToken:
    """Return an access token that may be sent without a proof.

    Raises:
        ProofRejected: it is bound to a key.
    """
    if token.key_thumbprint is not None:
        raise BoundTokenWithoutProof("the access token is bound to a key: send it by DPoP, with a proof")
    return token


def url_of(request: Request) -> str:
    """Return the URL of a request as its client wrote it, without the query."""
    return f"{request.scheme}://{request.host}{quote(request.path, safe=_PLAIN)}"


def refused_proof(error: ProofRejected) -> Response:
    """Return the 400 of a token endpoint (RFC 9449 §5, §8); nothing was changed, and no cookie is."""
    return with_nonce(failure(error.status, error.code, str(error)), error)


def with_nonce(response: Response, error: ProofRejected) -> Response:
    """Return the response with the nonce that the client needs, if it needs one."""
    return response.with_headers((NONCE, error.nonce)) if isinstance(error, NonceRequired) else response


def proof_challenge(error: ProofRejected, realm: str) -> Response:
    """Return the 401 of a resource (RFC 9449 §7.1, §9)."""
    needed = f'DPoP realm="{realm}", error="{error.code}", error_description="{error}", algs="{" ".join(ALGORITHMS)}"'
    response = failure(401, error.code, str(error)).with_headers(("www-authenticate", needed))
    return with_nonce(response, error)
