"""Rows of shared storages by Django's ORM, in whichever database a project has."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any, TypeVar

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, Error, IntegrityError, ProgrammingError, connections, transaction
from django.db.models import BigIntegerField, Func

from daypass.client.sealing import Sealing
from daypass.client.storage.row import FORMAT, Row, check_format, provider_of
from daypass.client.storage.shared import SharedStorage
from daypass.errors import ConfigurationError, StoreUnavailable
from daypass.secret import Secret

A = TypeVar("A")

_NAMES = tuple(each.name for each in fields(Row))
_NOW = {
    "postgresql": "(EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000)::bigint",
    "sqlite": "CAST((JULIANDAY('now') - 2440587.5) * 86400000 AS INTEGER)",
    "mysql": "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
}


class DjangoRows:
    """The rows in one database of the project.

    A row is written at once, and not with the transaction of the caller: a refresh token that was used up must not come
    back by a rollback. So within a transaction, and on an event loop, another thread asks the database.

    Args:
        using: the alias of the database.

    Raises:
        ConfigurationError: the app is not installed, there is no such alias, or the clock of the database is not known.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        if not apps.is_installed("daypass.client.storage.django"):
            raise ConfigurationError(
                'add "daypass.client.storage.django" to INSTALLED_APPS, and run: manage.py migrate'
            )
        if using not in connections.settings:
            raise ConfigurationError(f"no database is called {using!r} in DATABASES")
        self._using = using
        vendor = connections[using].vendor
        if vendor not in _NOW:
            raise ConfigurationError(f"DjangoStorage knows {', '.join(_NOW)}; {using!r} is on {vendor}")
        self._now = _NOW[vendor]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._using}>"

    def read(self, key: str) -> tuple[Row | None, int]:
        """Read a row; see `daypass.client.storage.shared.Rows.read`."""
        return self._run(lambda: self._read(key))

    def swap(self, key: str, revision: str | None, row: Row | None) -> bool:
        """Replace a row; see `daypass.client.storage.shared.Rows.swap`."""
        return self._run(lambda: self._swap(key, revision, row))

    def close(self) -> None:
        """Do nothing: the connections are Django's."""

    def _read(self, key: str) -> tuple[Row | None, int]:
        clock: Func = Func(template=self._now.replace("%", "%%"), output_field=BigIntegerField())
        found = self._objects().annotate(now=clock).filter(key=key).values().first()
        if found is None:
            with connections[self._using].cursor() as cursor:
                cursor.execute(f"SELECT {self._now}")
                return None, int(cursor.fetchone()[0])
        check_format(found["format"])
        return Row(**{name: found[name] for name in _NAMES}), int(found["now"])

    def _swap(self, key: str, revision: str | None, row: Row | None) -> bool:
        there = self._objects().filter(key=key, revision=revision)
        if row is None:
            return bool(there.delete()[0] > 0)
        values = {**asdict(row), "provider": provider_of(key), "format": FORMAT}
        if revision is not None:
            return bool(there.update(**values) > 0)
        try:
            with transaction.atomic(using=self._using):
                self._objects().create(key=key, **values)
        except IntegrityError:
            return False
        return True

    def _objects(self) -> Any:
        """Return all rows; the model is asked for here, because it is there when all apps are loaded."""
        return apps.get_model("daypass_storage", "Connection").objects.using(self._using)

    def _run(self, work: Callable[[], A]) -> A:
        """Do the work, in a thread with a connection of its own where this one's cannot be used.

        Raises:
            StoreUnavailable: the database does not answer, or is locked for too long.
            ConfigurationError: the table is not there.
        """
        if _on_event_loop() or connections[self._using].in_atomic_block:
            return _in_thread(lambda: self._try(work))
        return self._try(work)

    def _try(self, work: Callable[[], A]) -> A:
        was_open = connections[self._using].connection is not None
        try:
            return work()
        except Error as error:
            raise self._error(error) from None
        finally:
            if not was_open:
                connections[self._using].close()

    def _error(self, error: Error) -> Exception:
        if isinstance(error, ProgrammingError) or "no such table" in str(error):
            return ConfigurationError(
                'the table daypass_connection is missing or old: add "daypass.client.storage.django" to '
                "INSTALLED_APPS, and run: manage.py migrate"
            )
        connections[self._using].close_if_unusable_or_obsolete()
        return StoreUnavailable(f"the database {self._using!r} cannot be used ({type(error).__name__})")


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_thread(work: Callable[[], A]) -> A:
    results: list[A] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # it is raised by the caller
            errors.append(error)

    thread = threading.Thread(target=run, name="daypass-database", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class DjangoStorage(SharedStorage):
    """Keeps one session in a database of a Django project, sealed, for any number of machines: one of them refreshes.

    Args:
        key: names the session; `Vault` gives the names ``provider/name``.
        secret: seals the tokens: at least 32 bytes, or several secrets, newest first. It is neither ``SECRET_KEY`` nor
            ``DAYPASS_SECRET``.
        using: the alias of the database.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(self, key: str, *, secret: Secret, using: str = DEFAULT_DB_ALIAS) -> None:
        super().__init__(DjangoRows(using), key, Sealing(secret))
