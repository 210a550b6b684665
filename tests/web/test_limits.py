"""How often a client may log in and refresh; a stranger cannot hinder a live session."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from daypass import AsyncDaypass, ConfigurationError, CredentialsRejected, EventCode, web
from daypass.duration import DAY, MINUTE, SECOND
from daypass.testing import START
from daypass.web import rate_counters
from daypass.web.browser_login import BrowserLogin
from daypass.web.limits import Limiter, RateLimits
from daypass.web.message import Request, Response
from daypass.web.options import Options
from daypass.web.pages import Pages
from daypass.web.rate_counters import Counter, MemoryCounter, Rate, SharedCounter, open_counter
from daypass.web.starlette import auth_routes

from ..servers import redis as servers
from ..servers.application import serving
from .failing import Watched
from .live import Application
from .world import ALICE, BOB, CHALLENGE, HOST, ISSUER, JSON, NO_STORE, PASSWORD, VARY, Asked, body_of

HERE = "192.0.2.7"
ELSEWHERE = "198.51.100.1"
WRONG = {"email": ALICE.email, "password": "wrong password"}
RIGHT = {"email": ALICE.email, "password": PASSWORD}
GARBAGE = "dpr_" + 76 * "A"
NONE = RateLimits(
    login_per_address=None, login_per_account=None, refresh_per_session=None, rejected_refresh_per_address=None
)


def limited(**rates: Any) -> Asked:
    """Return an issuer with these limits, and no others."""
    return Asked(options=Options(rate_limits=RateLimits(**(NONE.rates() | rates))))


def statuses(asked: Asked, times: int, path: str = "/login", content: object = WRONG, **sent: Any) -> list[int]:
    return [asked.ask("POST", path, content, **sent).status for _ in range(times)]


def refreshes(asked: Asked, times: int, cookie: str, **sent: Any) -> list[int]:
    return statuses(asked, times, "/refresh", None, cookie=cookie, **sent)


# ---- logins


def test_the_answer() -> None:
    """The first login over the limit gets 429 with ``Retry-After``, nothing about the account, and an event."""
    asked = limited(login_per_account="2/minute")
    statuses(asked, 2)
    refused = asked.ask("POST", "/login", RIGHT)
    headers = (JSON, NO_STORE, ("retry-after", "61"), VARY)
    assert Response(429, headers, body_of("too_many_requests", "Too many requests; try again later")) == refused
    told = asked.events[-1]
    assert (EventCode.LIMITED, "login_per_account", None) == (told.code, told.reason, told.subject)
    assert 2 == len(asked.tried)  # the password was not looked at


def test_an_account() -> None:
    """Guesses at one account are counted wherever they come from, whatever the case of its name; no other is."""
    asked = limited(login_per_account="4/minute")
    names = ["alice@example.com", "Alice@Example.COM", " alice@example.com", "\uff21lice@example.com", ALICE.email]
    answers = [
        asked.ask("POST", "/login", WRONG | {"email": name}, address=f"192.0.2.{place}").status
        for place, name in enumerate(names)
    ]
    assert [401] * 4 + [429] == answers
    assert 200 == asked.ask("POST", "/login", RIGHT | {"email": BOB.email}).status


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("testclient", "otherclient", False),
    ],
)
def test_an_address(one: str, other: str, *, same: bool) -> None:
    """Failed logins from one address are counted, whatever the account; for IPv6 those of one /64."""
    asked = limited(login_per_address="3/minute")
    for content in (WRONG, WRONG | {"email": BOB.email}, WRONG | {"email": "nobody@example.com"}):
        asked.ask("POST", "/login", content, address=one)
    assert [429] == statuses(asked, 1, address=one)
    assert [429 if same else 401] == statuses(asked, 1, address=other)


@pytest.mark.parametrize("address", [None, ""])
def test_no_address(address: str | None) -> None:
    """Clients without an address do not use up each other's logins; guesses at one account still count."""
    asked = limited(login_per_address="1/minute", login_per_account="3/minute")
    assert [401, 401, 401, 429] == statuses(asked, 4, address=address)
    assert [200, 200] == statuses(asked, 2, content=RIGHT | {"email": BOB.email}, address=address)


