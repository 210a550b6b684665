"""Fixtures for the tests of an application that uses Daypass; pytest finds them where Daypass is installed.

Override `daypass_auth` and, for a client, `daypass_app` in your ``conftest.py``. ``docs/testing.md`` has examples.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from daypass.testing.logged_in import Auth, LoggedIn, MovableClock
    from daypass.user import User


@pytest.fixture
def daypass_auth() -> "Auth":
    """Give the application's issuer, or its `daypass.web.Application`: override this one."""
    raise pytest.UsageError("override the fixture daypass_auth in conftest.py: return your Daypass or AsyncDaypass")


@pytest.fixture
def daypass_app() -> Any:
    """Give the application of FastAPI, Starlette or Flask: override this one, if you use `daypass_client`."""
    raise pytest.UsageError("override the fixture daypass_app in conftest.py: return your application")


@pytest.fixture
def daypass_user() -> "User":
    """Give the user who is logged in; override it with one that your ``load_user`` knows."""
    from daypass.user import User

    return User("1", username="test", email="test@example.com")


@pytest.fixture
def daypass_clock(daypass_auth: "Auth") -> Iterator["MovableClock"]:
    """Give the issuer's clock: it stands still until the test moves it. Afterwards the issuer has its own again."""
    from daypass.testing.logged_in import MovableClock
    from daypass.web.application import issuer_of

    issuer: Any = issuer_of(daypass_auth)
    before, connections = issuer._clock, issuer._connections
    clock = MovableClock(issuer.now())
    clock.set_in(daypass_auth)
    yield clock
    issuer._clock, issuer._connections = before, connections


@pytest.fixture
def daypass_login(daypass_auth: "Auth", daypass_user: "User", daypass_clock: "MovableClock") -> "LoggedIn":
    """Give a login of ``daypass_user``: its tokens, and what can happen to it."""
    from daypass.testing.logged_in import LoggedIn

    return LoggedIn.start(daypass_auth, daypass_user, daypass_clock)


@pytest.fixture
def daypass_client(daypass_app: Any, daypass_login: "LoggedIn") -> Any:
    """Give a test client of ``daypass_app`` that sends the access token."""
    from daypass.testing.clients import client_for

    return client_for(daypass_app, daypass_login)


@pytest.fixture
def daypass_browser(daypass_app: Any, daypass_login: "LoggedIn") -> Any:
    """Give a test client of ``daypass_app`` that has the cookies, for pages rendered on the server."""
    from daypass.testing.clients import client_for

    return client_for(daypass_app, daypass_login, cookies=True)


@pytest.fixture
def daypass_django_client(daypass_login: "LoggedIn") -> Any:
    """Give Django's test client; it sends the access token."""
    from daypass.testing.clients import django_client

    return django_client(daypass_login)


@pytest.fixture
def daypass_django_browser(daypass_login: "LoggedIn") -> Any:
    """Give Django's test client; it has the cookies, for pages rendered on the server."""
    from daypass.testing.clients import django_client

    return django_client(daypass_login, cookies=True)
