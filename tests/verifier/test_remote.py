"""An issuer's access tokens, verified in another service, by keys that come over real HTTP."""

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from daypass import (
    AccessToken,
    AsyncRemoteVerifier,
    ConfigurationError,
    Daypass,
    KeysUnavailable,
    RemoteVerifier,
    TokenExpired,
    TokenMalformed,
    http_get,
)
from daypass import remote_verifier as room
from daypass.duration import DAY, MINUTE, SECOND
from daypass.testing import Clock

from ..core.crafting import token as crafted
from .publisher import ISSUER, JWKS, METADATA, USER, Publisher, issuer, publish, publishing, send, sending

Check = Callable[[str], AccessToken]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth(clock: Clock) -> Iterator[Daypass]:
    with issuer(clock) as auth:
        yield auth


@pytest.fixture
def publisher(auth: Daypass) -> Iterator[Publisher]:
    with publishing(auth) as publisher:
        yield publisher


def access(auth: Daypass) -> str:
    return auth.start(USER).access_token


@pytest.fixture(params=["sync", "async"])
def check(request: pytest.FixtureRequest, publisher: Publisher, clock: Clock) -> Check:
    """Give what verifies with either colour, by the publisher's keys."""
    if request.param == "sync":
        return RemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock).verify
    verifier = AsyncRemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock)
    return lambda text: asyncio.run(verifier.verify(text))


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    for _ in range(2000):
        if true():
            return
        time.sleep(0.005)
    pytest.fail("it did not come to that")


# ---- tokens


def test_it_says_what_the_issuer_says(auth: Daypass, check: Check, clock: Clock, publisher: Publisher) -> None:
    """A token means the same here as at its issuer; a thousand checks cost one fetch."""
    token = access(auth)
    assert [auth.verify(token)] * 1000 == [check(token)] * 1000
    assert [JWKS] == publisher.asked
    clock.advance(15 * MINUTE)
    with pytest.raises(TokenExpired):
        check(token)


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
def test_each_algorithm(algorithm: str, clock: Clock) -> None:
    """Each algorithm that has a public key works, whatever the issuer signs with."""
    with issuer(clock, algorithm=algorithm) as auth, publishing(auth) as publisher:
        verifier = RemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock)
        assert auth.verify(token := access(auth)) == verifier.verify(token)


def test_another_audience(clock: Clock, publisher: Publisher, auth: Daypass) -> None:
    """A token for another audience is refused, and so is one of another issuer (RFC 9068 §4)."""
    token = access(auth)
    for verifier in (
        RemoteVerifier(ISSUER, audience="https://other.example.com", jwks_url=publisher.jwks_url, clock=clock),
        RemoteVerifier("https://other.example.com", jwks_url=publisher.jwks_url, clock=clock),
    ):
        with pytest.raises(TokenMalformed):
            verifier.verify(token)


def test_a_key_that_nobody_else_has(clock: Clock) -> None:
    """Of an issuer that signs with HS256 nothing can be verified elsewhere: the error says so, and what to write."""
    with issuer(clock, algorithm="HS256") as auth, publishing(auth) as publisher:
        verifier = RemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock)
        for _ in range(3):
            with pytest.raises(ConfigurationError, match='algorithm="ES256"'):
                verifier.verify(access(auth))
        assert 1 == len(publisher.asked)


# ---- keys that change


def test_no_good_token_is_refused_while_keys_rotate(
    auth: Daypass, check: Check, clock: Clock, publisher: Publisher
) -> None:
    """Keys are replaced four times over hours, with traffic every minute; each token is good until it expires."""
    held: list[str] = []
    for minute in range(4 * 60):
        if minute % 60 == 30:
            auth.rotate_keys()
        held = [*held[-10:], access(auth)]
        for token in held:
            assert USER.subject == check(token).subject
        clock.advance(MINUTE)
    assert len(publisher.asked) <= 4 * 60


def test_a_key_that_was_put_to_use_at_once(auth: Daypass, check: Check, clock: Clock, publisher: Publisher) -> None:
    """A token with an unknown key is accepted: the keys are fetched for it, once."""
    check(access(auth))
    auth.rotate_keys(at_once=True)
    clock.advance(6 * SECOND)
    token = access(auth)
    assert USER.subject == check(token).subject == check(token).subject
    assert 2 == len(publisher.asked)


