"""Every error that Daypass raises.

    DaypassError                    never raised itself; the base class of all errors
    ├─ TokenRejected                the client's fault; .code, .status
    │  ├─ TokenMalformed (KeyUnknown) · TokenExpired · TokenUnknown
    │  ├─ SessionRevoked · TokenReused · TokenStale
    │  ├─ ProofRejected             a bound session, and no proof of its key; nothing was changed
    │  │  └─ NonceRequired          the proof needs a nonce of the server; the client sends the request again
    │  │     DeviceProofMissing     the session is bound to a key of its browser, which was not proven
    │  └─ AuthenticationInsufficient  a valid access token, but the login is too old or too weak for this
    ├─ CredentialsRejected (SessionLimitReached)  the user name or the password is wrong; no session was started
    ├─ ImpersonationRejected        this token may not act as another user; no session was started
    ├─ ScopeRejected                more was requested than was granted; nothing was changed
    ├─ ScopeInsufficient            a valid access token that may not do this
    ├─ StoreError                   the server's fault: 503; nothing was decided about the session
    │  └─ StoreUnavailable · StoreContended · KeysUnavailable
    ├─ LoginRequired                on the client: the session has ended; refreshing cannot help
    ├─ StepUpRequired               on the client: the server asks for a newer or stronger login
    ├─ RefreshUnavailable           on the client: could not refresh now; the session may still be live
    └─ ConfigurationError           says what is wrong, and what to write instead

No message, attribute or ``repr`` of these errors holds a token or a secret.
"""

from typing import ClassVar


class DaypassError(Exception):
    """The base class of all errors; never raised itself."""


class TokenRejected(DaypassError):
    """A token was refused. This is final for that token, except for `TokenStale`.

    Attributes:
        code: the reason as one word, for events and logs; HTTP responses say less.
        status: the HTTP status of the response.
        scheme: the authentication scheme that the token was sent by, which the challenge of a 401 names.
        algorithms: how proofs may be signed, for a challenge of the scheme ``DPoP``; empty if that is not known.
    """

    code: ClassVar[str] = "token_rejected"
    status: ClassVar[int] = 401
    scheme = "Bearer"
    algorithms: tuple[str, ...] = ()


class TokenMalformed(TokenRejected):
    """The text is not a token of this issuer: garbage, truncated, forged, of another kind or another key."""

    code = "token_malformed"


class KeyUnknown(TokenMalformed):
    """The text may be a token, but names an unknown key, perhaps one that was added recently."""


class TokenExpired(TokenRejected):
    """The token is ours but has expired; ``exp == now`` is expired (RFC 7519 §4.1.4)."""

    code = "token_expired"


class TokenUnknown(TokenRejected):
    """The token is ours, but its session is not in the store any more."""

    code = "token_unknown"


class SessionRevoked(TokenRejected):
    """The session was ended: by logout, by its user, by an operator, or because its user is gone."""

    code = "session_revoked"


class TokenReused(TokenRejected):
    """A refresh token was used after its successor: two parties have it, so the session is revoked."""

    code = "token_reused"


class TokenStale(TokenRejected):
    """A refresh token that was replaced moments ago: the client has a newer one; nothing was changed."""

    code = "token_stale"
    status = 409


class ProofRejected(TokenRejected):
    """The session or the access token is bound to a key, and the request does not prove that it has that key.

    Nothing was changed: with a proof, the same token is accepted as before. So a client must not treat this as the end
    of the session. A client that has lost the key logs in again.
    """

    code = "invalid_dpop_proof"
    status = 400
    scheme = "DPoP"


class NonceRequired(ProofRejected):
    """The proof is valid, but it must have a nonce of the server (RFC 9449 §8).

    Attributes:
        nonce: the nonce for the next proof.
    """

    code = "use_dpop_nonce"

    def __init__(self, message: str, nonce: str) -> None:
        super().__init__(message)
        self.nonce = nonce


