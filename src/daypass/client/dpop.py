"""DPoP (RFC 9449) on the client: the key of a login, a proof for each request, and each server's newest nonce.

A key is the text of a private JWK. A login makes a new one, it is kept with the tokens of that login, and it is never
sent. Nothing heavy is imported until the first key is made or used. No I/O.
"""

import base64
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from daypass.client.messages import Answer, Grant, Message
from daypass.client.origin import Origin, origin_of, target_uri
from daypass.client.parsing import is_token, json_object
from daypass.client.strategy import StrategyFlow
from daypass.errors import ConfigurationError

NONCE_NEEDED = "use_dpop_nonce"
PROOF_REFUSED = "invalid_dpop_proof"

_json = json.JSONEncoder(separators=(",", ":")).encode

_REFUSALS = (400, 401)
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth")


class Proofs:
    """Makes the proofs of one client.

    Args:
        wall_clock: milliseconds since the epoch. If it is wrong, servers give a nonce, and then it does not matter.
        token_id: makes the unique id of each proof.
    """

    def __init__(self, wall_clock: Callable[[], int], token_id: Callable[[], str] = secrets.token_urlsafe) -> None:
        self._wall_clock = wall_clock
        self._token_id = token_id
        self._nonces: dict[Origin, str] = {}
        self._newest: tuple[str, _Signer] | None = None
        self._hashed = ("", "")

    def of(self, key: str, method: str, url: str, access_token: str | None = None) -> str:
        """Return a new proof for one request.

        Args:
            key: the private key.
            method: the method of the request.
            url: its URL.
            access_token: the access token that it carries, if any.
        """
        target, origin = _target(url.partition("?")[0])
        claims: dict[str, Any] = {
            "jti": self._token_id(),
            "htm": method,
            "htu": target,
            "iat": self._wall_clock() // 1000,
        }
        if access_token is not None:
            claims["ath"] = self._hash(access_token)
        nonce = self._nonces.get(origin)
        if nonce is not None:
            claims["nonce"] = nonce
        return self._signer(key).sign(claims)

    def _hash(self, access_token: str) -> str:
        """Return the hash of an access token; the newest one is kept, as most requests have the same."""
        hashed = self._hashed
        if hashed[0] != access_token:
            from daypass.dpop import token_hash  # imported here: few clients prove anything

            self._hashed = hashed = (access_token, token_hash(access_token))
        return hashed[1]

    def learn(self, url: str, nonce: str | None) -> None:
        """Keep the nonce that a response brought, for later proofs for the same origin (RFC 9449 §8.2)."""
        if is_token(nonce):
            self._nonces[_origin(url)] = nonce

    def sending(self, message: Message, url: str, key: str | None) -> StrategyFlow[Answer]:
        """Yield a message to send, with a proof by ``key``; yield it again if the server asks for a nonce.

        Args:
            message: a message about a session; a GET needs no proof.
            url: where it is sent.
            key: the private key; ``None`` sends no proof.
        """
        if key is None or message.method == "GET":
            unproven: Answer = yield message
            return unproven
        answer: Answer = yield self._proven(message, url, key)
        self.learn(url, answer.nonce)
        if answer.nonce is not None and error_of(answer) == NONCE_NEEDED:
            answer = yield self._proven(message, url, key)
            self.learn(url, answer.nonce)
        return answer

    def _proven(self, message: Message, url: str, key: str) -> Message:
        return replace(message, proof=self.of(key, message.method, url))

    def _signer(self, key: str) -> "_Signer":
        newest = self._newest
        if newest is None or newest[0] != key:
            self._newest = newest = (key, _Signer(key))
        return newest[1]


