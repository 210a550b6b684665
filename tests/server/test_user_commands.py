"""``daypass user``: list, show, disable, enable, give another password, remove, while the service runs."""

import io
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from daypass.cli import main

from .processes import SECRET, add_user, running

Run = Callable[..., tuple[int, str, str]]
NEW = "another good password"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command on ``app.db``, with text as its standard input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAYPASS_STORE", "sqlite:///app.db")

    def command(*words: str, text: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        status = main(["user", *words])
        out, err = capsys.readouterr()
        return status, out, err

    return command


def is_refused_within_a_second(client: httpx2.Client, login: httpx2.Response) -> bool:
    """Return whether the refresh token is refused now, and the access token a second later at most."""
    until = time.monotonic() + 1.5  # on a busy machine
    refused = client.post("/auth/refresh").status_code == 401
    bearing = {"authorization": f"Bearer {login.json()['accessToken']}"}
    while client.get("/auth/me", headers=bearing).status_code != 401:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return refused


def test_commands_work_beside_the_service_and_end_sessions(tmp_path: Path, run: Run) -> None:
    """Disabling, a new password and removal end the user's sessions within a second; enabling lets them back in."""
    add_user(tmp_path)
    add_user(tmp_path, "bob@example.com", username="bob")
    with (
        running(folder=tmp_path, given={"DAYPASS_SECRET": SECRET}) as service,
        service.client() as client,
        service.client() as bob,
    ):
        assert 200 == service.login(bob, username="bob").status_code

        login = service.login(client)
        assert (0, "Disabled alice@example.com; ended sessions: 1\n", "") == run("disable", "ALICE")
        assert is_refused_within_a_second(client, login)
        assert 401 == service.login(client).status_code

        assert 0 == run("enable", "alice@example.com")[0]
        login = service.login(client)
        assert 200 == login.status_code

        changed = run("password", "alice", text=f"{NEW}\n")
        assert (0, "Replaced the password of alice@example.com; ended sessions: 1\n", "") == changed
        assert is_refused_within_a_second(client, login)
        assert 401 == service.login(client).status_code
        login = service.login(client, password=NEW)
        assert 200 == login.status_code

        assert (0, "Removed alice@example.com; ended sessions: 1\n", "") == run("remove", "alice", "--yes")
        assert is_refused_within_a_second(client, login)
        assert 401 == service.login(client, password=NEW).status_code
        assert 200 == bob.post("/auth/refresh").status_code


def test_users_are_listed_and_shown(tmp_path: Path, run: Run) -> None:
    """As lines for programs, as JSON, and one by one; no hash of a password is shown."""
    add_user(tmp_path)
    add_user(tmp_path, "bob@example.com", username=None)
    run("disable", "bob@example.com")
    status, out, _ = run("list")
    rows = {line.split("\t")[0]: line.split("\t") for line in out.splitlines()}
    assert (0, {"alice@example.com", "bob@example.com"}) == (status, set(rows))
    assert ("Alice", "") == (rows["alice@example.com"][1], rows["alice@example.com"][3])
    listed = [json.loads(line) for line in run("list", "--json")[1].splitlines()]
    (bob,) = [each for each in listed if each["email"] == "bob@example.com"]
    assert bob == json.loads(run("show", bob["subject"], "--json")[1])
    assert bob["disabled_at"] is not None
    assert "argon2" not in "".join(run("show", "alice")[1] + out)


def test_a_user_gets_a_scope(tmp_path: Path, run: Run) -> None:
    """It is in the access token of the next login; another one replaces it, and none takes it away."""
    added = run("add", "carol@example.com", "--scope", "daypass:admin  read", text=f"{NEW}\n")
    assert (0, "") == (added[0], added[2])

    def shown() -> str | None:
        return json.loads(run("show", "carol@example.com", "--json")[1])["scope"]  # type: ignore[no-any-return]

    assert "daypass:admin read" == shown()
    told = "carol@example.com has the scope read\n"
    assert (0, told, "") == run("scope", "carol@example.com", "read")
    assert "read" == shown()
    with running(folder=tmp_path) as service, service.client() as client:
        login = service.login(client, email="carol@example.com", username="", password=NEW)
        assert "read" == json.loads(claims_of(login))["scope"]
    assert (0, "carol@example.com has no scope any more\n", "") == run("scope", "carol@example.com")
    assert shown() is None
    status, out, err = run("scope", "carol@example.com", 'read"')
    assert (1, "", True) == (status, out, "a scope has to be words" in err)


def claims_of(login: httpx2.Response) -> str:
    payload = login.json()["accessToken"].split(".")[1]
    return urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "carol"), "there is no user 'carol'; see: daypass user list. Nothing was changed"),
        (("disable", "carol"), "there is no user 'carol'"),
        (("password", "alice"), "the password must have at least 8 characters"),
        (("remove", "alice"), "this removes a user for good; write --yes to confirm. Nothing was changed"),
    ],
)
def test_a_failed_command_changes_nothing(tmp_path: Path, run: Run, words: tuple[str, ...], told: str) -> None:
    """One line says why, with status 1."""
    add_user(tmp_path)
    before = (tmp_path / "app.db").read_bytes()
    status, out, err = run(*words)
    assert (1, "") == (status, out)
    assert told in err
    assert before == (tmp_path / "app.db").read_bytes()
