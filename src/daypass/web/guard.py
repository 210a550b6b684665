"""Checks a request's access token for a guarded route: one rule for all frameworks. Pure.

A framework's own ``Guard`` only translates: it passes the ``Authorization`` header to `SyncGuard.admit` or
`AsyncGuard.admit`, and turns the errors of `REFUSED` into its own responses (`daypass.web.bearer.refused`).
"""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, ClassVar, Generic, Protocol, TypeVar, Unpack, cast

from daypass import scope as scopes
from daypass.access_token import AccessToken
from daypass.clock import system_clock
from daypass.dpop import DPoP
from daypass.errors import ConfigurationError, ProofRejected, ScopeInsufficient, StoreError, TokenRejected
from daypass.flow import Flow
from daypass.issuer import AsyncDaypass, Daypass
from daypass.user import User
from daypass.watching import AsyncWatch
from daypass.web.application import Application, issuer_of
from daypass.web.bearer import TokenMissing, bearer_text, user_of
from daypass.web.message import BadRequest, Request
from daypass.web.proofs import dpop_text, require_bearer, require_proof, sent_by_dpop
from daypass.web.proxies import Proxies
from daypass.web.step_up import StepUp, checked_step_up

FoundT = TypeVar("FoundT")

Admitted = tuple[AccessToken | None, User | None]
"""The access token of an allowed request, None if it is optional; and its user, if the guard asks for it."""

Asked = Callable[[], Request]
"""Returns the request as the server has it, when it is needed."""

REFUSED = (TokenRejected, ScopeInsufficient, StoreError)
"""The errors for a refused request."""


class Verifying(Protocol):
    """Checks access tokens: `Daypass`, or a `daypass.RemoteVerifier` if the issuer is another service."""

    def verify(self, access_token: str, /) -> AccessToken:
        """Return the contents of an access token.

        Raises:
            TokenRejected: it was refused.
            StoreError: it could not be checked.
        """
        ...


class AsyncVerifying(Protocol):
    """Checks access tokens without blocking an event loop: `AsyncDaypass`, `daypass.AsyncRemoteVerifier`."""

    async def verify(self, access_token: str, /) -> AccessToken:
        """Return the contents of an access token; errors as for `Verifying`."""
        ...


class Guard(Generic[FoundT]):
    """Requires an access token of a request; `bearer` and `current_user` of each framework return one.

    Args:
        auth: checks the token: an issuer, an application, or a remote verifier.
        scope: the scope that is required, words with spaces between them (RFC 6749 §3.3).
        optional: whether a request without a token is allowed.
        user: whether the route gets the user instead of the token.
        step_up: how recently and how the user must have been authenticated; see `daypass.web.step_up.StepUp`.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write instead.
    """

    awaits: ClassVar[bool]
    """Whether the framework awaits ``verify``."""

    def __init__(
        self,
        auth: object,
        scope: str | None = None,
        *,
        optional: bool = False,
        user: bool = False,
        **step_up: Unpack[StepUp],
    ) -> None:
        name = "current_user" if user else "bearer"
        self._auth = _verifier_of(auth, name, awaits=self.awaits, user=user)
        self.now: Callable[[], int] = getattr(self._auth, "now", system_clock)
        self._max_age, self._acr = checked_step_up(name, step_up)
        self._scope = scopes.checked(scope)
        self._optional = optional
        self._user = user
        self._dpop: DPoP | None = getattr(self._auth, "dpop", None)
        self._proxies = auth.filter.proxies if isinstance(auth, Application) else Proxies()

    @property
    def accepts_proofs(self) -> bool:
        """Whether an access token that is bound to a key may open something."""
        return self._dpop is not None

    def text_of(self, authorization: str) -> str | None:
        """Return the access token in an ``Authorization`` header; None if it is optional and none was sent.

        Raises:
            TokenMissing: there is none.
        """
        try:
            return bearer_text(authorization)
        except TokenMissing:
            if self._optional:
                return None
            raise

    def proving(self, token: AccessToken, text: str, asked: Asked) -> Flow[None]:
        """Check that the request proves to have the key that its access token is bound to.

        Raises:
            ProofRejected: it does not.
            StoreError: whether the proof was used before is not known.
        """
        try:
            request = self._proxies.as_sent(asked())
        except BadRequest:
            raise ProofRejected("a proxy's headers do not say which URL was asked for") from None
        yield from require_proof(cast("DPoP", self._dpop), request, token, text, self.now())

    def allow(self, token: AccessToken, further: str, *, proven: bool = False) -> AccessToken:
        """Return a token whose scope allows this, and whose user was authenticated recently and strongly enough.

        Raises:
            ProofRejected: it is bound to a key, and no key was ``proven``.
            ScopeInsufficient: its scope does not allow this.
            AuthenticationInsufficient: its user must authenticate again.
        """
        if token.key_thumbprint is not None and not proven:
            require_bearer(token, self._dpop)
        if self._scope is not None:
            token.require(self._scope)
        if further:
            token.require(further)
        if self._max_age is not None or self._acr is not None:
            token.require_authentication(self.now(), self._max_age, self._acr)
        return token

    def found(self, admitted: Admitted) -> FoundT:
        """Return what the route receives: the user or the access token."""
        return admitted[1] if self._user else admitted[0]  # type: ignore[return-value]  # FoundT says which


