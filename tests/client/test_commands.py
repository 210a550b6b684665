"""`daypass login`, `token`, `request` and `logout`, as people run them: processes, against a strict server."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daypass.testing.strict_server import PASSWORD

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PROGRAM = [sys.executable, "-c", "import sys; from daypass.cli import main; sys.exit(main())"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def daypass(environment: dict[str, str]) -> Run:
    def run(*arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*PROGRAM, *arguments], input=given, env=environment, capture_output=True, text=True, timeout=60
        )

    return run


@pytest.fixture
def logged_in(daypass: Run, url: str, issuer: Any) -> Run:
    done = daypass("login", f"{url}/auth", "--email", "ada@example.com", given=f"{PASSWORD}\n")
    assert (0, f"Logged in at {url}/auth\n", "") == (done.returncode, done.stdout, done.stderr)
    return daypass


def test_a_session_serves_every_command(logged_in: Run, url: str, issuer: Any) -> None:
    """A token to use, a request by path and by URL with a body, and an end that the server knows of."""
    token = logged_in("token").stdout.strip()
    assert token in issuer.live
    assert '{"user": "ada", "method": "GET"}' == logged_in("request", "get", "/me").stdout
    sent = logged_in("request", "POST", f"{url}/upload", "--data", "-", "--header", "X-A: b", given="hello")
    assert (0, 5) == (sent.returncode, issuer.uploads[-1][1])
    assert "Logged out\n" == logged_in("logout").stdout
    assert 1 == issuer.counts["ended"]
    after = logged_in("token")
    assert (1, "") == (after.returncode, after.stdout)
    told = f"daypass: Not logged in at {url}/auth. Run: daypass login {url}/auth --email you@example.com\n"
    assert told == after.stderr


def test_a_dead_token_is_replaced_first(logged_in: Run, issuer: Any) -> None:
    """A request whose token was revoked succeeds after a refresh; the next command has the newer token."""
    issuer.revoke_access()
    # The token came moments ago: a 401 for it would be the caller's.
    subprocess.run([sys.executable, "-c", "import time; time.sleep(1.1)"], check=True)
    assert 0 == logged_in("request", "GET", "/me").returncode
    assert logged_in("token").stdout.strip() in issuer.live
    assert (1, 1) == (issuer.counts["refreshes"], issuer.counts["rotated"])


def test_fifty_shells_at_once_share_one_refresh(
    daypass: Run, environment: dict[str, str], url: str, issuer: Any
) -> None:
    """Fifty processes that find the token expired: each prints a good one, and a strict server saw one refresh."""
    issuer.expires_in = 1
    daypass("login", f"{url}/auth", "--username", "ada", given=f"{PASSWORD}\n")
    subprocess.run([sys.executable, "-c", "import time; time.sleep(1.1)"], check=True)
    issuer.expires_in = 900

    shells = [
        subprocess.Popen(
            [*PROGRAM, "token"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(50)
    ]
    printed = [shell.communicate(timeout=120) for shell in shells]

    assert [0] * 50 == [shell.returncode for shell in shells], printed
    (token,) = {out.strip() for out, _ in printed}
    assert token in issuer.live
    assert (1, 1) == (issuer.counts["refreshes"], issuer.counts["rotated"])


def test_the_file_is_its_owners_alone(logged_in: Run, environment: dict[str, str]) -> None:
    """The session's file and its folder are closed to others, and no lock or draft is open to them either."""
    folder = Path(environment["XDG_STATE_HOME"]) / "daypass" / "sessions"
    assert 0o700 == folder.stat().st_mode & 0o777
    files = list(folder.iterdir())
    assert len(files) >= 2
    assert {0o600} == {file.stat().st_mode & 0o777 for file in files}


def test_a_keyring_that_is_not_there_is_said_plainly(daypass: Run, environment: dict[str, str], url: str) -> None:
    """`login --keyring` on a system without one fails before anything is sent, and says what to do."""
    environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    failed = daypass("login", f"{url}/auth", "--username", "ada", "--keyring", given=f"{PASSWORD}\n")
    assert 1 == failed.returncode
    assert "daypass: this system has no keyring that is safe to use; keep the session in a file\n" == failed.stderr


