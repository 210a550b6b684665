"""`daypass login --oauth`, against an authorization server made with Authlib, as people run it."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from daypass.client import oauth_login
from daypass.client.messages import Answer, Message
from daypass.client.oauth import OAuth
from daypass.errors import ConfigurationError, CredentialsRejected, RefreshUnavailable
from tests.servers.postgres import free_port

from .authlib_server import CLIENT_ID, Server, authlib_server

PROGRAM = [sys.executable, "-c", "import sys; from daypass.cli import main; sys.exit(main())"]
BROWSER = f"{sys.executable} -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' %s"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with authlib_server() as server:
        yield server


@pytest.fixture
def daypass(tmp_path: Path) -> Run:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "BROWSER": BROWSER}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=30)

    return run


def test_a_user_logs_in_with_the_browser_of_this_machine(server: Server, daypass: Run) -> None:
    """The browser is opened and comes back to loopback with the code; token, request and logout work from then on."""
    done = daypass("login", "--oauth", server.url, "--client-id", CLIENT_ID, "--scope", "profile")
    assert (0, f"Logged in at {server.url}\n") == (done.returncode, done.stdout), done.stderr
    assert "Log in with your browser: " in done.stderr
    assert ["profile"] == server.scopes
    assert daypass("token").stdout.strip() in server.tokens
    assert '{"user":"ada"}' == daypass("request", "GET", "/me").stdout.replace(" ", "").strip()
    server.tokens = {"dead": next(iter(server.tokens.values())) | {"access_token": "dead"}}
    time.sleep(1.1)
    assert 0 == daypass("request", "GET", "/me").returncode
    assert "Logged out\n" == daypass("logout").stdout
    assert {} == server.tokens


def test_a_second_login_ends_the_session_it_replaces(server: Server, daypass: Run) -> None:
    """The replaced refresh token is revoked; another account's session is not touched."""
    first = ("login", "--oauth", server.url, "--client-id", CLIENT_ID, "--scope", "profile")
    assert 0 == daypass(*first).returncode
    old = set(server.tokens)
    assert 0 == daypass(*first, "--account", "work").returncode
    assert old < set(server.tokens)
    assert 0 == daypass(*first).returncode
    assert not old & set(server.tokens)
    assert 2 == len(server.tokens)


def test_a_user_logs_in_on_another_device(server: Server, daypass: Run) -> None:
    """The page and the code are shown, and the server is asked until the user has approved."""
    done = daypass("login", "--oauth", server.url, "--client-id", CLIENT_ID, "--scope", "profile", "--device")
    assert 0 == done.returncode, done.stderr
    code = next(iter(server.devices.values()))["user_code"]
    assert f"/device?user_code={code} on any device and enter the code: {code}\n" in done.stderr
    assert 2 == server.polls
    assert daypass("token").stdout.strip() in server.tokens


def test_a_refused_login_keeps_no_session(server: Server, daypass: Run) -> None:
    """The user says no, on this machine or on another device: one line, and nothing is kept."""
    server.denies = True
    for more in ((), ("--device",)):
        done = daypass("login", "--oauth", server.url, "--client-id", CLIENT_ID, "--scope", "profile", *more)
        assert 1 == done.returncode
        assert "daypass: the login was refused: access_denied\n" in done.stderr
    assert "daypass: Not logged in. Run: daypass login URL --email you@example.com\n" == daypass("token").stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "the client's id is missing: add --client-id ID"),
        (("--client-id", "x"), "did not answer (ConnectError)"),
    ],
)
def test_a_login_that_cannot_work_is_said_plainly(daypass: Run, arguments: tuple[str, ...], told: str) -> None:
    """One line on standard error."""
    done = daypass("login", "--oauth", "http://127.0.0.1:1", *arguments)
    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert told in done.stderr


def _sender(client: httpx2.Client) -> Callable[[Message], Answer]:
    def send(message: Message) -> Answer:
        headers = {"accept": "application/json"}
        response = client.request(message.method, message.path, data=dict(message.form or {}), headers=headers)
        return Answer(response.status_code, response.content)

    return send


