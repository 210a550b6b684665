"""`daypass/verify` in Node, against the real issuer: it accepts and refuses what `RemoteVerifier` does."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from daypass import Daypass, RemoteVerifier, TokenRejected, User
from daypass.web.bearer import bearer_text, refused

from ..browser import npm
from .world import ANN, EACH_WAY_TO_END, GUEST_SECRET, SECRET, SERVICE_SECRET, World, becomes

HERE = Path(__file__).parent
JS = HERE.parents[1] / "js"
ENDINGS = {"clientId": "service", "clientSecret": SERVICE_SECRET}


class Service:
    """A service in Node, and its answers."""

    def __init__(self, port: str) -> None:
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def asked(self, access_token: str | None, path: str = "/") -> httpx2.Response:
        headers = {} if access_token is None else {"authorization": f"Bearer {access_token}"}
        return self.http.get(path, headers=headers)

    def code(self, access_token: str) -> str:
        return str(self.asked(access_token).json().get("code"))

    @property
    def state(self) -> str:
        return str(self.http.get("/state").json()["state"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.node.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Node, with jose where the package finds it."""
    npm.fetch(JS, "jose/package.json", tmp_path_factory)
    return npm.NODE


@contextmanager
def service(node: Path, world: World, **options: Any) -> Iterator[Service]:
    command: list[str | Path] = [node, HERE / "service.mjs", json.dumps({"issuer": world.address, **options})]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        made = Service(process.stdout.readline().strip())
        with made.http:
            yield made
        process.stdin.close()


def python_refusal(world: World, access_token: str | None) -> tuple[int, str, dict[str, str]]:
    """Return what a service in Python answers."""
    try:
        RemoteVerifier(world.address).verify(bearer_text(f"Bearer {access_token or ''}"))
    except TokenRejected as error:
        response = refused(error)
        return response.status, dict(response.headers)["www-authenticate"], json.loads(response.body)
    pytest.fail("it was accepted")


def test_it_accepts_and_refuses_what_python_does(node: Path, world: World) -> None:
    """A good token says the same; each bad one gets the status, challenge and body that a service in Python answers."""
    elsewhere = Daypass("memory:", issuer="https://other.example", secret=SECRET, load_user=lambda _: ANN)
    short = Daypass(world.store, issuer=world.address, secret=SECRET, load_user=lambda _: ANN, access_ttl="1s")
    with world.serving(), service(node, world) as asked, elsewhere, short:
        good, expired = world.node.start(ANN).access_token, short.start(ANN).access_token
        token, said = world.node.verify(good), asked.asked(good).json()
        assert (token.subject, token.session_id, token.expires_at, token.auth_time, dict(token.claims)) == (
            said["subject"],
            said["sessionId"],
            said["expiresAt"],
            said["authTime"],
            said["claims"],
        )
        assert "off" == asked.state
        time.sleep(1.1)
        head, payload, signature = good.split(".")
        forged = f"{head}.{payload}.{signature[:-4]}AAAA"
        for bad in (
            None,
            "garbage",
            "eyJ.e30.x",
            forged,
            f"{head}.{payload}.",
            expired,
            elsewhere.start(ANN).access_token,
        ):
            answer = asked.asked(bad)
            status, challenge, body = python_refusal(world, bad)
            found = answer.json()
            assert (status, body["error"], body["message"]) == (answer.status_code, found["error"], found["message"]), (
                bad
            )
            mine, theirs = answer.headers["www-authenticate"], challenge
            if bad is None or bad == expired:
                assert theirs == mine
            assert theirs.split(", error_desc")[0] == mine.split(", error_desc")[0]


def test_scope_and_age_of_the_authentication(node: Path, world: World) -> None:
    """A missing scope is 403, and an old login the 401 of RFC 9470, with what is needed."""
    reader = User("ann", scope="read")
    with world.serving():
        tokens = Daypass(world.store, issuer=world.address, secret=SECRET, load_user=lambda _: reader).start(reader)
        required = {"scope": "read write"}
        with service(node, world, required=required) as asked:
            answer = asked.asked(tokens.access_token, "/guarded")
            assert 403 == answer.status_code
            assert 'error="insufficient_scope", scope="read write"' in answer.headers["www-authenticate"]
        time.sleep(1)
        with service(node, world, required={"scope": "read", "maxAge": 0, "acr": "mfa"}) as asked:
            answer = asked.asked(tokens.access_token, "/guarded")
            assert 401 == answer.status_code
            assert 'error="insufficient_user_authentication"' in answer.headers["www-authenticate"]
            assert 'max_age="0", acr_values="mfa"' in answer.headers["www-authenticate"]


