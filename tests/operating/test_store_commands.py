"""`daypass store`: what its check says and how it ends, and how the long commands show that they get on."""

import contextlib
import io
import json
import os
import pty
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from daypass.cli import main, progress
from daypass.cli.progress import Progress
from daypass.store_steps import Insert, Probe
from daypass.stores import sql
from daypass.stores.sqlite import SqliteStore
from daypass.testing import session
from tests.server.processes import add_user

DAY = 86_400_000
YEAR = 365 * DAY


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with an empty database."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DAYPASS_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    with closing(SqliteStore(tmp_path / "app.db")) as store:
        store.perform(Probe())
    return tmp_path


def run(*words: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    """Run a command on that database; return its standard output."""
    assert status == main([*words, "--store", "sqlite:///app.db"])
    return capsys.readouterr().out


def add_sessions(folder: Path, count: int, *, age: int = 0, subject: str = "user-1") -> None:
    """Add sessions that began this long ago and live for an hour."""
    began = time.time_ns() // 1_000_000 - age
    made = [session(number, subject=subject, created_at=began, expires_at=began + 3_600_000) for number in range(count)]
    with closing(SqliteStore(folder / "app.db")) as store:
        store.perform(Insert(made[0]))
    with closing(sqlite3.connect(folder / "app.db")) as database, database:
        database.executemany(sql.INSERT, map(sql.session_parameters, made))


def test_a_sound_store_has_no_faults(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence for people, nothing for programs, status 0."""
    assert "nothing is wrong" in run("store", "check", capsys=capsys)
    assert "" == run("store", "check", "--json", "--strict", capsys=capsys)


def test_faults_are_counted_with_examples_and_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One record for each check, the errors first; the exit status is 3 for errors, and for warnings if you want."""
    add_sessions(folder, 5, age=2 * 86_400_000)
    found = json.loads(run("store", "check", "--json", capsys=capsys, status=3).splitlines()[1])
    assert ("session-past", "warning", 5) == (found["check"], found["severity"], found["count"])
    assert (f"{0:032x}, {1:032x}, {2:032x}, …", "run: daypass store purge") == (found["where"], found["do"])
    with closing(sqlite3.connect(folder / "app.db")) as database, database:
        database.execute("DELETE FROM daypass_sessions WHERE id > x'00000000000000000000000000000000'")
        database.execute("INSERT INTO daypass_keys VALUES ('a', 'ES256', 'w', 1, 1, ''), ('b', 'HMAC', 'w', 1, 1, '')")
        database.execute("UPDATE daypass_keys SET algorithm = 'refresh' WHERE kid = 'b'")
    run("store", "check", capsys=capsys, status=0)
    run("store", "check", "--strict", capsys=capsys, status=3)


def test_sessions_of_users_elsewhere_are_no_fault(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where all users are the service's own, a session needs one of them."""
    add_user(folder)
    add_sessions(folder, 1)
    assert "session-without-user" in run("store", "check", capsys=capsys, status=3)
    monkeypatch.setenv("DAYPASS_USERS_WEBHOOK", "https://app.example.com/users")
    assert "session-without-user" not in run("store", "check", capsys=capsys, status=3)


def test_a_long_purge_says_how_much_it_has_removed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pipe by whole lines on standard error, without codes of a terminal; the result is on standard output."""
    monkeypatch.setattr(progress, "_EVERY_IN_A_PIPE", 0.001)
    add_sessions(folder, 3000, age=YEAR)
    assert 0 == main(["store", "purge", "--store", "sqlite:///app.db"])
    shown = capsys.readouterr()
    assert "Removed 3000 sessions that were over; an ended session is kept until 180d after its login\n" == shown.out
    assert all(line.startswith("daypass: purging") for line in shown.err.splitlines())
    assert "removed (" in shown.err
    assert "\x1b" not in shown.err
    assert "\r" not in shown.err


@pytest.mark.parametrize("said_by", ["option", "environment", "file"])
def test_a_purge_keeps_ended_sessions_as_long_as_the_service(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, said_by: str
) -> None:
    """Otherwise late reuse is not recognized, and an old token of another library could start a second session."""
    now = time.time_ns() // 1_000_000
    with closing(SqliteStore(folder / "app.db")) as store:
        began = now - 200 * DAY
        store.perform(Insert(session(1, created_at=began, expires_at=began + 30 * DAY, ended_at=began + DAY)))
    options = []
    match said_by:
        case "option":
            options = ["--absolute-ttl", "730d"]
        case "environment":
            monkeypatch.setenv("DAYPASS_ABSOLUTE_TTL", "730d")
        case _:
            (folder / "daypass.toml").write_text('absolute_ttl = "730d"\nidle_ttl = "365d"\naccess_ttl = "1h"')
    out = run("store", "purge", *options, capsys=capsys)
    assert "Removed 0 sessions that were over; an ended session is kept until 730d after its login\n" == out
    out = run("store", "purge", "--absolute-ttl", "100d", capsys=capsys)
    assert "Removed 1 sessions that were over; an ended session is kept until 100d after its login\n" == out


def test_a_purge_refuses_lifetimes_that_cannot_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it removes anything."""
    add_sessions(folder, 1, age=YEAR)
    for options in (("--absolute-ttl", "soon"), ("--access-ttl", "0s"), ("--absolute-ttl", "1m")):
        run("store", "purge", *options, capsys=capsys, status=1)
    assert "Removed 1 sessions" in run("store", "purge", capsys=capsys)


@pytest.mark.parametrize("doing", ["migrate", "stats", "check"])
def test_a_command_that_ends_at_once_says_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str], doing: str
) -> None:
    """Only its result."""
    assert 0 == main(["store", doing, "--store", "sqlite:///app.db"])
    assert "" == capsys.readouterr().err


def test_a_person_sees_one_line_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal the line changes in place, and leaves nothing behind."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(progress, "_EVERY", 0.005)
        with Progress("checking") as shown:
            shown.note("1,000 rows")
            time.sleep(0.1)
        written = os.read(master, 4096).decode()
        while not written.endswith("\x1b[K"):
            written += os.read(master, 4096).decode()
    os.close(master)
    assert written.startswith("\r\x1b[Kchecking: 1,000 rows (0 s)")
    assert written.endswith("\r\x1b[K")
    assert "\n" not in written


def test_progress_ends_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the command fails: nothing is written afterwards."""
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr(progress, "_EVERY_IN_A_PIPE", 0.001)
    with contextlib.suppress(ValueError), Progress("checking"):
        time.sleep(0.01)
        raise ValueError("failed")
    written = errors.getvalue()
    time.sleep(0.02)
    assert written == errors.getvalue() != ""
