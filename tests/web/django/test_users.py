"""The users of django.contrib.auth: whom Daypass lets in, loads, and ends the sessions of."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import (
    get_default_password_validators,
    password_validators_help_texts,
    validate_password,
)
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.urls import include, path

from daypass import AsyncDaypass, ConfigurationError, Daypass, SessionRevoked
from daypass.errors import CredentialsRejected, StoreUnavailable
from daypass.web.django import auth_urls, users
from daypass.web.django.current import answering, current_request
from daypass.web.django.passwords import EndSessions

from ...cookie_names import refresh_cookie
from ...servers.application import serving as serving_async
from ...servers.wsgi import serving
from ..world import ISSUER
from .project import Asgi, Wsgi, tables

PASSWORD = "correct horse"
issuer: Daypass | AsyncDaypass | None = None
"""What the setting ``DAYPASS`` names in some of the tests."""


@pytest.fixture
def person() -> Any:
    tables()
    return get_user_model()._default_manager.create_user(  # type: ignore[attr-defined]  # the usual manager has it
        f"user-{uuid4().hex}", "ann@example.com", PASSWORD
    )


@pytest.fixture
def auth() -> Iterator[Daypass]:
    with Daypass("memory:", issuer=ISSUER, load_user=users.load_user, authenticate=users.authenticate) as made:
        yield made


@contextmanager
def heard(signal: Any) -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []

    def hear(**told: Any) -> None:
        found.append(told)

    signal.connect(hear)
    try:
        yield found
    finally:
        signal.disconnect(hear)


def test_which_user_is_which_subject(person: Any) -> None:
    """The subject is the primary key as text, name and address are Django's; extra fields are added."""
    user = users.as_user(person)
    assert (str(person.pk), person.username, "ann@example.com") == (user.subject, user.username, user.email)
    assert {"staff": False} == users.as_user(person, claims={"staff": person.is_staff}).claims
    person.email, person.is_active = "", False
    assert (None, True) == ((user := users.as_user(person)).email, user.disabled)


def test_logging_in(auth: Daypass, person: Any) -> None:
    """A name and a password that the project's backends know start a session, and ``last_login`` is kept."""
    assert str(person.pk) == auth.login(person.username, PASSWORD).session.subject
    person.refresh_from_db()
    assert person.last_login is not None
    for name, password in ((person.username, "wrong"), ("nobody", PASSWORD), ("", "")):
        with heard(user_login_failed) as failed, pytest.raises(CredentialsRejected):
            auth.login(name, password)
        assert 1 == len(failed)


def test_who_is_disabled(auth: Daypass, person: Any) -> None:
    """An inactive user may not log in, whatever the backend allows, and their sessions end."""
    tokens = auth.login(person.username, PASSWORD)
    person.is_active = False
    person.save()
    everybody = "django.contrib.auth.backends.AllowAllUsersModelBackend"
    with heard(user_logged_in) as logged_in:
        for backend in ("django.contrib.auth.backends.ModelBackend", everybody):
            with override_settings(AUTHENTICATION_BACKENDS=[backend]), pytest.raises(CredentialsRejected):
                auth.login(person.username, PASSWORD)
    assert [] == logged_in
    with pytest.raises(SessionRevoked):
        auth.refresh(tokens.refresh_token)


@pytest.mark.parametrize("subject", ["0", "no number", "\x00", "9" * 40, "-1"])
async def test_who_is_gone(person: Any, subject: str) -> None:
    """A subject that no user has, or that cannot be a primary key, finds no user."""
    assert await sync_to_async(users.load_user)(subject) is None
    assert await users.aload_user(subject) is None


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_request_is_known(kind: str, person: Any) -> None:
    """The project's backends and signals get the request that asks for the login."""
    tables()
    auth: Any
    if kind == "sync":
        auth = Daypass("memory:", issuer=ISSUER, load_user=users.load_user, authenticate=users.authenticate)
    else:
        auth = AsyncDaypass("memory:", issuer=ISSUER, load_user=users.aload_user, authenticate=users.aauthenticate)
    patterns = [path("auth/", include(auth_urls(auth)))]
    served = serving(Wsgi(patterns)) if kind == "sync" else serving_async(Asgi(patterns))
    with heard(user_logged_in) as logged_in, heard(user_login_failed) as failed, served as address:
        login = {"username": person.username, "password": PASSWORD}
        answer = httpx2.post(f"{address}/auth/login", json=login)
        assert 200 == answer.status_code
        assert 401 == httpx2.post(f"{address}/auth/login", json=login | {"password": "wrong"}).status_code
        cookie = {"cookie": f"daypass={refresh_cookie(answer.cookies)}"}
        assert 200 == httpx2.post(f"{address}/auth/refresh", headers=cookie).status_code
    for told in (*logged_in, *failed):
        assert (True, "/auth/login") == (isinstance(told["request"], HttpRequest), told["request"].path)
    assert (1, 1, person) == (len(logged_in), len(failed), logged_in[0]["user"])
    assert current_request() is None


