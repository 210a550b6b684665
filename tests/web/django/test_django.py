"""Daypass in Django, sync and async, over real HTTP, and what a Django developer may do with it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import httpx2
import pytest
from asgiref.sync import iscoroutinefunction
from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory, override_settings
from django.urls import include, path, reverse
from django.utils.decorators import method_decorator
from django.views import View
from starlette.types import ASGIApp

from daypass import AsyncDaypass, ConfigurationError, Daypass, EventCode
from daypass.access_token import AccessToken
from daypass.duration import MINUTE
from daypass.web.clients import Client as OAuthClient
from daypass.web.django import Refused, auth_urls, bearer, current_user, oauth_urls, well_known_urls
from daypass.web.django.refusals import AnswerRefusals

from ...servers.application import serving as serving_async
from ...servers.wsgi import serving
from ..live import LOGIN, Application, Mounted, raw, told
from ..live_wsgi import MountedInWsgi, SyncApplication
from ..world import ALICE, BOB, ISSUER, SECRET, body_of
from .project import MIDDLEWARE, Asgi, Urls, Wsgi, with_lifespan

ATOMIC = True


class TestDjango(MountedInWsgi):
    refusal = body_of
    makers = ()

    def mount(self, application: SyncApplication, prefix: str = "/auth", **options: Any) -> Wsgi:
        return Wsgi(urls(application, prefix, **options))

    def test_an_async_issuer(self) -> None:
        """The colour of the views is that of the issuer."""
        auth = AsyncDaypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: None)
        assert all(iscoroutinefunction(url.callback) for url in [*auth_urls(auth), *well_known_urls(auth)])
        blocking = SyncApplication().auth
        assert not any(iscoroutinefunction(url.callback) for url in auth_urls(blocking))


class TestAsyncDjango(Mounted):
    refusal = body_of
    makers = ()

    def mount(self, application: Application, prefix: str = "/auth", **options: Any) -> ASGIApp:
        return with_lifespan(cast("ASGIApp", Asgi(urls(application, prefix, **options))), application.lifespan)

    def test_a_sync_issuer(self) -> None:
        """A `Daypass` serves under ASGI too: Django calls its views in a thread."""
        application = SyncApplication()
        with self.serve(Asgi(urls(application))) as address, httpx2.Client(base_url=address) as client:
            access = client.post("/auth/login", json=LOGIN).json()["accessToken"]
            answer = client.get("/profile", headers=bearing(access))
            assert (200, "alice") == (answer.status_code, answer.json()["username"])
            assert 200 == client.post("/auth/refresh").status_code


def urls(application: Application, prefix: str = "/auth", **options: Any) -> list[Any]:
    auth = application.auth
    view: Any
    if isinstance(auth, AsyncDaypass):

        @bearer(auth)
        async def aprofile(request: HttpRequest) -> HttpResponse:
            return JsonResponse(told(request.daypass_token))  # type: ignore[attr-defined]  # put there by bearer

        view = aprofile
    else:
        blocking: Daypass = auth

        @bearer(blocking)
        def profile(request: HttpRequest) -> HttpResponse:
            return JsonResponse(told(request.daypass_token))  # type: ignore[attr-defined]  # put there by bearer

        view = profile
    return [
        path(f"{prefix.removeprefix('/')}/", include(auth_urls(auth, authenticate=application.check, **options))),
        path("profile", view),
        *well_known_urls(auth),
    ]


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def application() -> SyncApplication:
    return SyncApplication()


@pytest.fixture
def auth(application: SyncApplication) -> Daypass:
    return application.auth


def asked(token: str | None = None, path: str = "/") -> HttpRequest:
    return RequestFactory().get(path, headers={} if token is None else bearing(token))


def json_of(response: HttpResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.content)
    return found


# ---- how it is mounted


def test_names_of_urls(auth: Daypass) -> None:
    """The endpoints can be reversed, in a namespace too, and none has the name of one of Django's own."""
    plain = cast("str", Urls([path("auth/", include(auth_urls(auth))), *well_known_urls(auth)]))
    found = {name: reverse(f"daypass-{name}", plain) for name in ("login", "refresh", "logout", "me", "sessions")}
    assert {name: f"/auth/{name}" for name in found} == found
    assert "/auth/device/refresh" == reverse("daypass-device-refresh", plain)
    assert f"/auth/sessions/{32 * '0'}" == reverse("daypass-session", plain, [32 * "0"])
    assert "/.well-known/jwks.json" == reverse("daypass-jwks.json", plain)
    spaced = cast("str", Urls([path("auth/", include((auth_urls(auth), "identity")))]))
    assert "/auth/login" == reverse("identity:daypass-login", spaced)


