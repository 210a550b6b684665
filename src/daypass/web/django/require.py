"""What requires an access token: of a view, or in the middle of one."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, Generic, Literal, Protocol, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse

from daypass import scope as scopes
from daypass.access_token import AccessToken
from daypass.errors import (
    ConfigurationError,
    DaypassError,
    ScopeInsufficient,
    StoreError,
    TokenRejected,
)
from daypass.issuer import AsyncDaypass, Daypass
from daypass.user import User
from daypass.web.bearer import TokenMissing, bearer_text, refused, user_of
from daypass.web.django.translate import returned

T = TypeVar("T")
ViewT = TypeVar("ViewT", bound=Callable[..., Any])


class Refused(DaypassError):
    """A request that bears no access token, or none that will do.

    A decorated view is not entered then. Where `bearer` is called in the middle of a view, that one answers with
    ``response``, or leaves it to the middleware `daypass.web.django.refusals.AnswerRefusals`.

    Attributes:
        response: 401 with the challenge of RFC 6750 §3 when there is no token or it was refused; 403 when its scope is
            too small; 503 when the signing keys cannot be read. Its body has the one shape that every failure has.
    """

    def __init__(self, error: TokenRejected | ScopeInsufficient | StoreError) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def response(self) -> HttpResponse:
        """Return what the caller gets, made anew each time."""
        return returned(refused(self.error))


class Verifying(Protocol):
    """What checks access tokens: `Daypass`, or `daypass.RemoteVerifier` where the issuer is elsewhere."""

    def verify(self, access_token: str, /) -> AccessToken:
        """Return what an access token says.

        Raises:
            TokenRejected: it opens nothing.
            StoreError: it could not be checked.
        """
        ...


class AsyncVerifying(Protocol):
    """The same, to be awaited: `AsyncDaypass`, `daypass.AsyncRemoteVerifier`."""

    async def verify(self, access_token: str, /) -> AccessToken:
        """Return what an access token says; errors as for `Verifying`."""
        ...


class _Requirement(Generic[T]):
    """What is required, whatever the colour."""

    def __init__(self, scope: str | None, *, optional: bool) -> None:
        self._scope = scopes.checked(scope)
        self._optional = optional

    def _text(self, request: HttpRequest) -> str | None:
        """Return the text of the request's access token; None where it need not have one."""
        try:
            return bearer_text(request.META.get("HTTP_AUTHORIZATION", ""))
        except TokenMissing:
            if self._optional:
                return None
            raise

    def _granted(self, token: AccessToken) -> AccessToken:
        if self._scope is not None:
            token.require(self._scope)
        return token


class Required(_Requirement[T]):
    """A good access token: call it with a request, or decorate a view with it; what `bearer` and `current_user` return.

    Args:
        auth: checks it, and blocks meanwhile.
        scope: what it has to allow.
        optional: whether a request without one is given None.
        issuer: where it is the user that is found, the issuer that knows users.
    """

    def __init__(
        self, auth: Verifying, scope: str | None = None, *, optional: bool = False, issuer: Daypass | None = None
    ) -> None:
        super().__init__(scope, optional=optional)
        self._auth = auth
        self._issuer = issuer

    @overload
    def __call__(self, request: HttpRequest, /) -> T: ...
    @overload
    def __call__(self, view: ViewT, /) -> ViewT: ...
    def __call__(self, what: Any, /) -> Any:
        """Return what a request's access token says, or the view that is entered with a good one alone.

        Raises:
            Refused: a request's will not do.
        """
        request = _asked(what)
        return self._decorated(what) if request is None else self._found(request)

    def _found(self, request: HttpRequest) -> T:
        try:
            text = self._text(request)
            token = None if text is None else self._granted(self._auth.verify(text))
            if self._issuer is None:
                return cast("T", _noted(request, token))
            return cast("T", _noted(request, token, None if token is None else self._issuer.run(user_of(token))))
        except (TokenRejected, ScopeInsufficient, StoreError) as error:
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


class AsyncRequired(_Requirement[T]):
    """The same with what does not block: await it with a request, or decorate an async view with it."""

    def __init__(
        self,
        auth: AsyncVerifying,
        scope: str | None = None,
        *,
        optional: bool = False,
        issuer: AsyncDaypass | None = None,
    ) -> None:
        super().__init__(scope, optional=optional)
        self._auth = auth
        self._issuer = issuer

    @overload
    def __call__(self, request: HttpRequest, /) -> Awaitable[T]: ...
    @overload
    def __call__(self, view: ViewT, /) -> ViewT: ...
    def __call__(self, what: Any, /) -> Any:
        """Return what a request's access token says, to be awaited, or the view that is entered with a good one alone.

        Raises:
            Refused: a request's will not do.
            ConfigurationError: the view is not async; when it is entered.
        """
        request = _asked(what)
        return self._decorated(what) if request is None else self._found(request)

    async def _found(self, request: HttpRequest) -> T:
        try:
            text = self._text(request)
            token = None if text is None else self._granted(await self._auth.verify(text))
            if self._issuer is None:
                return cast("T", _noted(request, token))
            return cast("T", _noted(request, token, None if token is None else await self._issuer.run(user_of(token))))
        except (TokenRejected, ScopeInsufficient, StoreError) as error:
            raise Refused(error) from None

    def _decorated(self, view: Callable[..., Any]) -> Callable[..., Any]:
        if not _is_async(view):  # refused when it is entered: `method_decorator` tries a decorator on any function

            @wraps(view)
            def refusing(*_args: Any, **_kwargs: Any) -> Any:
                raise ConfigurationError("this view needs Daypass, not AsyncDaypass, which has to be awaited")

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
def bearer(auth: Verifying, scope: str | None = None, *, optional: Literal[False] = False) -> Required[AccessToken]: ...