def test_requests_do_not_mix() -> None:
    """A request is known while it is answered, and the one around it afterwards."""
    outer, inner = RequestFactory().get("/outer"), RequestFactory().get("/inner")
    with answering(outer):
        with answering(inner):
            assert inner is current_request()
        assert outer is current_request()
    assert current_request() is None


def test_a_description_of_ones_own(person: Any) -> None:
    """What a project says of its users is in their access tokens, at login and after each refresh."""
    own = users.Users(lambda found: users.as_user(found, claims={"staff": found.is_staff}, scope="read"))
    auth = Daypass("memory:", issuer=ISSUER, load_user=own.load_user, authenticate=own.authenticate)
    tokens = auth.login(person.username, PASSWORD)
    type(person)._default_manager.filter(pk=person.pk).update(is_staff=True)
    found = [auth.verify(text) for text in (tokens.access_token, auth.refresh(tokens.refresh_token).access_token)]
    assert [(False, "read"), (True, "read")] == [(token.claims["staff"], token.scope) for token in found]
    auth.close()


# ---- a new password


forget: Any = getattr(get_default_password_validators, "cache_clear")  # noqa: B009 - django-stubs do not know it


@contextmanager
def validating(**options: Any) -> Iterator[None]:
    name = f"{EndSessions.__module__}.{EndSessions.__name__}"
    with override_settings(AUTH_PASSWORD_VALIDATORS=[{"NAME": name, "OPTIONS": options}]):
        forget()
        yield
    forget()


def test_a_new_password_ends_all_sessions(auth: Daypass, person: Any) -> None:
    """A change of the password ends all sessions that the old one started, and no others."""
    other = type(person)._default_manager.create_user(f"user-{uuid4().hex}", password=PASSWORD)
    tokens, others = auth.login(person.username, PASSWORD), auth.login(other.username, PASSWORD)
    with validating(auth=auth):
        person.set_password("a new one")
        assert 1 == len(auth.sessions(str(person.pk)))
        person.save()
        assert ((), 1) == (auth.sessions(str(person.pk)), len(auth.sessions(str(other.pk))))
    with pytest.raises(SessionRevoked):
        auth.refresh(tokens.refresh_token)
    auth.refresh(others.refresh_token)
    auth.login(person.username, "a new one")
    assert 1 == len(auth.sessions(str(person.pk)))


def test_what_a_form_says(auth: Daypass) -> None:
    """It accepts any password, and forms say what a new one does."""
    with validating(auth=auth):
        validate_password("a")
        assert ["A new password logs you out on all other devices."] == password_validators_help_texts()


def test_an_old_hash_made_anew(auth: Daypass, person: Any) -> None:
    """If Django renews the hash at a login, no session ends: the password is the same."""
    auth.login(person.username, PASSWORD)
    hashers = ["PBKDF2PasswordHasher", "MD5PasswordHasher"]
    with (
        validating(auth=auth),
        override_settings(PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{hasher}" for hasher in hashers]),
    ):
        auth.login(person.username, PASSWORD)
    person.refresh_from_db()
    assert person.password.startswith("pbkdf2")
    assert 2 == len(auth.sessions(str(person.pk)))


def test_the_issuer_of_the_settings(auth: Daypass, person: Any) -> None:
    """The issuer is the one that ``DAYPASS`` names; a wrong or an async one is refused when it is needed."""
    global issuer
    auth.login(person.username, PASSWORD)
    wrong = AsyncDaypass("memory:", issuer=ISSUER, load_user=users.aload_user)
    with validating(), override_settings(DAYPASS=f"{__name__}.issuer"):
        for named, message in ((None, "set DAYPASS to the dotted path"), (wrong, "needs Daypass, not AsyncDaypass")):
            issuer = named
            person.set_password("a new one")
            with pytest.raises(ConfigurationError, match=message):
                person.save()
        assert 1 == len(auth.sessions(str(person.pk)))
        issuer = auth
        person.set_password("another new one")
        person.save()
    assert () == auth.sessions(str(person.pk))
    issuer = None


def test_sessions_that_could_not_be_ended(auth: Daypass, person: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the store is down, the change of the password reports it."""
    auth.login(person.username, PASSWORD)

    def fail(_step: object) -> None:
        raise StoreUnavailable("the disk is gone")

    with validating(auth=auth), monkeypatch.context() as down:
        down.setattr(auth._store, "perform", fail)
        person.set_password("a new one")
        with pytest.raises(StoreUnavailable):
            person.save()
    assert 1 == len(auth.sessions(str(person.pk)))
