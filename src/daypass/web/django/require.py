"""Guards that require an access token, as decorators of views or called inside them."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, Literal, TypeVar, Unpack, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse

from daypass.access_token import AccessToken
from daypass.errors import ConfigurationError, DaypassError, ScopeInsufficient, StoreError, TokenRejected
from daypass.issuer import AsyncDaypass, Daypass
from daypass.user import User
from daypass.web import guard
from daypass.web.application import Application, issuer_of
from daypass.web.bearer import refused
from daypass.web.django.translate import returned, translated
from daypass.web.guard import Admitted, AsyncVerifying, Verifying
from daypass.web.own_login import LoginRefused
from daypass.web.step_up import StepUp

T = TypeVar("T")
ViewT = TypeVar("ViewT", bound=Callable[..., Any])


class Refused(DaypassError):
    """A request without an access token, or with one that does not allow this; or a refused login or logout.

    A decorated view is then not called. If you call a guard inside a view, return ``response`` from it, or let the
    middleware `daypass.web.django.refusals.AnswerRefusals` do that.

    Attributes:
        response: 401 with the challenge of RFC 6750 §3 if there is no token or it was refused; 403 if its scope is too
            small; 503 if the signing keys cannot be read. The body has the JSON shape of every failure.
    """

    def __init__(self, error: TokenRejected | ScopeInsufficient | StoreError | LoginRefused) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def response(self) -> HttpResponse:
        """Return a new response each time."""
        error = self.error
        return returned(error.response if isinstance(error, LoginRefused) else refused(error))


class Guard(guard.SyncGuard[T]):
    """Requires an access token: call it with a request, or decorate a view with it. It blocks while it checks."""

    @overload
    def __call__(self, request: HttpRequest, /) -> T: ...
    @overload
    def __call__(self, view: ViewT, /) -> ViewT: ...
    def __call__(self, what: Any, /) -> Any:
        """Return the access token or the user of a request; or, given a view, the view that requires it.

        Raises:
            Refused: the request is not allowed.
        """
        request = _asked(what)
        return self._decorated(what) if request is None else self._found(request)

    def _found(self, request: HttpRequest) -> T:
        try:
            admitted = self.admit(_header(request), asked=lambda: translated(request))
            return self.found(_noted(request, admitted, user=self._user))
        except guard.REFUSED as error:
            raise Refused(error) from None

    def _decorated(self, view: Callable[..., Any]) -> Callable[..., Any]:
        if _is_async(view):
            found = sync_to_async(self._found)

            @wraps(view)
            async def arequiring(*args: Any, **kwargs: Any) -> Any:
                try:
                    await found(_request(args))
                    return await view(*args, **kwargs)
                except Refused as refusal:
                    return refusal.response

            return arequiring

        @wraps(view)
        def requiring(*args: Any, **kwargs: Any) -> Any:
            try:
                self._found(_request(args))
                return view(*args, **kwargs)
            except Refused as refusal:
                return refusal.response

        return requiring


class AsyncGuard(guard.AsyncGuard[T]):
    """`Guard` without blocking: await it with a request, or decorate an async view with it."""

    @overload
    def __call__(self, request: HttpRequest, /) -> Awaitable[T]: ...
    @overload
    def __call__(self, view: ViewT, /) -> ViewT: ...
    def __call__(self, what: Any, /) -> Any:
        """Return the access token or the user of a request, to be awaited; or, given a view, the view that requires it.

        Raises:
            Refused: the request is not allowed.
            ConfigurationError: the view is not async; raised when the view is called.
        """
        request = _asked(what)
        return self._decorated(what) if request is None else self._found(request)

    async def _found(self, request: HttpRequest) -> T:
        try:
            admitted = await self.admit(_header(request), asked=lambda: translated(request))
            return self.found(_noted(request, admitted, user=self._user))
        except guard.REFUSED as error:
            raise Refused(error) from None

    def _decorated(self, view: Callable[..., Any]) -> Callable[..., Any]:
        if not _is_async(view):  # refused when it is called: `method_decorator` tries a decorator on any function

            @wraps(view)
            def refusing(*_args: Any, **_kwargs: Any) -> Any:
                raise ConfigurationError("this view needs Daypass, not AsyncDaypass: make it async, to be awaited")

            return refusing

        @wraps(view)
        async def requiring(*args: Any, **kwargs: Any) -> Any:
            try:
                await self._found(_request(args))
                return await view(*args, **kwargs)
            except Refused as refusal:
                return refusal.response

        return requiring


@overload
def bearer(
    auth: Verifying | Application[Daypass],
    scope: str | None = None,
    *,
    optional: Literal[False] = False,
    **step_up: Unpack[StepUp],
) -> Guard[AccessToken]: ...


@overload
def bearer(
    auth: Verifying | Application[Daypass], scope: str | None = None, *, optional: bool, **step_up: Unpack[StepUp]
) -> Guard[AccessToken | None]: ...


@overload
def bearer(
    auth: AsyncVerifying | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: Literal[False] = False,
    **step_up: Unpack[StepUp],
) -> AsyncGuard[AccessToken]: ...


@overload
def bearer(
    auth: AsyncVerifying | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: bool,
    **step_up: Unpack[StepUp],
) -> AsyncGuard[AccessToken | None]: ...


def bearer(auth: object, scope: str | None = None, *, optional: bool = False, **step_up: Unpack[StepUp]) -> Any:
    """Return a `Guard`, or an `AsyncGuard` for an async issuer or verifier.

    ``token = bearer(auth)(request)`` returns the access token (await it with an `AsyncDaypass`). ``@bearer(auth)``
    decorates a view, or a method of one, which then has the token in ``request.daypass_token``.

    Args:
        auth: the issuer or its application; or a `daypass.RemoteVerifier` or `daypass.AsyncRemoteVerifier` if the
            issuer is another service.
        scope: the scope that is required, words with spaces between them (RFC 6749 §3.3).
        optional: return None if no access token was sent; an invalid one is still refused.
        step_up: ``max_age="5m"``: how recently the user must have been authenticated; ``acr="mfa"``: in which way.
            Otherwise 401 with ``insufficient_user_authentication`` (RFC 9470).

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    return _guard(auth, scope, optional=optional, **step_up)


