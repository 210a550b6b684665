"""A Django project, set up once for this process, and handlers that serve URLs of their own.

Django's settings are the process's, and tests of everything else may run in it: so nothing here is changed but within
``override_settings``, and no logging is set up.
"""

import atexit
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.test import override_settings
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

_folder = tempfile.TemporaryDirectory(prefix="daypass-django-")
atexit.register(_folder.cleanup)

MIDDLEWARE = ("django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware")

if not settings.configured:
    settings.configure(
        SECRET_KEY="nobody's",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=list(MIDDLEWARE),
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(_folder.name) / "project.sqlite3")}
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGGING_CONFIG=None,
        LOGIN_URL="/login",
    )
    django.setup()

urlpatterns: list[Any] = []


@cache
def tables() -> None:
    """Have the tables of the project's database, once."""
    call_command("migrate", verbosity=0, run_syncdb=True)


class Urls:
    """What Django takes for a module with URLs."""

    def __init__(self, patterns: Sequence[Any]) -> None:
        self.urlpatterns = list(patterns)


class Wsgi(WSGIHandler):
    """A project with its own URLs, without an event loop."""

    def __init__(self, patterns: Sequence[Any]) -> None:
        super().__init__()
        self._urls = Urls(patterns)

    def get_response(self, request: Any) -> Any:
        request.urlconf = self._urls
        return super().get_response(request)


class Asgi(ASGIHandler):
    """The same in an event loop."""

    __call__: Any  # what django-stubs say of it is no ASGI application to those who serve it

    def __init__(self, patterns: Sequence[Any]) -> None:
        super().__init__()
        self._urls = Urls(patterns)

    async def get_response_async(self, request: Any) -> Any:
        request.urlconf = self._urls
        return await super().get_response_async(request)


def with_lifespan(handler: ASGIApp, lifespan: Callable[[Any], Any]) -> ASGIApp:
    """Return the handler and a lifespan around its requests, which Django does not have."""
    outside = Starlette(lifespan=lifespan)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (outside if scope["type"] == "lifespan" else handler)(scope, receive, send)

    return app


middleware: Any = None
"""What `with_middleware` has put in; a project names its middlewares by their dotted paths."""


@contextmanager
def with_middleware(own: Any, *others: str) -> Iterator[None]:
    """Have handlers that are made meanwhile go through ``own``, and then through those with these paths."""
    global middleware
    middleware = own
    with override_settings(MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.middleware", *others]):
        yield
    middleware = None
