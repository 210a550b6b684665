"""What `DaypassAuth` promises in every HTTP library: its arguments, its errors, its bounds."""

import asyncio
import base64
import gzip
import importlib
import json
import logging
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import aiohttp
import httpx2
import pytest
import requests
import urllib3

from daypass.client import aiohttp as for_aiohttp
from daypass.client import httpx as for_httpx
from daypass.client import requests as for_requests
from daypass.client import urllib3 as for_urllib3
from daypass.client.content import content_of
from daypass.client.failures import was_not_written
from daypass.client.messages import LONGEST_ANSWER
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable
from daypass.testing.client_subjects import SUBJECTS, Ours
from daypass.testing.strict_server import PASSWORD, StrictServer

LIFETIME = 900_000
TIMING = Timing(fresh=0, pause=10, backoff=20)
NewUser = Callable[..., Any]
EVERY_CLIENT = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)


def auth_of(subject: type[Any], url: str, **options: Any) -> Any:
    """Return a `DaypassAuth` for that client, with the usual timing."""
    module = importlib.import_module(f"daypass.client.{subject.adapter}")
    return getattr(module, subject.auth_class)(f"{url}/auth", **options)


@EVERY_CLIENT
def test_login_attaches_in_every_library(subject: type[Ours], url: str, issuer: StrictServer) -> None:
    """After a login the client sends the token: as `auth`, by its pools, or, for aiohttp, as its middleware."""
    user: Any = subject(url)
    user.login()
    assert 200 == user.request("GET", "/me")
    user.close()


def test_client_that_would_send_no_token_is_refused(url: str, issuer: StrictServer) -> None:
    """Where Daypass cannot attach itself the error says what to write; another auth is not replaced silently."""

    async def scenario() -> None:
        auth = for_aiohttp.DaypassAuth(f"{url}/auth")
        async with aiohttp.ClientSession(url) as session:
            with pytest.raises(ConfigurationError, match=r"ClientSession\(middlewares=\[auth\]\)"):
                await auth.alogin(session, email="ada", password=PASSWORD)
            with pytest.raises(ConfigurationError, match=r"ClientSession\(middlewares=\[auth\]\)"):
                auth.attach(session)

    asyncio.run(scenario())
    with requests.Session() as session:
        session.auth = ("user", "password")
        with pytest.raises(ConfigurationError, match=r"write client\.auth = None first"):
            for_requests.DaypassAuth(f"{url}/auth").login(session, email="ada", password=PASSWORD)
    assert 0 == issuer.counts["logins"]


def test_pool_of_urllib3_is_attached_to_one_auth_at_a_time(url: str, issuer: StrictServer) -> None:
    """A second auth takes the place of the first; a redirect to another origin takes no token along."""
    one, two = (for_urllib3.DaypassAuth(f"{url}/auth", timing=TIMING) for _ in range(2))
    with urllib3.PoolManager() as pool:
        one.login(pool, email="ada", password=PASSWORD)
        two.login(pool, email="ada", password=PASSWORD)
        issuer.revoke_access()
        assert 200 == pool.request("GET", f"{url}/me").status
        assert 1 == issuer.counts["refreshes"]
        assert issuer.authorizations[-1] == f"Bearer {two.token()}"
        with pytest.raises(ConfigurationError, match="PoolManager of urllib3"):
            one.attach(requests.Session())


@EVERY_CLIENT
def test_stored_token_that_was_revoked_fails_nobody(subject: type[Any], url: str, issuer: StrictServer) -> None:
    """`start` with an old token, a 401 within the first second: one refresh, and all hundred are answered."""
    user = subject(url, None, auth_of(subject, url))
    user.login()
    access, refresh = next(iter(issuer.live)), next(iter(issuer.lines.values())).tokens[-1]
    issuer.revoke_access()
    issuer.latency = 0.05
    user.auth.start(access_token=access, refresh_token=refresh, expires_in=900)
    assert [200] * 100 == user.burst(100)
    assert 1 == issuer.counts["refreshes"]
    user.close()


@EVERY_CLIENT
def test_retry_after_as_a_date_is_kept_in_every_library(subject: type[Any], url: str, issuer: StrictServer) -> None:
    """Counted from the answer's own date, so this machine's clock plays no part."""
    user = subject(url)
    user.login()
    issuer.skew = 5_000.0
    issuer.retry_after = formatdate(time.time() + 5_120, usegmt=True)
    issuer.statuses = [503]
    issuer.revoke_access()
    (failure,) = user.burst(1)
    assert isinstance(failure, RefreshUnavailable)
    assert failure.retry_after is not None
    assert 110 < failure.retry_after <= 120
    user.close()