def _in_a_thread(*pages: str) -> Callable[[str], None]:
    """Return a browser that first opens other pages on the listener, and then the right one."""

    def visit(url: str) -> None:
        back = httpx2.URL(httpx2.URL(url).params["redirect_uri"])
        for page in pages:
            assert 404 == httpx2.get(back.join(page)).status_code
        httpx2.get(url, follow_redirects=True)

    return lambda url: threading.Thread(target=visit, args=(url,)).start()


def test_a_redirect_without_the_state_is_no_answer(server: Server) -> None:
    """A page that sends the browser to the listener, with a forged code, changes nothing (RFC 9700 §4.7)."""
    oauth = OAuth(client_id=CLIENT_ID, issuer=server.url, scope="profile")
    with httpx2.Client() as client:
        others = ("/callback?code=stolen&state=guess", "/callback?code=stolen", "/favicon.ico")
        grant = oauth_login.by_browser(oauth, _sender(client), _in_a_thread(*others))
    assert grant.access_token in server.tokens


def test_an_answer_of_another_issuer_is_refused(server: Server) -> None:
    """`iss` in the redirect has to be the issuer that was asked (RFC 9207)."""
    oauth = OAuth(client_id=CLIENT_ID, issuer=server.url, scope="profile")
    server.iss = "https://evil.example"
    with httpx2.Client() as client, pytest.raises(CredentialsRejected, match="another issuer"):
        oauth_login.by_browser(oauth, _sender(client), _in_a_thread())
    server.iss = server.url
    with httpx2.Client() as client:
        assert oauth_login.by_browser(oauth, _sender(client), _in_a_thread()).access_token in server.tokens


def test_nobody_logs_in(server: Server) -> None:
    """After the time limit the wait ends; also if the server has no such login."""
    with httpx2.Client() as client:
        with pytest.raises(RefreshUnavailable, match="no login within 0 seconds"):
            oauth_login.by_browser(
                OAuth(client_id=CLIENT_ID, issuer=server.url, scope="profile"),
                _sender(client),
                lambda _: None,
                patience=0.1,
            )
        given = OAuth(client_id=CLIENT_ID, token_endpoint=f"{server.url}/token")
        with pytest.raises(ConfigurationError, match="no authorization_endpoint"):
            oauth_login.by_browser(given, _sender(client), lambda _: None)
        with pytest.raises(ConfigurationError, match="no device_authorization_endpoint"):
            oauth_login.by_device(given, _sender(client), lambda *_: None)


def test_endpoints_that_are_given_need_no_discovery(server: Server) -> None:
    """A provider without metadata, as most presets are: both logins work with the endpoints that the strategy knows."""
    server.iss = server.url  # unknown to the client, which has nothing to compare it with
    oauth = OAuth(
        client_id=CLIENT_ID,
        token_endpoint=f"{server.url}/token",
        authorization_endpoint=f"{server.url}/authorize",
        device_authorization_endpoint=f"{server.url}/device_authorization",
        authorization_parameters={"access_type": "offline"},
        scope="profile",
    )
    pages: list[str] = []

    def open_page(url: str) -> None:
        pages.append(url)
        _in_a_thread()(url)

    with httpx2.Client() as client:
        assert oauth_login.by_browser(oauth, _sender(client), open_page).access_token in server.tokens
        assert oauth_login.by_device(oauth, _sender(client), lambda *_: None).access_token in server.tokens
    assert "offline" == httpx2.URL(pages[0]).params["access_type"]


def test_a_registered_redirect_uri_is_used_to_the_letter(server: Server) -> None:
    """Port and path are those that the provider knows; a port that is in use is named."""
    port = free_port()
    oauth = OAuth(
        client_id=CLIENT_ID, issuer=server.url, scope="profile", redirect_uri=f"http://127.0.0.1:{port}/xero/callback"
    )
    with httpx2.Client() as client:
        grant = oauth_login.by_browser(oauth, _sender(client), _in_a_thread("/callback"))
        assert grant.access_token in server.tokens
        with socket.create_server(("127.0.0.1", port)), pytest.raises(ConfigurationError, match=f"port {port}"):
            oauth_login.by_browser(oauth, _sender(client), _in_a_thread())
