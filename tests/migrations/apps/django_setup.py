"""A Django project in one file: settings, tables, and users that are made when they log in."""

import sqlite3
from typing import Any

from tests.migrations.apps import Node


def set_up(node: Node, *, apps: tuple[str, ...] = (), **options: Any) -> None:
    """Configure Django, and make the tables."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    sqlite3.connect(node.database).execute("PRAGMA journal_mode=WAL")
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": node.database, "CONN_MAX_AGE": None}
    options_of_sqlite = {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA synchronous = NORMAL",
    }
    settings.configure(
        SECRET_KEY="an old secret key, long enough for HS256",
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {**database, "OPTIONS": options_of_sqlite}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", *apps],
        ROOT_URLCONF="__main__",
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        LOGGING_CONFIG=None,
        **options,
    )
    django.setup()
    call_command("migrate", verbosity=0)


def user_named(name: str) -> Any:
    """Return the user with a name; a new one if that user does not exist."""
    from django.contrib.auth import get_user_model

    user, made = get_user_model().objects.get_or_create(username=name)
    if made:
        user.set_unusable_password()
        user.save()
    return user
