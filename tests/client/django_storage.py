"""A Django project whose storage passes the contract; `test_storage_contract` runs it, with ``DATABASE`` as JSON."""

import asyncio
import json
import os

import django
import httpx2
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction

from daypass.client.httpx import DaypassAuth
from daypass.testing.loopback import serving
from daypass.testing.storage_contract import OpenStorage, SharedStorageContract
from daypass.testing.strict_server import PASSWORD, StrictServer

settings.configure(
    INSTALLED_APPS=["daypass.client.storage.django"], DATABASES={"default": json.loads(os.environ["DATABASE"])}
)
django.setup()
call_command("migrate", verbosity=0)

from daypass.client.storage.django import DjangoStorage  # noqa: E402 - the apps have to be loaded
from daypass.client.storage.django.models import Connection  # noqa: E402 - the same

SECRET = "a secret of the tests, of at least 32 bytes"


def open_one() -> DjangoStorage:
    return DjangoStorage("xero/tenant-42", secret=SECRET)


class TestDjangoStorage(SharedStorageContract):
    @pytest.fixture
    def open_storage(self) -> OpenStorage:
        Connection.objects.all().delete()
        return open_one


def test_rollback_of_the_caller_undoes_nothing() -> None:
    """A refresh token that was used up does not come back with a transaction that fails."""
    storage = open_one()
    storage.save("before")
    with pytest.raises(ValueError, match="rolled back"), transaction.atomic():  # noqa: PT012 - a view that fails
        storage.save("after")
        raise ValueError("rolled back")
    assert "after" == open_one().load()


def test_no_connection_is_left_open() -> None:
    """A thread of a refresh has its own connection, which is closed when the refresh ends."""
    connection.close()
    open_one().load()
    assert connection.connection is None


def test_session_is_shared_by_sync_and_async_clients() -> None:
    """A sync client logs in; tasks on an event loop refresh once, and a process that starts later continues."""
    server = StrictServer(expires_in=1)
    with serving(server) as url:

        def auth() -> DaypassAuth:
            return DaypassAuth(f"{url}/auth", storage=open_one())

        open_one().save(None)
        with httpx2.Client(base_url=url) as client:
            auth().login(client, email="ada@example.com", password=PASSWORD)

        async def use() -> list[int]:
            auths = [auth() for _ in range(4)]
            async with httpx2.AsyncClient(base_url=url) as client:
                await asyncio.sleep(1)
                responses = await asyncio.gather(*(client.get("/me", auth=each) for each in auths))
            return [response.status_code for response in responses]

        assert [200] * 4 == asyncio.run(use())
        assert auth().logged_in
    assert (1, 1) == (server.counts["refreshes"], server.counts["rotated"])


def test_migration_is_complete() -> None:
    """The models are as the migrations make them."""
    call_command("makemigrations", "daypass_storage", check=True, dry_run=True, verbosity=0)
