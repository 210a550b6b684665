"""How an OAuth client proves who it is to a token endpoint (RFC 6749 §2.3, RFC 7523 §2.2)."""

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal, get_args
from urllib.parse import quote_plus

from daypass.client.messages import Message
from daypass.errors import ConfigurationError

Method = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
METHODS: tuple[Method, ...] = get_args(Method)

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME = 60
"""Seconds that the JWT of a `private_key_jwt` is valid."""


class ClientAuthentication:
    """The client's id, and its secret or private key.

    Args:
        client_id: the id that the authorization server gave to the client.
        client_secret: for a confidential client.
        private_key: for a client that signs its requests: PEM text, or a JWK as a mapping.
        method: a method of RFC 8414 §2; ``None`` chooses one from the other arguments and the issuer's metadata.
        clock: milliseconds since the epoch.
        token_id: makes the unique id of each signed request.

    Raises:
        ConfigurationError: the arguments do not fit together.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str | None,
        private_key: str | Mapping[str, Any] | None,
        method: Method | None,
        clock: Callable[[], int],
        token_id: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        if not client_id:
            raise ConfigurationError("client_id is missing: give the id that the authorization server gave your client")
        if method is not None and method not in METHODS:
            raise ConfigurationError(f"invalid method {method!r}: expected one of {', '.join(METHODS)}")
        self.client_id = client_id
        self._secret = client_secret
        self._private_key = private_key
        self._method = method
        self._clock = clock
        self._token_id = token_id
        _check(method, client_secret, private_key)
        if private_key is not None:
            _ = self._key

    @property
    def secrets(self) -> Iterable[str]:
        """Secrets that no error message may contain."""
        return () if self._secret is None else (self._secret,)

    def message(self, url: str, form: Mapping[str, str], supported: Iterable[str], audience: str) -> Message:
        """Return the request that sends ``form`` to ``url`` as this client.

        Args:
            url: the endpoint.
            form: its parameters.
            supported: the methods that the server supports, if known.
            audience: the server that a signed request is for.
        """
        match self._method or self._choose(supported):
            case "client_secret_basic":
                pair = f"{quote_plus(self.client_id)}:{quote_plus(self._secret or '')}"
                return Message(url, form=dict(form), authorization=f"Basic {b64encode(pair.encode()).decode()}")
            case "client_secret_post":
                return self._with(url, form, client_secret=self._secret or "")
            case "private_key_jwt":
                assertion = self._assertion(audience)
                return self._with(url, form, client_assertion_type=JWT_BEARER, client_assertion=assertion)
            case _:
                return self._with(url, form)

    def _with(self, url: str, form: Mapping[str, str], **more: str) -> Message:
        return Message(url, form={**form, "client_id": self.client_id, **more})

    def _choose(self, supported: Iterable[str]) -> Method:
        if self._private_key is not None:
            return "private_key_jwt"
        if self._secret is None:
            return "none"
        known = set(supported)
        only_post = "client_secret_post" in known and "client_secret_basic" not in known
        return "client_secret_post" if only_post else "client_secret_basic"

    def _assertion(self, audience: str) -> str:
        from joserfc import jwt  # imported here, because few clients sign their requests

        now = self._clock() // 1000
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "jti": self._token_id(),
            "iat": now,
            "exp": now + ASSERTION_LIFETIME,
        }
        key, algorithm = self._key
        header = {"alg": algorithm, **({"kid": key.kid} if key.kid else {})}
        return jwt.encode(header, claims, key, algorithms=[algorithm])

    @cached_property
    def _key(self) -> tuple[Any, str]:
        """Return the private key, and the algorithm to sign with."""
        from joserfc.errors import JoseError
        from joserfc.jwk import import_key

        given = self._private_key
        try:
            key: Any = import_key(dict(given)) if isinstance(given, Mapping) else _from_pem(str(given))
        except (JoseError, ValueError, TypeError):
            raise ConfigurationError("private_key is not a key: give PEM text, or a JWK as a mapping") from None
        if not key.is_private:
            raise ConfigurationError("private_key is a public key: give the private one")
        algorithm = key.alg or algorithm_of(key.as_dict())
        if algorithm is None:
            raise ConfigurationError("private_key cannot sign: give an EC (P-256, P-384), RSA or Ed25519 key")
        return key, algorithm


def _check(method: Method | None, client_secret: str | None, private_key: object) -> None:
    if client_secret is not None and private_key is not None:
        raise ConfigurationError("give one of client_secret and private_key")
    needed = {"none": (False, False), "private_key_jwt": (False, True), None: None}.get(method, (True, False))
    if needed is not None and needed != (client_secret is not None, private_key is not None):
        wanted = {"none": "no client_secret and no private_key", "private_key_jwt": "a private_key"}
        raise ConfigurationError(f"method {method!r} needs {wanted.get(str(method), 'a client_secret')}")


def _from_pem(text: str) -> Any:
    from joserfc.errors import InvalidKeyTypeError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    for kind in (ECKey, RSAKey):
        with suppress(InvalidKeyTypeError):
            return kind.import_key(text)
    return OKPKey.import_key(text)


def algorithm_of(jwk: Mapping[str, Any]) -> str | None:
    """Return the algorithm that a key signs with; ``None`` if it cannot sign."""
    match jwk.get("kty"), jwk.get("crv"):
        case "EC", "P-256":
            return "ES256"
        case "EC", "P-384":
            return "ES384"
        case "RSA", _:
            return "RS256"
        case "OKP", "Ed25519":
            return "Ed25519"
    return None
