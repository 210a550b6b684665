"""What requires an access token: of a view, or in the middle of one."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, Generic, Literal, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse

from daypass import scope as scopes
from daypass.access_token import AccessToken
from daypass.errors import (
    ConfigurationError,
    DaypassError,
    ScopeInsufficient,
    SessionRevoked,
    StoreError,
    TokenRejected,
)
from daypass.issuer import AsyncDaypass, Daypass
from daypass.model import User
from daypass.steps import Flow, LoadUser
from daypass.web.bearer import TokenMissing, bearer_text, forbidden, unauthorized, unavailable
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
        if isinstance(self.error, TokenRejected):
            return returned(unauthorized(self.error))
        if isinstance(self.error, ScopeInsufficient):
            return returned(forbidden(self.error))
        return returned(unavailable(self.error))


class _Requirement(Generic[T]):
    """What is required, whatever the colour."""

    def __init__(self, scope: str | None, *, optional: bool, with_user: bool) -> None:
        self._scope = scopes.checked(scope)
        self._optional = optional
        self._with_user = with_user

    def _text(self, request: HttpRequest) -> str | None:
        """Return the text of the request's access token; None where it need not have one."""
        try:
            return bearer_text(request.META.get("HTTP_AUTHORIZATION", ""))
        except TokenMissing:
            if self._optional:
                return None
            raise

    def _granted(self, token: AccessToken) -> None:
        if self._scope is not None:
            token.require(self._scope)

    def _given(self, request: HttpRequest, token: AccessToken | None, user: User | None) -> T:
        """Leave at the request what is known of it, and return what was asked for."""
        noted = cast("Any", request)
        noted.daypass_token = token
        if self._with_user:
            noted.daypass_user = user
        return cast("T", user if self._with_user else token)


class Required(_Requirement[T]):
    """An access token that a `Daypass` has to find good: call it with a request, or decorate a view with it."""

    def __init__(
        self, auth: Daypass, scope: str | None = None, *, optional: bool = False, with_user: bool = False
    ) -> None:
        super().__init__(scope, optional=optional, with_user=with_user)
        self._auth = auth

    @overload
    def __call__(self, request: HttpRequest, /) -> T: ...
    @overload
    def __call__(self, view: ViewT, /) -> ViewT: ...
    def __call__(self, what: Any, /) -> Any:
        """Return what a request's access token says, or the view that is entered with a good one alone.

        Raises:
            Refused: a request's will not do.
        """
        return self._decorated(what) if callable(what) else self._found(_django(what))

    def _found(self, request: HttpRequest) -> T:
        try:
            text = self._text(request)
            if text is None:
                return self._given(request, None, None)
            token = self._auth.verify(text)
            self._granted(token)
            return self._given(request, token, self._auth.run(user_of(token)) if self._with_user else None)
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
                except Refused as refused:
                    return refused.response

            return arequiring

        @wraps(view)
        def requiring(*args: Any, **kwargs: Any) -> Any:
            try:
                self._found(_request(args))
                return view(*args, **kwargs)
            except Refused as refused:
                return refused.response

        return requiring


class AsyncRequired(_Requirement[T]):
    """The same with an `AsyncDaypass`: await it with a request, or decorate an async view with it."""

    def __init__(
        self, auth: AsyncDaypass, scope: str | None = None, *, optional: bool = False, with_user: bool = False
    ) -> None:
        super().__init__(scope, optional=optional, with_user=with_user)
        self._auth = auth

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
        return self._decorated(what) if callable(what) else self._found(_django(what))

    async def _found(self, request: HttpRequest) -> T:
        try:
            text = self._text(request)
            if text is None:
                return self._given(request, None, None)
            token = await self._auth.verify(text)
            self._granted(token)
            return self._given(request, token, await self._auth.run(user_of(token)) if self._with_user else None)
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
            except Refused as refused:
                return refused.response

        return requiring


