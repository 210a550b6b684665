"""`installFetch` for existing code, and all forms of arguments of `fetch`, in real browsers."""

import hashlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from playwright.sync_api import Browser, BrowserContext, Page

from . import npm
from .conftest import ALICE, HERE, PASSWORD
from .marks import only
from .stranger import standing_by
from .world import Asked, World, ask, refreshes, shows

ITEMS = "/api/items"
REFRESHED = Asked("POST", "/auth/refresh", 200)
READ = {"user": "alice"}

of_fetch = only("fetch", why="about `fetch`")


@pytest.fixture
def tab(context: BrowserContext, world: World) -> Page:
    """Return a page whose only line of Daypass is `installFetch`, logged in by its own `fetch`."""
    tab = world.open(context, "&installed")
    tab.evaluate("session.ready")
    tab.evaluate(
        """([username, password]) => fetch("/auth/login", {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify({ username, password }),
        }).then((answer) => answer.json())""",
        [ALICE.username, PASSWORD],
    )
    tab.evaluate("sleepFor(1_050)")
    world.seen()
    return tab


def test_existing_code(tab: Page, world: World) -> None:
    """Existing code that logs in by itself gets 200 after its token has expired."""
    assert "alice" == tab.evaluate("session.user.username")
    world.expire()
    assert READ == ask(tab)["data"]
    assert [Asked("GET", ITEMS, 401, 0), REFRESHED, Asked("GET", ITEMS, 200, 1)] == world.seen()


def test_existing_logout(tab: Page, world: World) -> None:
    """The code's own logout request is noticed: no token is sent afterwards."""
    tab.evaluate("fetch('/auth/logout', { method: 'POST' })")
    shows(tab, "out nobody")
    assert 401 == ask(tab)["status"]
    assert [Asked("POST", "/auth/logout", 204), Asked("GET", ITEMS, 401, None)] == world.seen()


@of_fetch
def test_other_origins_are_left_alone(tab: Page) -> None:
    """A request to an origin that is not in `origins` is sent unchanged, without a token."""
    with standing_by() as (address, requests):
        assert 401 == tab.evaluate("(url) => fetch(url).then((answer) => answer.status)", f"{address}/401")
        assert [(None, "GET")] == [(each.get("authorization"), each[":method"]) for each in requests]


@of_fetch
def test_close_restores_fetch(tab: Page) -> None:
    """`close` restores the page's own `fetch`. An invalid URL throws the browser's `TypeError`."""
    assert tab.evaluate("fetch !== native")
    assert "TypeError" == tab.evaluate("fetch('http://').catch((error) => error.name)")
    tab.evaluate("session.close()")
    assert tab.evaluate("fetch === native")


@of_fetch
@pytest.mark.parametrize(
    "made",
    [
        "fetch(new Request('/api/items', { method: 'PUT', headers: { 'X-A': '1' }, body: 'whole' }))",
        "fetch(new Request('/api/items', { method: 'PUT', body: new Blob(['whole']) }))",
        "fetch(new Request('/api/items', { headers: { 'X-A': '1' } }), { method: 'PUT', body: 'whole' })",
        "fetch(new URL('/api/items', location), { method: 'PUT', body: new TextEncoder().encode('whole') })",
        "fetch('/api/items#fragment', { method: 'PUT', body: new DataView(new TextEncoder().encode('whole').buffer) })",
        "fetch(location.origin + '/api/items', { method: 'PUT', body: 'whole', keepalive: true })",
    ],
)
def test_every_form_of_arguments_of_fetch(tab: Page, world: World, made: str) -> None:
    """The retry after an expiry sends the whole request again, in whatever form it was passed to `fetch`."""
    world.expire()
    assert 200 == tab.evaluate(f"{made}.then((answer) => answer.status)")
    assert [Asked("PUT", ITEMS, 401, 0), REFRESHED, Asked("PUT", ITEMS, 200, 1)] == world.seen()
    assert [b"whole"] == world.bodies


@of_fetch
def test_callers_request_is_consumed(tab: Page, world: World) -> None:
    """The body of a `Request` is consumed, and the `Response` can be read once, as with the native `fetch`."""
    world.expire()
    used = tab.evaluate(
        """async () => {
            const request = new Request("/api/items", { method: "PUT", body: "whole" });
            const answer = await fetch(request);
            await answer.json();
            return [request.bodyUsed, answer.bodyUsed, answer instanceof Response];
        }"""
    )
    assert [True, True, True] == used


