"""A verifier in place of the issuer, in Django, REST framework and, by the same promises, Flask: over real HTTP."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import flask
import httpx2
import pytest
from django.http import HttpRequest, JsonResponse
from django.test import override_settings
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from daypass import AsyncDaypass, AsyncRemoteVerifier, ConfigurationError, Daypass, RemoteVerifier
from daypass.duration import MINUTE
from daypass.testing import Clock
from daypass.web import django as web_django
from daypass.web import flask as web_flask
from daypass.web.django.rest_framework import HasScope, StatelessAuthentication

from ...servers import application as asgi_server
from ...servers import wsgi as wsgi_server
from ...verifier.publisher import ISSUER, USER, Publisher, issuer, publishing, sending
from .project import Asgi, Wsgi

Make = Callable[[str, Clock], AbstractContextManager[str]]


def in_flask(jwks_url: str, clock: Clock) -> AbstractContextManager[str]:
    require = web_flask.bearer(RemoteVerifier(ISSUER, jwks_url=jwks_url, clock=clock), scope="read")
    app = flask.Flask(__name__)

    @app.get("/reports")
    @require
    def reports() -> str:
        return web_flask.current_token.subject

    return wsgi_server.serving(app)


def in_django(jwks_url: str, clock: Clock) -> AbstractContextManager[str]:
    @web_django.bearer(RemoteVerifier(ISSUER, jwks_url=jwks_url, clock=clock), scope="read")
    def reports(request: Any) -> JsonResponse:
        return JsonResponse(request.daypass_token.subject, safe=False)

    return wsgi_server.serving(Wsgi([path("reports", reports)]))


def in_async_django(jwks_url: str, clock: Clock) -> AbstractContextManager[str]:
    require = web_django.bearer(AsyncRemoteVerifier(ISSUER, jwks_url=jwks_url, clock=clock), scope="read")

    @require
    async def reports(request: HttpRequest) -> JsonResponse:
        return JsonResponse((await require(request)).subject, safe=False)

    return asgi_server.serving(Asgi([path("reports", reports)]))


def rest_view(verifier: Any) -> Any:
    chosen = type("Chosen", (StatelessAuthentication,), {"auth": verifier})

    class Reports(APIView):  # type: ignore[misc]  # REST framework has no types
        authentication_classes: ClassVar = [chosen]
        permission_classes: ClassVar = [IsAuthenticated, HasScope("read")]

        def get(self, request: Any) -> Response:
            return Response(request.user.pk)

    return Reports.as_view()


def in_rest_framework(jwks_url: str, clock: Clock) -> AbstractContextManager[str]:
    verifier = RemoteVerifier(ISSUER, jwks_url=jwks_url, clock=clock)
    return wsgi_server.serving(Wsgi([path("reports", rest_view(verifier))]))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth(clock: Clock) -> Iterator[Daypass]:
    with issuer(clock) as auth:
        yield auth


@pytest.fixture
def publisher(auth: Daypass) -> Iterator[Publisher]:
    with publishing(auth) as publisher:
        yield publisher


@pytest.fixture(params=[in_flask, in_django, in_async_django, in_rest_framework])
def client(request: pytest.FixtureRequest, publisher: Publisher, clock: Clock) -> Iterator[httpx2.Client]:
    make: Make = request.param
    with make(publisher.jwks_url, clock) as address, httpx2.Client(base_url=address) as client:
        yield client


def ask(client: httpx2.Client, token: str | None) -> httpx2.Response:
    return client.get("/reports", headers={} if token is None else {"authorization": f"Bearer {token}"})


def test_tokens(client: httpx2.Client, auth: Daypass, clock: Clock, publisher: Publisher) -> None:
    """Permitted requests pass; others get the reason, as from the issuer itself; the keys are fetched once."""
    good = auth.start(USER, scope="read write").access_token
    answer = ask(client, good)
    assert (200, USER.subject) == (answer.status_code, answer.text.strip('"'))
    small = ask(client, auth.start(USER, scope="write").access_token)
    assert (403, True) == (small.status_code, "insufficient_scope" in small.headers["www-authenticate"])
    clock.advance(15 * MINUTE)
    for token, error in ((None, ""), ("garbage", "invalid_token"), (good, "invalid_token")):
        refused = ask(client, token)
        challenge = refused.headers["www-authenticate"]
        assert (401, True, True) == (refused.status_code, challenge.startswith("Bearer"), error in challenge)
    assert 1 <= len(publisher.asked) <= 2  # once for each time that the keys had grown old


def test_an_issuer_that_is_down(client: httpx2.Client, auth: Daypass, clock: Clock, publisher: Publisher) -> None:
    """Without any keys it is 503 with ``Retry-After``, which no client takes for a logout; then it works again."""
    publisher.answer, working = sending(b"", 500), publisher.answer
    token = auth.start(USER, scope="read").access_token
    answer = ask(client, token)
    assert (503, "temporarily_unavailable") == (answer.status_code, answer.json()["error"])
    assert int(answer.headers["retry-after"]) >= 1
    publisher.answer = working
    clock.advance(MINUTE)
    assert 200 == ask(client, token).status_code


def test_the_setting(publisher: Publisher, auth: Daypass, clock: Clock) -> None:
    """REST framework finds a verifier by the setting ``DAYPASS``, too."""
    verifier = RemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock)
    with (
        override_settings(DAYPASS=verifier),
        wsgi_server.serving(Wsgi([path("reports", rest_view(None))])) as address,
        httpx2.Client(base_url=address) as client,
    ):
        assert 200 == ask(client, auth.start(USER, scope="read").access_token).status_code


def test_an_async_verifier_is_refused() -> None:
    """Flask and REST framework refuse an async verifier, and say what to use; so does ``current_user``."""
    remote = AsyncRemoteVerifier(ISSUER)
    with pytest.raises(ConfigurationError, match="Daypass"):
        web_flask.bearer(remote)  # type: ignore[call-overload]  # the test is about this
    for auth in (remote, AsyncDaypass("memory:", issuer=ISSUER, load_user=lambda _: None), object(), None):
        request = type("Asking", (), {"META": {"HTTP_AUTHORIZATION": "Bearer x"}})()
        with pytest.raises(ConfigurationError):
            type("Chosen", (StatelessAuthentication,), {"auth": auth})().authenticate(request)
    for find in (web_flask.current_user, web_django.current_user):
        with pytest.raises(ConfigurationError):
            find(RemoteVerifier(ISSUER))  # type: ignore[call-overload]  # the test is about this
