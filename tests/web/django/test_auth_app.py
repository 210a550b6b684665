"""Daypass with ``django.contrib.auth``: its logout, its password change, its login, and the system checks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from django.contrib import auth as contrib
from django.contrib.auth.models import User as DjangoUser
from django.contrib.auth.views import LoginView
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from daypass import AsyncDaypass, Daypass
from daypass.testing import Clock
from daypass.web.django import log_in, log_out, users
from daypass.web.django.checks import check_daypass
from daypass.web.django.pages import Pages
from daypass.web.django.refusals import AnswerRefusals

from ...cookie_names import without_port
from ...servers import application as asgi_server
from ...servers import wsgi
from ..world import ISSUER, SECRET
from . import project
from .project import Asgi, Wsgi, tables

auth: Any = None
"""What the setting DAYPASS leads to."""

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
CSRF = 32 * "a"
PAGES = f"{project.__name__}.middleware"


class LoginByDaypass(LoginView):
    """Django's login page, as docs/django.md shows it."""

    def form_valid(self, form: Any) -> HttpResponse:
        self.request.daypass.log_in(auth.start(users.as_user(form.get_user())))  # type: ignore[attr-defined]  # of Pages
        return HttpResponse("in")


def urls() -> list[Any]:
    def home(request: Any) -> HttpResponse:
        return JsonResponse({"user": request.user.get_username(), "session": bool(request.daypass.token)})

    @csrf_exempt
    def logout(request: HttpRequest) -> HttpResponse:
        contrib.logout(request)
        return HttpResponse("Logged out")

    @csrf_exempt
    def django_login(request: HttpRequest) -> HttpResponse:
        contrib.login(request, DjangoUser.objects.get(username=request.POST["username"]))
        return HttpResponse("in")

    @csrf_exempt
    def change(request: Any) -> HttpResponse:
        person = DjangoUser.objects.get(username=request.POST["username"])
        person.set_password(request.POST["password"])
        person.save()
        return HttpResponse("changed")

    return [
        path("", home),
        path("logout", logout),
        path("login", csrf_exempt(LoginByDaypass.as_view())),
        path("django-login", django_login),
        path("change", change),
    ]


@pytest.fixture
def person() -> DjangoUser:
    tables()
    return DjangoUser.objects.create_user(f"ann-{uuid4().hex[:8]}", password="correct horse")


@pytest.fixture
def site(person: DjangoUser) -> Iterator[str]:
    global auth
    auth = Daypass("memory:", issuer=ISSUER, secret=SECRET, clock=Clock(), load_user=users.load_user)
    project.middleware = Pages(auth, user=True)
    settings = {
        "MIDDLEWARE": [SESSIONS, AUTHENTICATION, PAGES],
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
        "DAYPASS": f"{__name__}.auth",
        "AUTH_PASSWORD_VALIDATORS": [{"NAME": "daypass.web.django.passwords.EndSessions"}],
    }
    with override_settings(**settings), wsgi.serving(Wsgi(urls())) as address:
        yield address
    project.middleware = None


@contextmanager
def browser(site: str, person: DjangoUser) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site) as client:
        form = {"username": person.username, "password": "correct horse", "csrfmiddlewaretoken": CSRF}
        answer = client.post("/login", data=form, headers={"cookie": f"csrftoken={CSRF}"})
        assert (200, "in") == (answer.status_code, answer.text)
        yield client


def test_djangos_logout_ends_the_session(site: str, person: DjangoUser) -> None:
    """After ``django.contrib.auth.logout``, as the admin's "Log out" calls it, the next click is not logged in."""
    with browser(site, person) as client:
        assert {"user": person.username, "session": True} == client.get("/").json()
        copied = dict(client.cookies)
        assert "Logged out" == client.post("/logout").text
        assert {} == dict(client.cookies)
        assert {"user": "", "session": False} == client.get("/").json()
        assert {"user": "", "session": False} == httpx2.get(site, cookies=copied).json()


def test_djangos_login_starts_no_session_of_daypass(site: str, person: DjangoUser) -> None:
    """``django.contrib.auth.login`` logs in only to Django; ``LoginView`` needs the two lines that the docs show."""
    with httpx2.Client(base_url=site) as client:
        client.post("/django-login", data={"username": person.username})
        assert ["sessionid"] == without_port(client.cookies)
        assert {"user": person.username, "session": False} == client.get("/").json()
        assert () == auth.sessions(str(person.pk))


def test_the_own_password_change_keeps_this_session(site: str, person: DjangoUser) -> None:
    """A user who changes the own password stays logged in there, and is logged out everywhere else."""
    with browser(site, person) as here, browser(site, person) as elsewhere:
        here.post("/change", data={"username": person.username, "password": "a new one"})
        assert [True, False] == [client.get("/").json()["session"] for client in (here, elsewhere)]


def test_anothers_password_change_ends_all_sessions(site: str, person: DjangoUser) -> None:
    """When another user, such as an administrator, sets the password, all sessions of the user end."""
    boss = DjangoUser.objects.create_user(f"boss-{uuid4().hex[:8]}", password="correct horse")
    with browser(site, person) as here, browser(site, boss) as office:
        office.post("/change", data={"username": person.username, "password": "a new one"})
        assert [False, True] == [client.get("/").json()["session"] for client in (here, office)]