def test_a_key_that_was_removed(auth: Daypass, check: Check, clock: Clock, publisher: Publisher) -> None:
    """A token of a key that is not published any more is refused as soon as the keys are read again."""
    token = access(auth)
    check(token)
    with issuer(clock) as another:
        publisher.answer = sending(json.dumps(another.jwks()).encode())
        clock.advance(11 * MINUTE)
        with pytest.raises(TokenMalformed):
            check(token)


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_thousand_unknown_keys(auth: Daypass, clock: Clock, publisher: Publisher, colour: str) -> None:
    """A thousand tokens with made-up keys share a few fetches, one a second; good tokens do not wait for them."""
    verifier = (AsyncRemoteVerifier if colour == "async" else RemoteVerifier)(
        ISSUER, jwks_url=publisher.jwks_url, clock=clock
    )
    forgeries = [crafted({"kid": f"made-up-{number}"}) for number in range(1000)]
    good, longest = access(auth), 0.0
    with ThreadPoolExecutor(500) as threads:

        async def check(text: str) -> AccessToken:
            if isinstance(verifier, AsyncRemoteVerifier):
                return await verifier.verify(text)
            return await asyncio.get_running_loop().run_in_executor(threads, verifier.verify, text)

        await check(good)
        began = time.monotonic()
        flood = asyncio.gather(*map(check, forgeries), return_exceptions=True)
        while not flood.done():
            asked = time.perf_counter()
            found = verifier.verify(good)
            found = await found if isinstance(found, Awaitable) else found
            longest = max(longest, time.perf_counter() - asked)
            assert USER.subject == found.subject
            await asyncio.sleep(0.001)
        assert {TokenMalformed} == {each.__class__.__base__ for each in await flood}
    assert len(publisher.asked) <= 3 + (time.monotonic() - began)
    assert longest < 0.3


async def test_good_tokens_do_not_wait_while_the_issuer_hangs(
    auth: Daypass, clock: Clock, publisher: Publisher
) -> None:
    """Forged keys cause fetches that get no answer; a good token is verified at once, even with keys that are old."""
    verifier = AsyncRemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock)
    good = access(auth)
    await verifier.verify(good)
    publisher.hold.clear()
    waits = []
    forged = []
    for number in range(6):
        forged.append(asyncio.ensure_future(verifier.verify(crafted({"kid": f"made-up-{number}"}))))
        await asyncio.sleep(0.05)
        asked = time.perf_counter()
        assert USER.subject == (await verifier.verify(good)).subject
        waits.append(time.perf_counter() - asked)
        clock.advance(2 * MINUTE)
    publisher.hold.set()
    await asyncio.gather(*forged, return_exceptions=True)
    assert [] == [wait for wait in sorted(waits)[:-1] if wait > 0.2]
    assert max(waits) < 3  # once, when the keys are old: one may have been removed


def test_no_address_comes_from_a_token(auth: Daypass, check: Check, publisher: Publisher) -> None:
    """Where a token says that its key is, or which key it brings, is not listened to (RFC 8725 §3.10)."""
    check(access(auth))
    headers: list[dict[str, object]] = [
        {"jku": f"{publisher.address}/a"},
        {"x5u": f"{publisher.address}/a"},
        {"jwk": {}},
    ]
    for header in headers:
        with pytest.raises(TokenMalformed):
            check(crafted({"kid": "theirs"} | header))
    assert {JWKS} == set(publisher.asked)


# ---- an issuer that is down, or slow


def test_down_at_the_start(auth: Daypass, check: Check, clock: Clock, publisher: Publisher) -> None:
    """Without any keys nothing can be said: 503, with no request for each; when the issuer is back it works."""
    publisher.answer = sending(b"", 500)
    token = access(auth)
    for _ in range(10):
        with pytest.raises(KeysUnavailable, match="answered with 500"):
            check(token)
    assert 1 == len(publisher.asked)
    publisher.answer = publish
    clock.advance(3 * SECOND)
    assert USER.subject == check(token).subject


