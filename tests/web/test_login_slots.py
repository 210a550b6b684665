"""A burst of logins: a few passwords are checked at the same time, some wait, others get 503; nothing else waits."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from daypass import AsyncDaypass, ConfigurationError, Daypass, EventCode, User
from daypass.web import Application, login_slots
from daypass.web.message import Request
from daypass.web.starlette import auth_routes

from ..servers.application import serving
from .live import LOGIN
from .live import Application as Users
from .world import ALICE, ISSUER, PASSWORD, PEOPLE, SECRET

SLOW = 0.3
"""Seconds that a password takes, as where a machine hashes many."""


class SlowCheck:
    """Checks passwords slowly, and counts how many at the same time."""

    def __init__(self, seconds: float = SLOW) -> None:
        self.seconds = seconds
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, name: str, password: str) -> User | None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
        return PEOPLE.get(name) if password == PASSWORD else None


def served_async(check: Any, **options: Any) -> tuple[Users, Any]:
    users = Users()
    application = Application(users.auth, authenticate=check, rate_limits=None, **options)
    return users, Starlette(routes=[Mount("/auth", routes=auth_routes(application))], lifespan=users.lifespan)


async def burst(address: str, many: int) -> tuple[list[httpx2.Response], float]:
    """Send many logins at once and refreshes meanwhile; return the answers, and the longest time of a refresh."""
    async with httpx2.AsyncClient(base_url=address, timeout=30, limits=httpx2.Limits(max_connections=300)) as client:
        first = await client.post("/auth/login", json=LOGIN | {"tokenDelivery": "body"})
        token = first.json()["refreshToken"]
        logins = [asyncio.ensure_future(client.post("/auth/login", json=LOGIN)) for _ in range(many)]
        longest = 0.0
        for _ in range(5):
            await asyncio.sleep(0.05)
            began = time.monotonic()
            answer = await client.post("/auth/refresh", json={"refreshToken": token}, headers={"cookie": ""})
            longest = max(longest, time.monotonic() - began)
            assert 200 == answer.status_code
            token = answer.json().get("refreshToken", token)
        return await asyncio.gather(*logins), longest


def test_a_burst_of_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 logins at once two check their passwords, some wait, and the rest get 503; refreshes go on meanwhile."""
    monkeypatch.setattr(login_slots, "WAITING", 4)
    check = SlowCheck()
    users, app = served_async(check, concurrent_logins=2)
    with serving(app) as address:
        answers, longest = asyncio.run(burst(address, 100))
    statuses = sorted(answer.status_code for answer in answers)
    assert [200] * 10 + [503] * 90 == statuses  # two at work, and four that wait for each
    refused = next(answer for answer in answers if answer.status_code == 503)
    content = {"message": "Too many logins at once; try again in a moment", "error": "temporarily_unavailable"}
    assert (content, "1") == (refused.json(), refused.headers["retry-after"])
    assert 2 == check.most
    assert longest < 1  # and not as long as all these passwords take
    assert (EventCode.LIMITED, "concurrent_logins") in {(event.code, event.reason) for event in users.events}


def test_one_that_waits_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that gets no slot in time is refused, and its slot is not lost."""
    monkeypatch.setattr(login_slots, "PATIENCE", 0.1)
    _, app = served_async(SlowCheck(), concurrent_logins=1)
    with serving(app) as address:
        for _ in range(2):
            answers, _ = asyncio.run(burst(address, 3))
            assert [200, 503, 503] == sorted(answer.status_code for answer in answers)


def test_no_bound() -> None:
    """With ``concurrent_logins=None`` nothing is bounded, but by the threads that there are."""
    check = SlowCheck(0.05)
    _, app = served_async(check, concurrent_logins=None)
    with serving(app) as address:
        answers, _ = asyncio.run(burst(address, 40))
    assert [200] * 40 == [answer.status_code for answer in answers]
    assert check.most > 2


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as executor:
        yield executor


def sync_application(check: Any, **options: Any) -> Application[Daypass]:
    auth = Daypass(
        "memory:",
        issuer=ISSUER,
        secret=SECRET,
        load_user={user.subject: user for user in PEOPLE.values()}.get,
        authenticate=check,
    )
    return Application(auth, **options)


def log_in(application: Application[Daypass]) -> int:
    body = f'{{"email": "{ALICE.email}", "password": "{PASSWORD}"}}'.encode()
    request = Request("https", "api.example.com", {"content-type": "application/json"}, body=body, method="POST")
    login = next(route for route in application.auth_routes if route.path == "/login")
    return application.auth.run(login.answer(request, application.auth.new_call())).status


def test_threads(threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of a `Daypass` wait in the same way; a login that was not tried uses up no limit."""
    monkeypatch.setattr(login_slots, "WAITING", 2)
    check = SlowCheck()
    application = sync_application(check, concurrent_logins=2)
    statuses = sorted(threads.map(lambda _: log_in(application), range(20)))
    assert ([200] * 6 + [503] * 14, 2) == (statuses, check.most)
    assert 200 == log_in(application)


def test_a_check_that_fails(threads: ThreadPoolExecutor) -> None:
    """A slot is free again after a check that raised an error."""

    def broken(name: str, password: str) -> User | None:
        raise RuntimeError("the application's own database is down")

    application = sync_application(broken, concurrent_logins=1)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            log_in(application)
    assert [] == [
        error for error in threads.map(lambda _: failure_of(application), range(5)) if error != "RuntimeError"
    ]


def failure_of(application: Application[Daypass]) -> str:
    try:
        return str(log_in(application))
    except RuntimeError as error:
        return type(error).__name__


@pytest.mark.parametrize("most", [0, -1, True, "4", 1.5])
def test_what_is_no_number(most: Any) -> None:
    """A bound that is no number above zero is refused at start."""
    with pytest.raises(ConfigurationError, match=r"concurrent_logins=.*: expected a number above zero, or None"):
        sync_application(SlowCheck(), concurrent_logins=most)


def test_an_event_loop_that_ends() -> None:
    """Slots taken in one event loop serve the next one."""
    auth = AsyncDaypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: ALICE, authenticate=SlowCheck(0))
    application = Application(auth, concurrent_logins=1, rate_limits=None)
    login = next(route for route in application.auth_routes if route.path == "/login")
    body = f'{{"email": "{ALICE.email}", "password": "{PASSWORD}"}}'.encode()
    request = Request("https", "api.example.com", {"content-type": "application/json"}, body=body, method="POST")

    async def twice() -> list[int]:
        both = (auth.run(login.answer(request, auth.new_call())) for _ in range(2))
        return [response.status for response in await asyncio.gather(*both)]

    assert [[200, 200]] * 3 == [asyncio.run(twice()) for _ in range(3)]