def test_a_wrong_password_keeps_the_session_there_was(logged_in: Run, url: str, issuer: Any) -> None:
    """The command fails, says why without the password, and the session continues."""
    failed = logged_in("login", f"{url}/auth", "--email", "ada@example.com", given="hunter2\n")
    assert (1, "daypass: the login was rejected (401)\n") == (failed.returncode, failed.stderr)
    assert logged_in("token").stdout.strip() in issuer.live


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("login", "http://example.com/auth", "--email", "a"),
            "Daypass sends no tokens over plain HTTP to example.com",
        ),
        (("login", "nonsense", "--email", "a"), "invalid URL: expected one such as https://api.example.com/auth"),
        (("login", "http://127.0.0.1:1/auth", "--email", "a"), "http://127.0.0.1:1/auth did not answer (ConnectError)"),
        (("login", "--email", "a"), "the URL is missing: daypass login URL --email you@example.com"),
        (("token",), "Not logged in. Run: daypass login URL --email you@example.com"),
        (("logout",), "Not logged in. Run: daypass login URL --email you@example.com"),
        (("request", "GET", "/me"), "Not logged in. Run: daypass login URL --email you@example.com"),
        (
            ("token", "--url", "https://a.example", "--account", "b"),
            "Not logged in at https://a.example. Run: daypass login https://a.example --email you@example.com --acc",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_error_is_one_line(daypass: Run, arguments: tuple[str, ...], told: str) -> None:
    """One line on standard error and status 1; no traceback."""
    done = daypass(*arguments, given="x\n")
    assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert done.stderr.startswith(f"daypass: {told}")


def test_a_session_that_was_ended_elsewhere_says_why(logged_in: Run, url: str, issuer: Any) -> None:
    """Ended by an operator: the reason and the command to type, at once and in the next shell too."""
    issuer.end_sessions()
    command = f"Run: daypass login {url}/auth --email you@example.com\n"
    for arguments in (("request", "GET", "/me"), ("token",)):
        done = logged_in(*arguments)
        assert 1 == done.returncode
        assert done.stderr.startswith("daypass: the session has ended: the refresh was rejected (401")
        assert done.stderr.endswith(command)


def test_a_second_login_ends_the_session_it_replaces(logged_in: Run, url: str, issuer: Any) -> None:
    """The replaced session is ended on the server, and the new one is used; a failure to end it is a warning."""
    first = logged_in("token").stdout.strip()
    again = ("login", f"{url}/auth", "--email", "ada@example.com")
    assert 0 == logged_in(*again, given=f"{PASSWORD}\n").returncode
    assert 1 == issuer.counts["ended"]
    assert first not in issuer.live
    assert logged_in("token").stdout.strip() in issuer.live
    issuer.refuses_logout = True
    done = logged_in(*again, given=f"{PASSWORD}\n")
    assert (0, f"Logged in at {url}/auth\n") == (done.returncode, done.stdout)
    assert "the replaced session could not be ended on the server" in done.stderr


def test_two_accounts_at_one_url_are_kept_apart(logged_in: Run, url: str, issuer: Any) -> None:
    """`--account` names a second session at the same URL; the latest login is the current one, the first continues."""
    first = logged_in("token").stdout
    work = ("login", f"{url}/auth", "--username", "bob", "--account", "work")
    assert 0 == logged_in(*work, given=f"{PASSWORD}\n").returncode
    second = logged_in("token").stdout
    assert first != second
    assert 0 == issuer.counts["ended"]
    assert first == logged_in("token", "--url", f"{url}/auth").stdout
    assert first == logged_in("token", "--account", "").stdout
    assert second == logged_in("token", "--url", f"{url}/auth", "--account", "work").stdout
    assert "Logged out\n" == logged_in("logout").stdout
    assert first == logged_in("token", "--account", "").stdout


def test_loopback_never_goes_through_a_proxy(
    daypass: Run, environment: dict[str, str], url: str, issuer: Any, stranger: tuple[str, Any]
) -> None:
    """A proxy of the environment gets neither the password nor a token that is for this machine."""
    environment.update({"HTTP_PROXY": stranger[0], "http_proxy": stranger[0], "ALL_PROXY": stranger[0]})
    for name in ("NO_PROXY", "no_proxy"):
        environment.pop(name, None)
    assert 0 == daypass("login", f"{url}/auth", "--username", "ada", given=f"{PASSWORD}\n").returncode
    assert 0 == daypass("request", "GET", "/me").returncode
    issuer.revoke_access()
    assert 0 == daypass("request", "GET", "/me").returncode
    assert 0 == daypass("logout").returncode
    assert {} == stranger[1].cookies


def test_a_request_does_not_leave_its_origin(logged_in: Run, stranger: tuple[str, Any]) -> None:
    """A URL on another origin is refused; a failure on the own origin is shown with status and body."""
    url, other = stranger
    refused = logged_in("request", "GET", f"{url}/me")
    assert (1, []) == (refused.returncode, other.authorizations)
    assert "not sent to another origin" in refused.stderr
    failed = logged_in("request", "GET", "/basic")
    assert (1, "{}", "daypass: 401 Unauthorized\n") == (failed.returncode, failed.stdout, failed.stderr)
    assert 1 == logged_in("request", "GET", "/me", "--header", "nonsense").returncode


def test_login_at_another_issuer_replaces_the_session(
    daypass: Run, environment: dict[str, str], url: str, issuer: Any
) -> None:
    """The session of the previous issuer does not prevent it, and is sent to no other server."""
    begun = (
        "from daypass.client import shell_sessions as s;"
        f"session = s.ShellSession('{url}/auth', oauth={{'issuer': '{url}', 'client_id': 'app'}});"
        "session.auth(session.storage()).start(access_token='t0ken', refresh_token='r', expires_in=900);"
        "s.remember(session)"
    )
    subprocess.run([sys.executable, "-c", begun], check=True, timeout=60, env=environment)
    done = daypass("login", f"{url}/auth", "--email", "ada@example.com", given=f"{PASSWORD}\n")
    assert (0, f"Logged in at {url}/auth\n") == (done.returncode, done.stdout)
    assert daypass("token").stdout.strip() in issuer.live
    assert [] == issuer.presented