def test_nobody_listens(auth: Daypass, clock: Clock) -> None:
    """An issuer that cannot even be connected to is as one that is down."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(KeysUnavailable, match="ConnectionRefusedError"):
        RemoteVerifier(ISSUER, jwks_url=f"http://127.0.0.1:{port}/", clock=clock).verify(access(auth))


def test_down_later(auth: Daypass, check: Check, clock: Clock, publisher: Publisher) -> None:
    """While the issuer is down its tokens go on being verified by the last good keys, for a day and no longer."""
    check(access(auth))
    publisher.answer = sending(b"", 503)
    for _ in range(23):
        clock.advance(60 * MINUTE)
        assert USER.subject == check(access(auth)).subject
    with pytest.raises(KeysUnavailable):  # it may be a new one of the issuer's
        check(crafted({"kid": "unknown"}))
    clock.advance(DAY)
    with pytest.raises(KeysUnavailable):
        check(access(auth))


def test_an_empty_set_later(auth: Daypass, check: Check, clock: Clock, publisher: Publisher) -> None:
    """A set without keys, or garbage, does not replace good keys."""
    check(access(auth))
    for body in (b'{"keys": []}', b"<html>", b'{"keys": 1}', b"[]", b"\xff"):
        publisher.answer = sending(body)
        clock.advance(11 * MINUTE)
        assert USER.subject == check(access(auth)).subject


def test_fetched_before_they_are_old(auth: Daypass, clock: Clock, publisher: Publisher) -> None:
    """At half of their time keys are fetched in the background: the check does not wait for the answer."""
    verifier = RemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock)
    verifier.verify(token := access(auth))
    publisher.hold.clear()
    clock.advance(3 * MINUTE)
    assert USER.subject == verifier.verify(token).subject  # while the answer is held back
    until(lambda: 2 == len(publisher.asked))
    publisher.hold.set()
    until(lambda: verifier._running is verifier._next is None)
    verifier.verify(token)
    assert 2 == len(publisher.asked)


def test_many_threads_fetch_once(auth: Daypass, clock: Clock, publisher: Publisher) -> None:
    """Of thirty threads that come while there are no keys one fetches, and all get their answer."""
    verifier = RemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock)
    token = access(auth)
    publisher.hold.clear()
    with ThreadPoolExecutor(30) as pool:
        waiting = [pool.submit(verifier.verify, token) for _ in range(30)]
        assert publisher.arrived.wait(30)
        publisher.hold.set()
        assert {USER.subject} == {each.result().subject for each in waiting}
    assert 1 == len(publisher.asked)


async def test_the_event_loop_goes_on(auth: Daypass, clock: Clock, publisher: Publisher) -> None:
    """While keys are being fetched the event loop does other things; the answer is held back until it has."""
    verifier = AsyncRemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock)
    publisher.hold.clear()
    waiting = [asyncio.create_task(verifier.verify(access(auth))) for _ in range(20)]
    while not publisher.arrived.is_set():  # noqa: ASYNC110 - a thread sets it; if the loop were blocked, it could not
        await asyncio.sleep(0.001)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)
    waiting[0].cancel()  # one that goes away takes nothing from the others
    publisher.hold.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert {USER.subject} == {each.subject for each in found[1:] if isinstance(each, AccessToken)}
    assert 1 == len(publisher.asked)


def dribble(_: Publisher, handler: BaseHTTPRequestHandler) -> None:
    """Send a header without an end, a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.01)


