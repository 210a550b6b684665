"""A refresh of `daypass serve` reads the user's account in the same round trip."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from daypass import AsyncDaypass, SessionRevoked
from daypass.account_steps import AccountStep, AddAccount, RemoveAccount, SetDisabled, SetScope
from daypass.flow import A
from daypass.server.users import Users
from daypass.store_steps import Insert
from daypass.stores.postgres import PostgresStore
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore
from daypass.testing import START
from daypass.testing.account_contract import account
from daypass.testing.store_contract import advance, session
from tests.servers import postgres


@pytest.fixture(params=["sqlite", *postgres.VERSIONS])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_at: Callable[[int], str]
) -> SqliteStore | PostgresStore:
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "app.db")
    return PostgresStore(postgres.tables(postgres_at(request.param)))


def test_a_refresh_reads_the_account(store: SqliteStore | PostgresStore) -> None:
    """Whether the session is moved or not; a user without a name and scope too. None if there is no account."""
    plain = account(1, subject="user-1", username=None)
    store.perform(Insert(session(1)))
    for number, kept in enumerate((None, plain, account(1, subject="user-1", scope="read", disabled_at=START))):
        store.perform_account(RemoveAccount("user-1"))
        if kept is not None:
            store.perform_account(AddAccount(kept))
        found = store.perform(advance(session(1), START + number, with_account=True))
        again = store.perform(advance(session(1), START + number, with_account=True, generation=9))
        assert (number == 0, False) == (found.moved, again.moved)
        assert found.session == again.session
        assert (kept, kept) == (found.account, again.account)
    assert store.perform(advance(session(1), START + 5)).account is None
    assert store.perform(advance(session(2), START, with_account=True)).session is None
    store.close()


class Counting(AsyncSqliteStore):
    """Counts the trips for an account."""

    trips = 0

    async def perform_account(self, step: AccountStep[A]) -> A:
        self.trips += 1
        return await super().perform_account(step)


def test_a_refresh_is_one_trip_and_sees_the_user_as_they_are_now(tmp_path: Path) -> None:
    """No trip for the account; another scope, and a user who was disabled, count from the next refresh on."""

    async def refreshes() -> None:
        store = Counting(tmp_path / "app.db")
        users = Users(store)
        known = account(1)
        await store.perform_account(AddAccount(known))
        async with AsyncDaypass(store, issuer="https://a.example", load_user=users.load, grace_period=0) as auth:
            auth.flows.with_accounts = True
            first = await auth.start(known.user)
            store.trips = 0
            second = await auth.refresh(first.refresh_token)
            assert (0, known.user) == (store.trips, second.user)
            await store.perform_account(SetScope(known.subject, "read"))
            third = await auth.refresh(second.refresh_token)
            assert "read" == third.scope
            await store.perform_account(SetDisabled(known.subject, START))
            with pytest.raises(SessionRevoked):
                await auth.refresh(third.refresh_token)

    asyncio.run(refreshes())