def test_where_the_owner_has_logged_in_before() -> None:
    """A stranger who guesses cannot use up an account's logins from an address where it logged in within a month."""
    asked = limited(login_per_account="3/minute")
    asked.ask("POST", "/login", RIGHT, address=HERE)
    asked.clock.advance(29 * DAY)
    assert 429 in statuses(asked, 5, address=ELSEWHERE)
    assert [429] == statuses(asked, 1, content=RIGHT, address="203.0.113.1")
    assert [200] * 5 == statuses(asked, 5, content=RIGHT, address=HERE)
    assert [401] * 3 + [429] == statuses(asked, 4, address=HERE)
    asked.clock.advance(61 * DAY)
    assert 429 in statuses(asked, 5, address=ELSEWHERE)
    assert [429] == statuses(asked, 1, content=RIGHT, address=HERE)


def test_a_failed_login_makes_no_address_known() -> None:
    """Guessing does not make an address a known one."""
    asked = limited(login_per_account="3/minute")
    assert [401] * 3 + [429] * 5 == statuses(asked, 8, address=ELSEWHERE)


def test_refused_requests_are_not_counted() -> None:
    """A request that is refused anyway, as another site's page may cause it, uses up no logins."""
    asked = limited(login_per_address="1/minute", login_per_account="1/minute")
    assert [403] * 3 == statuses(asked, 3, headers={"sec-fetch-site": "cross-site"})
    assert [400] * 3 == statuses(asked, 3, content=WRONG | {"deviceName": 5})
    assert [401, 429] == statuses(asked, 2)


def test_a_login_that_is_limited_touches_no_session() -> None:
    """A user who is logged in and logs in too often stays logged in."""
    asked = limited(login_per_account="1/minute")
    _, refresh_token = asked.login()
    assert [401] == statuses(asked, 1, address=ELSEWHERE)
    refused = asked.ask("POST", "/login", RIGHT, cookie=refresh_token, address=ELSEWHERE)
    assert (429, (JSON, NO_STORE, ("retry-after", "61"), VARY)) == (refused.status, refused.headers)
    assert asked.lives(refresh_token)


def test_good_logins_use_up_nothing() -> None:
    """A login that succeeds is not counted, by account or by address: only failures are limited."""
    asked = limited(login_per_account="3/minute", login_per_address="3/minute")
    assert [200] * 10 == statuses(asked, 10, content=RIGHT)
    assert [401] * 3 + [429] == statuses(asked, 4, address=ELSEWHERE)


def test_spellings_of_one_name_count_as_one() -> None:
    """Spellings of a name that the look-up takes for the same are counted as the same."""
    asked = limited(login_per_account="3/minute")
    spelt = [ALICE.email, "ALICE@EXAMPLE.COM", " \uff21lice@example.com", "Alice@Example.com"]
    assert [401, 401, 401, 429] == [asked.ask("POST", "/login", WRONG | {"email": name}).status for name in spelt]


def test_a_clock_that_was_ahead_locks_nobody_out() -> None:
    """Counts from while the clock was a year ahead last two minutes after it was set right, and no longer."""
    asked = limited(login_per_account="3/minute", refresh_per_session="2/minute")
    _, refresh_token = asked.login()
    asked.clock.advance(365 * DAY)
    assert [401] * 3 + [429] == statuses(asked, 4, address=ELSEWHERE)
    asked.clock.advance(-365 * DAY)
    assert [429] == statuses(asked, 1, address=ELSEWHERE)
    asked.clock.advance(2 * MINUTE + 1)
    assert [401] == statuses(asked, 1, address=ELSEWHERE)
    assert [200] == refreshes(asked, 1, refresh_token)


# ---- the default limits of an application


def test_the_default_of_an_application() -> None:
    """Failed logins are limited by account, also if nothing is said of limits; all others can go on to log in."""
    asked = Asked()
    assert [401] * 10 + [429] == statuses(asked, 11)
    guesses = [
        asked.ask("POST", "/login", WRONG | {"email": f"guess-{number}@example.com"}).status for number in range(60)
    ]
    assert [401] * 60 == guesses  # perhaps all come through one proxy that is not configured
    assert [200] == statuses(asked, 1, content=RIGHT | {"email": BOB.email})