@EACH_WAY_TO_END
def test_an_ended_session_is_refused_in_node(node: Path, world: World, end: Callable[[Daypass, Any], object]) -> None:
    """What any node of the issuer ends is refused by a service in Node."""
    with world.serving(), service(node, world, endings=ENDINGS) as asked:
        tokens = world.node.start(ANN)
        assert 200 == asked.asked(tokens.access_token).status_code
        assert becomes(lambda: asked.state == "listening")
        end(world.node, tokens)
        assert becomes(lambda: "session_revoked" == asked.code(tokens.access_token))


def test_an_open_connection_in_node(node: Path, world: World) -> None:
    """A connection that is watched ends when its session does, or when its access token expires."""
    short = Daypass(world.store, issuer=world.address, secret=SECRET, load_user=lambda _: ANN, access_ttl="2s")
    with world.serving(), service(node, world, endings=ENDINGS) as asked, short, ThreadPoolExecutor(2) as pool:
        tokens = world.node.start(ANN)
        assert 200 == asked.asked(tokens.access_token).status_code
        assert becomes(lambda: asked.state == "listening")
        ending = pool.submit(asked.asked, tokens.access_token, "/open")
        expiring = pool.submit(asked.asked, short.start(ANN).access_token, "/open")
        time.sleep(0.3)
        world.node.logout(tokens.refresh_token)
        assert "session_revoked" == ending.result().json()["code"]
        assert "token_expired" == expiring.result().json()["code"]
        assert expiring.result().json()["open"] < 4000


def test_nothing_is_missed_in_node_while_the_issuer_is_away(node: Path, world: World) -> None:
    """Sessions that end while the feed is cut are refused when it is back; meanwhile good tokens go on."""
    tokens, other = world.node.start(ANN), world.node.start(ANN)
    with service(node, world, endings=ENDINGS) as asked:
        with world.serving():
            assert 200 == asked.asked(tokens.access_token).status_code
            assert becomes(lambda: asked.state == "listening")
        assert becomes(lambda: asked.state == "cut_off")
        world.node.logout(tokens.refresh_token)
        assert 200 == asked.asked(tokens.access_token).status_code
        with world.serving():
            assert becomes(lambda: "session_revoked" == asked.code(tokens.access_token))
            assert ("listening", 200) == (asked.state, asked.asked(other.access_token).status_code)


def test_an_issuer_of_threads_is_polled_from_node(node: Path, world: World) -> None:
    """A threaded issuer is asked again and again, and `state` says so."""
    with world.serving_by_threads(), service(node, world, endings=ENDINGS) as asked:
        tokens = world.node.start(ANN)
        assert 200 == asked.asked(tokens.access_token).status_code
        assert becomes(lambda: asked.state == "polling")
        world.node.logout(tokens.refresh_token)
        assert becomes(lambda: "session_revoked" == asked.code(tokens.access_token))


def test_a_refused_node_service_learns_why(node: Path, world: World) -> None:
    """A client that may not follow is cut off, with the reason and without its secret."""
    with world.serving(), service(node, world, endings={"clientId": "guest", "clientSecret": GUEST_SECRET}) as asked:
        asked.asked(world.node.start(ANN).access_token)
        assert becomes(lambda: asked.state == "cut_off")
        states = asked.http.get("/state").text
        assert "register the client as one that may introspect" in states
        assert str(GUEST_SECRET) not in states


def test_keys_in_node(node: Path, world: World) -> None:
    """Without keys it is 503. A new key is fetched for its first token; unknown keys keep no good token waiting."""
    good = world.node.start(ANN).access_token
    with service(node, world) as asked:
        assert (503, "1") == ((answer := asked.asked(good)).status_code, answer.headers["retry-after"])
        with world.serving():
            assert becomes(lambda: 200 == asked.asked(good).status_code)
            world.node.rotate_keys(at_once=True)
            newer = world.node.start(ANN).access_token
            assert becomes(lambda: 200 == asked.asked(newer).status_code)
        unknown = good.replace(good.split(".")[0], "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6Im5vbmUifQ")
        assert 503 == asked.asked(unknown).status_code  # the issuer is away: whether there is such a key is not known
        assert max(asked.asked(newer).json()["took"] for _ in range(20)) < 500
