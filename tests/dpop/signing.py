"""A client's key, and the proofs that it makes; everything in a proof may be made wrong."""

import json
import secrets
import time
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key

from daypass.dpop import token_hash
from daypass.proof import ALGORITHMS

_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS)


class Signer:
    """Has a key, and signs proofs with it.

    Args:
        key: the private key; a new one on P-256 unless given.
    """

    def __init__(self, key: Key | None = None) -> None:
        self.key = key or ECKey.generate_key("P-256")
        self.jwk = self.key.as_dict(private=False)
        self.thumbprint = self.key.thumbprint()

    def proof(
        self,
        method: str,
        url: str,
        access_token: str | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a proof for a request; ``header`` and ``claims`` replace what a good one has, None leaves it out."""
        body = {
            name: value
            for name, value in (self.claims(method, url, access_token) | claims).items()
            if value is not None
        }
        head: dict[str, Any] = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk} | (header or {})
        head = {name: value for name, value in head.items() if value is not None}
        return jws.serialize_compact(head, json.dumps(body), self.key, registry=_REGISTRY)

    def claims(self, method: str, url: str, access_token: str | None = None) -> dict[str, Any]:
        """Return the claims of a good proof."""
        good: dict[str, Any] = {"jti": secrets.token_urlsafe(12), "htm": method, "htu": url, "iat": int(time.time())}
        return good if access_token is None else good | {"ath": token_hash(access_token)}

    def headers(self, method: str, url: str, access_token: str | None = None, **claims: Any) -> dict[str, str]:
        """Return the headers of a request, with the access token if it is one of a resource."""
        sent = {"dpop": self.proof(method, url, access_token, **claims)}
        return sent if access_token is None else sent | {"authorization": f"DPoP {access_token}"}