def test_the_default_behind_known_proxies() -> None:
    """An application that knows its proxies knows its clients' addresses, and limits failed logins from each."""
    asked = Asked(options=Options(trusted_proxies=["10.0.0.1"], proxy_header="X-Forwarded"))

    def guess(number: int, client: str) -> int:
        sent = {"x-forwarded-for": client, "x-forwarded-proto": "https"}
        content = WRONG | {"email": f"guess-{number}@example.com"}
        return asked.ask("POST", "/login", content, address="10.0.0.1", headers=sent).status

    assert [401] * 30 + [429] == [guess(number, "192.0.2.7") for number in range(31)]
    assert 401 == guess(32, "192.0.2.8")


def test_no_limits() -> None:
    """With ``rate_limits=None`` nothing is limited."""
    asked = Asked(options=Options(rate_limits=None))
    assert [401] * 50 == statuses(asked, 50)
    assert [401] * 100 == refreshes(asked, 100, GARBAGE)


# ---- refreshes


def test_guesses_never_hinder_a_session() -> None:
    """While a stranger's logins and garbage use up the limits of an account and an address, its sessions refresh."""
    asked = Asked(options=Options(rate_limits=RateLimits()))
    _, refresh_token = asked.login()
    statuses(asked, 40)
    refreshes(asked, 80, GARBAGE)
    assert ([429], [429]) == (statuses(asked, 1), refreshes(asked, 1, GARBAGE))
    for _ in range(3):
        asked.end_grace()
        statuses(asked, 40)
        refreshes(asked, 80, GARBAGE)
        assert [200] == refreshes(asked, 1, refresh_token)


def test_garbage_costs_no_query() -> None:
    """Text that is not an authentic refresh token gets 401, then, by its address, 429: without a query."""
    store = Watched()
    asked = Asked(store, options=Options(rate_limits=RateLimits(rejected_refresh_per_address="3/minute")))
    _, bobs = asked.login(BOB)
    forged = bobs[:-4] + ("AAAA" if bobs[-4:] != "AAAA" else "BBBB")
    store.asked.clear()
    texts = ("garbage", forged, "dpr_", forged, bobs[:-1])
    answers = [asked.ask("POST", "/refresh", {"refreshToken": text}) for text in texts]
    assert ([401, 401, 401, 429, 429], []) == ([answer.status for answer in answers], store.asked)
    assert "set-cookie" not in dict(answers[-1].headers)
    assert [401] == refreshes(asked, 1, GARBAGE, address=ELSEWHERE)
    assert asked.lives(bobs)


def test_a_dead_session_counts_against_its_address() -> None:
    """Authentic tokens that are rejected are counted too, and still get their 401, which the client needs."""
    asked = limited(rejected_refresh_per_address="3/minute")
    _, dead = asked.login()
    asked.auth.logout(dead)
    assert [401] * 5 == refreshes(asked, 5, dead)
    assert [429] == refreshes(asked, 1, GARBAGE)


def test_a_session() -> None:
    """A client that runs wild is slowed down by its own session: no other, of the same user or address, feels it."""
    asked = limited(refresh_per_session="5/minute")
    _, wild = asked.login()
    _, other = asked.login()
    assert [200] * 5 + [429] * 3 == refreshes(asked, 8, wild)
    assert [200] == refreshes(asked, 1, other)
    assert EventCode.REUSED not in [event.code for event in asked.events]
    asked.clock.advance(2 * MINUTE)
    assert [200] == refreshes(asked, 1, wild)


def test_honest_clients_meet_no_limit() -> None:
    """A hundred requests that meet the expiry at once, twice a minute, are all served by the default limits."""
    asked = Asked(options=Options(rate_limits=RateLimits()))
    _, refresh_token = asked.login()
    for _ in range(4):
        assert [200] * 100 == refreshes(asked, 100, refresh_token)
        asked.clock.advance(30 * SECOND + 1)


