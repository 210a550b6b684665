"""Daypass in Django REST framework, over real HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import httpx2
import pytest
from django.contrib.auth import get_user_model
from django.urls import path
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from daypass import AsyncDaypass, ConfigurationError, Daypass, User
from daypass.duration import MINUTE
from daypass.testing import Clock
from daypass.web.django import bearer, users
from daypass.web.django.pages import Pages
from daypass.web.django.rest_framework import (
    DaypassAuthentication,
    HasAuthentication,
    HasScope,
    Principal,
    StatelessAuthentication,
)

from ...cookie_names import without_port
from ...servers.wsgi import serving
from ..world import ISSUER, SECRET, body_of
from .project import Wsgi, tables, with_middleware

CHALLENGE = 'Bearer realm="daypass"'


class Api:
    """An API with one view for each permission, and a user of it."""

    def __init__(self) -> None:
        tables()
        self.clock = Clock()
        self.auth = Daypass("memory:", issuer=ISSUER, load_user=users.load_user, clock=self.clock)
        manager: Any = get_user_model()._default_manager
        self.person: Any = manager.create_user(f"user-{uuid4().hex}", password="correct horse")

    def token(self, scope: str | None = None) -> str:
        return self.auth.start(users.as_user(self.person), scope=scope).access_token


def view(auth: Any, permission: Any, kind: type[DaypassAuthentication] = DaypassAuthentication) -> Any:
    chosen = type("Chosen", (kind,), {"auth": auth})

    class Shown(APIView):
        authentication_classes: ClassVar = [chosen, BasicAuthentication]
        permission_classes: ClassVar = [permission]

        def get(self, request: Any) -> Response:
            return Response({"user": str(request.user), "subject": request.auth and request.auth.subject})

        post = get

    return Shown.as_view()


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    with made.auth:
        yield made


@pytest.fixture
def client(api: Api) -> Iterator[httpx2.Client]:
    patterns = [
        path("any", view(api.auth, AllowAny)),
        path("known", view(api.auth, IsAuthenticated)),
        path("read", view(api.auth, HasScope("read"))),
        path("both", view(api.auth, HasScope("read write"))),
        path("either", view(api.auth, HasScope("admin") | HasScope("read"))),
        path("neither", view(api.auth, HasScope("admin") | IsAdminUser)),
        path("not", view(api.auth, IsAuthenticated & ~HasScope("admin"))),
        path("recent", view(api.auth, HasAuthentication(max_age="5m"))),
        path("strong", view(api.auth, HasAuthentication(acr="mfa"))),
        path("stateless", view(api.auth, IsAuthenticated, StatelessAuthentication)),
    ]
    with serving(Wsgi(patterns)) as address, httpx2.Client(base_url=address) as made:
        yield made


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_who_comes(api: Api, client: httpx2.Client) -> None:
    """``request.user`` is the Django user and ``request.auth`` the token; a ``POST`` needs no CSRF token."""
    expected = {"user": api.person.username, "subject": str(api.person.pk)}
    for method in ("GET", "POST"):
        answer = client.request(method, "/known", headers=bearing(api.token()))
        assert (200, expected) == (answer.status_code, answer.json())


def test_a_request_without_a_token_is_anonymous(client: httpx2.Client) -> None:
    """Without a token a request is anonymous: 401 and a challenge without an error where a user is required."""
    assert {"user": "AnonymousUser", "subject": None} == client.get("/any").json()
    for name in ("known", "read", "neither"):
        answer = client.get(f"/{name}")
        assert (401, CHALLENGE) == (answer.status_code, answer.headers["www-authenticate"])


def test_a_refused_token(api: Api, client: httpx2.Client) -> None:
    """A bad token is always 401, with the reason in the challenge, and our body."""

    def challenge(token: str, path: str = "/any") -> str:
        answer = client.get(path, headers=bearing(token))
        assert (401, body_of("invalid_token")) == (answer.status_code, answer.content)
        return str(answer.headers["www-authenticate"]).removeprefix(f'{CHALLENGE}, error="invalid_token", ')

    token = api.token()
    assert 'error_description="not an access token"' == challenge("garbage")
    api.clock.advance(15 * MINUTE)
    assert 'error_description="the access token has expired"' == challenge(token, "/known")
    token = api.token()
    api.auth.end_all(str(api.person.pk))
    assert 'error_description="the access token\'s session has ended"' == challenge(token)


@pytest.mark.parametrize("change", ["gone", "disabled"])
def test_a_user_who_is_gone(api: Api, client: httpx2.Client, change: str) -> None:
    """A user who is gone or not active is refused at once, with a token that is still good."""
    token = api.token()
    assert 200 == client.get("/known", headers=bearing(token)).status_code
    if change == "gone":
        api.person.delete()
    else:
        type(api.person)._default_manager.filter(pk=api.person.pk).update(is_active=False)
    answer = client.get("/known", headers=bearing(token))
    assert (401, True) == (answer.status_code, "gone or disabled" in answer.headers["www-authenticate"])
    assert 200 == client.get("/stateless", headers=bearing(token)).status_code


def test_other_authentication(api: Api, client: httpx2.Client) -> None:
    """A request with other credentials goes to the next class in the list; it has no scope."""
    basic = (api.person.username, "correct horse")
    assert {"user": api.person.username, "subject": None} == client.get("/known", auth=basic).json()
    assert 403 == client.get("/read", auth=basic).status_code


@pytest.mark.parametrize(
    ("granted", "allowed"),
    [
        (None, {"not"}),
        ("read", {"read", "either", "not"}),
        ("read write", {"read", "both", "either", "not"}),
        ("admin", {"either", "neither"}),
    ],
)
def test_a_scope(api: Api, client: httpx2.Client, granted: str | None, allowed: set[str]) -> None:
    """A permission accepts what the token's scope allows, alone and combined with others; the rest is 403."""
    headers = bearing(api.token(granted))
    found = {name: client.get(f"/{name}", headers=headers) for name in ("read", "both", "either", "neither", "not")}
    assert allowed == {name for name, answer in found.items() if answer.status_code == 200}
    assert {403} == {answer.status_code for name, answer in found.items() if name not in allowed}
    if "both" not in allowed:
        refused = found["both"]
        assert "insufficient_scope" == refused.json()["error"]
        needed = f'{CHALLENGE}, error="insufficient_scope", scope="read write"'
        assert needed == refused.headers["www-authenticate"]