@overload
def bearer(auth: Verifying, scope: str | None = None, *, optional: bool) -> Required[AccessToken | None]: ...


@overload
def bearer(
    auth: AsyncVerifying, scope: str | None = None, *, optional: Literal[False] = False
) -> AsyncRequired[AccessToken]: ...


@overload
def bearer(auth: AsyncVerifying, scope: str | None = None, *, optional: bool) -> AsyncRequired[AccessToken | None]: ...


def bearer(auth: Verifying | AsyncVerifying, scope: str | None = None, *, optional: bool = False) -> Any:
    """Return what requires an access token.

    ``token = bearer(auth)(request)`` returns what it says (to be awaited, with an `AsyncDaypass`). ``@bearer(auth)``
    decorates a view or a method of one, which finds it in ``request.daypass_token``.

    Args:
        auth: the issuer; or a `daypass.RemoteVerifier` or `daypass.AsyncRemoteVerifier` where that is elsewhere.
        scope: what the token has to allow, words with spaces between them (RFC 6749 §3.3).
        optional: accept a request without a token, and give None; one that is bad is refused all the same.

    Raises:
        ConfigurationError: an argument cannot work.
        Refused: later, when a request's token will not do.
    """
    verify = getattr(auth, "verify", None)
    if verify is None:
        raise ConfigurationError(f"bearer needs a Daypass or an AsyncDaypass, not a {type(auth).__name__}")
    if iscoroutinefunction(verify):
        return AsyncRequired[Any](cast("AsyncVerifying", auth), scope, optional=optional)
    return Required[Any](cast("Verifying", auth), scope, optional=optional)


@overload
def current_user(auth: Daypass, scope: str | None = None, *, optional: Literal[False] = False) -> Required[User]: ...


@overload
def current_user(auth: Daypass, scope: str | None = None, *, optional: bool) -> Required[User | None]: ...


@overload
def current_user(
    auth: AsyncDaypass, scope: str | None = None, *, optional: Literal[False] = False
) -> AsyncRequired[User]: ...


@overload
def current_user(auth: AsyncDaypass, scope: str | None = None, *, optional: bool) -> AsyncRequired[User | None]: ...


def current_user(auth: Daypass | AsyncDaypass, scope: str | None = None, *, optional: bool = False) -> Any:
    """Return what requires an access token and gives its `daypass.User`, as ``load_user`` knows it now.

    It is used as `bearer` is, and leaves the user in ``request.daypass_user`` besides. One who is gone or disabled is
    refused with 401. Only the issuer knows users.
    """
    if isinstance(auth, AsyncDaypass):
        return AsyncRequired[Any](auth, scope, optional=optional, issuer=auth)
    if isinstance(auth, Daypass):
        return Required[Any](auth, scope, optional=optional, issuer=auth)
    raise ConfigurationError(f"current_user needs a Daypass or an AsyncDaypass, not a {type(auth).__name__}")


def _noted(request: HttpRequest, token: AccessToken | None, *user: User | None) -> Any:
    """Leave with the request what is known of it, and return the last of that."""
    noted: Any = request
    noted.daypass_token = token
    if not user:
        return token
    noted.daypass_user = user[0]
    return user[0]


def _request(args: tuple[Any, ...]) -> HttpRequest:
    """Return the request among a view's arguments: the first, or the second of a method."""
    for argument in args[:2]:
        request = _asked(argument)
        if request is not None:
            return request
    raise ConfigurationError("what is decorated is no view: it was not called with a request")


def _asked(what: Any) -> HttpRequest | None:
    """Return a request of Django's, from one of REST framework's too; None for what is no request."""
    if isinstance(what, HttpRequest):
        return what
    within = getattr(what, "_request", None)
    return within if isinstance(within, HttpRequest) else None


def _is_async(view: Callable[..., Any]) -> bool:
    """Tell whether a view has to be awaited; ``dispatch`` of an async class has, though it is no coroutine function."""
    inner = view.func if isinstance(view, partial) else view
    owner = getattr(inner, "__self__", None)
    return iscoroutinefunction(view) or iscoroutinefunction(inner) or bool(getattr(owner, "view_is_async", False))