def test_rejected_tokens_still_look_alike() -> None:
    """With limits the rejection of a forged, a dead and an unknown token is the same to the byte."""
    asked = limited(rejected_refresh_per_address="60/minute", refresh_per_session="60/minute")
    _, dead = asked.login()
    asked.auth.logout(dead)
    expected = Response(401, (JSON, NO_STORE, CHALLENGE, VARY), body_of("invalid_grant"))
    for text in (dead, GARBAGE, "garbage"):
        assert expected == asked.ask("POST", "/refresh", cookie=text)


# ---- pages, and what a proxy asks


def verified(asked: Asked, times: int, cookie: str, address: str = HERE, **headers: str) -> list[int | None]:
    """Send a proxy's question with only a refresh token; return the statuses."""
    return [asked.ask("GET", "/verify", cookie=cookie, address=address, headers=headers).status for _ in range(times)]


def enter(asked: Asked, pages: Pages, cookie: str | None, address: str = HERE) -> BrowserLogin:
    sent = {} if cookie is None else {"cookie": f"__Host-daypass={cookie}"}
    request = Request("https", HOST, sent, address=address)
    return asked.auth.run(pages.process_request(request, asked.auth.new_call()))


def test_a_page_with_garbage() -> None:
    """A cookie that is not a token of ours counts against its address; it costs no query, and blocks no page.

    The cookie is cleared, however many there were: its browser can continue to the login.
    """
    store = Watched()
    asked = Asked(store)
    limiter = Limiter(RateLimits(rejected_refresh_per_address="3/minute"))
    pages = web.Application(asked.auth, rate_limits=limiter).pages()
    _, refresh_token = asked.login()
    store.asked.clear()
    for _ in range(6):
        login = enter(asked, pages, GARBAGE)
        assert (None, None) == (login.refusal, login.token)
        ours = asked.auth.run(pages.process_response(login, asked.auth.new_call()))
        assert 2 == len([value for name, value in ours if name == "set-cookie" and "Max-Age=0" in value])
    assert [] == store.asked
    told = [event.reason for event in asked.events if event.code is EventCode.LIMITED]
    assert ["rejected_refresh_per_address"] * 3 == told
    assert enter(asked, pages, refresh_token).token


def test_a_page_of_a_session_that_runs_wild() -> None:
    """Refreshes inside requests are limited by their session: 429, when to come again, and no cookie is changed."""
    asked = Asked()
    pages = web.Application(asked.auth, rate_limits=RateLimits(refresh_per_session="2/minute")).pages()
    (access, wild), (_, other) = asked.login(), asked.login()
    assert enter(asked, pages, wild).token
    assert enter(asked, pages, wild).token
    refusal = enter(asked, pages, wild).refusal
    assert refusal
    assert (429, "61") == (refusal.status, dict(refusal.headers)["retry-after"])
    assert "set-cookie" not in dict(refusal.headers)
    assert enter(asked, pages, other).token
    good = Request("https", HOST, {"cookie": f"__Host-daypass={wild}; __Host-daypass-access={access}"}, address=HERE)
    assert asked.auth.run(pages.process_request(good, asked.auth.new_call())).token  # no refresh, so nothing is counted


def test_a_proxy_that_asks() -> None:
    """``GET /verify`` counts together with the endpoints; garbage by its address, a session by itself."""
    asked = limited(rejected_refresh_per_address="3/minute", refresh_per_session="4/minute")
    _, refresh_token = asked.login()
    assert [401] * 5 == verified(asked, 5, GARBAGE)
    assert [429] == refreshes(asked, 1, GARBAGE)
    assert [204, 204] == verified(asked, 2, refresh_token)
    assert [200, 200, 429] == refreshes(asked, 3, refresh_token)
    assert [429] == verified(asked, 1, refresh_token)


def form_login(asked: Asked, pages: Pages, password: str, address: str = HERE) -> int:
    """Send a form, as an application that asks first answers it; return for how long it has to wait."""
    request = Request("https", HOST, {}, address=address, method="POST")
    login = asked.auth.run(pages.process_request(request, asked.auth.new_call()))
    wait = asked.auth.run(login.count_login(ALICE.email or ""))
    if not wait:
        with contextlib.suppress(CredentialsRejected):
            login.log_in(asked.auth.login(ALICE.email or "", password))
    asked.auth.run(pages.process_response(login, asked.auth.new_call()))
    return wait


