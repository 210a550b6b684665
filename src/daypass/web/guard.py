"""What a guarded route requires of a request's access token: one rule for all frameworks. Pure.

A framework's own ``Guard`` only translates: it gives the ``Authorization`` header to `Guard.check`, drives that flow
with `Guard.answer`, and turns the errors of `REFUSED` into its own kind of response (`daypass.web.bearer.refused`).
"""

from inspect import iscoroutinefunction
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, cast

from daypass import scope as scopes
from daypass.access_token import AccessToken
from daypass.errors import ConfigurationError, ScopeInsufficient, StoreError, TokenRejected
from daypass.flow import Flow, Step
from daypass.issuer import AsyncDaypass, Daypass
from daypass.steps import Verify
from daypass.user import User
from daypass.web.application import issuer_of
from daypass.web.bearer import TokenMissing, bearer_text, user_of

FoundT = TypeVar("FoundT")

REFUSED = (TokenRejected, ScopeInsufficient, StoreError)
"""The errors that `Guard.check` raises for a request that may not pass."""


class Verifying(Protocol):
    """Checks access tokens: `Daypass`, or a `daypass.RemoteVerifier` where the issuer is elsewhere."""

    def verify(self, access_token: str, /) -> AccessToken:
        """Return what an access token says.

        Raises:
            TokenRejected: it was refused.
            StoreError: it could not be checked.
        """
        ...


class AsyncVerifying(Protocol):
    """Checks access tokens without blocking an event loop: `AsyncDaypass`, `daypass.AsyncRemoteVerifier`."""

    async def verify(self, access_token: str, /) -> AccessToken:
        """Return what an access token says; errors as for `Verifying`."""
        ...


class Admitted(NamedTuple):
    """What is known of a request that may pass.

    Attributes:
        token: its access token; None where that is optional and none was sent.
        user: the token's user, where the guard asks for it.
    """

    token: AccessToken | None
    user: User | None


class Guard(Generic[FoundT]):
    """Requires an access token of a request; `bearer` and `current_user` of each framework return one.

    Args:
        auth: checks the token: an issuer, an application, or a remote verifier.
        scope: what the token has to allow, words with spaces between them (RFC 6749 §3.3).
        optional: whether a request without a token may pass.
        user: whether the route gets the user instead of the token.

    Raises:
        ConfigurationError: an argument cannot work; the message says what to write instead.
    """

    awaits: ClassVar[bool]
    """Whether the framework awaits ``verify``."""

    def __init__(self, auth: object, scope: str | None = None, *, optional: bool = False, user: bool = False) -> None:
        self._auth = _verifier_of(auth, "current_user" if user else "bearer", awaits=self.awaits, user=user)
        self._scope = scopes.checked(scope)
        self._optional = optional
        self._user = user

    def check(self, authorization: str, further: str = "") -> Flow[Admitted]:
        """Check a request's ``Authorization`` header.

        Args:
            authorization: its value, empty where there is none.
            further: another scope that is required, where the framework has such a thing.

        Raises:
            TokenRejected: there is no access token, or it was refused, or its user is gone or disabled.
            ScopeInsufficient: its scope does not allow this.
            StoreError: it could not be checked.
        """
        try:
            text = bearer_text(authorization)
        except TokenMissing:
            if self._optional:
                return Admitted(None, None)
            raise
        token = yield from Verify(text)
        for scope in (self._scope, further):
            if scope:
                token.require(scope)
        return Admitted(token, (yield from user_of(token)) if self._user else None)

    def answer(self, step: Step[Any]) -> Any:
        """Answer a step of `check`; to be awaited if the verifier is async."""
        return self._auth.verify(step.access_token) if isinstance(step, Verify) else self._auth.run(iter(step))

    def found(self, admitted: Admitted) -> FoundT:
        """Return what the route gets: the user or the access token."""
        return cast("FoundT", admitted.user if self._user else admitted.token)


def _verifier_of(auth: object, name: str, *, awaits: bool, user: bool) -> Any:
    """Return what checks access tokens.

    Raises:
        ConfigurationError: it is something else, of the other colour, or knows no users.
    """
    found = issuer_of(auth)
    verify = getattr(found, "verify", None)
    needed = "AsyncDaypass" if awaits else "Daypass"
    if verify is None:
        what = f"the view {found.__name__!r}" if hasattr(found, "__name__") else f"a {type(found).__name__}"
        raise ConfigurationError(f"{name} needs {needed}, not {what}: write {name}(auth), and use what that returns")
    if iscoroutinefunction(verify) is not awaits:
        why = "which would block the event loop" if awaits else "which has to be awaited"
        raise ConfigurationError(f"{name} needs {needed}, not {type(found).__name__}, {why}")
    if user and not isinstance(found, Daypass | AsyncDaypass):
        raise ConfigurationError(f"{name} needs {needed}, not {type(found).__name__}: only the issuer knows users")
    return found
