"""A service that verifies access tokens elsewhere learns within a second which sessions have ended; on real sockets."""

import asyncio
import base64
import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt

from daypass import (
    AsyncRemoteVerifier,
    ConfigurationError,
    Daypass,
    RemoteVerifier,
    SessionRevoked,
    TokenMalformed,
)
from daypass.ending_feed import FeedState
from daypass.ending_log import EVERYONE, EndingLog, Known
from daypass.errors import KeyUnknown
from daypass.keys import REGISTRY, SigningKey
from daypass.security_event import SESSION_REVOKED, TYPE, read_event, write_event

from .world import ANN, EACH_WAY_TO_END, GUEST_SECRET, SERVICE_SECRET, WITHIN, World, becomes


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.node.close()


def refuses(verifier: RemoteVerifier, access_token: str) -> bool:
    try:
        verifier.verify(access_token)
    except SessionRevoked:
        return True
    return False


def asked(world: World, client_id: str, secret: str | None, **headers: str) -> httpx2.Response:
    return httpx2.get(f"{world.address}/auth/endings", auth=(client_id, secret or ""), headers=headers, timeout=30)


# ---- a service


@EACH_WAY_TO_END
def test_an_ended_session_is_refused_elsewhere(world: World, end: Callable[[Daypass, Any], object]) -> None:
    """What any node ends is refused by a service that has no store; other sessions go on, unless all were ended."""
    with world.serving():
        tokens, verifier = world.node.start(ANN), world.verifier()
        assert "ann" == verifier.verify(tokens.access_token).subject
        assert becomes(lambda: verifier.endings is FeedState.LISTENING)
        end(world.node, tokens)
        assert becomes(lambda: refuses(verifier, tokens.access_token))
        time.sleep(1)  # a session that begins after the end of all, in another second
        assert "ann" == verifier.verify(world.node.start(ANN).access_token).subject


def test_an_async_service_learns_too(world: World) -> None:
    """`AsyncRemoteVerifier` does the same, and ends the connections that it watches."""

    async def main() -> None:
        tokens, verifier = world.node.start(ANN), world.verifier(AsyncRemoteVerifier)

        async def serve() -> None:
            async with verifier.watch(tokens.access_token):
                await asyncio.to_thread(world.node.logout, tokens.refresh_token)
                await asyncio.sleep(WITHIN)

        with pytest.raises(SessionRevoked):
            await serve()
        with pytest.raises(SessionRevoked):
            await verifier.verify(tokens.access_token)

    with world.serving():
        asyncio.run(main())


def test_nothing_is_missed_while_the_issuer_is_away(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Sessions that end while the feed is cut are refused when it is back; the log says that it was cut."""
    tokens, early = world.node.start(ANN), world.node.start(ANN)
    with world.serving():
        verifier = world.verifier()
        verifier.verify(tokens.access_token)
        assert becomes(lambda: verifier.endings is FeedState.LISTENING)
        world.node.logout(early.refresh_token)
        assert becomes(lambda: refuses(verifier, early.access_token))
    assert becomes(lambda: verifier.endings is FeedState.CUT_OFF)
    world.node.logout(tokens.refresh_token)
    assert not refuses(verifier, tokens.access_token)
    with world.serving():  # another process: it has another log
        assert becomes(lambda: refuses(verifier, tokens.access_token))
        assert verifier.endings is FeedState.LISTENING
    assert "access tokens of ended sessions are good until they expire" in caplog.text


def test_an_issuer_of_threads_is_polled(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A threaded issuer keeps no thread waiting: the service asks again and again, and says so."""
    with world.serving_by_threads():
        tokens, verifier = world.node.start(ANN), world.verifier()
        verifier.verify(tokens.access_token)
        assert becomes(lambda: verifier.endings is FeedState.POLLING)
        world.node.logout(tokens.refresh_token)
        assert becomes(lambda: refuses(verifier, tokens.access_token))
    assert "it is asked twice a second" in caplog.text


def test_a_new_key_is_fetched_for_an_event(world: World) -> None:
    """An event that is signed with a key which the service does not know yet makes it fetch the keys."""
    with world.serving():
        tokens, verifier = world.node.start(ANN), world.verifier()
        verifier.verify(tokens.access_token)
        assert becomes(lambda: verifier.endings is FeedState.LISTENING)
        world.node.rotate_keys(at_once=True)
        time.sleep(6)
        world.node.logout(tokens.refresh_token)
        assert becomes(lambda: refuses(verifier, tokens.access_token))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"client_secret": "x" * 40}, "check client_id and client_secret"),
        ({"client_id": "guest", "client_secret": GUEST_SECRET}, "register the client with introspects=True"),
    ],
)
def test_a_refused_service_learns_why(
    world: World, caplog: pytest.LogCaptureFixture, given: dict[str, Any], said: str
) -> None:
    """A service with a wrong secret, or one that may not follow, is cut off; the log says what to do, and no secret."""
    with world.serving():
        verifier = world.verifier(**given)
        verifier.verify(world.node.start(ANN).access_token)
        assert becomes(lambda: verifier.endings is FeedState.CUT_OFF)
    assert said in caplog.text
    assert given["client_secret"] not in caplog.text + repr(verifier)


