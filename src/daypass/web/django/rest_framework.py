"""Daypass in Django REST framework: authentication classes, and a permission that requires a scope.

REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["daypass.web.django.rest_framework.DaypassAuthentication"]}
"""

import json
from collections.abc import Callable
from typing import Any, ClassVar, Unpack

try:
    from rest_framework import exceptions
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.permissions import BasePermission
except ModuleNotFoundError as missing:
    raise ImportError("daypass.web.django.rest_framework needs it: pip install djangorestframework") from missing

from daypass import scope as scopes
from daypass.access_token import AccessToken, refused_as_sent
from daypass.clock import system_clock
from daypass.errors import (
    AuthenticationInsufficient,
    ConfigurationError,
    NonceRequired,
    ScopeInsufficient,
    SessionRevoked,
    StoreError,
    TokenRejected,
)
from daypass.web.bearer import REALM, RETRY_AFTER, refused
from daypass.web.django.configured import configured_guard, configured_verifier
from daypass.web.django.translate import translated
from daypass.web.django.users import find
from daypass.web.guard import Verifying
from daypass.web.message import Response
from daypass.web.proofs import NONCE
from daypass.web.step_up import StepUp, checked_step_up

__all__ = [
    "DaypassAuthentication",
    "HasAuthentication",
    "HasScope",
    "Principal",
    "StatelessAuthentication",
]


class DaypassAuthentication(BaseAuthentication):
    """Sets ``request.user`` to the Django user of an access token, and ``request.auth`` to the token's contents.

    An access token that is bound to a key needs a proof (DPoP), if the issuer or the verifier has ``dpop``. The user is
    read from the database once per request, so permissions and the view have it; a user who is gone or not
    ``is_active`` is refused. `StatelessAuthentication` needs no query. A request without a token stays anonymous. List
    it first, so that REST framework answers 401 with its challenge, not 403.

    Attributes:
        auth: the issuer, a `daypass.RemoteVerifier` if that is another service, or the dotted path of either; by
            default the path in the setting ``DAYPASS``.

    Raises:
        ConfigurationError: there is no issuer or verifier, or it is async; raised with the first request.
    """

    auth: ClassVar[Verifying | str | None] = None

    def authenticate(self, request: Any) -> tuple[Any, AccessToken] | None:
        """Return the user and the access token of a request, None if it has no token.

        Raises:
            AuthenticationFailed: the token was refused, or its user is gone.
            Unavailable: the signing keys could not be read.
        """
        guard = configured_guard(self.auth, "REST framework")
        authorization = request.META.get("HTTP_AUTHORIZATION", "")
        try:
            token, _ = guard.admit(authorization, asked=lambda: translated(request))
            return None if token is None else (self.user_of(token), token)
        except TokenRejected as error:
            refusal = refused(error)
            request.META[_CHALLENGE] = _header(refusal, "www-authenticate")
            _add_nonce(request, error)
            raise exceptions.AuthenticationFailed(_detail(refusal)) from None
        except StoreError as error:
            raise Unavailable(error) from None

    def authenticate_header(self, request: Any) -> str:
        """Return the challenge of a 401 (RFC 6750 §3), which says why a token was refused."""
        return str(request.META.get(_CHALLENGE, f'Bearer realm="{REALM}"'))

    def user_of(self, token: AccessToken) -> Any:
        """Return the user of an access token.

        Raises:
            SessionRevoked: the user is gone, or may no longer log in.
        """
        user = find(token.subject)
        if user is None or not user.is_active:
            raise refused_as_sent(token, SessionRevoked("the access token's user is gone or disabled"))
        return user


class StatelessAuthentication(DaypassAuthentication):
    """Sets ``request.user`` to a `Principal`, made from the access token without a query."""

    def user_of(self, token: AccessToken) -> Any:
        """Return the user as the token describes it."""
        return Principal(token)


class Principal:
    """A user made from the claims of an access token; for services without a table of users.

    Attributes:
        pk: the subject, text; ``id`` is the same.
        token: the contents of the access token.
    """

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False

    def __init__(self, token: AccessToken) -> None:
        self.pk = self.id = token.subject
        self.token = token

    @property
    def username(self) -> str | None:
        """The name, if the token has one."""
        return self.token.username

    @property
    def email(self) -> str | None:
        """The address, if the token has one."""
        return self.token.email

    def get_username(self) -> str:
        """Return the name, or the subject if the token has none."""
        return self.token.username or self.pk

    def __str__(self) -> str:
        return self.get_username()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Principal) and self.pk == other.pk

    def __hash__(self) -> int:
        return hash(self.pk)


