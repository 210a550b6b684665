"""The client on trio's event loop, where asyncio does not run."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from daypass.client.httpx import DaypassAuth
from daypass.client.storage import FileStorage
from daypass.client.timing import Timing
from daypass.errors import LoginRequired, RefreshUnavailable
from daypass.testing.strict_server import PASSWORD, StrictServer

LIFETIME = 900_000


def test_session_is_refreshed_on_trio(url: str, issuer: StrictServer, clock: Any, tmp_path: Path) -> None:
    """Login, a refresh that twenty tasks wait for, an early revocation and the logout, through trio's own client."""
    auth = DaypassAuth(f"{url}/auth", clock=clock, storage=FileStorage(tmp_path / "session.json"))
    seen: list[str] = []

    async def note(request: httpx2.Request) -> None:
        seen.append(request.url.path)

    async def main() -> None:
        async with httpx2.AsyncClient(base_url=url, event_hooks={"request": [note]}) as client:
            await auth.alogin(client, email="ada", password=PASSWORD)
            statuses: list[int] = []

            async def get() -> None:
                statuses.append((await client.get("/me")).status_code)

            for wait in (LIFETIME, 5_000):
                clock.advance(wait)
                issuer.revoke_access()
                async with trio.open_nursery() as nursery:
                    for _ in range(20):
                        nursery.start_soon(get)
            assert [200] * 40 == statuses
            assert await auth.atoken() in issuer.live
            assert await auth.alogout(client)
            with pytest.raises(LoginRequired):
                await client.get("/me")

    trio.run(main)
    assert (2, 2, 1) == (issuer.counts["refreshes"], issuer.counts["rotated"], issuer.counts["ended"])
    assert 2 == seen.count("/auth/refresh"), "the refresh went through another client"


def test_cancelled_task_of_trio_loses_nothing(url: str, issuer: StrictServer, clock: Any) -> None:
    """A caller with a timeout leaves; the refresh continues, and its token is there for the next request."""
    auth = DaypassAuth(f"{url}/auth", clock=clock)

    async def main() -> None:
        async with httpx2.AsyncClient(base_url=url) as client:
            await auth.alogin(client, email="ada", password=PASSWORD)
            issuer.latency = 0.3
            clock.advance(LIFETIME)
            with trio.move_on_after(0.1) as left:
                await client.get("/me")
            assert left.cancelled_caught
            assert 200 == (await client.get("/me")).status_code

    trio.run(main)
    assert (1, 1) == (issuer.counts["refreshes"], issuer.counts["rotated"])


def test_run_of_trio_that_has_ended_takes_no_session_with_it(url: str, issuer: StrictServer, clock: Any) -> None:
    """The refresh then goes through a client of Daypass's own, also for a caller that blocks trio's loop."""
    auth = DaypassAuth(f"{url}/auth", clock=clock)

    async def login() -> None:
        async with httpx2.AsyncClient(base_url=url) as client:
            await auth.alogin(client, email="ada", password=PASSWORD)

    async def blocking() -> None:
        async with httpx2.AsyncClient(base_url=url) as client:
            auth.attach(client)
            clock.advance(LIFETIME)
            assert auth.token() in issuer.live

    trio.run(login)
    clock.advance(LIFETIME)
    assert auth.token() in issuer.live
    trio.run(blocking)
    assert 2 == issuer.counts["rotated"]


def test_wait_on_trio_ends_at_the_deadline(url: str, issuer: StrictServer, clock: Any) -> None:
    """A server that never answers costs the deadline, and no session."""
    auth = DaypassAuth(f"{url}/auth", clock=clock, timing=Timing(strict_deadline=300))

    async def main() -> None:
        async with httpx2.AsyncClient(base_url=url) as client:
            await auth.alogin(client, email="ada", password=PASSWORD)
            issuer.latency = 2.0
            clock.advance(LIFETIME)
            with trio.fail_after(1.5), pytest.raises(RefreshUnavailable):
                await client.get("/me")

    trio.run(main)
    assert auth.logged_in
