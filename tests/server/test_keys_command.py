"""`daypass key`: list keys, add new ones while the service runs, retire one that has leaked."""

import sqlite3
from pathlib import Path

import httpx2
import pytest

from .processes import SECRET, add_user, daypass, running

STORE = ("--store", "sqlite:///app.db")
GIVEN = {"DAYPASS_SECRET": SECRET}


def keys(folder: Path, *command: str) -> list[tuple[str, str, str]]:
    """Run a command that lists keys; return name, kind and state of each."""
    done = daypass("keys", *command, *STORE, folder=folder, given=GIVEN)
    assert (0, "") == (done.returncode, done.stderr)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return sorted(((kid, kind, state) for kid, kind, state, _, _ in rows), key=lambda row: row[1])


def test_keys_are_rotated_beside_a_running_service(tmp_path: Path) -> None:
    """New keys are in the list and wait for their time; users stay logged in."""
    add_user(tmp_path)
    options = ("--issuer", "https://issuer.example")
    with running(*options, folder=tmp_path, given=GIVEN) as service, service.client() as client:
        access_token = service.login(client).json()["accessToken"]
        assert ["in use", "in use"] == [state for _, _, state in keys(tmp_path, "list")]
        rotated = keys(tmp_path, "rotate")
        assert [("ES256", "next"), ("ES256", "in use"), ("refresh", "next"), ("refresh", "in use")] == [
            (kind, state) for _, kind, state in rotated
        ]
        me = client.get("/auth/me", headers={"authorization": f"Bearer {access_token}"})
        assert (200, 200) == (me.status_code, client.post("/auth/refresh").status_code)
        service.end()
    with running(*options, folder=tmp_path, given=GIVEN) as service, service.client() as client:
        published = {key["kid"] for key in client.get("/.well-known/jwks.json").json()["keys"]}
        assert {kid for kid, kind, _ in rotated if kind == "ES256"} == published


def test_a_key_that_has_leaked_is_removed(tmp_path: Path) -> None:
    """It is gone from the list; one that is not there is a mistake that changes nothing."""
    first = keys(tmp_path, "rotate")
    keys(tmp_path, "rotate", "--now")
    done = daypass("keys", "remove", first[0][0], *STORE, folder=tmp_path)
    assert (0, f"Removed {first[0][0]}\n") == (done.returncode, done.stdout)
    left = {kid for kid, _, _ in keys(tmp_path, "list")}
    assert first[0][0] not in left
    assert 3 == len(left)
    refused = daypass("keys", "remove", first[0][0], *STORE, folder=tmp_path)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "daypass key list" in refused.stderr
    assert left == {kid for kid, _, _ in keys(tmp_path, "list")}


def test_a_wrong_secret_rotates_nothing(tmp_path: Path) -> None:
    """Keys that the service could not read are not added."""
    before = keys(tmp_path, "rotate")
    refused = daypass("keys", "rotate", *STORE, folder=tmp_path, given={"DAYPASS_SECRET": SECRET[::-1]})
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "another secret" in refused.stderr
    assert before == keys(tmp_path, "list")


@pytest.mark.parametrize("command", [("list",), ("rotate",), ("remove", "kid")])
def test_a_memory_store_has_no_keys_to_show(tmp_path: Path, command: tuple[str, ...]) -> None:
    """It says to name the store that the service uses."""
    refused = daypass("keys", *command, "--store", "memory:", folder=tmp_path)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "--store" in refused.stderr


def test_the_environment_names_the_secret_file(tmp_path: Path) -> None:
    """``DAYPASS_SECRET_FILE`` is the secret of the commands, as it is of the service."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    done = daypass("keys", "rotate", *STORE, folder=tmp_path, given={"DAYPASS_SECRET_FILE": "secret"})
    assert (0, "") == (done.returncode, done.stderr)
    assert 2 == len(keys(tmp_path, "list"))


def test_the_only_key_stays_removed(tmp_path: Path) -> None:
    """A refresh key that has leaked does not come back when the service starts again: its tokens are refused."""
    add_user(tmp_path)
    with running(folder=tmp_path, given=GIVEN) as service, service.client() as client:
        service.login(client)
        leaked = next(kid for kid, kind, _ in keys(tmp_path, "list") if kind == "refresh")
        cookies = dict(client.cookies)
        service.end()
    done = daypass("keys", "remove", leaked, *STORE, folder=tmp_path)
    assert (0, f"Removed {leaked}\n") == (done.returncode, done.stdout)
    with running(folder=tmp_path, given=GIVEN) as service:
        refused = httpx2.post(f"{service.address}/auth/refresh", cookies=cookies)
        service.end()
    assert 401 == refused.status_code
    assert leaked not in {kid for kid, _, _ in keys(tmp_path, "list")}


def test_keys_that_a_longer_lifetime_needs_stay(tmp_path: Path) -> None:
    """Rotating removes no key: the command does not know the lifetimes of the service."""
    known = {kid for kid, _, _ in keys(tmp_path, "rotate")}
    with sqlite3.connect(tmp_path / "app.db") as database:  # as if they had been replaced a year ago
        database.execute("UPDATE daypass_keys SET created_at = created_at - 31536000000, used_from = 1")
    database.close()
    for _ in range(2):
        rotated = {kid for kid, _, _ in keys(tmp_path, "rotate", "--now")}
        assert known <= rotated
