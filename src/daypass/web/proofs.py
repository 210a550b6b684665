"""The DPoP proof of a request (RFC 9449), and the responses to an invalid one. Pure."""

from urllib.parse import quote

from daypass.access_token import AccessToken, RefusalT
from daypass.dpop import DPoP, UnusedProof
from daypass.errors import NonceRequired, ProofRejected
from daypass.flow import Flow
from daypass.proof import Proof
from daypass.session import DPOP
from daypass.web.message import Request, Response, failure

HEADER = "dpop"
NONCE = "dpop-nonce"
_SCHEME = "dpop "
_PLAIN = "/!$&'()*+,;=:@~"


class BoundTokenWithoutProof(ProofRejected):
    """An access token that is bound to a key was sent as a bearer token (RFC 9449 §7.2)."""

    code = "invalid_token"


def read_proof(dpop: DPoP | None, request: Request, now: int) -> UnusedProof | None:
    """Return a request's proof, which is not used up yet; None for a request without one, or if DPoP is off.

    Args:
        dpop: the requirements for proofs.
        request: as the client sent it.
        now: milliseconds since the epoch.

    Raises:
        ProofRejected: it is invalid.
    """
    text = request.headers.get(HEADER)
    if dpop is None or text is None:
        return None
    return dpop.read(text, request.method, url_of(request), now)


def use_proof(dpop: DPoP | None, unused: UnusedProof | None, now: int, *, stranger: bool = False) -> Flow[Proof | None]:
    """Use up what `read_proof` returned, and return the contents of the proof.

    Args:
        dpop: the requirements for proofs.
        unused: the proof, or None.
        now: milliseconds since the epoch.
        stranger: whether the sender is still unknown.

    Raises:
        ProofRejected: it was used before.
        StoreError: whether it was is not known.
    """
    if dpop is None or unused is None:
        return None
    return (yield from dpop.use(unused, now, stranger=stranger))


def proof_of(dpop: DPoP | None, request: Request, now: int, *, stranger: bool = False) -> Flow[Proof | None]:
    """Do what `read_proof` and `use_proof` do, with their arguments and errors."""
    return (yield from use_proof(dpop, read_proof(dpop, request, now), now, stranger=stranger))


def dpop_text(authorization: str) -> str | None:
    """Return the access token in an ``Authorization`` header of the scheme ``DPoP``; None for another scheme."""
    return authorization[len(_SCHEME) :].strip() if authorization[: len(_SCHEME)].lower() == _SCHEME else None


def sent_by_dpop(error: RefusalT, dpop: DPoP) -> RefusalT:
    """Return the refusal of an access token that was sent by DPoP: its challenge says so (RFC 9449 §7.1)."""
    error.scheme, error.algorithms = DPOP, dpop.algorithms
    return error


def require_proof(dpop: DPoP, request: Request, token: AccessToken, text: str, now: int) -> Flow[None]:
    """Check that the request proves to have the key that its access token is bound to (RFC 9449 §7).

    Args:
        dpop: the requirements for proofs.
        request: as the client sent it.
        token: the contents of the access token.
        text: the access token.
        now: milliseconds since the epoch.

    Raises:
        ProofRejected: it does not, or the token is not bound.
        StoreError: whether the proof was used before is not known.
    """
    if token.key_thumbprint is None:
        raise BoundTokenWithoutProof("an access token that is not bound to a key is sent as a bearer token")
    proof = request.headers.get(HEADER, "")
    url, bound = url_of(request), token.key_thumbprint
    yield from dpop.accept(proof, request.method, url, now, access_token=text, key_thumbprint=bound)


def require_bearer(token: AccessToken, dpop: DPoP | None) -> AccessToken:
    """Return an access token that may be sent without a proof.

    Raises:
        ProofRejected: it is bound to a key.
    """
    if token.key_thumbprint is not None:
        error = BoundTokenWithoutProof("the access token is bound to a key: send it by DPoP, with a proof")
        raise error if dpop is None else sent_by_dpop(error, dpop)
    return token


def url_of(request: Request) -> str:
    """Return the URL of a request as its client wrote it, without the query."""
    return f"{request.scheme}://{request.host}{encoded_path(request.path)}"


def encoded_path(path: str) -> str:
    """Return the decoded path of a request, encoded for a URL: ASCII, and nothing that could end a header."""
    return quote(path, safe=_PLAIN)


def refused_proof(error: ProofRejected) -> Response:
    """Return the 400 of a token endpoint (RFC 9449 §5, §8); nothing was changed, and no cookie is."""
    return with_nonce(failure(error.status, error.code, str(error)), error)


def with_nonce(response: Response, error: ProofRejected) -> Response:
    """Return the response with the nonce that the client needs, if it needs one."""
    return response.with_headers((NONCE, error.nonce)) if isinstance(error, NonceRequired) else response
