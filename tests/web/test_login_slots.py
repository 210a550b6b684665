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
from daypass.web.limits import RateLimits
from daypass.web.message import Request
from daypass.web.starlette import auth_routes

from ..servers.application import serving
from .live import LOGIN
from .live import Application as Users
from .world import ALICE, ISSUER, PASSWORD, PEOPLE, SECRET


class Check:
    """Checks passwords only while its gate is open, and counts how many at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, name: str, password: str) -> User | None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.gate.wait(60)
        with self.lock:
            self.now -= 1
        return PEOPLE.get(name) if password == PASSWORD else None


def served_async(check: Any, **options: Any) -> tuple[Users, Any]:
    users = Users()
    application = Application(users.auth, authenticate=check, rate_limits=None, **options)
    return users, Starlette(routes=[Mount("/auth", routes=auth_routes(application))], lifespan=users.lifespan)


async def burst(address: str, check: Check, many: int, refused: int) -> list[httpx2.Response]:
    """Send many logins at once; let passwords be checked when this many were refused, and a session has refreshed."""
    async with httpx2.AsyncClient(base_url=address, timeout=60, limits=httpx2.Limits(max_connections=300)) as client:
        first = await client.post("/auth/login", json=LOGIN | {"tokenDelivery": "body"})
        check.gate.clear()
        logins = [asyncio.ensure_future(client.post("/auth/login", json=LOGIN)) for _ in range(many)]
        waiting = set(logins)
        while many - len(waiting) < refused:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        refresh = await client.post(
            "/auth/refresh", json={"refreshToken": first.json()["refreshToken"]}, headers={"cookie": ""}
        )
        assert (200, refused) == (refresh.status_code, sum(login.done() for login in logins))
        check.gate.set()
        return await asyncio.gather(*logins)


def test_a_burst_of_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 logins at once two check passwords, some wait, and the rest get 503; a refresh waits for none of them."""
    monkeypatch.setattr(login_slots, "WAITING", 4)
    monkeypatch.setattr(login_slots, "PATIENCE", 60)
    check = Check()
    users, app = served_async(check, concurrent_logins=2)
    with serving(app) as address:
        answers = asyncio.run(burst(address, check, 100, refused=90))
    assert [200] * 10 + [503] * 90 == sorted(answer.status_code for answer in answers)
    refused = next(answer for answer in answers if answer.status_code == 503)
    content = {"message": "Too many logins at once; try again in a moment", "error": "temporarily_unavailable"}
    assert (content, "1") == (refused.json(), refused.headers["retry-after"])
    assert 2 == check.most
    assert (EventCode.LIMITED, "concurrent_logins") in {(event.code, event.reason) for event in users.events}


def test_one_that_waits_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that gets no slot in time is refused, and no slot is lost by it."""
    monkeypatch.setattr(login_slots, "PATIENCE", 0.1)
    check = Check()
    _, app = served_async(check, concurrent_logins=1)
    with serving(app) as address:
        for _ in range(2):
            answers = asyncio.run(burst(address, check, 3, refused=2))
            assert [200, 503, 503] == sorted(answer.status_code for answer in answers)


def test_no_bound() -> None:
    """With ``concurrent_logins=None`` nothing is refused, and only the number of threads bounds the checks."""
    check = Check()
    _, app = served_async(check, concurrent_logins=None)
    with serving(app) as address:
        answers = asyncio.run(burst(address, check, 40, refused=0))
    assert [200] * 40 == [answer.status_code for answer in answers]


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
    """Threads of a `Daypass` wait too, but few, so that a server with eight threads has some left for refreshes."""
    monkeypatch.setattr(login_slots, "PATIENCE", 60)
    check = Check()
    application = sync_application(check, concurrent_logins=2)
    check.gate.clear()
    logins = [threads.submit(log_in, application) for _ in range(20)]
    while sum(login.done() for login in logins) < 16:
        time.sleep(0.01)
    check.gate.set()
    assert ([200] * 4 + [503] * 16, 2) == (sorted(login.result() for login in logins), check.most)


def test_a_refused_login_uses_up_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login whose password was not checked counts against no account."""
    monkeypatch.setattr(login_slots, "PATIENCE", 0)
    check = Check()
    application = sync_application(check, concurrent_logins=1, rate_limits=RateLimits(login_per_account="3/minute"))
    check.gate.clear()
    with ThreadPoolExecutor(1) as other:
        held = other.submit(log_in, application)
        while not check.now:
            time.sleep(0.01)
        assert [503] * 5 == [log_in(application) for _ in range(5)]
        check.gate.set()
        assert 200 == held.result()


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
def test_an_invalid_number_is_refused(most: Any) -> None:
    """A bound that is no number above zero is refused at start."""
    with pytest.raises(ConfigurationError, match=r"concurrent_logins=.*: expected a number above zero, or None"):
        sync_application(Check(), concurrent_logins=most)


def test_an_event_loop_that_ends() -> None:
    """Slots taken in one event loop serve the next one."""
    auth = AsyncDaypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: ALICE, authenticate=Check())
    application = Application(auth, concurrent_logins=1, rate_limits=None)
    login = next(route for route in application.auth_routes if route.path == "/login")
    body = f'{{"email": "{ALICE.email}", "password": "{PASSWORD}"}}'.encode()
    request = Request("https", "api.example.com", {"content-type": "application/json"}, body=body, method="POST")

    async def twice() -> list[int]:
        both = (auth.run(login.answer(request, auth.new_call())) for _ in range(2))
        return [response.status for response in await asyncio.gather(*both)]

    assert [[200, 200]] * 3 == [asyncio.run(twice()) for _ in range(3)]
