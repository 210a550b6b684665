"""A flow goes on when its caller is cancelled, and needs a task only then."""

import asyncio
import contextlib
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daypass import AsyncDaypass, User
from daypass.event import Event
from daypass.stores import AsyncStore
from daypass.stores.memory import AsyncMemoryStore
from daypass.stores.sqlite import AsyncSqliteStore

ADA = User("user-1", "ada")


class SlowStore(AsyncMemoryStore):
    """A store whose steps are coroutines that wait, as those of a store on a network are."""

    async def perform(self, step: Any) -> Any:
        await asyncio.sleep(0.01)
        return await super().perform(step)


def issuer(store: AsyncStore, **arguments: Any) -> tuple[AsyncDaypass, list[Event]]:
    events: list[Event] = []
    given: dict[str, Any] = {"load_user": loaded, "on_event": events.append, "secret": "s" * 32, "grace_period": 0}
    return AsyncDaypass(store, issuer="https://issuer.example", **given | arguments), events


async def loaded(_: str) -> User:
    return ADA


async def soon(happened: Callable[[], bool]) -> None:
    for _ in range(500):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within five seconds")


async def cancel(caller: "asyncio.Future[Any]") -> None:
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


@pytest.mark.parametrize("kind", ["slow", "sqlite"])
async def test_refresh_of_a_cancelled_caller_is_done_to_its_end(tmp_path: Path, kind: str) -> None:
    """It rotates the session and emits its event, whether the store answers by a future or by a coroutine."""
    store = SlowStore() if kind == "slow" else AsyncSqliteStore(tmp_path / "app.db")
    auth, events = issuer(store)
    tokens = await auth.start(ADA)
    caller = asyncio.ensure_future(auth.refresh(tokens.refresh_token))
    await asyncio.sleep(0)  # it waits for the store
    await cancel(caller)
    await soon(lambda: events[-1].code == "rotated")
    (session,) = await auth.sessions(ADA.subject)
    assert 1 == session.generation
    await auth.close()


async def test_user_is_loaded_again_when_the_caller_is_cancelled_meanwhile() -> None:
    """The session of a user who is gone is ended, although the request that found that out was cancelled."""
    asked: list[str] = []

    async def load_user(subject: str) -> User | None:
        asked.append(subject)
        if len(asked) == 1:
            await asyncio.sleep(60)
        return None

    auth, events = issuer(AsyncMemoryStore(), load_user=load_user)
    tokens = await auth.start(ADA)
    caller = asyncio.ensure_future(auth.refresh(tokens.refresh_token))
    await soon(lambda: bool(asked))
    await cancel(caller)
    await soon(lambda: events[-1].code == "rejected")
    assert [ADA.subject] * 2 == asked
    assert () == await auth.sessions(ADA.subject)


async def test_refresh_needs_no_task() -> None:
    """With a store in memory and a user at hand, nothing waits: a refresh is done in its caller's task."""
    tasks: list[int] = []

    async def load_user(_: str) -> User:
        tasks.append(len(asyncio.all_tasks()))
        return ADA

    auth, _ = issuer(AsyncMemoryStore(), load_user=load_user)
    tokens = await auth.start(ADA)
    before = len(asyncio.all_tasks())
    await auth.refresh(tokens.refresh_token)
    assert [before] == tasks


@pytest.mark.parametrize("kind", ["slow", "sqlite"])
def test_event_loop_that_ends_meanwhile_leaves_no_task(tmp_path: Path, kind: str) -> None:
    """A flow that waits for the store when its event loop ends is closed: nothing is reported as destroyed."""
    reported: list[str] = []

    async def leave() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))
        auth, _ = issuer(SlowStore() if kind == "slow" else AsyncSqliteStore(tmp_path / "app.db"))
        tokens = await auth.start(ADA)
        refreshing = asyncio.ensure_future(auth.refresh(tokens.refresh_token))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(refreshing), 0.001 if kind == "slow" else 0)

    asyncio.run(leave())
    gc.collect()
    assert [] == reported


async def test_store_with_its_own_perform_is_asked_by_that() -> None:
    """A class that overrides ``perform`` sees every step, although the class below it has a faster way."""
    seen: list[str] = []

    class Watched(AsyncMemoryStore):
        async def perform(self, step: Any) -> Any:
            seen.append(type(step).__name__)
            return await super().perform(step)

    auth, _ = issuer(Watched())
    await auth.refresh((await auth.start(ADA)).refresh_token)
    assert "Advance" in seen
