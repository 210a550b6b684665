"""`daypass session end-everyone`: all users are logged out while the service runs."""

from pathlib import Path

import pytest

from .processes import SECRET, add_user, daypass, eventually, running, untouched

STORE = ("--store", "sqlite:///app.db")
COMMAND = ("sessions", "end-everyone")


def test_everyone_is_logged_out(tmp_path: Path) -> None:
    """Sessions end at once, their access tokens within seconds; a user who logs in again afterwards stays."""
    add_user(tmp_path)
    with (
        running(folder=tmp_path, given={"DAYPASS_SECRET": SECRET}) as service,
        service.client() as client,
        service.client() as later,
    ):
        token = {"authorization": f"Bearer {service.login(client).json()['accessToken']}"}
        assert 200 == client.get("/auth/me", headers=token).status_code
        done = daypass(*COMMAND, "--yes", *STORE, folder=tmp_path)
        assert (0, "Ended all sessions; every user has to log in again\n") == (done.returncode, done.stdout)
        assert 401 == client.post("/auth/refresh").status_code
        eventually(lambda: client.get("/auth/me", headers=token).status_code == 401)
        assert 200 == service.login(later).status_code
        assert 200 == later.post("/auth/refresh").status_code


@pytest.mark.parametrize("typed", ["", "no\n", "yes\n"])
def test_it_asks_first(tmp_path: Path, typed: str) -> None:
    """Without ``--yes`` and without a person at a terminal nothing is changed."""
    add_user(tmp_path)
    with untouched(tmp_path):
        refused = daypass(*COMMAND, *STORE, folder=tmp_path, text=typed)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "write --yes to confirm. Nothing was changed" in refused.stderr


@pytest.mark.parametrize("command", [(*COMMAND, "--yes"), ("keys", "list"), ("keys", "remove", "abc")], ids=" ".join)
def test_a_misspelt_database_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    """No new one is made, in which everyone would seem to be logged out."""
    add_user(tmp_path)
    with untouched(tmp_path):
        refused = daypass(*command, "--store", "sqlite:///ap.db", folder=tmp_path)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "no database at ap.db: give the service's store with --store" in refused.stderr
