"""Parses the signing keys that an issuer publishes, for use in another service. Pure: text in, keys out.

Input from the network is trusted as little as possible: only a key's public members are read, its algorithm follows
from its type, and unusable keys are ignored (RFC 7517 §5, RFC 8725 §3.1).
"""

import json
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import import_key

from daypass.duration import MINUTE, SECOND
from daypass.errors import ConfigurationError, KeysUnavailable
from daypass.keys import SigningKey

FRESH = 5 * MINUTE
FRESH_AT_LEAST = 1 * MINUTE
FRESH_AT_MOST = 10 * MINUTE
"""How long a set is cached; an issuer uses a new key ten minutes after publishing it."""

MAXIMUM_KEYS = 100
_RSA_BITS = range(2048, 8193)
_RSA_LENGTHS = range(342, 1367)  # of such a modulus in base64url

_KINDS: Mapping[tuple[object, object], tuple[str, tuple[str, ...]]] = {
    ("EC", "P-256"): ("ES256", ("crv", "x", "y")),
    ("OKP", "Ed25519"): ("Ed25519", ("crv", "x")),
    ("RSA", None): ("RS256", ("n", "e")),
}
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)

Keys = Mapping[str, SigningKey]
"""The keys of a set, by name."""


def checked_url(name: str, url: object) -> str:
    """Return a URL that keys may be fetched from: HTTPS, or plain HTTP on loopback; no user, no fragment.

    Raises:
        ConfigurationError: it is not such a URL.
    """
    text = url if type(url) is str else ""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    strange = parts.fragment or "@" in parts.netloc or not text.isascii() or any(c <= " " or c == "\x7f" for c in text)
    if parts.scheme not in ("https", "http") or not host or strange:
        raise ConfigurationError(f"invalid {name} {url!r}: write a URL such as https://api.example.com")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(
            f"insecure {name} {url!r}: anyone could replace keys that are sent over plain HTTP; write https://"
        )
    return text


def metadata_url(issuer: str) -> str:
    """Return the URL of an issuer's metadata (RFC 8414 §3.1)."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"


def default_url(issuer: str) -> str:
    """Return the URL where Daypass publishes its keys."""
    return f"{issuer.rstrip('/')}/.well-known/jwks.json"


def url_in(metadata: bytes, issuer: str) -> str:
    """Return the URL of the keys in an issuer's metadata (RFC 8414 §2).

    Raises:
        ConfigurationError: it belongs to another issuer, or has no URL of keys.
        KeysUnavailable: it is not metadata.
    """
    content = _json_object(metadata)
    if content.get("issuer") != issuer:  # RFC 8414 §3.3
        raise ConfigurationError(f"what is at {metadata_url(issuer)} tells of another issuer than {issuer}")
    url = checked_url("jwks_uri", content.get("jwks_uri"))
    if issuer.startswith("https:") and not url.startswith("https:"):
        raise ConfigurationError(f"{metadata_url(issuer)} names {url} as jwks_uri: an https issuer needs an https URL")
    return url


def keys_in(body: bytes) -> dict[str, SigningKey]:
    """Return the keys of a JWK Set that can verify access tokens.

    Raises:
        ConfigurationError: it has none, so the issuer signs with HS256, and no other service may have that key.
        KeysUnavailable: it is not a JWK Set.
    """
    listed = _json_object(body).get("keys")
    if not isinstance(listed, list) or len(listed) > MAXIMUM_KEYS:
        raise KeysUnavailable("the issuer's keys are not a JWK Set")
    found: dict[str, SigningKey] = {}
    for jwk in listed:
        key = _usable(jwk)
        if key is not None:
            found.setdefault(key.kid, key)
    if not found:
        raise ConfigurationError(
            "the issuer publishes no key that others can verify with; if it signs with HS256, have it sign with "
            'another: Daypass(…, algorithm="ES256")'
        )
    return found


def fresh_for(cache_control: str) -> int:
    """Return for how many milliseconds a set may be cached, within bounds (RFC 9111 §5.2.2.1)."""
    match = _MAX_AGE.search(cache_control)
    return FRESH if match is None else min(max(int(match[1]) * SECOND, FRESH_AT_LEAST), FRESH_AT_MOST)


def _usable(jwk: object) -> SigningKey | None:
    if not isinstance(jwk, dict) or _PRIVATE & jwk.keys():
        return None
    kind = (jwk.get("kty"), jwk.get("crv"))
    if not all(isinstance(each, str | None) for each in kind) or kind not in _KINDS:
        return None
    algorithm, members = _KINDS[kind]
    operations = jwk.get("key_ops", ["verify"])
    fits = (
        isinstance(jwk.get("kid"), str)
        and jwk["kid"] != ""
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and all(isinstance(jwk.get(member), str) for member in members)
    )
    if not fits or (algorithm == "RS256" and len(jwk["n"]) not in _RSA_LENGTHS):
        return None
    public = {"kty": jwk["kty"], "kid": jwk["kid"], "alg": algorithm, "use": "sig"}
    try:
        key = import_key(public | {member: jwk[member] for member in members})
        bits = getattr(key.public_key, "key_size", None)  # creates the key, so an invalid one raises
    except (JoseError, ValueError, TypeError):
        return None
    return None if algorithm == "RS256" and bits not in _RSA_BITS else SigningKey(key)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise KeysUnavailable("the issuer's answer is not a JSON object")
    return content


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761 §6.3