def user_of(token: AccessToken) -> Flow[User]:
    """Return an access token's user, as the application's ``load_user`` knows it now.

    Raises:
        SessionRevoked: it is gone, or disabled.
    """
    user = yield from LoadUser(token.subject)
    if user is None or user.disabled:
        raise SessionRevoked("the access token's user is gone")
    return user


@overload
def bearer(auth: Daypass, scope: str | None = None, optional: Literal[False] = False) -> Required[AccessToken]: ...
@overload
def bearer(auth: Daypass, scope: str | None = None, *, optional: bool) -> Required[AccessToken | None]: ...
@overload
def bearer(
    auth: AsyncDaypass, scope: str | None = None, optional: Literal[False] = False
) -> AsyncRequired[AccessToken]: ...
@overload
def bearer(auth: AsyncDaypass, scope: str | None = None, *, optional: bool) -> AsyncRequired[AccessToken | None]: ...
def bearer(auth: Daypass | AsyncDaypass, scope: str | None = None, optional: bool = False) -> Any:
    """Return what requires an access token.

    ``token = bearer(auth)(request)`` returns what it says (to be awaited, with an `AsyncDaypass`). ``@bearer(auth)``
    decorates a view or a method of one, which finds it in ``request.daypass_token``.

    Args:
        auth: the issuer.
        scope: what the token has to be good for, words with spaces between them (RFC 6749 §3.3).
        optional: accept a request without a token, and give None; a bad token is refused.

    Raises:
        ConfigurationError: an argument cannot work.
        Refused: later, when a request's token will not do.
    """
    return _required(auth, scope, optional=optional, with_user=False)


@overload
def current_user(auth: Daypass, scope: str | None = None, optional: Literal[False] = False) -> Required[User]: ...
@overload
def current_user(auth: Daypass, scope: str | None = None, *, optional: bool) -> Required[User | None]: ...
@overload
def current_user(
    auth: AsyncDaypass, scope: str | None = None, optional: Literal[False] = False
) -> AsyncRequired[User]: ...
@overload
def current_user(auth: AsyncDaypass, scope: str | None = None, *, optional: bool) -> AsyncRequired[User | None]: ...
def current_user(auth: Daypass | AsyncDaypass, scope: str | None = None, optional: bool = False) -> Any:
    """Return what requires an access token and gives its `daypass.User`, as ``load_user`` knows it now.

    It is used as `bearer` is, and leaves the user in ``request.daypass_user`` besides. One who is gone or disabled is
    refused with 401.
    """
    return _required(auth, scope, optional=optional, with_user=True)


def _required(auth: object, scope: str | None, *, optional: bool, with_user: bool) -> Any:
    if isinstance(auth, AsyncDaypass):
        return AsyncRequired[Any](auth, scope, optional=optional, with_user=with_user)
    if isinstance(auth, Daypass):
        return Required[Any](auth, scope, optional=optional, with_user=with_user)
    raise ConfigurationError(f"auth has to be a Daypass or an AsyncDaypass, not a {type(auth).__name__}")


def _request(args: tuple[Any, ...]) -> HttpRequest:
    """Return the request among a view's arguments: the first, or the second of a method."""
    for argument in args[:2]:
        if isinstance(argument, HttpRequest) or isinstance(getattr(argument, "_request", None), HttpRequest):
            return _django(argument)
    raise ConfigurationError("what is decorated is no view: it was not called with a request")


def _django(request: Any) -> HttpRequest:
    """Return a request of Django's, from one of REST framework's too."""
    return cast("HttpRequest", getattr(request, "_request", request))


def _is_async(view: Callable[..., Any]) -> bool:
    """Tell whether a view has to be awaited; ``dispatch`` of an async class has, though it is no coroutine function."""
    inner = view.func if isinstance(view, partial) else view
    owner = getattr(inner, "__self__", None)
    return iscoroutinefunction(view) or iscoroutinefunction(inner) or bool(getattr(owner, "view_is_async", False))