@EVERY_CLIENT
def test_error_says_address_and_reason_and_no_secret(subject: type[Any], url: str, issuer: StrictServer) -> None:
    """A refused connection is named in the error, with the library's error as its cause."""
    user = subject(url)
    user.login()
    user.auth._sender.url = "http://127.0.0.1:1/auth"
    issuer.revoke_access()
    (failure,) = user.burst(1)
    assert isinstance(failure, RefreshUnavailable)
    assert "no answer from http://127.0.0.1:1 (" in str(failure)
    assert "refused" in str(failure).lower()
    assert failure.__cause__ is not None
    tokens = [token for line in issuer.lines.values() for token in line.tokens]
    assert not [token for token in tokens if token in f"{failure!r} {failure.__cause__!r}"]
    assert 0 == issuer.counts["refreshes"]
    user.close()


def test_connection_that_the_server_has_closed_is_no_reason_to_give_up() -> None:
    """A write to it fails (EPIPE), so a strict server may be asked again; a reset may come after the work was done."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(BrokenPipeError) as caught:
        ours.sendall(b"refresh")
    wrapped = httpx2.ReadError("it broke")
    wrapped.__cause__ = caught.value
    assert was_not_written(wrapped)
    assert not was_not_written(httpx2.ReadError("it broke"))
    assert not was_not_written(ConnectionResetError(104, "reset"))


def test_bug_in_a_strategy_is_logged_with_its_place(url: str, issuer: StrictServer, caplog: Any) -> None:
    """The log has file, line and function, and the error is the cause; what the exception says is not repeated."""
    secret = "SECRET"

    def with_a_bug(_: str | None) -> str:
        raise KeyError(secret)

    auth = for_httpx.DaypassAuth(f"{url}/auth", strategy=with_a_bug, timing=TIMING)
    caplog.set_level(logging.DEBUG, "daypass")
    with pytest.raises(RefreshUnavailable, match="the strategy raised KeyError") as caught:
        auth.token()
    assert isinstance(caught.value.__cause__, KeyError)
    assert "in with_a_bug" in caplog.text
    assert "SECRET" not in caplog.text + str(caught.value)


@EVERY_CLIENT
def test_compressed_answer_is_bounded(subject: type[Any], url: str, loopbacks: Any) -> None:
    """64 MiB of zeros in 64 kB of gzip cost no memory: an answer of a token endpoint is never that long."""
    bomb = gzip.compress(bytes(64 * 2**20))

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-encoding", b"gzip"), (b"content-length", str(len(bomb)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bomb})

    loopbacks[0].app = app
    user = subject(url)
    tracemalloc.start()
    with pytest.raises(RefreshUnavailable):
        user.login()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    user.close()
    assert peak < 12 * 2**20


def test_body_is_decoded_up_to_a_bound() -> None:
    """Gzip and both kinds of deflate; an unknown coding and garbage count as nothing."""
    import zlib

    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    text = b'{"accessToken": "a"}'
    assert [text] * 4 == [
        content_of(text, None),
        content_of(gzip.compress(text), "GZIP"),
        content_of(zlib.compress(text), "deflate"),
        content_of(raw.compress(text) + raw.flush(), "deflate"),
    ]
    assert [b"", b""] == [content_of(text, "br"), content_of(text, "gzip")]
    assert LONGEST_ANSWER == len(content_of(gzip.compress(bytes(2**22)), "gzip"))


def test_pauses_grow_across_attempts_and_callers(url: str, issuer: StrictServer) -> None:
    """Threads that ask in a loop during an outage cost the server one request for each doubling of the pause."""
    issuer.grace = 30.0
    auth = for_httpx.DaypassAuth(f"{url}/auth", timing=Timing(fresh=0, pause=20, backoff=20), jitter=lambda: 1.0)
    with httpx2.Client(base_url=url) as client:
        auth.login(client, email="ada", password=PASSWORD)
        issuer.statuses = [503] * 1_000
        issuer.revoke_access()
        end = time.monotonic() + 0.5

        def ask() -> None:
            while time.monotonic() < end:
                with pytest.raises(RefreshUnavailable):
                    client.get("/me")

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 3 < issuer.counts["refreshes"] <= 6


def test_user_and_claims_are_those_of_the_access_token() -> None:
    """Read from a JWT, which is not verified here; without a login or a JWT the claims are empty."""
    auth = for_httpx.DaypassAuth("https://a.example/auth")
    assert (None, {}) == (auth.user, auth.claims)
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "ada", "scope": "a b"}).encode()).decode().rstrip("=")
    auth.start(access_token=f"e30.{claims}.c2ln")
    assert ("ada", "a b") == (auth.user, auth.claims["scope"])
    auth.start(access_token="opaque")
    assert (None, {}) == (auth.user, auth.claims)


def test_token_is_good_for_as_long_as_asked(url: str, issuer: StrictServer, clock: Any) -> None:
    """One that expires earlier is refreshed first; the answer is never a token that is older than the newest."""
    auth = for_httpx.DaypassAuth(f"{url}/auth", clock=clock)
    with httpx2.Client() as client:
        auth.login(client, email="ada", password=PASSWORD)
        first = auth.token(good_for=600)
        clock.advance(400_000)
        assert first == auth.token(good_for=400)
        second = auth.token(good_for=600)
        assert (True, 1) == (first != second, issuer.counts["refreshes"])
        assert second == asyncio.run(auth.atoken(good_for=10_000))
        issuer.statuses = [503] * 9
        clock.advance(400_000)
        with pytest.raises(RefreshUnavailable):
            auth.token(good_for=600)
        assert second == auth.token()


@EVERY_CLIENT
def test_other_statuses_can_mean_that_the_token_expired(subject: type[Any], url: str, issuer: StrictServer) -> None:
    """By their numbers, or by a function of the status and the challenges."""
    judged: list[tuple[int, list[str]]] = []

    def judge(status: int, challenges: Any) -> bool:
        judged.append((status, list(challenges)))
        return status == 419

    for rule in ({401, 419}, judge):
        user = subject(url, None, auth_of(subject, url, timing=TIMING, should_refresh=rule))
        user.login()
        issuer.counts.clear()
        issuer.refuses_with = 419
        issuer.revoke_access()
        assert 200 == user.request("GET", "/me")
        assert 1 == issuer.counts["refreshes"]
        user.close()
    assert [(419, ['Bearer error="invalid_token"'])] == judged
    with pytest.raises(ConfigurationError, match="should_refresh is"):
        auth_of(subject, url, should_refresh={200})


def test_new_tokens_are_given_out(url: str, issuer: StrictServer, clock: Any) -> None:
    """`on_tokens` is called after each login and refresh; its exceptions have no effect."""
    kept: list[Tokens] = []

    def keep(tokens: Tokens) -> None:
        kept.append(tokens)
        raise ValueError

    auth = for_httpx.DaypassAuth(f"{url}/auth", clock=clock, on_tokens=keep)
    with httpx2.Client(base_url=url) as client:
        auth.login(client, email="ada", password=PASSWORD)
        clock.advance(LIFETIME)
        assert 200 == client.get("/me").status_code
        later = for_httpx.DaypassAuth(f"{url}/auth", clock=clock)
        later.start(refresh_token=kept[-1].refresh_token)
        with httpx2.Client(base_url=url) as another:
            assert 200 == later.attach(another).get("/me").status_code
    (line,) = issuer.lines.values()
    assert line.tokens[:2] == [each.refresh_token for each in kept]
    assert 1 == len({each.login_id for each in kept})


def test_request_of_before_a_start_is_not_sent_as_the_other_user(url: str, issuer: StrictServer, clock: Any) -> None:
    """`start` is a login too."""
    auth = for_httpx.DaypassAuth(f"{url}/auth", clock=clock)
    with httpx2.Client(base_url=url) as client:
        auth.login(client, email="ada", password=PASSWORD)
        issuer.gate = threading.Event()
        issuer.revoke_access()
        failures: list[Exception] = []

        def post() -> None:
            with pytest.raises(LoginRequired) as caught:
                client.post("/upload", content=b"ada's")
            failures.append(caught.value)

        waiting = threading.Thread(target=post)
        waiting.start()
        issuer.refreshing.wait(5)
        auth.start(access_token="other", expires_in=900)
        issuer.gate.set()
        waiting.join()
    assert (["another login"], 1) == ([str(each)[:13] for each in failures], len(issuer.uploads))
