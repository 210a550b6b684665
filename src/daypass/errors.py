"""Every error that Daypass raises.

    DaypassError                    never raised itself; every error of ours descends from it
    ├─ TokenRejected                the caller's fault; .code, .status
    │  ├─ TokenMalformed (KeyUnknown) · TokenExpired · TokenUnknown
    │  ├─ SessionRevoked · TokenReused · TokenStale
    │  ├─ ProofRejected             a bound session, and no proof of its key; nothing was changed
    │  │  └─ NonceRequired          the proof needs a nonce of the server; the client sends the request again
    │  └─ AuthenticationInsufficient  a good access token, but the login is too old or too weak for this
    ├─ CredentialsRejected (SessionLimitReached)  the user name or the password is wrong; no session was started
    ├─ ImpersonationRejected        this token may not act as another user; no session was started
    ├─ ScopeRejected                more was asked for than was granted; nothing was changed
    ├─ ScopeInsufficient            a good access token that may not do this
    ├─ StoreError                   ours: 503; nothing was decided about the session
    │  └─ StoreUnavailable · StoreContended · KeysUnavailable
    ├─ LoginRequired                on the client: refreshing cannot help any more
    ├─ StepUpRequired               on the client: the server asks for a newer or stronger login
    ├─ RefreshUnavailable           on the client: could not refresh now; the session may well be alive
    └─ ConfigurationError           says what is wrong, and what to write instead

No message, attribute or ``repr`` of these holds a token or a secret.
"""

from typing import ClassVar


class DaypassError(Exception):
    """The root of the tree; never raised itself."""


class TokenRejected(DaypassError):
    """A token was judged and refused: the caller's fault, and final for that token save for `TokenStale`.

    Attributes:
        code: the reason as one word, for events and logs; answers on the wire tell less.
        status: the HTTP status of the answer.
    """

    code: ClassVar[str] = "token_rejected"
    status: ClassVar[int] = 401


class TokenMalformed(TokenRejected):
    """The text is no token of this issuer: garbage, truncated, forged, of another kind or another key."""

    code = "token_malformed"


class KeyUnknown(TokenMalformed):
    """The text may be a token, but names a key that is not known here; one that was added since, perhaps."""


class TokenExpired(TokenRejected):
    """The token was ours and its time is over; ``exp == now`` is expired (RFC 7519 §4.1.4)."""

    code = "token_expired"


class TokenUnknown(TokenRejected):
    """The token was ours and its session is no longer in the store."""

    code = "token_unknown"


class SessionRevoked(TokenRejected):
    """The session was ended: by logout, by its user, by an operator, or because its user is gone."""

    code = "session_revoked"


class TokenReused(TokenRejected):
    """A refresh token came back after its successor had been used: two parties hold the session, so it is revoked."""

    code = "token_reused"


class TokenStale(TokenRejected):
    """A refresh token that was replaced moments ago: its holder has a newer one, and nothing was changed."""

    code = "token_stale"
    status = 409


class ProofRejected(TokenRejected):
    """The session or the access token is bound to a key, and the request does not prove that it has that key.

    Nothing was changed: with a proof, the same token gets what it would have got before. So no client may take this for
    the end of a session. A client that has lost the key logs in again.
    """

    code = "invalid_dpop_proof"
    status = 400


class NonceRequired(ProofRejected):
    """The proof is good but for a nonce of the server, which it has to have (RFC 9449 §8).

    Attributes:
        nonce: for the next proof.
    """

    code = "use_dpop_nonce"

    def __init__(self, message: str, nonce: str) -> None:
        super().__init__(message)
        self.nonce = nonce


class AuthenticationInsufficient(TokenRejected):
    """The access token is good, but its user has to authenticate again, or in a stronger way (RFC 9470 §3).

    Attributes:
        max_age: how many seconds ago the user may have been authenticated; None if that does not matter.
        acr: the authentication context classes of which one is needed, with spaces between them; None for any.
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
    """The user has as many sessions as they may have; no session was started."""

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
    """The access token is good, and its scope does not allow this (RFC 6750 §3.1).

    Attributes:
        scope: what is needed, words with spaces between them.
    """

    code: ClassVar[str] = "insufficient_scope"
    status: ClassVar[int] = 403

    def __init__(self, scope: str) -> None:
        super().__init__("the access token's scope does not allow this")
        self.scope = scope


class StoreError(DaypassError):
    """The store could not do what was asked: nothing was decided about the session, and trying again is safe."""

    code: ClassVar[str] = "temporarily_unavailable"
    status: ClassVar[int] = 503


class StoreUnavailable(StoreError):
    """The store cannot be reached, is full, is read-only or did not answer in time."""


class StoreContended(StoreError):
    """Others changed the session again and again while this caller tried to."""


class KeysUnavailable(StoreError):
    """A service that verifies another's access tokens cannot fetch that issuer's keys."""


class LoginRequired(DaypassError):
    """On the client: the session is over and refreshing cannot help any more."""


class StepUpRequired(DaypassError):
    """On the client: the server asks for a newer or stronger login (RFC 9470); the session lives.

    Attributes:
        max_age: how many seconds ago the user may have been authenticated; None if the server does not say.
        acr_values: the authentication context classes of which the server wants one, the best first.
    """

    def __init__(self, max_age: int | None = None, acr_values: tuple[str, ...] = ()) -> None:
        super().__init__("the server asks for a newer or stronger login: authenticate the user again, and repeat this")
        self.max_age = max_age
        self.acr_values = acr_values


class RefreshUnavailable(DaypassError):
    """On the client: the access token cannot be used and could not be refreshed now; the session may be alive.

    Attributes:
        retry_after: seconds to wait before it makes sense to try again, as far as known.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConfigurationError(DaypassError):
    """Daypass was set up in a way that cannot work; the message says what to write instead."""