def test_a_form() -> None:
    """A form's logins are counted as those of the endpoint; from where an account has logged in, apart."""
    asked = Asked()
    pages = web.Application(asked.auth, rate_limits=RateLimits(login_per_account="3/minute")).pages()
    assert [0] == [form_login(asked, pages, PASSWORD)]
    assert [0, 0, 0, 61] == [form_login(asked, pages, "wrong", ELSEWHERE) for _ in range(4)]
    assert 61 == form_login(asked, pages, PASSWORD, "203.0.113.1")
    assert [0, 0, 0, 61] == [form_login(asked, pages, "wrong") for _ in range(4)]
    assert "login_per_account" == asked.events[-1].reason


def test_a_form_without_limits() -> None:
    """Without limits a form may be sent any number of times."""
    asked = Asked()
    pages = web.Application(asked.auth, rate_limits=None).pages()
    assert [0] * 50 == [form_login(asked, pages, "wrong") for _ in range(50)]


def test_a_form_and_an_async_issuer() -> None:
    """With an `AsyncDaypass` the same is awaited."""

    async def waits() -> list[int]:
        async with AsyncDaypass("memory:", issuer=ISSUER, load_user=lambda _: None) as auth:
            pages = web.Application(auth, rate_limits=RateLimits(login_per_address="2/minute")).pages()
            request = Request("https", HOST, {}, address=HERE, method="POST")
            login = await auth.run(pages.process_request(request, auth.new_call()))
            return [await auth.run(login.count_login(name)) for name in ("ann", "bob", "cid")]

    first, second, third = asyncio.run(waits())
    assert (0, 0, True) == (first, second, 0 < third <= 61)


def test_adapters_that_count_together() -> None:
    """Adapters with the same `Limiter` count together."""
    asked = Asked(options=Options(rate_limits=(limiter := Limiter(RateLimits(refresh_per_session="3/minute")))))
    pages = web.Application(asked.auth, rate_limits=limiter).pages()
    _, refresh_token = asked.login()
    assert [200, 200] == refreshes(asked, 2, refresh_token)
    assert enter(asked, pages, refresh_token).token
    assert enter(asked, pages, refresh_token).refusal
    assert [429] == refreshes(asked, 1, refresh_token)


# ---- how counting works


@pytest.mark.parametrize(
    ("text", "amount", "span"),
    [
        ("30/minute", 30, MINUTE),
        ("1/second", 1, SECOND),
        ("5/hour", 5, 60 * MINUTE),
        ("1/day", 1, DAY),
        ("10/5m", 10, 5 * MINUTE),
        ("7 / 90s", 7, 90 * SECOND),
    ],
)
def test_rates(text: str, amount: int, span: int) -> None:
    """A rate is a number in a span of time."""
    assert Rate(amount, span) == Rate.of(text)


def test_wrong_limits_are_refused() -> None:
    """Limits that are something else are refused where they are given."""
    with pytest.raises(ConfigurationError, match="rate_limits"):
        Asked(options=Options(rate_limits="30/minute"))  # type: ignore[typeddict-item]


@pytest.mark.parametrize("text", ["", "30", "0/minute", "-1/minute", "x/minute", "3/", "3/week", "3/0s", "3/100ms", 30])
def test_no_rates(text: Any) -> None:
    """A text that is not a rate is refused where it is written, by the name of its limit."""
    with pytest.raises(ConfigurationError, match=r"login_per_account: invalid rate .*: write 30/minute"):
        RateLimits(login_per_account=text)


def test_a_sliding_window() -> None:
    """In no span are there more than allowed; a client that waits as long as it was asked to may continue."""
    counter, rate, now = MemoryCounter(), Rate(10, MINUTE), START
    taken: list[int] = []
    for step in range(3000):
        wait = counter.hit("key", rate, now)
        if wait == 0:
            taken.append(now)
        elif step % 7 == 0:
            now += wait
            assert 0 == counter.look("key", rate, now)
        now += (step * 7919) % 2000
    # the counts of the window before are taken as spread evenly over it
    assert all(len([each for each in taken if at - MINUTE < each <= at]) <= 19 for at in taken)
    long = (taken[-1] - taken[0]) / MINUTE
    assert 0.8 * 10 * long <= len(taken) <= 10 * (long + 1)