def test_oauth_clients(application: SyncApplication) -> None:
    """With clients there are the OAuth endpoints, whose forms Django does not touch, and their metadata."""
    auth = application.auth
    clients = [OAuthClient("app")]
    patterns = [
        path("oauth/", include(oauth_urls(auth, clients=clients))),
        *well_known_urls(auth, clients=clients),
    ]
    tokens = auth.start(ALICE, client_id="app")
    with serving(Wsgi(patterns)) as address, httpx2.Client(base_url=address) as client:
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token, "client_id": "app"}
        answer = client.post("/oauth/token", data=form)
        assert (200, "Bearer") == (answer.status_code, answer.json()["token_type"])
        metadata = client.get("/.well-known/oauth-authorization-server").json()
        assert (ISSUER, f"{ISSUER}/oauth/token") == (metadata["issuer"], metadata["token_endpoint"])


def test_settings_of_the_project(application: SyncApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CSRF check, required logins, atomic requests and small uploads do not break the endpoints."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", ATOMIC)
    login_required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    user = f"{__name__}.nobody"
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10, MIDDLEWARE=[*MIDDLEWARE, user, login_required]):
        handler = Wsgi(urls(application))
        with serving(handler) as address, httpx2.Client(base_url=address) as client:
            assert 200 == client.post("/auth/login", json=LOGIN).status_code
            assert 200 == client.post("/auth/refresh", content=1000 * b"x").status_code
            assert (302, "/login") == ((asked := client.get("/profile")).status_code, asked.headers["location"][:6])


def test_atomic_requests_of_async_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django refuses async views in atomic requests; those of the endpoints are not."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", ATOMIC)
    application = Application()
    app = with_lifespan(Asgi(urls(application)), application.lifespan)
    with serving_async(app) as address:
        assert 200 == httpx2.post(f"{address}/auth/login", json=LOGIN).status_code
        assert 500 == httpx2.get(f"{address}/profile").status_code


def nobody(get_response: Any) -> Any:
    """Replace Django's middleware of sessions and users."""
    from django.contrib.auth.models import AnonymousUser

    def serve(request: Any) -> Any:
        request.user = AnonymousUser()
        return get_response(request)

    return serve


