"""Refreshing: once for all callers, at the right time, without losing the session."""

import asyncio
import importlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from daypass.client.events import ClientEvent, EventKind
from daypass.client.httpx import DaypassAuth
from daypass.client.timing import Timing
from daypass.errors import LoginRequired, RefreshUnavailable

LIFETIME = 900_000
NewUser = Callable[..., Any]


def until(condition: Callable[[], object], seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_a_hundred_callers_at_expiry_share_one_refresh(user: Any, issuer: Any, clock: Any) -> None:
    """A hundred requests with an expired token: one refresh, no failure, and no caller gets a 401."""
    issuer.latency = 0.05
    issuer.revoke_access()
    clock.advance(LIFETIME)

    answers = user.burst(100)

    assert [answer.status_code for answer in answers] == [200] * 100
    assert (issuer.counts["refreshes"], issuer.counts["unauthorized"]) == (1, 0)


def test_a_hundred_callers_at_an_early_revocation_share_one_refresh(user: Any, issuer: Any, clock: Any) -> None:
    """A hundred requests whose token was revoked ahead of time: one refresh, a replay each, no failure."""
    issuer.latency = 0.05
    clock.advance(5_000)
    issuer.revoke_access()

    answers = user.burst(100)

    assert [answer.status_code for answer in answers] == [200] * 100
    assert issuer.counts["refreshes"] == 1
    assert issuer.counts["admitted"] == 100


def test_a_valid_token_is_used_as_it_is(user: Any, issuer: Any) -> None:
    """While the token is good, a request is one request and nothing else."""
    assert [answer.status_code for answer in user.burst(10)] == [200] * 10
    assert (issuer.counts["refreshes"], issuer.counts["unauthorized"]) == (0, 0)


def test_a_refresh_ahead_of_expiry_keeps_nobody_waiting(user: Any, issuer: Any, clock: Any) -> None:
    """In the last fifth of its lifetime a token is refreshed in the background, while requests go on with it."""
    issuer.gate = threading.Event()
    clock.advance(LIFETIME * 95 // 100)

    answers = [user.get() for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    until(issuer.refreshing.is_set)
    issuer.gate.set()
    until(lambda: user.auth.expires_in > 800)
    assert user.get().status_code == 200
    assert (issuer.counts["refreshes"], issuer.counts["unauthorized"]) == (1, 0)


def test_a_token_of_unknown_lifetime_waits_for_the_401(new_user: NewUser, kind: str, issuer: Any, clock: Any) -> None:
    """A token with an unknown lifetime is used until it is refused, and then refreshed."""
    issuer.expires_in = None
    user = new_user(kind)
    user.login()
    clock.advance(10 * LIFETIME)
    assert user.auth.expires_in is None
    assert user.get().status_code == 200
    issuer.revoke_access()

    assert user.get().status_code == 200
    assert (issuer.counts["refreshes"], issuer.counts["unauthorized"]) == (1, 1)


def test_a_session_goes_through_many_expiries(user: Any, issuer: Any, clock: Any) -> None:
    """Each refresh presents the newest refresh token: a strict server finds nothing to object to, ten times over."""
    for _ in range(10):
        issuer.revoke_access()
        clock.advance(LIFETIME)
        assert user.get().status_code == 200
    assert (issuer.counts["refreshes"], issuer.counts["rotated"]) == (10, 10)


def test_lost_answer_is_asked_for_again(new_user: NewUser, kind: str, issuer: Any, clock: Any) -> None:
    """Two lost answers in a row cost a little time and no session, with a server that says its grace period."""
    issuer.grace = 30.0
    user = new_user(kind)
    user.login()
    issuer.lose = 2
    issuer.revoke_access()
    clock.advance(LIFETIME)

    assert user.get().status_code == 200
    assert (issuer.counts["refreshes"], issuer.counts["rotated"], issuer.counts["repeated"]) == (3, 1, 2)


def test_lost_answer_of_a_strict_server_is_not_asked_for_again_at_once(
    new_user: NewUser, kind: str, issuer: Any, clock: Any
) -> None:
    """Such a server takes the second sending for a theft. It comes only when a later request needs a token."""
    reasons: list[str] = []
    user = new_user(kind, on_logged_out=reasons.append)
    user.login()
    issuer.lose = 1
    clock.advance(LIFETIME)

    with pytest.raises(RefreshUnavailable):
        user.get()
    assert (1, True) == (issuer.counts["refreshes"], user.auth.logged_in)
    clock.advance(1_000)
    with pytest.raises(LoginRequired):
        user.get()
    assert len(reasons) == 1
    assert not user.auth.logged_in


@pytest.mark.parametrize("status", [409, 503])
def test_an_outage_is_no_logout_while_the_token_is_good(user: Any, issuer: Any, clock: Any, status: int) -> None:
    """Whatever goes wrong with a refresh ahead of expiry, the token that is still good is used, and asked for later."""
    issuer.statuses = [status] * 9
    clock.advance(LIFETIME * 95 // 100)

    assert user.get().status_code == 200
    until(lambda: issuer.counts["refreshes"] >= (1 if status == 409 else 3))
    assert user.get().status_code == 200
    assert user.auth.logged_in


def test_an_outage_with_an_expired_token_is_an_error_and_passes(user: Any, issuer: Any, clock: Any) -> None:
    """Without a usable token callers get RefreshUnavailable; when the server is back, the same session continues."""
    issuer.revoke_access()
    issuer.statuses = [503] * 3
    clock.advance(LIFETIME)

    failures = user.burst(30)

    assert {RefreshUnavailable} == {type(failure) for failure in failures}
    assert issuer.counts["refreshes"] == 3
    assert issuer.counts["unauthorized"] == 0, "the dead token was sent"
    assert user.auth.logged_in
    clock.advance(2_000)
    assert user.get().status_code == 200


def test_callers_in_an_outage_do_not_hammer_the_server(new_user: NewUser, kind: str, issuer: Any, clock: Any) -> None:
    """After a failed refresh there is a pause without requests, and `retry_after` says how long."""
    user = new_user(kind, timing=Timing(pause=10, backoff=20_000))
    user.login()
    issuer.statuses = [503] * 3
    clock.advance(LIFETIME)
    with pytest.raises(RefreshUnavailable):
        user.get()

    failures = user.burst(50) + user.burst(50)

    assert {RefreshUnavailable} == {type(failure) for failure in failures}
    assert all(0 < failure.retry_after <= 20 for failure in failures)
    assert issuer.counts["refreshes"] == 3


def test_retry_after_is_kept(user: Any, issuer: Any, clock: Any) -> None:
    """A server's ``Retry-After`` of two minutes is respected, and the caller's error has it."""
    issuer.statuses = [429]
    issuer.retry_after = "120"
    clock.advance(LIFETIME)
    with pytest.raises(RefreshUnavailable) as caught:
        user.get()
    assert caught.value.retry_after == 120

    clock.advance(119_000)
    with pytest.raises(RefreshUnavailable):
        user.get()
    clock.advance(1_100)
    assert user.get().status_code == 200
    assert issuer.counts["refreshes"] == 2


def test_an_ended_session_is_reported_to_all_callers_and_ended_once(
    new_user: NewUser, kind: str, issuer: Any, clock: Any
) -> None:
    """All who wait get LoginRequired, `on_logged_out` is called once, and a dead token is never sent again."""
    reasons: list[str] = []
    user = new_user(kind, on_logged_out=reasons.append)
    user.login()
    issuer.end_sessions()
    issuer.latency = 0.05
    clock.advance(LIFETIME)

    failures = user.burst(50)

    assert {LoginRequired} == {type(failure) for failure in failures}
    assert len(reasons) == 1
    assert not user.auth.logged_in
    with pytest.raises(LoginRequired):
        user.get()
    assert (issuer.counts["refreshes"], issuer.authorizations) == (1, [])


def test_a_session_revoked_on_the_server_is_found_at_the_next_401(user: Any, issuer: Any, clock: Any) -> None:
    """A refused request raises LoginRequired if the session has ended."""
    clock.advance(5_000)
    issuer.end_sessions()

    failures = user.burst(20)

    assert {LoginRequired} == {type(failure) for failure in failures}
    assert issuer.counts["refreshes"] == 1


def test_logout_during_a_refresh_stays_logged_out(user: Any, issuer: Any, clock: Any) -> None:
    """A refresh that ends after a logout does not restore the session: its token is dropped, and its callers fail."""
    issuer.gate = threading.Event()
    clock.advance(LIFETIME)
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.extend(user.burst(5)))
    waiting.start()
    until(issuer.refreshing.is_set)

    assert user.logout()
    issuer.gate.set()
    waiting.join()

    assert {LoginRequired} == {type(result) for result in results}
    assert not user.auth.logged_in
    assert issuer.counts["ended"] == 1


def test_login_during_a_refresh_is_not_overwritten(user: Any, issuer: Any, clock: Any) -> None:
    """A refresh of the session before cannot replace what a new login brought; requests of before are not sent."""
    issuer.gate = threading.Event()
    clock.advance(LIFETIME)
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.extend(user.burst(5)))
    waiting.start()
    until(issuer.refreshing.is_set)

    user.login()
    newest = list(issuer.lines)[-1]
    issuer.gate.set()
    waiting.join()

    assert [LoginRequired] * 5 == [type(result) for result in results]
    assert [] == issuer.authorizations
    clock.advance(LIFETIME)
    assert user.get().status_code == 200
    assert issuer.presented[-1] in issuer.lines[newest].tokens


def test_a_refresh_of_the_session_before_is_not_waited_for(user: Any, issuer: Any, clock: Any) -> None:
    """A refresh that hangs is dropped with its session: the session of a new login has its own refresh."""
    old = issuer.gate = threading.Event()
    clock.advance(LIFETIME)
    waiting = threading.Thread(target=lambda: user.burst(1))
    waiting.start()
    until(issuer.refreshing.is_set)

    user.login()
    issuer.gate = None
    clock.advance(5_000)
    issuer.revoke_access()

    assert user.get().status_code == 200
    old.set()
    waiting.join()
    assert issuer.counts["refreshes"] == 2


def test_login_goes_on_where_a_dead_session_ended(user: Any, issuer: Any, clock: Any) -> None:
    """After the session was ended, logging in again is all it takes."""
    issuer.end_sessions()
    clock.advance(LIFETIME)
    with pytest.raises(LoginRequired):
        user.get()

    user.login()

    assert user.get().status_code == 200


@pytest.mark.parametrize("library", ["httpx2", "httpx"])
def test_a_cancelled_caller_loses_nothing(new_user: NewUser, issuer: Any, clock: Any, library: str) -> None:
    """The refresh that a cancelled task started continues: its token is kept, and the other waiting tasks get it."""
    user = new_user(f"{library}-async")
    user.login()
    issuer.gate = threading.Event()
    clock.advance(LIFETIME)

    async def scenario() -> Any:
        first = asyncio.create_task(user.client.get("/me"))
        await asyncio.to_thread(issuer.refreshing.wait, 3)
        second = asyncio.create_task(user.client.get("/me"))
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        issuer.gate.set()
        return await second

    assert user.portal.call(scenario).status_code == 200
    assert user.get().status_code == 200
    assert (issuer.counts["refreshes"], issuer.counts["rotated"]) == (1, 1)


@pytest.mark.parametrize("library", ["httpx2", "httpx"])
def test_a_caller_who_ran_out_of_time_loses_nothing(new_user: NewUser, issuer: Any, clock: Any, library: str) -> None:
    """A caller with a timeout leaves; the token of its refresh is there for the next one."""
    user = new_user(f"{library}-async")
    user.login()
    issuer.latency = 0.2
    clock.advance(LIFETIME)

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await user.client.get("/me")

    user.portal.call(scenario)
    assert user.get().status_code == 200
    assert (issuer.counts["refreshes"], issuer.counts["rotated"]) == (1, 1)


@pytest.mark.parametrize("kinds", [("httpx2-async", "httpx2-async"), ("httpx2-async", "httpx-async"),
                                   ("httpx2-sync", "httpx-async"), ("httpx-sync", "httpx2-sync")])  # fmt: skip
def test_clients_of_every_kind_share_one_refresh(
    new_user: NewUser, issuer: Any, clock: Any, kinds: tuple[str, str]
) -> None:
    """Two clients with one `auth`, in two threads and on two event loops, of two libraries: still one refresh."""
    one = new_user(kinds[0])
    two = new_user(kinds[1], auth=one.auth)
    one.login()
    issuer.latency = 0.05
    issuer.revoke_access()
    clock.advance(LIFETIME)
    results: list[Any] = []

    threads = [threading.Thread(target=lambda user=user: results.extend(user.burst(40))) for user in (two, one)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [result.status_code for result in results] == [200] * 80
    assert issuer.counts["refreshes"] == 1


def test_an_event_loop_is_woken_once_for_all_its_tasks() -> None:
    """A hundred tasks that wait for one refresh cost its thread one call; each task may be cancelled on its own."""
    may_end = threading.Event()

    def refresh(_: str | None) -> str:
        may_end.wait(10)
        return "new"

    auth = DaypassAuth("http://127.0.0.1:1/auth", strategy=refresh)

    async def wait() -> None:
        loop, woken = asyncio.get_running_loop(), list[Any]()
        wake = loop.call_soon_threadsafe

        def noted(*call: Any, **options: Any) -> asyncio.Handle:
            woken.append(call)
            return wake(*call, **options)

        loop.call_soon_threadsafe = noted  # type: ignore[assignment]  # it goes on with the real one
        tasks = [asyncio.create_task(auth.atoken()) for _ in range(100)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()
        may_end.set()
        assert ["new"] * 99 == await asyncio.gather(*tasks[1:])
        assert (1, True) == (len(woken), tasks[0].cancelled())

    asyncio.run(wait())


def test_a_closed_client_takes_no_session_with_it(new_user: NewUser, kind: str, issuer: Any, clock: Any) -> None:
    """The client that logged in may be closed: refreshes then go through one of our own."""
    first = new_user(kind)
    first.login()
    first.close()
    clock.advance(LIFETIME)

    second = new_user(kind, auth=first.auth)

    assert second.get().status_code == 200
    assert issuer.counts["refreshes"] == 1


def test_an_event_loop_that_ends_takes_no_session_with_it(url: str, issuer: Any, clock: Any) -> None:
    """A refresh whose event loop ends meanwhile does not block others, and the next refresh succeeds."""
    issuer.grace = 30.0
    issuer.latency = 0.2
    auth = DaypassAuth(f"{url}/auth", clock=clock)

    async def one_shot() -> None:
        async with httpx2.AsyncClient(base_url=url, auth=auth) as client:
            await auth.alogin(client, email="ada@example.com", password="correct horse")
            clock.advance(LIFETIME * 95 // 100)
            assert (await client.get("/me")).status_code == 200

    asyncio.run(one_shot())
    until(lambda: auth._refresher._pending is None)
    clock.advance(LIFETIME)
    issuer.revoke_access()
    with httpx2.Client(base_url=url, auth=auth) as client:
        assert client.get("/me").status_code == 200


def test_a_stopped_event_loop_is_not_waited_for(url: str, issuer: Any, clock: Any) -> None:
    """A loop that stops in the middle of a refresh holds others up for a moment: then it is asked without it."""
    issuer.grace = 30.0
    auth = DaypassAuth(f"{url}/auth", clock=clock, timing=Timing(pause=10))
    loop = asyncio.new_event_loop()
    client = httpx2.AsyncClient(base_url=url, auth=auth)

    async def begin() -> None:
        await auth.alogin(client, email="ada@example.com", password="correct horse")
        issuer.gate = threading.Event()
        clock.advance(LIFETIME - 200)
        assert (await client.get("/me")).status_code == 200
        await asyncio.to_thread(issuer.refreshing.wait, 3)

    loop.run_until_complete(begin())
    until(lambda: auth.expires_in is not None and auth.expires_in <= 0)
    issuer.gate.set()
    with httpx2.Client(base_url=url, auth=auth) as other:
        assert other.get("/me").status_code == 200
    loop.run_until_complete(client.aclose())
    for task in asyncio.all_tasks(loop):
        loop.run_until_complete(task)
    loop.close()
    assert auth.logged_in


def test_a_refresh_that_never_answers_delays_by_its_deadline(
    new_user: NewUser, kind: str, issuer: Any, clock: Any
) -> None:
    """A server that takes the refresh and never answers costs the deadline, and no session."""
    events: list[ClientEvent] = []
    issuer.grace = 30.0
    user = new_user(kind, timing=Timing(deadline=400, attempt=5_000), on_event=events.append)
    user.login()
    issuer.gate = threading.Event()
    clock.advance(LIFETIME)

    began = time.monotonic()
    with pytest.raises(RefreshUnavailable):
        user.get()
    assert 0.3 < time.monotonic() - began < 2
    until(lambda: events[-1].kind is EventKind.REFRESH_FAILED)
    issuer.gate.set()
    clock.advance(60_000)
    assert user.get().status_code == 200


def test_the_pool_may_be_as_small_as_one_connection(url: str, issuer: Any, clock: Any) -> None:
    """A refused request gives its connection back before it waits, so a pool of one does not lock itself up."""
    auth = DaypassAuth(f"{url}/auth", clock=clock)
    limits = httpx2.Limits(max_connections=1)
    with httpx2.Client(base_url=url, auth=auth, limits=limits, timeout=2) as client:
        auth.login(client, email="ada@example.com", password="correct horse")
        clock.advance(5_000)
        issuer.revoke_access()
        with client.stream("GET", "/me") as response:
            assert response.status_code == 200
            assert "ada" in response.read().decode()


def test_events_tell_what_happened_and_no_secret(new_user: NewUser, kind: str, issuer: Any, clock: Any) -> None:
    """Login, 401, refresh, replay, failure and logout are reported as events, in that order, without tokens."""
    events: list[ClientEvent] = []
    user = new_user(kind, on_event=events.append)
    user.login()
    clock.advance(5_000)
    issuer.revoke_access()
    user.get()
    issuer.statuses = [409]
    clock.advance(LIFETIME)
    with pytest.raises(RefreshUnavailable):
        user.get()
    user.logout()

    mended = ["logged_in", "unauthorized", "refreshing", "refreshed", "replayed"]
    expected = [*mended, "refreshing", "refresh_failed", "logged_out"]
    assert expected == [event.kind for event in events]
    secrets = [token for line in issuer.lines.values() for token in line.tokens] + list(issuer.live)
    told = repr(events) + repr(user.auth) + repr(user.auth._session.tokens)
    assert not [secret for secret in secrets if secret in told]


def test_a_callback_that_raises_harms_nobody(new_user: NewUser, kind: str, issuer: Any, clock: Any) -> None:
    """An error in a user's own callback is logged; the refresh, and those who wait for it, go on."""

    def wrong(_: object) -> None:
        raise ValueError("mine")

    user = new_user(kind, on_event=wrong, on_logged_out=wrong)
    user.login()
    clock.advance(LIFETIME)
    assert user.get().status_code == 200
    issuer.end_sessions()
    clock.advance(LIFETIME)
    with pytest.raises(LoginRequired):
        user.get()


@pytest.mark.parametrize("library", ["httpx2", "httpx"])
def test_a_client_given_at_the_start_carries_the_refreshes(issuer: Any, url: str, clock: Any, library: str) -> None:
    """`client=` binds one before any login, of another kind than the one that logs in and sends."""
    module = importlib.import_module(library)
    seen: list[str] = []
    hooks = {"request": [lambda request: seen.append(request.url.path)]}
    with module.Client(event_hooks=hooks) as carrier, module.Client(base_url=url) as client:
        auth = DaypassAuth(f"{url}/auth", clock=clock, client=carrier)
        auth.login(client, email="ada@example.com", password="correct horse")
        auth._sender.bind(carrier)
        clock.advance(LIFETIME)
        assert client.get("/me", auth=auth).status_code == 200
    assert seen == ["/auth/refresh"]


def test_a_blocking_call_on_the_event_loop_does_not_wait_for_that_loop(
    new_user: NewUser, issuer: Any, url: str, clock: Any
) -> None:
    """Sync code that runs on the loop of the bound client has its refresh done in a thread, and is not locked up."""
    user = new_user("httpx2-async")
    user.login()
    clock.advance(LIFETIME)

    async def blocking() -> int:
        with httpx2.Client(base_url=url, auth=user.auth) as client:
            return client.get("/me").status_code

    began = time.monotonic()
    assert user.portal.call(blocking) == 200
    assert time.monotonic() - began < 2


def test_a_blocking_retry_on_the_event_loop_does_not_wait_for_that_loop(
    new_user: NewUser, issuer: Any, url: str, clock: Any
) -> None:
    """The same after a 401, for a client that is attached, when the client that was attached last is closed."""
    user = new_user("httpx2-async")
    user.login()
    clock.advance(5_000)
    issuer.revoke_access()

    async def blocking() -> int:
        with httpx2.Client(base_url=url) as client:
            for each in (client, httpx2.Client()):
                user.auth.attach(each)
            each.close()
            return client.get("/me").status_code

    began = time.monotonic()
    assert user.portal.call(blocking) == 200
    assert time.monotonic() - began < 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_not_locked_up(new_user: NewUser, issuer: Any, url: str, clock: Any) -> None:
    """A child forked in the middle of a refresh, and with the lock held, can refresh on its own."""
    issuer.grace = 30.0
    user = new_user("httpx2-sync")
    user.login()
    issuer.gate = threading.Event()
    clock.advance(LIFETIME)
    waiting = threading.Thread(target=user.get)
    waiting.start()
    until(issuer.refreshing.is_set)

    with user.auth._session._lock:
        child = os.fork()
        if child == 0:
            try:
                issuer_answered = httpx2.Client(base_url=url, auth=user.auth, verify=False).get("/me").status_code
                os._exit(0 if issuer_answered == 200 else 1)
            finally:
                os._exit(2)
    issuer.gate.set()
    waiting.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_its_parents_event_loop(
    new_user: NewUser, issuer: Any, url: str, clock: Any
) -> None:
    """A session that an async client logged in is refreshed in the child at once, by a thread of the child's own."""
    user = new_user("httpx2-async")
    user.login()
    clock.advance(LIFETIME)

    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            status = httpx2.Client(base_url=url, auth=user.auth, verify=False).get("/me").status_code
            os._exit(0 if status == 200 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert time.monotonic() - began < 5
    assert issuer.counts["refreshes"] == 1
