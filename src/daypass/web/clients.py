"""OAuth clients and how they authenticate (RFC 6749 §2). Pure, except that a new client draws its secret.

A secret is 32 random bytes. It cannot be guessed, so a plain SHA-256 of it is enough to store: a slow hash is for the
passwords of people. Its text is ``dpc_`` and base64url, so that secret scanners find it.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from daypass import scope as scopes
from daypass.errors import ConfigurationError, DaypassError
from daypass.flow import Flow
from daypass.steps import Ask
from daypass.web.message import Request

__all__ = [
    "Client",
    "hash_secret",
]

PREFIX = "dpc_"
SECRET_SIZE = 32
MINIMUM_SECRET = 32
"""Characters of a secret that was drawn elsewhere."""

_ID = re.compile(r"[\x20-\x7e]{1,255}")
_HASH = re.compile(r"[0-9a-f]{64}")
_NOBODY = "0" * 64
"""The hash that an unknown client's secret is compared with."""


@dataclass(frozen=True, slots=True)
class Client:
    """An application that refreshes its own sessions, or a service that introspects tokens.

    Attributes:
        id: its ``client_id`` (RFC 6749 §2.2); it refreshes sessions that were started with this id.
        secret_hash: `hash_secret` of its secret, or several of them while a secret is being replaced; None for a public
            client, which cannot keep a secret: a page, an app on a phone, a command line (RFC 6749 §2.1).
        scope: the largest scope of its access tokens, words with spaces between them; None for no limit.
        introspects: whether it may introspect tokens (RFC 7662); for services that receive access tokens.
        name: its name, for people.

    Raises:
        ConfigurationError: a value is invalid, or a public client may introspect.
    """

    id: str
    secret_hash: str | tuple[str, ...] | None = field(default=None, repr=False)
    scope: str | None = None
    introspects: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        if type(self.id) is not str or _ID.fullmatch(self.id) is None:
            raise ConfigurationError(f"invalid client id {self.id!r}: expected 1 to 255 characters of printable ASCII")
        if not all(type(each) is str and _HASH.fullmatch(each) for each in self._hashes) or self.secret_hash == ():
            raise ConfigurationError(
                "invalid secret_hash: expected what hash_secret returns, or None for a public client"
            )
        object.__setattr__(self, "scope", scopes.checked(self.scope))
        if self.introspects and not self.is_confidential:
            raise ConfigurationError(
                "a client without a secret cannot introspect: anyone could claim to be that client"
            )

    @property
    def is_confidential(self) -> bool:
        """Whether it has a secret."""
        return self.secret_hash is not None

    def has_secret(self, secret: str) -> bool:
        """Return whether ``secret`` is the client's, in constant time."""
        hashed = _hash(secret)
        return True in [hmac.compare_digest(each, hashed) for each in self._hashes]

    @property
    def _hashes(self) -> tuple[str, ...]:
        if self.secret_hash is None:
            return ()
        return self.secret_hash if isinstance(self.secret_hash, tuple) else (self.secret_hash,)

    @classmethod
    def register(
        cls,
        name: str | None = None,
        *,
        client_id: str | None = None,
        public: bool = False,
        scope: str | None = None,
        introspects: bool = False,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> "tuple[Client, str | None]":
        """Return a new client, with a random id unless one is given, and its secret, None for a public client.

        Nothing stores the secret: give it to the client and keep the `Client`, which has only its hash.

        Raises:
            ConfigurationError: the arguments contradict each other.
        """
        secret = None if public else PREFIX + base64.urlsafe_b64encode(entropy(SECRET_SIZE)).decode().rstrip("=")
        own_id = str(uuid.UUID(bytes=entropy(16), version=4)) if client_id is None else client_id
        return cls(own_id, None if secret is None else hash_secret(secret), scope, introspects, name), secret


FindClient = Callable[[str], Client | None]
AsyncFindClient = Callable[[str], Awaitable[Client | None]]
Registry = Collection[Client] | FindClient | AsyncFindClient
"""The clients, or a function that returns the client with an id or None.

For an `AsyncDaypass` the function may be async; a plain one is called in a thread there."""


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a client's secret, as 64 hexadecimal digits; this is what is stored.

    For a secret that `Client.register` did not make: it must be as random. Only its length is checked.

    Raises:
        ConfigurationError: it is shorter than 32 characters, so that it could be guessed.
    """
    if len(secret) < MINIMUM_SECRET:
        raise ConfigurationError(
            f"the secret of a client is too short: expected at least {MINIMUM_SECRET} random characters"
        )
    return _hash(secret)


_NO_REGISTRY = "invalid clients: expected a list of Client(…), or a function that returns the one with an id"


class ClientRejected(DaypassError):
    """The client is unknown, or failed to authenticate; for this package alone.

    Attributes:
        by_header: whether it used the ``Authorization`` header (RFC 6749 §5.2).
    """

    def __init__(self, *, by_header: bool) -> None:
        super().__init__("the client is unknown, or failed to authenticate")
        self.by_header = by_header


class TwoMethods(DaypassError):
    """A client authenticated in more than one way (RFC 6749 §2.3); for this package alone."""


class Clients:
    """The clients of one issuer.

    Args:
        registry: the clients, or a function that finds one.

    Raises:
        ConfigurationError: it is neither, or two clients have the same id.
    """

    def __init__(self, registry: Registry) -> None:
        if not isinstance(registry, Iterable | Callable) or isinstance(registry, Mapping):
            raise ConfigurationError(_NO_REGISTRY)
        self._find = registry if callable(registry) else None
        self._known: dict[str, Client] = {}
        if not callable(registry):
            for client in registry:
                if type(client) is not Client:
                    raise ConfigurationError(_NO_REGISTRY)
                if client.id in self._known:
                    raise ConfigurationError(f"two clients have the id {client.id!r}")
                self._known[client.id] = client

    @property
    def scopes(self) -> tuple[str, ...] | None:
        """Every word that a client's access token may have; None if that is unknown."""
        limits = [client.scope for client in self._known.values()]
        if not limits or None in limits:
            return None
        return tuple(sorted({word for limit in limits for word in scopes.words(limit)}))

    def authenticate(self, request: Request, form: Mapping[str, str]) -> Flow[Client]:
        """Return the client of a request (RFC 6749 §2.3): by the header, by the body, or a public one by its id alone.

        An empty secret counts as no secret (RFC 6749 §2.3.1).

        Raises:
            ClientRejected: it is unknown, or its secret is wrong, missing, or sent by a client that has none.
            TwoMethods: it authenticated in more than one way.
            ConfigurationError: the function that finds clients returned something else.
        """
        header = request.headers.get("authorization")
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if header is not None:
            if secret is not None:
                raise TwoMethods("send the client's secret in the header or in the body, not in both")
            named = client_id
            client_id, secret = _basic(header)
            if named not in (None, client_id):
                raise TwoMethods("the header and the body name different clients")
        client = None if client_id is None else (yield from self._found(client_id))
        if client is None:
            hmac.compare_digest(_NOBODY, _hash(secret or ""))
            raise ClientRejected(by_header=header is not None)
        if client.is_confidential != bool(secret) or (secret and not client.has_secret(secret)):
            raise ClientRejected(by_header=header is not None)
        return client

    def _found(self, client_id: str) -> Flow[Client | None]:
        if _ID.fullmatch(client_id) is None:
            return None
        if self._find is None:
            return self._known.get(client_id)
        client = yield from Ask("the function that finds clients", self._find, client_id)
        if client is not None and type(client) is not Client:
            raise ConfigurationError(
                f"the function that finds clients returned a {type(client).__name__}, not a Client"
            )
        return client if client is not None and client.id == client_id else None  # some databases ignore case


def _basic(header: str) -> tuple[str, str]:
    """Return id and secret from an ``Authorization`` header (RFC 6749 §2.3.1, RFC 7617 §2).

    Raises:
        ClientRejected: they are not there.
    """
    scheme, _, text = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError("another scheme")
        pair = base64.b64decode(text.strip(), validate=True).decode("ascii")
        client_id, colon, secret = (unquote_plus(part, errors="strict") for part in pair.partition(":"))
    except (binascii.Error, ValueError):
        raise ClientRejected(by_header=True) from None
    if not colon:
        raise ClientRejected(by_header=True)
    return client_id, secret


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