# ---- streams: browsers only send them over HTTP/2


@pytest.fixture
def secure(world: World, tmp_path: Path) -> Iterator[str]:
    """Return the application's address over TLS and HTTP/2."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(private)
    behind = urlsplit(world.address).netloc
    command: list[str | Path] = [
        npm.NODE, HERE / "h2.mjs", behind, tmp_path / "key.pem", tmp_path / "cert.pem",
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        yield f"https://localhost:{proxy.stdout.readline().strip()}"
        proxy.terminate()


@pytest.fixture
def streaming(browser: Browser, world: World, secure: str) -> Iterator[Page]:
    """Return a tab, logged in, whose requests go over TLS and HTTP/2."""
    context = browser.new_context(ignore_https_errors=True)
    tab = context.new_page()
    tab.goto(f"{secure}/session?client={world.client}")
    tab.wait_for_function("window.loaded")
    world.log_in(tab)
    tab.evaluate(
        """() => {
            window.stream = (pieces) => new ReadableStream({
                pull(controller) {
                    if (pieces-- > 0) controller.enqueue(new Uint8Array(10_000).fill(68));
                    else controller.close();
                },
            });
            window.send = (pieces) =>
                client.perform(async (session) => {
                    const sent = { method: "POST", body: stream(pieces), duplex: "half" };
                    const answer = await session.fetch("/api/upload", sent);
                    return [answer.status, answer.ok ? await answer.json() : null];
                });
        }"""
    )
    tab.evaluate("sleepFor(1_050)")
    yield tab
    context.close()


WHOLE = 300_000 * b"D"
cannot_stream = pytest.mark.cannot(
    firefox="It has no request streams: it sends the text [object ReadableStream], as `fetch` alone does.",
    webkit="It has no request streams: `NotSupportedError`, as `fetch` alone throws.",
)
no_streams = pytest.mark.not_for(axios="it sends no streams")


@of_fetch
def test_the_secure_cookie(streaming: Page) -> None:
    """Over TLS the cookie has the prefix `__Host-`, and is `Secure` and `HttpOnly`."""
    (cookie,) = streaming.context.cookies()
    assert ("__Host-daypass", True, True) == (cookie["name"], cookie["secure"], cookie["httpOnly"])


@no_streams
@cannot_stream
def test_a_stream(streaming: Page, world: World) -> None:
    """A stream is sent at once if the token is valid, and arrives whole."""
    status, seen = streaming.evaluate("send(30)")
    assert (200, hashlib.sha256(WHOLE).hexdigest()) == (status, seen["sha256"])
    assert [Asked("POST", "/api/upload", 200, 0)] == world.seen()


@no_streams
@cannot_stream
def test_a_stream_close_to_expiry(streaming: Page, world: World) -> None:
    """A stream can only be sent once. So a token that is about to expire is refreshed first."""
    streaming.evaluate("sleepFor(47_000)")
    status, seen = streaming.evaluate("send(30)")
    assert (200, hashlib.sha256(WHOLE).hexdigest()) == (status, seen["sha256"])
    assert [REFRESHED, Asked("POST", "/api/upload", 200, 1)] == world.seen()


@no_streams
@cannot_stream
def test_a_stream_on_an_expired_token(streaming: Page, world: World) -> None:
    """A stream that gets 401 is not sent again. The caller gets the 401, and the next stream succeeds."""
    world.expire()
    assert 401 == streaming.evaluate("send(30)")[0]
    assert [Asked("POST", "/api/upload", 401, 0), REFRESHED] == world.seen()
    assert [] == world.bodies
    assert 200 == streaming.evaluate("send(30)")[0]
    assert [WHOLE] == world.bodies
    assert [Asked("POST", "/api/upload", 200, 1)] == world.seen()


@no_streams
@cannot_stream
def test_a_request_with_a_stream(streaming: Page, world: World) -> None:
    """A `Request` whose body is a stream is sent again whole."""
    world.expire()
    status = streaming.evaluate(
        """() => client.perform(async (session) => {
            const request = new Request("/api/upload", { method: "POST", body: stream(30), duplex: "half" });
            return (await session.fetch(request)).status;
        })"""
    )
    assert 200 == status
    assert [WHOLE] == world.bodies
    assert [200] == refreshes(world.seen())