def test_without_a_table_of_users(api: Api, client: httpx2.Client) -> None:
    """The principal is what the token says, for a user whom no table knows."""
    tokens = api.auth.start(User("no number", "ann", "ann@example.com"))
    answer = client.get("/stateless", headers=bearing(tokens.access_token))
    assert {"user": "ann", "subject": "no number"} == answer.json()
    assert 401 == client.get("/known", headers=bearing(tokens.access_token)).status_code
    first, second = (Principal(api.auth.verify(tokens.access_token)) for _ in range(2))
    nameless = Principal(api.auth.verify(api.auth.start(User("2")).access_token))
    assert (first, {first}, "2") == (second, {second}, str(nameless))
    assert first != nameless
    assert ("ann@example.com", "ann", True) == (first.email, first.username, first.is_authenticated)


def test_keys_out_of_reach(tmp_path: Path) -> None:
    """While the signing keys cannot be read the answer is 503 and when to try again: nothing was decided."""
    auth = Daypass(f"sqlite:///{tmp_path}", issuer=ISSUER, secret=SECRET, load_user=users.load_user)
    with serving(Wsgi([path("", view(auth, AllowAny))])) as address:
        answer = httpx2.get(address, headers=bearing("x.y.z"))
    expected = (503, "1", body_of("temporarily_unavailable", "Try again in a moment"))
    assert expected == (answer.status_code, answer.headers["retry-after"], answer.content)


def test_pages(api: Api) -> None:
    """A page's own script, with nothing but cookies, is known to the API; one of another site is refused."""
    with with_middleware(Pages(api.auth)):
        handler = Wsgi([path("", view(api.auth, IsAuthenticated))])
    tokens = api.auth.start(users.as_user(api.person))
    cookie = {"cookie": f"daypass={tokens.refresh_token}"}
    with serving(handler) as address:
        answer = httpx2.post(address, headers=cookie)
        assert (200, api.person.username) == (answer.status_code, answer.json()["user"])
        assert ["daypass", "daypass-access"] == without_port(answer.cookies)
        assert 403 == httpx2.post(address, headers=cookie | {"sec-fetch-site": "cross-site"}).status_code


def test_decorated(api: Api) -> None:
    """`bearer` decorates a method of an API's view, too."""

    class Shown(APIView):
        authentication_classes: ClassVar[list[Any]] = []

        @bearer(api.auth)
        def get(self, request: Any) -> Response:
            return Response({"subject": request.daypass_token.subject})

    with serving(Wsgi([path("", Shown.as_view())])) as address:
        assert {"subject": str(api.person.pk)} == httpx2.get(address, headers=bearing(api.token())).json()
        assert 401 == httpx2.get(address).status_code


def test_recent_or_stronger_login_is_required(api: Api, client: httpx2.Client) -> None:
    """A login that is too weak is a 401 that says what is needed (RFC 9470); a recent and strong one passes."""
    tokens = api.auth.start(users.as_user(api.person))
    assert 200 == client.get("recent", headers=bearing(tokens.access_token)).status_code
    refused = client.get("strong", headers=bearing(tokens.access_token))
    assert (401, "insufficient_user_authentication") == (refused.status_code, refused.json()["error"])
    assert refused.headers["www-authenticate"].endswith('acr_values="mfa"')
    confirmed = api.auth.confirm(tokens.session.id, amr=["otp"], acr="mfa")
    assert 200 == client.get("strong", headers=bearing(confirmed.access_token)).status_code
    assert 401 == client.get("strong").status_code


def test_wrong_arguments_are_refused(api: Api) -> None:
    """An invalid scope, and an async issuer, are refused with a message."""
    for scope in ("", '"', None):
        with pytest.raises(ConfigurationError, match="scope"):
            HasScope(scope)  # type: ignore[arg-type]  # None is the mistake
    assert issubclass(HasScope("read"), BasePermission)
    chosen = type(
        "Chosen", (DaypassAuthentication,), {"auth": AsyncDaypass("memory:", issuer=ISSUER, load_user=users.aload_user)}
    )
    from django.test import RequestFactory

    with pytest.raises(ConfigurationError, match="REST framework needs Daypass, not AsyncDaypass"):
        chosen().authenticate(RequestFactory().get("/", headers=bearing(api.token())))
