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
    assert after.stderr.startswith("daypass: there is no session at")


def test_a_dead_token_is_replaced_first(logged_in: Run, issuer: Any) -> None:
    """A request whose token was revoked is answered all the same; the next command has the newer token."""
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
    """The command fails, says why without the password, and the session goes on."""
    failed = logged_in("login", f"{url}/auth", "--email", "ada@example.com", given="hunter2\n")
    assert (1, "daypass: the login was rejected (401)\n") == (failed.returncode, failed.stderr)
    assert logged_in("token").stdout.strip() in issuer.live


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("login", "http://example.com/auth", "--email", "a"), "tokens do not travel over plain HTTP to example.com"),
        (("login", "nonsense", "--email", "a"), "invalid URL: expected one such as https://api.example.com/auth"),
        (("login", "http://127.0.0.1:1/auth", "--email", "a"), "the server did not answer (ConnectError)"),
        (("token",), "there is no session here: write daypass login URL"),
        (("logout",), "there is no session here"),
        (("request", "GET", "/me"), "there is no session here"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_cannot_work_is_said_plainly(daypass: Run, arguments: tuple[str, ...], told: str) -> None:
    """One line on standard error and status 1; no traceback."""
    done = daypass(*arguments, given="x\n")
    assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert done.stderr.startswith(f"daypass: {told}")


def test_a_request_does_not_leave_its_origin(logged_in: Run, stranger: tuple[str, Any]) -> None:
    """A URL elsewhere is refused; and a failure on the origin is told by status and body."""
    url, other = stranger
    refused = logged_in("request", "GET", f"{url}/me")
    assert (1, []) == (refused.returncode, other.authorizations)
    assert "not sent to another origin" in refused.stderr
    failed = logged_in("request", "GET", "/basic")
    assert (1, "{}", "daypass: 401 Unauthorized\n") == (failed.returncode, failed.stdout, failed.stderr)
    assert 1 == logged_in("request", "GET", "/me", "--header", "nonsense").returncode