def test_an_issuer_that_dribbles(
    auth: Daypass, clock: Clock, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that never ends is cut off, though each of its bytes comes in time; no thread is left behind."""
    monkeypatch.setattr(room, "fetch", lambda url: http_get.fetch(url, seconds=0.3))
    publisher.answer = dribble
    with pytest.raises(KeysUnavailable, match="gave no answer"):
        RemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock).verify(access(auth))
    until(lambda: not [each for each in threading.enumerate() if each.name.startswith("daypass-keys")])


def short(_: Publisher, handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"keys": []}')
    handler.close_connection = True


def redirect(publisher: Publisher, handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"", 302, location=f"{publisher.address}/elsewhere")


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (sending(300_000 * b" "), "more than 262144 bytes"),
        (short, "gave no answer|in part"),
        (redirect, "answered with 302"),
        (sending(b'{"keys": [' + b"{}," * 200 + b"{}]}"), "not a JWK Set"),
        (sending(b"[" * 100_000), "not a JSON object"),
        (sending(b"not JSON"), "not a JSON object"),
        (sending(b"{}", 204), "answered with 204$"),
        (sending(b"{}", 404), "answered with 404: mount the issuer's well-known routes there, or give jwks_url"),
    ],
    ids=["huge", "short", "redirect", "crowded", "deep", "garbage", "empty", "missing"],
)
def test_an_answer_that_will_not_do(
    answer: Callable[[Publisher, BaseHTTPRequestHandler], None],
    match: str,
    auth: Daypass,
    clock: Clock,
    publisher: Publisher,
) -> None:
    """Any answer that is not keys is a 503 that says what it was; no redirect is followed."""
    publisher.answer = answer
    with pytest.raises(KeysUnavailable, match=match):
        RemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock).verify(access(auth))
    assert 1 == len(publisher.asked)


# ---- where the keys are


def at(publisher: Publisher, clock: Clock, **options: Any) -> RemoteVerifier:
    """Return a verifier that knows the issuer, and finds the keys itself."""
    return RemoteVerifier(publisher.address, clock=clock, **options)


def own_issuer(publisher: Publisher, clock: Clock) -> Daypass:
    publisher.auth = Daypass("memory:", issuer=publisher.address, load_user={"user-1": USER}.get, clock=clock)
    return publisher.auth


def test_found_from_the_metadata(publisher: Publisher, clock: Clock) -> None:
    """Without a URL, the keys are where the issuer says (RFC 8414 §3); that is asked once."""
    auth = own_issuer(publisher, clock)
    metadata = {"issuer": publisher.address, "jwks_uri": f"{publisher.address}/keys?set=1"}

    def answer(_: Publisher, handler: BaseHTTPRequestHandler) -> None:
        content = metadata if handler.path == METADATA else auth.jwks()
        send(handler, json.dumps(content).encode())

    publisher.answer = answer
    verifier = at(publisher, clock)
    assert USER.subject == verifier.verify(access(auth)).subject
    clock.advance(11 * MINUTE)
    assert USER.subject == verifier.verify(access(auth)).subject
    assert [METADATA, "/keys?set=1", "/keys?set=1"] == publisher.asked


def test_found_without_metadata(publisher: Publisher, clock: Clock) -> None:
    """An issuer without metadata has its keys where Daypass has them."""
    auth = own_issuer(publisher, clock)
    assert USER.subject == at(publisher, clock).verify(access(auth)).subject
    assert [METADATA, JWKS] == publisher.asked


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ({"issuer": "https://other.example.com", "jwks_uri": "https://other.example.com/keys"}, "another issuer"),
        ({"jwks_uri": "http://192.0.2.1/keys"}, "over plain HTTP"),
        ({"jwks_uri": "file:///etc/passwd"}, "invalid jwks_uri"),
        ({}, "invalid jwks_uri"),
    ],
    ids=["another", "plain", "file", "none"],
)
def test_metadata_that_will_not_do(
    metadata: dict[str, str], match: str, publisher: Publisher, clock: Clock, auth: Daypass
) -> None:
    """Metadata of another issuer (RFC 8414 §3.3), or with an invalid URL of the keys, is refused, with the reason."""
    publisher.answer = sending(json.dumps({"issuer": publisher.address} | metadata).encode())
    with pytest.raises(ConfigurationError, match=match):
        at(publisher, clock).verify(access(auth))
    assert [METADATA] == publisher.asked


@pytest.mark.parametrize(
    "url",
    ["http://api.example.com/jwks", "ftp://a/", "https://", "https://u:p@a/", "https://a/#x", "https://a b/", "", 1],
    ids=str,
)
def test_an_invalid_url_of_keys_is_refused(url: str) -> None:
    """Plain HTTP, another scheme, a user, a fragment: refused when it is made."""
    with pytest.raises(ConfigurationError, match="jwks_url "):
        RemoteVerifier(ISSUER, jwks_url=url)


def test_arguments_that_cannot_work() -> None:
    """An issuer, an audience or a leeway that can be none is refused when it is made."""
    for name, options in (
        ("http://api.example.com", {}),
        ("", {}),
        (f"{ISSUER}?x=1", {}),
        (ISSUER, {"audience": ""}),
        (ISSUER, {"leeway": "2m"}),
    ):
        with pytest.raises(ConfigurationError):
            RemoteVerifier(name, **options)  # type: ignore[arg-type]  # some are of the wrong kind on purpose


# ---- processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child(auth: Daypass, clock: Clock, publisher: Publisher) -> None:
    """A child forked while its parent fetches does not wait for its parent's fetch: it fetches for itself."""
    verifier = RemoteVerifier(ISSUER, jwks_url=publisher.jwks_url, clock=clock)
    token = access(auth)
    publisher.hold.clear()
    waiting = threading.Thread(target=verifier.verify, args=(token,))
    waiting.start()
    assert publisher.arrived.wait(30)
    child = os.fork()
    if child == 0:
        try:
            clock.advance(3 * SECOND)
            os._exit(0 if verifier.verify(token).subject == USER.subject else 1)
        finally:
            os._exit(2)
    until(lambda: 2 == len(publisher.asked))
    publisher.hold.set()
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    waiting.join()