def test_a_clock_that_is_set_back() -> None:
    """A clock that is set back blocks no client for longer than the span."""
    counter, rate = MemoryCounter(), Rate(1, MINUTE)
    counter.hit("key", rate, START + DAY)
    assert 0 < counter.hit("key", rate, START) <= MINUTE + 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is limited, however many addresses ask: expired counts are forgotten first, then the oldest."""
    monkeypatch.setattr(rate_counters, "MOST_KEYS", 1000)
    counter, rate = MemoryCounter(), Rate(1, MINUTE)
    for number in range(999):
        counter.hit(f"old {number}", rate, START)
    later = START + 3 * MINUTE
    counter.hit("mine", rate, later)
    for number in range(800):
        counter.hit(f"new {number}", rate, later)
    assert 801 == len(counter._windows[MINUTE])
    assert counter.look("mine", rate, later)
    for number in range(5000):
        counter.hit(f"flood {number}", rate, later)
    assert len(counter._windows[MINUTE]) <= 1000


def test_strangers_displace_nothing_that_is_kept_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an account has logged in before stays known, however many addresses send garbage."""
    monkeypatch.setattr(rate_counters, "MOST_KEYS", 1000)
    counter, month = MemoryCounter(), Rate(1, 30 * DAY)
    counter.hit("known", month, START)
    for number in range(5000):
        counter.hit(f"flood {number}", Rate(60, MINUTE), START)
    assert counter.look("known", month, START)


def test_threads_count_together() -> None:
    """Of many threads that ask at once, as many as there may be get through."""
    counter, rate = MemoryCounter(), Rate(50, MINUTE)
    let: list[int] = []

    def ask() -> None:
        let.extend(counter.hit("key", rate, START) for _ in range(40))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (50, 320) == (let.count(0), len(let))


# ---- shared by nodes


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    """Give the URL of a Redis."""
    with servers.any_server() as url:
        yield url


@pytest.fixture
def name() -> str:
    """Return a name that no other test has counted."""
    return f"{time.time_ns()}@example.com"


def over(url: str, **rates: str | None) -> Options:
    return Options(rate_limits=RateLimits(url, **(NONE.rates() | rates)))


def test_two_nodes_count_together(redis: str, name: str) -> None:
    """What one node has counted the other knows; and when to come again."""
    nodes = [Asked(options=over(redis, login_per_account="4/hour")) for _ in range(2)]
    answers = [nodes[turn % 2].ask("POST", "/login", WRONG | {"email": name}) for turn in range(6)]
    assert [401] * 4 + [429] * 2 == [answer.status for answer in answers]
    assert 1 <= int(dict(answers[-1].headers)["retry-after"]) <= 3601


def test_two_nodes_know_where_the_owner_has_logged_in(redis: str, name: str) -> None:
    """An address from which an account has logged in is known to all nodes."""
    one, other = (Asked(options=over(redis, login_per_account="2/hour")) for _ in range(2))
    here, elsewhere = f"2001:db8:{name[10:14]}:{name[14:18]}::1", "2001:db8::1"
    assert [200] == statuses(one, 1, content=RIGHT, address=here)
    assert 429 in statuses(other, 4, address=elsewhere)
    assert [200] == statuses(other, 1, content=RIGHT, address=here)


def test_a_window_ends(redis: str) -> None:
    """A client that waits as long as it was asked to is accepted again."""
    key = f"ends {time.time_ns()}"
    counter = open_counter(redis)
    assert 0 == counter.hit(key, Rate(1, 2 * SECOND), 0)
    for _ in range(50):
        wait = counter.hit(key, Rate(1, 2 * SECOND), 0)
        if wait == 0:
            return
        assert wait <= 2 * SECOND
        time.sleep(wait / SECOND)
    pytest.fail("it never ended")


def test_valkey_urls_count_in_the_same_place(redis: str) -> None:
    """The driver is redis-py for both; the package ``valkey`` is not needed."""
    key = f"valkey {time.time_ns()}"
    assert 0 == open_counter(redis).hit(key, Rate(1, MINUTE), 0)
    assert 0 < open_counter(redis.replace("redis", "valkey", 1)).hit(key, Rate(1, MINUTE), 0)