class _HasScope(BasePermission):
    scope: ClassVar[str]
    _insufficient: ScopeInsufficient | None = None

    def has_permission(self, request: Any, view: Any) -> bool:  # noqa: ARG002 - as REST framework calls it
        if not isinstance(request.auth, AccessToken):
            return False
        try:
            request.auth.require(self.scope)
        except ScopeInsufficient as error:
            self._insufficient = error
            return False
        return True

    @property
    def message(self) -> str | None:
        """Raise the error that names the missing scope: REST framework calls this if this permission denied.

        Within a composition (``HasScope("read") | IsAdminUser``) a permission only returns False.
        """
        if self._insufficient is not None:
            raise InsufficientScope(self._insufficient)
        return None


def HasScope(scope: str) -> type[BasePermission]:  # noqa: N802 - it stands where a class would
    """Return a permission, for ``permission_classes``, that requires an access token with every word of ``scope``.

    You can compose it with others (``&``, ``|``, ``~``). A token whose scope is too small gets 403 and a challenge with
    ``insufficient_scope`` (RFC 6750 §3.1); a request without a token gets 401.

    Raises:
        ConfigurationError: it is not a scope.
    """
    checked = scopes.checked(scope)
    if checked is None:
        raise ConfigurationError("HasScope needs a scope, words with spaces between them, such as 'read write'")
    return type("HasScope", (_HasScope,), {"scope": checked})


class _HasAuthentication(BasePermission):
    max_age: ClassVar[int | None]
    acr: ClassVar[str | None]
    _insufficient: AuthenticationInsufficient | None = None

    def has_permission(self, request: Any, view: Any) -> bool:  # noqa: ARG002 - as REST framework calls it
        if not isinstance(request.auth, AccessToken):
            return False
        auth = configured_verifier(getattr(request.successful_authenticator, "auth", None), "REST framework")
        now: Callable[[], int] = getattr(auth, "now", system_clock)
        try:
            request.auth.require_authentication(now(), self.max_age, self.acr)
        except AuthenticationInsufficient as error:
            self._insufficient = error
            return False
        return True

    @property
    def message(self) -> str | None:
        """Raise the error that names the authentication needed, as `HasScope` does for a scope."""
        if self._insufficient is not None:
            raise InsufficientAuthentication(self._insufficient)
        return None


def HasAuthentication(**step_up: Unpack[StepUp]) -> type[BasePermission]:  # noqa: N802 - it stands where a class would
    """Return a permission that requires a recent or stronger login: ``HasAuthentication(max_age="5m", acr="mfa")``.

    A login that is too old or too weak gets 401 with ``insufficient_user_authentication`` (RFC 9470).

    Raises:
        ConfigurationError: an argument is invalid.
    """
    max_age, acr = checked_step_up("HasAuthentication", step_up)
    return type("HasAuthentication", (_HasAuthentication,), {"max_age": max_age, "acr": acr})


class InsufficientAuthentication(exceptions.APIException):
    """401: the access token is valid, but its user must authenticate again."""

    status_code = 401

    def __init__(self, error: AuthenticationInsufficient) -> None:
        refusal = refused(error)
        super().__init__(_detail(refusal))
        self.auth_header = _header(refusal, "www-authenticate")


class InsufficientScope(exceptions.PermissionDenied):
    """403: the access token is valid, but its scope does not allow this."""

    def __init__(self, error: ScopeInsufficient) -> None:
        refusal = refused(error)
        super().__init__(_detail(refusal))
        self.auth_header = _header(refusal, "www-authenticate")


class Unavailable(exceptions.APIException):
    """503: the signing keys cannot be read; nothing was decided about the token."""

    status_code = 503
    wait = RETRY_AFTER

    def __init__(self, error: StoreError) -> None:
        super().__init__(_detail(refused(error)))


_CHALLENGE = "daypass.challenge"
"""Where in a request's META the challenge of its refusal is: REST framework asks for it later, of another object."""


def _add_nonce(request: Any, error: TokenRejected) -> None:
    """Give the nonce to the view's response: REST framework takes only a challenge from the exception."""
    view = getattr(request, "parser_context", {}).get("view")
    if isinstance(error, NonceRequired) and view is not None:
        view.headers[NONCE] = error.nonce


def _header(response: Response, wanted: str) -> str:
    return next(value for name, value in response.headers if name == wanted)


def _detail(response: Response) -> Any:
    """Return the body of a failure; REST framework writes a dict as it is."""
    return json.loads(response.body)