# ---- log_in and log_out


def own_site(kind: type[Any]) -> list[Any]:
    issuer = kind("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: None)

    def sign_up(request: HttpRequest) -> HttpResponse:
        response = JsonResponse({})
        tokens = log_in(issuer, request, response, users.as_user(DjangoUser(pk=7, username="ann")), device_name="desk")
        response.content = tokens.access_token.encode()
        return response

    def leave(request: HttpRequest) -> HttpResponse:
        response = HttpResponse("out")
        log_out(issuer, request, response, everywhere="everywhere" in request.GET)
        return response

    async def asign_up(request: HttpRequest) -> HttpResponse:
        response = JsonResponse({})
        tokens = await log_in(issuer, request, response, users.as_user(DjangoUser(pk=7, username="ann")))
        response.content = tokens.access_token.encode()
        return response

    async def aleave(request: HttpRequest) -> HttpResponse:
        response = HttpResponse("out")
        await log_out(issuer, request, response, everywhere="everywhere" in request.GET)
        return response

    views: Any = (sign_up, leave) if kind is Daypass else (asign_up, aleave)
    names = ("sign-up", "leave")
    return [path(f"own/{name}", csrf_exempt(view)) for name, view in zip(names, views, strict=True)]


@pytest.mark.parametrize("kind", [Daypass, AsyncDaypass])
def test_a_view_of_its_own_logs_in_and_out(kind: type[Any]) -> None:
    """``log_in`` sets the cookie on a view's response, and ``log_out`` removes it; another site's form gets 403."""
    refusals = f"{AnswerRefusals.__module__}.{AnswerRefusals.__name__}"
    serve: Any = wsgi.serving if kind is Daypass else asgi_server.serving
    handler = Wsgi if kind is Daypass else Asgi
    with (
        override_settings(MIDDLEWARE=[refusals]),
        serve(handler(own_site(kind))) as address,
        httpx2.Client(base_url=address) as client,
    ):
        assert 2 == client.post("/own/sign-up").text.count(".")
        assert ["daypass"] == without_port(client.cookies)
        refused = client.post("/own/leave", headers={"sec-fetch-site": "cross-site"})
        assert (403, "cross_site_request") == (refused.status_code, refused.json()["error"])
        for leave in ("/own/leave", "/own/leave?everywhere"):
            client.post("/own/sign-up")
            assert "out" == client.post(leave).text
            assert {} == dict(client.cookies)
        assert (401, "invalid_grant") == ((again := client.post(leave)).status_code, again.json()["error"])


# ---- system checks


def found(**settings: Any) -> list[tuple[str | None, str]]:
    with override_settings(**settings):
        return [(message.id, message.msg) for message in check_daypass()]


def test_checks_of_a_project_without_daypass() -> None:
    """A missing setting, one that leads nowhere, and one that is something else are errors that say what to write."""
    assert [("daypass.E001", "The setting DAYPASS is missing.")] == found(MIDDLEWARE=[])
    ((code, message),) = found(MIDDLEWARE=[], DAYPASS="no.such.auth")
    assert ("daypass.E002", True) == (code, message.startswith("The setting DAYPASS = 'no.such.auth' cannot"))
    assert [("daypass.E002", "The setting DAYPASS = 'os.sep' is a str.")] == found(MIDDLEWARE=[], DAYPASS="os.sep")


def test_check_of_a_relative_database(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database in the current folder is warned of: a command elsewhere would make another one, and a secret."""
    monkeypatch.chdir(tmp_path)
    made = {name: Daypass(f"sqlite:///{name}", issuer=ISSUER, secret=SECRET, load_user=users.load_user)
            for name in ("sessions.db", str(tmp_path / "sessions.db"))}  # fmt: skip
    codes = [[code for code, _ in found(MIDDLEWARE=[], DAYPASS=each)] for each in made.values()]
    assert [["daypass.W003"], []] == codes


def test_check_of_the_order_of_middleware() -> None:
    """`Pages` above Django's own session and authentication would lose the user: an error names both."""
    issuer = Daypass("memory:", issuer=ISSUER, load_user=users.load_user)
    project.middleware = Pages(issuer)
    try:
        wrong = found(MIDDLEWARE=[SESSIONS, PAGES, AUTHENTICATION], DAYPASS=issuer)
        assert [("daypass.E004", f"{PAGES} is above {AUTHENTICATION} in MIDDLEWARE.")] == wrong
        assert [] == found(MIDDLEWARE=[SESSIONS, AUTHENTICATION, PAGES], DAYPASS=issuer)
    finally:
        project.middleware = None


def test_manage_py_check_runs_them() -> None:
    """``manage.py check`` runs the checks where the app is installed."""
    apps = ["django.contrib.contenttypes", "django.contrib.auth", "daypass.web.django"]
    with override_settings(INSTALLED_APPS=apps, MIDDLEWARE=[]), pytest.raises(SystemCheckError, match="DAYPASS"):
        call_command("check")