def test_limits_are_counted_by_a_unix_socket(tmp_path: Path) -> None:
    """The URL is the same as that of a store."""
    with servers.Server(f"unixsocket {tmp_path}/redis.sock"):
        counter = open_counter(f"unix://{tmp_path}/redis.sock")
        assert 0 == counter.hit("key", Rate(1, MINUTE), 0)
        assert 0 < counter.hit("key", Rate(1, MINUTE), 0)


def test_async_nodes(redis: str, name: str) -> None:
    """An async issuer counts in the same place, and its event loop waits for nothing."""
    application = Application()
    routes = auth_routes(application.auth, authenticate=application.check, **over(redis, login_per_account="20/hour"))
    app = Starlette(routes=[Mount("/auth", routes=routes)], lifespan=application.lifespan)

    async def ask(address: str) -> list[int]:
        async with httpx2.AsyncClient(base_url=address, timeout=30) as client:
            login = WRONG | {"email": name}
            answers = await asyncio.gather(*(client.post("/auth/login", json=login) for _ in range(40)))
            return sorted(answer.status_code for answer in answers)

    with serving(app) as address:
        assert [401] * 20 + [429] * 20 == asyncio.run(ask(address))
    other = Asked(options=over(redis, login_per_account="20/hour"))
    assert [429] == statuses(other, 1, content=WRONG | {"email": name})


def test_redis_is_down(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """While the shared counter is down, each process counts alone, and the log says so; then it is used again."""
    with servers.Server() as server:
        asked = Asked(options=over(server.url, login_per_account="3/hour", rejected_refresh_per_address="3/hour"))
        other = Asked(options=over(server.url, login_per_account="3/hour"))
        _, refresh_token = asked.login()
        assert [401] == statuses(asked, 1, content=WRONG | {"email": name})
        server.kill()
        assert [401] * 3 + [429] == statuses(asked, 4, content=WRONG | {"email": name})
        assert [401] * 3 + [429] == statuses(other, 4, content=WRONG | {"email": name})
        assert [401] * 3 + [429] == refreshes(asked, 4, GARBAGE)
        assert asked.lives(refresh_token)
        told = [record.message for record in caplog.records if "rate limits" in record.message]
        assert told
        expected = "the storage of rate limits failed ({}): this process counts alone for now"
        assert set(told) <= {expected.format(kind) for kind in KINDS}


KINDS = ("ConnectionError", "TimeoutError")


def test_redis_is_stuck(caplog: pytest.LogCaptureFixture) -> None:
    """A Redis that does not answer delays no request for long: after a failure it is not asked again at once."""
    with servers.Server() as server:
        asked = Asked(options=over(server.url, login_per_account="100/hour"))
        assert [401] == statuses(asked, 1)
        with server.frozen():
            assert [401] * 20 == statuses(asked, 20)
    told = [record.message for record in caplog.records if "rate limits" in record.message]
    assert 1 <= len(told) < 20  # not every login has waited for it in vain


@pytest.mark.parametrize("url", ["nowhere://user:password@host", "redis", "", 5])
def test_no_place_to_count(url: Any) -> None:
    """An unknown URL of the counter is refused, and a password in it is not shown."""
    with pytest.raises(ConfigurationError) as refused:
        Asked(options=Options(rate_limits=RateLimits(url)))
    assert "password" not in str(refused.value)


def test_without_the_library() -> None:
    """Counting in memory needs nothing more; for a shared place it is said what to install."""
    script = (
        "import sys; sys.modules['limits'] = None\n"
        "from daypass.web.rate_counters import open_counter\n"
        "open_counter('memory:')\n"
        "try: open_counter('redis://localhost')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert 'pip install "daypass[limits]"' in done.stdout


def test_which_counts() -> None:
    """Memory is asked at once, a shared place is waited for."""
    counters: list[Counter] = [MemoryCounter(), SharedCounter("redis://127.0.0.1:1")]
    assert [False, True] == [counter.waits for counter in counters]