def test_a_service_without_endings_follows_nothing(world: World) -> None:
    """Without the option there is no thread and no request, and `endings` is None."""
    with world.serving():
        verifier = RemoteVerifier(world.address)
        verifier.verify(world.node.start(ANN).access_token)
        assert verifier.endings is None
        with pytest.raises(StopIteration):
            next(thread for thread in threading.enumerate() if thread.name == f"daypass-endings {world.address}")


def test_a_verifier_that_nobody_has_follows_no_more(world: World) -> None:
    """The thread ends with its verifier."""
    with world.serving_by_threads():
        verifiers = [world.verifier()]
        verifiers[0].verify(world.node.start(ANN).access_token)
        assert becomes(lambda: verifiers[0].endings is FeedState.POLLING)
        verifiers.clear()
        gc.collect()
        assert becomes(lambda: f"daypass-endings {world.address}" not in [each.name for each in threading.enumerate()])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"endings": True}, "endings needs client_id and client_secret"),
        ({"endings": True, "client_id": "service"}, "endings needs client_id and client_secret"),
        ({"client_id": "service"}, "of use with endings=True alone"),
        ({"endings": "http://api.example.com/x", "client_id": "a", "client_secret": "b"}, "insecure endings"),
        ({"ending": True}, "did you mean 'endings'"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], said: str) -> None:
    """An incomplete or insecure configuration is refused before anything is fetched."""
    with pytest.raises(ConfigurationError, match=said):
        RemoteVerifier("https://api.example.com", **arguments)


# ---- the endpoint


def test_the_endpoint_answers_registered_clients_alone(world: World) -> None:
    """Without a client, with a wrong secret, or for a client without the right, nothing is answered."""
    with world.serving():
        url = f"{world.address}/auth/endings"
        assert 401 == httpx2.get(url).status_code
        assert 401 == asked(world, "service", "x" * 40).status_code
        assert 403 == asked(world, "guest", GUEST_SECRET).status_code
        assert 200 == asked(world, "service", SERVICE_SECRET).status_code


def test_the_endpoint_sends_events_once(world: World) -> None:
    """A response has the endings after the cursor, as signed events; the next one has what came since."""
    with world.serving():
        tokens = world.node.start(ANN)
        world.node.logout(tokens.refresh_token)
        assert becomes(lambda: b"data:" in asked(world, "service", SERVICE_SECRET).content)
        first = asked(world, "service", SERVICE_SECRET)
        assert "text/event-stream" == first.headers["content-type"]
        (event,) = [line[6:] for line in first.text.splitlines() if line.startswith("data: ")]
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in event.split(".")[:2])
        assert (TYPE, "service", world.address) == (header["typ"], claims["aud"], claims["iss"])
        assert tokens.session.id == claims["sub_id"]["session"]["id"]
        assert [SESSION_REVOKED] == list(claims["events"])
        cursor = first.text.split("\nid: ")[1].split("\n")[0]
        threading.Timer(0.3, world.node.logout, [world.node.start(ANN).refresh_token]).start()
        began = time.monotonic()
        second = asked(world, "service", SERVICE_SECRET, **{"last-event-id": cursor})
        assert 1 == second.text.count("data: ")
        assert event not in second.text
        assert time.monotonic() - began < WITHIN