def test_behind_a_proxy(application: SyncApplication) -> None:
    """What ends TLS is trusted as the project's settings say, and hosts are those that they allow."""
    secure = {"host": "api.example.com", "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}
    with (
        override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"), ALLOWED_HOSTS=[".example.com"]),
        serving(Wsgi(urls(application))) as address,
    ):
        answer = httpx2.post(f"{address}/auth/login", json=LOGIN, headers=secure)
        assert (200, "__Host-daypass") == (answer.status_code, answer.headers["set-cookie"].partition("=")[0])
        assert "Secure" in answer.headers["set-cookie"].split("; ")
        assert 403 == httpx2.post(f"{address}/auth/login", json=LOGIN, headers={"host": "api.example.com"}).status_code
        other = httpx2.post(f"{address}/auth/login", json=LOGIN, headers=secure | {"host": "evil.example"})
        assert (400, False) == (other.status_code, "set-cookie" in other.headers)
    assert [EventCode.STARTED] == application.codes()


def test_slashes(application: SyncApplication) -> None:
    """``APPEND_SLASH`` sends no endpoint elsewhere, where its body would be lost."""
    with override_settings(APPEND_SLASH=True), serving(Wsgi(urls(application))) as address:
        assert 200 == httpx2.post(f"{address}/auth/login", json=LOGIN).status_code
        assert 404 == httpx2.post(f"{address}/auth/login/", json=LOGIN).status_code


def test_a_body_in_chunks(application: SyncApplication) -> None:
    """A body without a length, of which Django itself reads nothing under WSGI, is read."""
    with serving(Wsgi(urls(application))) as address:
        content = iter([json.dumps(LOGIN).encode()])
        assert (
            200
            == httpx2.post(
                f"{address}/auth/login", content=content, headers={"content-type": "application/json"}
            ).status_code
        )


@pytest.mark.parametrize("length", ["-1", "x", "1_0"])
def test_an_invalid_length_is_refused(application: SyncApplication, length: str) -> None:
    """A ``Content-Length`` that is no number does not get a body in, and breaks nothing."""
    with serving(Wsgi(urls(application))) as address:
        head = f"POST /auth/login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        assert raw(address, head.encode(), goes_away=True).split(b" ")[1] in (b"400", b"415")
    assert [] == application.events


# ---- what a view may require


def test_in_the_middle_of_a_view(auth: Daypass) -> None:
    """Called with a request, it returns the token; a refusal is an error that has the response."""
    require, tokens = bearer(auth), auth.start(ALICE)
    token = require(asked(tokens.access_token))
    assert ("user-1", tokens.session.id) == (token.subject, token.session_id)
    assert ALICE == current_user(auth)(asked(tokens.access_token))
    with pytest.raises(Refused) as refused:
        require(asked("garbage"))
    response = refused.value.response
    assert (401, body_of("invalid_token")) == (response.status_code, response.content)
    assert 'error="invalid_token"' in response["www-authenticate"]


async def test_in_the_middle_of_an_async_view() -> None:
    """The same, awaited, with an `AsyncDaypass`."""
    auth = Application().auth
    tokens = await auth.start(ALICE)
    assert "user-1" == (await bearer(auth)(asked(tokens.access_token))).subject
    assert ALICE == await current_user(auth)(asked(tokens.access_token))
    with pytest.raises(Refused):
        await current_user(auth)(asked())
    await auth.close()


def test_let_through(auth: Daypass) -> None:
    """A refusal that a view does not catch is answered by the middleware; any other error is not touched."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(bearer(auth)(request).subject)

    def broken(_request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    middleware = f"{AnswerRefusals.__module__}.{AnswerRefusals.__name__}"
    tokens = auth.start(ALICE)
    with (
        override_settings(MIDDLEWARE=[*MIDDLEWARE, middleware]),
        serving(Wsgi([path("", view), path("broken", broken)])) as address,
    ):
        answers = [httpx2.get(address), httpx2.get(address, headers=bearing(tokens.access_token))]
        assert [(401, body_of("invalid_token")), (200, b"user-1")] == [(a.status_code, a.content) for a in answers]
        assert 500 == httpx2.get(f"{address}/broken").status_code


def test_let_through_an_async_view() -> None:
    """The same under ASGI."""
    application = Application()

    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse((await bearer(application.auth)(request)).subject)

    middleware = f"{AnswerRefusals.__module__}.{AnswerRefusals.__name__}"
    with override_settings(MIDDLEWARE=[*MIDDLEWARE, middleware]):
        app = with_lifespan(Asgi([path("", view)]), application.lifespan)
    with serving_async(app) as address:
        answer = httpx2.get(address)
        assert (401, body_of("invalid_token")) == (answer.status_code, answer.content)


def test_a_view_keeps_what_it_is(auth: Daypass) -> None:
    """A decorated view has its name and its arguments, and is not entered without a token."""
    entered: list[int] = []

    @bearer(auth)
    def document(request: HttpRequest, number: int) -> HttpResponse:
        entered.append(number)
        return HttpResponse(request.daypass_token.subject)  # type: ignore[attr-defined]  # put there by bearer

    assert "document" == document.__name__
    assert b"user-1" == document(asked(auth.start(ALICE).access_token), number=7).content
    assert 401 == document(asked(), number=8).status_code
    assert [7] == entered


@pytest.mark.parametrize("granted", ["read", "read write", "write read admin", None])
def test_a_scope(auth: Daypass, granted: str | None) -> None:
    """A token whose scope does not allow it is a 403 that says what would; one that does is let in."""

    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    answer = bearer(auth, scope="read write")(view)(asked(auth.start(ALICE, scope=granted).access_token))
    if {"read", "write"} <= set((granted or "").split()):
        assert 200 == answer.status_code
    else:
        assert (403, "insufficient_scope") == (answer.status_code, json_of(answer)["error"])
        challenge = 'Bearer realm="daypass", error="insufficient_scope", scope="read write"'
        assert challenge == answer["www-authenticate"]


@pytest.mark.parametrize("header", [None, "Basic eDp5"])
def test_an_optional_token(application: SyncApplication, header: str | None) -> None:
    """If it is optional, no token is None, and a bad one is still refused."""
    auth = application.auth
    request = asked()
    if header is not None:
        request.META["HTTP_AUTHORIZATION"] = header
    assert (None, None) == (bearer(auth, optional=True)(request), current_user(auth, optional=True)(request))
    token = auth.start(ALICE).access_token
    assert bearer(auth, optional=True)(asked(token)) is not None
    application.clock.advance(15 * MINUTE)
    for bad in ("garbage", token):
        with pytest.raises(Refused):
            bearer(auth, optional=True)(asked(bad))


def test_a_user_who_is_gone() -> None:
    """A token of a user who is gone or disabled is refused where the user is wanted, and says so."""
    people = {ALICE.subject: ALICE, BOB.subject: BOB}
    auth = Daypass("memory:", issuer=ISSUER, load_user=people.get)
    tokens = [auth.start(user).access_token for user in (ALICE, BOB)]
    del people[ALICE.subject]
    people[BOB.subject] = replace(BOB, disabled=True)
    for token in tokens:
        with pytest.raises(Refused) as refused:
            current_user(auth)(asked(token))
        response = refused.value.response
        assert (401, True) == (response.status_code, "gone or disabled" in response["www-authenticate"])
        assert bearer(auth)(asked(token)).subject
    auth.close()


def test_classes(auth: Daypass) -> None:
    """It decorates a class by ``dispatch``, one method by ``method_decorator``, or a method as it is."""
    require, token = bearer(auth), auth.start(ALICE).access_token

    @method_decorator(require, name="dispatch")
    class Whole(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse(request.daypass_token.subject)  # type: ignore[attr-defined]  # put there by bearer

    class Parts(View):
        @method_decorator(require)
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("get")

        @require
        def head(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("head")

        def options(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("options")

    for view, method in ((Whole.as_view(), "get"), (Parts.as_view(), "get"), (Parts.as_view(), "head")):
        make = getattr(RequestFactory(), method)
        assert (200, 401) == (view(make("/", headers=bearing(token))).status_code, view(make("/")).status_code)
    assert 200 == Parts.as_view()(RequestFactory().options("/")).status_code


@pytest.mark.parametrize("colour", [Application, SyncApplication])
async def test_async_classes(colour: type[Application]) -> None:
    """The same for async classes, with either issuer."""
    auth = colour().auth
    started = auth.start(ALICE)
    token = (await started if asyncio.iscoroutine(started) else started).access_token
    require: Callable[[Callable[..., Any]], Callable[..., Any]] = bearer(auth)

    @method_decorator(require, name="dispatch")
    class Whole(View):
        async def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse(request.daypass_token.subject)  # type: ignore[attr-defined]  # put there by bearer

    class Parts(View):
        @require
        async def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("get")

    class Wrapped(View):
        @method_decorator(require)
        async def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("get")

    for kind in (Whole, Parts, Wrapped):
        view: Any = kind.as_view()
        answers = [await view(asked(token)), await view(asked())]
        assert [200, 401] == [answer.status_code for answer in answers]
    if (closing := auth.close()) is not None:
        await closing


def test_wrong_arguments_are_refused(auth: Daypass) -> None:
    """What cannot work is said: no issuer, no scope, no view, and a sync view with an issuer that is to be awaited."""
    for make in (bearer, current_user):
        with pytest.raises(ConfigurationError, match="needs Daypass, not a NoneType"):
            make(None)  # type: ignore[call-overload]  # that is the mistake
        with pytest.raises(ConfigurationError, match="a scope has to be words"):
            make(auth, scope='"')
    with pytest.raises(ConfigurationError, match="called without a request"):
        bearer(auth)(lambda: None)()
    view = bearer(Application().auth)(lambda _request: HttpResponse())
    with pytest.raises(ConfigurationError, match="needs Daypass, not AsyncDaypass"):
        view(asked())


def test_the_types(auth: Daypass) -> None:
    """Mypy knows what a view gets in the middle of a request: a token, or a user, or None."""
    token = auth.start(ALICE).access_token
    found: AccessToken = bearer(auth)(asked(token))
    perhaps: AccessToken | None = bearer(auth, optional=True)(asked(token))
    assert found == perhaps