@overload
def current_user(
    auth: Daypass | Application[Daypass],
    scope: str | None = None,
    *,
    optional: Literal[False] = False,
    **step_up: Unpack[StepUp],
) -> Guard[User]: ...


@overload
def current_user(
    auth: Daypass | Application[Daypass], scope: str | None = None, *, optional: bool, **step_up: Unpack[StepUp]
) -> Guard[User | None]: ...


@overload
def current_user(
    auth: AsyncDaypass | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: Literal[False] = False,
    **step_up: Unpack[StepUp],
) -> AsyncGuard[User]: ...


@overload
def current_user(
    auth: AsyncDaypass | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: bool,
    **step_up: Unpack[StepUp],
) -> AsyncGuard[User | None]: ...


def current_user(auth: object, scope: str | None = None, *, optional: bool = False, **step_up: Unpack[StepUp]) -> Any:
    """Return a guard that returns the access token's `daypass.User`, as ``load_user`` returns it now.

    Use it like `bearer`; the view also has the user in ``request.daypass_user``. A user who is gone or disabled gets
    401. It needs the issuer, because a verifier does not know users.
    """
    return _guard(auth, scope, optional=optional, user=True, **step_up)


def _guard(auth: object, scope: str | None, **what: Any) -> Any:
    """Return the sync or async guard, as the issuer or the verifier is."""
    awaits = iscoroutinefunction(getattr(issuer_of(auth), "verify", None))
    return AsyncGuard[Any](auth, scope, **what) if awaits else Guard[Any](auth, scope, **what)


def _noted(request: HttpRequest, admitted: Admitted, *, user: bool) -> Admitted:
    """Store the token and the user on the request."""
    noted: Any = request
    noted.daypass_token = admitted[0]
    if user:
        noted.daypass_user = admitted[1]
    return admitted


def _header(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_AUTHORIZATION", ""))


def _request(args: tuple[Any, ...]) -> HttpRequest:
    """Return the request among a view's arguments: the first, or the second of a method."""
    for argument in args[:2]:
        request = _asked(argument)
        if request is not None:
            return request
    raise ConfigurationError("a guard decorates views: this function was called without a request")


def _asked(what: Any) -> HttpRequest | None:
    """Return the Django request, also inside one of REST framework; None if ``what`` is something else."""
    if isinstance(what, HttpRequest):
        return what
    within = getattr(what, "_request", None)
    return within if isinstance(within, HttpRequest) else None


def _is_async(view: Callable[..., Any]) -> bool:
    """Return whether a view is async; ``dispatch`` of an async class is, although it is not a coroutine function."""
    inner = view.func if isinstance(view, partial) else view
    owner = getattr(inner, "__self__", None)
    return iscoroutinefunction(view) or iscoroutinefunction(inner) or bool(getattr(owner, "view_is_async", False))