# ---- events


def test_an_event_is_read_by_the_service_that_it_is_for() -> None:
    """An event is read back; one for another service, of another issuer, of another key or changed is refused."""
    key, other = SigningKey.generate("ES256"), SigningKey.generate("ES256")
    ending = Known("ab" * 16, 1_800_000_000_000, 1_800_000_900_000)
    everyone = Known(EVERYONE, 1_800_000_000_000)
    text = write_event(key, "https://a", "service", ending, 1_800_000_001_000, "1")
    find = {key.kid: key, other.kid: other}.get
    assert ending == read_event(text, find, "https://a", "service")
    assert everyone == read_event(write_event(key, "https://a", "s", everyone, 1, "2"), find, "https://a", "s")
    for issuer, audience in (("https://b", "service"), ("https://a", "other")):
        with pytest.raises(TokenMalformed):
            read_event(text, find, issuer, audience)
    with pytest.raises(KeyUnknown):
        read_event(text, lambda _: None, "https://a", "service")
    head, body, signature = text.split(".")
    for changed in (f"{head}.{body}.{signature[:-4]}AAAA", head, "", "a.b.c", f"{head}.e30.{signature}"):
        with pytest.raises(TokenMalformed):
            read_event(changed, find, "https://a", "service")


@pytest.mark.parametrize("typ", ["at+jwt", "JWT", None])
def test_another_token_is_not_taken_for_an_event(typ: str | None) -> None:
    """An access token, or any other signed text of the same issuer, ends no session."""
    key = SigningKey.generate("ES256")
    header = {"alg": key.algorithm, "kid": key.kid} | ({} if typ is None else {"typ": typ})
    claims = {"iss": "https://a", "aud": "s", "events": {SESSION_REVOKED: {"event_timestamp": 1}}}
    text = jwt.encode(header, claims, key.key, registry=REGISTRY)
    with pytest.raises(TokenMalformed):
        read_event(text, {key.kid: key}.get, "https://a", "s")


def test_events_of_other_kinds_are_passed_over() -> None:
    """An event that a later version sends, of a kind that is not known here, is not an error."""
    key = SigningKey.generate("ES256")
    header = {"alg": key.algorithm, "kid": key.kid, "typ": TYPE}
    text = jwt.encode(header, {"iss": "i", "aud": "s", "events": {"urn:x": {}}}, key.key, registry=REGISTRY)
    assert read_event(text, {key.kid: key}.get, "i", "s") is None


# ---- the log


def test_a_log_is_read_from_a_cursor() -> None:
    """A reader gets each ending once, in pages; a cursor of another node, or none, gets all that is known."""
    log = EndingLog("node")
    for number in range(5):
        log.add(str(number), number, number + 10)
        log.add(str(number), number, number + 10)
    first = log.read(None, 3)
    assert (["0", "1", "2"], False) == ([each.session_id for each in first.endings], first.whole)
    second = log.read(first.cursor, 3)
    assert (["3", "4"], True) == ([each.session_id for each in second.endings], second.whole)
    assert () == log.read(second.cursor, 3).endings
    for cursor in ("other.4", "garbage", "node.", "node.-1", "node.x", ""):
        assert 5 == len(log.read(cursor, 9).endings)


def test_a_log_forgets_what_has_expired() -> None:
    """Expired entries are forgotten, the end of all sessions never; of those the newest counts."""
    log = EndingLog("node")
    log.end_everyone(3)
    log.add("early", 1, 10)
    log.add("late", 2, 20)
    log.end_everyone(5)
    log.end_everyone(4)
    log.forget(10)
    assert [Known("late", 2, 20), Known(EVERYONE, 5)] == list(log.read(None, 9).endings)


def test_a_log_wakes_those_who_wait() -> None:
    """What waits for the next ending is woken by it, and by no earlier one."""
    log = EndingLog("node")
    log.add("one", 1, 2)
    following = log.next()
    assert not following.done()
    log.add("one", 1, 2)
    assert not following.done()
    log.add("two", 1, 2)
    assert following.done()