class _Signer:
    """A private key, ready to sign."""

    def __init__(self, text: str) -> None:
        from joserfc.jwk import import_key
        from joserfc.jws import JWSRegistry

        from daypass.client.client_authentication import algorithm_of
        from daypass.dpop import TYPE
        from daypass.proof import ALGORITHMS, public_key

        jwk = json.loads(text)
        self._key = import_key(jwk)
        algorithm = str(algorithm_of(jwk))
        self._sign = JWSRegistry(algorithms=ALGORITHMS).get_alg(algorithm).sign
        public: Any = public_key(self._key.as_dict(private=False)).as_dict(private=False)
        self._header = _encoded({"typ": TYPE, "alg": algorithm, "jwk": public})

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the proof with these claims."""
        signed = f"{self._header}.{_encoded(claims)}"
        return f"{signed}.{_base64(self._sign(signed.encode(), self._key))}"


def new_key() -> str:
    """Return a new private key, on P-256."""
    from joserfc.jwk import ECKey

    return _text(ECKey.generate_key("P-256").as_dict(private=True))


def checked_key(jwk: object) -> str:
    """Return the text of a private key.

    Raises:
        ConfigurationError: it is not a private JWK that can sign proofs; the message does not contain it.
    """
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    from daypass.proof import public_key

    try:
        members: dict[str, Any] = dict(jwk)  # type: ignore[call-overload]  # anything but a mapping is refused
        public_key({name: value for name, value in members.items() if name not in _PRIVATE})
        key = import_key(members)
        if key.is_private:
            return _text(key.as_dict(private=True))
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, ConfigurationError):
        pass
    raise ConfigurationError("invalid key: write a private JWK (RFC 7517) on P-256, P-384 or Ed25519, or of RSA")


def thumbprint_of(key: str) -> str:
    """Return the thumbprint of a private key (RFC 7638): the parameter ``dpop_jkt`` of an authorization request."""
    from joserfc.jwk import import_key

    return import_key(json.loads(key)).thumbprint()


def with_key(grant: Grant, key: str | None) -> Grant:
    """Return the tokens of a login or a refresh, with the key that they are bound to.

    Args:
        grant: the tokens.
        key: the key that the request was proven with; ``None`` without a proof.

    Raises:
        ConfigurationError: a proof was sent and the server has not bound the access token, or the other way around.
    """
    if grant.bound and key is None:
        raise ConfigurationError("the server has bound its access token to a key, and this client sent no proof")
    if key is not None and not grant.bound:
        raise ConfigurationError(
            "the server gave a bearer token although a DPoP proof was sent: switch DPoP on at the server (Daypass: "
            "dpop=True), or write dpop=False here"
        )
    return replace(grant, key=key)


def is_dpop(token_type: object) -> bool:
    """Return whether a ``token_type`` is that of a token bound by DPoP (RFC 9449 §5)."""
    return isinstance(token_type, str) and token_type.casefold() == "dpop"


def require_key(answer: Answer, key: str | None) -> None:
    """Say it plainly if a refresh needs a proof by a key that this client does not have.

    Raises:
        ConfigurationError: the server asks for a proof, and the tokens have no key.
    """
    if key is None and error_of(answer) in (PROOF_REFUSED, NONCE_NEEDED):
        raise ConfigurationError(
            "this session is bound to a key that is not kept with its tokens, so it cannot be refreshed: log in again "
            "(with dpop=True)"
        )


def error_of(answer: Answer) -> str | None:
    """Return the ``error`` of a refusal."""
    found = (json_object(answer.body) or {}).get("error") if answer.status in _REFUSALS else None
    return found if isinstance(found, str) else None


def _origin(url: str) -> Origin:
    return origin_of(url) or ("", "", None)


@lru_cache(maxsize=256)
def _target(url: str) -> tuple[str, Origin]:
    """Return the URL that a proof names, and its origin; remembered, because most requests go to few URLs."""
    return target_uri(url), _origin(url)


def _text(jwk: Mapping[str, Any]) -> str:
    return json.dumps(jwk, separators=(",", ":"), sort_keys=True)


def _encoded(part: Mapping[str, Any]) -> str:
    return _base64(_json(part).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