class SyncGuard(Guard[FoundT]):
    """A guard that blocks while it checks. The only difference from `AsyncGuard` is ``await``.

    They are not flows, because a flow would add 2 µs to each guarded request: as much as the check itself.
    """

    awaits = False

    def admit(
        self, authorization: str, further: str = "", asked: Asked | None = None, known: AccessToken | None = None
    ) -> Admitted:
        """Return the access token and, if the guard asks for it, the user of a request.

        Args:
            authorization: the request's ``Authorization`` header, empty if there is none.
            further: another scope that is required, if the framework has such an option.
            asked: returns the request, for an access token that is bound to a key; None if bound tokens are not
                accepted.
            known: the bearer token in the header, if it was checked before in this request.

        Raises:
            TokenRejected: there is no access token, or it was refused, or its user is gone or disabled.
            ScopeInsufficient: its scope does not allow this.
            StoreError: it could not be checked.
        """
        if self._dpop is not None and asked is not None and (text := dpop_text(authorization)) is not None:
            try:
                token = self.verify(text)
                self._auth.run(self.proving(token, text, asked))
                self.allow(token, further, proven=True)
            except (TokenRejected, ScopeInsufficient) as error:
                raise sent_by_dpop(error, self._dpop) from None
        elif (text := self.text_of(authorization)) is not None:
            token = self.allow(known or self.verify(text), further)
        else:
            return None, None
        return token, self._auth.run(user_of(token)) if self._user else None

    def verify(self, text: str) -> AccessToken:
        """Return the contents of an access token."""
        return self._auth.verify(text)  # type: ignore[no-any-return]  # a verifier


class AsyncGuard(Guard[FoundT]):
    """A guard that is awaited."""

    awaits = True

    def watching(self, text: str, on_end: Callable[[TokenRejected], object] | None = None) -> AsyncWatch:
        """Return the watch of a connection that was opened with this access token."""
        return cast("AsyncWatch", self._auth.watch(text, on_end=on_end))

    async def verify(self, text: str) -> AccessToken:
        """Return the contents of an access token."""
        return await self._auth.verify(text)  # type: ignore[no-any-return]  # a verifier

    async def prove(self, token: AccessToken, text: str, asked: Asked) -> None:
        """Check the proof of a request; see `Guard.proving`."""
        await self._auth.run(self.proving(token, text, asked))

    async def admit(self, authorization: str, further: str = "", asked: Asked | None = None) -> Admitted:
        """Return the same as `SyncGuard.admit`, with the same errors."""
        if self._dpop is not None and asked is not None and (text := dpop_text(authorization)) is not None:
            try:
                token = await self.verify(text)
                await self.prove(token, text, asked)
                self.allow(token, further, proven=True)
            except (TokenRejected, ScopeInsufficient) as error:
                raise sent_by_dpop(error, self._dpop) from None
        elif (text := self.text_of(authorization)) is not None:
            token = self.allow(await self.verify(text), further)
        else:
            return None, None
        return token, await self._auth.run(user_of(token)) if self._user else None


def _verifier_of(auth: object, name: str, *, awaits: bool, user: bool) -> Any:
    """Return the checker of access tokens.

    Raises:
        ConfigurationError: it is something else, async instead of sync (or the reverse), or knows no users.
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