class DeviceProofMissing(ProofRejected):
    """The session is bound to a key of its browser (DBSC), and the browser has not proven it.

    Attributes:
        session_id: the session.
    """

    code = "device_proof_missing"

    def __init__(self, session_id: str) -> None:
        super().__init__("the session is bound to a key of its browser, which has not proven it")
        self.session_id = session_id


class AuthenticationInsufficient(TokenRejected):
    """The access token is valid, but its user must authenticate again, or in a stronger way (RFC 9470 §3).

    Attributes:
        max_age: how many seconds ago at most the user must have been authenticated; None if that does not matter.
        acr: the accepted authentication context classes, with spaces between them; None for any.
    """

    code = "insufficient_user_authentication"

    def __init__(self, max_age: int | None = None, acr: str | None = None) -> None:
        super().__init__(
            "a more recent authentication is required"
            if acr is None
            else "a different authentication level is required"
        )
        self.max_age = max_age
        self.acr = acr


class CredentialsRejected(DaypassError):
    """The user name or the password is wrong, or the user may not log in; no session was started."""

    code: ClassVar[str] = "invalid_credentials"
    status: ClassVar[int] = 401


class SessionLimitReached(CredentialsRejected):
    """The user has the maximum number of sessions already; no session was started."""

    code = "session_limit"
    status = 403


class ImpersonationRejected(DaypassError):
    """An access token that may not start a session as another user; no session was started."""

    code: ClassVar[str] = "impersonation_rejected"
    status: ClassVar[int] = 403


class ScopeRejected(DaypassError):
    """A client asked for more than its session was granted (RFC 6749 §5.2); nothing was changed."""

    code: ClassVar[str] = "invalid_scope"
    status: ClassVar[int] = 400


class ScopeInsufficient(DaypassError):
    """The access token is valid, but its scope does not allow this (RFC 6750 §3.1).

    Attributes:
        scope: the scope that is needed, words with spaces between them.
        scheme: the authentication scheme that the token was sent by, which the challenge names.
        algorithms: how proofs may be signed, for a challenge of the scheme ``DPoP``; empty if that is not known.
    """

    code: ClassVar[str] = "insufficient_scope"
    status: ClassVar[int] = 403
    scheme = "Bearer"
    algorithms: tuple[str, ...] = ()

    def __init__(self, scope: str) -> None:
        super().__init__("the access token's scope does not allow this")
        self.scope = scope


class StoreError(DaypassError):
    """The store failed: nothing was decided about the session, and you can safely try again."""

    code: ClassVar[str] = "temporarily_unavailable"
    status: ClassVar[int] = 503


class StoreUnavailable(StoreError):
    """The store cannot be reached, is full, is read-only or did not answer in time."""


class StoreContended(StoreError):
    """Other callers kept changing the session while this caller tried to."""


class KeysUnavailable(StoreError):
    """A service that verifies another's access tokens cannot fetch that issuer's keys."""


class LoginRequired(DaypassError):
    """On the client: the session has ended, and refreshing cannot help."""


class StepUpRequired(DaypassError):
    """On the client: the server asks for a newer or stronger login (RFC 9470); the session continues.

    Attributes:
        max_age: how many seconds ago at most the user must have been authenticated; None if the server does not say.
        acr_values: the authentication context classes that the server accepts, the best first.
    """

    def __init__(self, max_age: int | None = None, acr_values: tuple[str, ...] = ()) -> None:
        super().__init__("the server asks for a newer or stronger login: authenticate the user again, and repeat this")
        self.max_age = max_age
        self.acr_values = acr_values


class RefreshUnavailable(DaypassError):
    """On the client: the access token is unusable and could not be refreshed now; the session may still be live.

    Attributes:
        retry_after: seconds to wait before trying again, if known.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConfigurationError(DaypassError):
    """The configuration is invalid; the message says what to write instead."""
