"""System checks: ``manage.py check`` finds a missing setting, middleware out of order, a relative path.

They run if ``"daypass.web.django"`` is in ``INSTALLED_APPS``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from daypass.errors import DaypassError
from daypass.web.application import issuer_of
from daypass.web.django.pages import Pages

ABOVE_PAGES = (
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
"""Middleware that must run before `Pages`."""


def check_daypass(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """Return what is wrong with the project's Daypass settings."""
    if app_configs is not None and all(config.name != "daypass.web.django" for config in app_configs):
        return []
    return [*_setting(), *_middleware()]


def _setting() -> Iterator[checks.CheckMessage]:
    path = getattr(settings, "DAYPASS", None)
    if path is None:
        yield checks.Error(
            "The setting DAYPASS is missing.",
            hint='Write DAYPASS = "project.auth.auth", the dotted path of your Daypass.',
            id="daypass.E001",
        )
        return
    try:
        auth = issuer_of(import_string(path) if isinstance(path, str) else path)
    except (ImportError, DaypassError) as error:
        yield checks.Error(f"The setting DAYPASS = {path!r} cannot be imported: {error}", id="daypass.E002")
        return
    if not hasattr(auth, "verify"):
        yield checks.Error(
            f"The setting DAYPASS = {path!r} is a {type(auth).__name__}.",
            hint="It must be the dotted path of a Daypass, an AsyncDaypass, or a RemoteVerifier.",
            id="daypass.E002",
        )
    store = getattr(getattr(auth, "_store", None), "path", None)
    if isinstance(store, Path) and not store.is_absolute():
        yield checks.Warning(
            f"The sessions are in {str(store)!r}, a path relative to the current folder.",
            hint="A command in another folder would make another database, and another secret beside it. "
            f'Write f"sqlite:///{{BASE_DIR}}/{store.name}".',
            id="daypass.W003",
        )


def _middleware() -> Iterator[checks.CheckMessage]:
    paths = list(settings.MIDDLEWARE)
    ours = [path for path in paths if _is_pages(path)]
    for path in ours:
        for other in ABOVE_PAGES:
            if other in paths[paths.index(path) :]:
                yield checks.Error(
                    f"{path} is above {other} in MIDDLEWARE.", hint=f"Put it below {other}.", id="daypass.E004"
                )


def _is_pages(path: str) -> bool:
    try:
        return isinstance(import_string(path), Pages)
    except (ImportError, DaypassError):  # Django's own error says more
        return False
