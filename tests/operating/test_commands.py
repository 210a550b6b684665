"""The commands for operators on the store of a running service: their output, their effects, their errors."""

import contextlib
import io
import json
import os
import pty
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daypass.cli import WORDS, main, parser_of
from daypass.clock import iso_time, system_clock
from tests.server.processes import DAYPASS, PATIENCE, SECRET, Service, add_user, daypass, environment, running

STORE = ("--store", "sqlite:///app.db")
GIVEN = {"DAYPASS_SECRET": SECRET}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("service")
    add_user(made)
    return made


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    with running("--grace-period", "0s", folder=folder, given=GIVEN) as started:
        yield started


def run(folder: Path, *words: str, text: str = "", status: int = 0) -> str:
    """Run a command in this process, as if in ``folder``; return its output."""
    printed, complaints = io.StringIO(), io.StringIO()
    store = ("--store", f"sqlite:///{folder}/app.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAYPASS_SECRET", SECRET)
        patch.setattr("sys.stdin", io.StringIO(text))
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaints):
            assert status == main([*words, *store]), complaints.getvalue()
    return printed.getvalue() or complaints.getvalue()


def lines(folder: Path, *words: str, text: str = "", status: int = 0) -> list[dict[str, object]]:
    printed = run(folder, *words, "--json", text=text, status=status)
    return [json.loads(line) for line in printed.splitlines() if not line.startswith("daypass:")]


def test_sessions_are_found_shown_and_ended(folder: Path, service: Service) -> None:
    """By address, name or subject; the service refuses the session at once, and the trail says so."""
    with service.client() as client:
        access = service.login(client).json()["accessToken"]
        (mine,) = lines(folder, "session", "list", "alice@example.com")
        assert (
            [mine]
            == lines(folder, "session", "list", "ALICE")
            == lines(folder, "session", "list", str(mine["subject"]))
        )
        (token,) = lines(folder, "token", "inspect", text=access)
        assert ("access token", True, mine["session"]) == (token["kind"], token["valid"], token["session"])
        assert [mine] == lines(folder, "session", "show", str(mine["session"]))
        assert [{"ended": 1}] == lines(folder, "session", "end", str(mine["session"]))
        assert 401 == client.post("/auth/refresh").status_code
    assert [] == lines(folder, "session", "list", "alice")
    (ended,) = lines(folder, "session", "show", str(mine["session"]))
    assert "ended" == ended["end_reason"]
    assert [{"ended": 0}] == lines(folder, "session", "end", str(mine["session"]), status=1)
    (token,) = lines(folder, "token", "inspect", text=access, status=3)
    assert (False, True) == (token["valid"], "was ended" in str(token["reason"]))
    events = lines(folder, "events", "--session", str(mine["session"]))
    assert "ended" in [each["code"] for each in events]


def test_all_sessions_of_a_user_are_ended(folder: Path, service: Service) -> None:
    """Every device of that user, and of no other."""
    with service.client() as one, service.client() as other:
        service.login(one)
        service.login(other)
        assert [{"ended": 2}] == lines(folder, "session", "end", "--user", "alice")
        assert [401, 401] == [client.post("/auth/refresh").status_code for client in (one, other)]


def test_a_refresh_token_is_explained_and_not_used(folder: Path, service: Service) -> None:
    """Each place of a token in its session; no token is printed, and the session is unchanged."""
    with service.client() as client:
        service.login(client)
        tokens = [next(iter(client.cookies.values()))]
        for _ in range(2):
            time.sleep(0.002)
            client.post("/auth/refresh")
            tokens.append(next(iter(client.cookies.values())))
        found = [
            lines(folder, "token", "inspect", text=each, status=status)[0]
            for each, status in zip(tokens, (3, 0, 0), strict=True)
        ]
        assert [False, True, True] == [each["valid"] for each in found]
        assert "the newest" in str(found[2]["position"])
        assert [] == [each for each in tokens if each[8:40] in json.dumps(found)]
        assert 200 == client.post("/auth/refresh").status_code
    forged = tokens[2][:-6] + "AAAAAA"
    (refused,) = lines(folder, "token", "inspect", text=forged, status=3)
    assert "forged" in str(refused["reason"])
    (unread,) = lines(folder, "token", "inspect", "--no-store", text=tokens[2])
    assert unread["valid"] is None


@pytest.mark.parametrize("text", ["hello", "a.b.c", "dpr_x", "eyJhbGciOiJub25lIn0.e30."])
def test_an_invalid_token_is_refused_with_a_reason(folder: Path, service: Service, text: str) -> None:
    """It is refused with a reason, and not repeated."""
    (found,) = lines(folder, "token", "inspect", text=text, status=3)
    assert found["valid"] is False
    assert found["reason"]


def test_the_trail_is_followed(folder: Path, service: Service) -> None:
    """A login shows up while the command runs, and a failed one has no name in it."""
    begun = iso_time(system_clock())
    command = [str(DAYPASS), "events", "--follow", "--json", "--since", "1m", *STORE]
    with subprocess.Popen(command, cwd=folder, env=environment(GIVEN), stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        giving_up = threading.Timer(PATIENCE, following.kill)
        giving_up.start()
        try:
            with service.client() as client:
                service.login(client, password="wrong, and a secret")
                service.login(client)
            seen: list[str] = []
            while not {"started", "login_failed"} <= set(seen):
                line = json.loads(following.stdout.readline())
                assert "alice" not in json.dumps(line)
                seen += [line["code"]] if line["at"] >= begun else []
        finally:
            giving_up.cancel()
            following.kill()


def test_events_are_filtered(folder: Path, service: Service) -> None:
    """By code, user and number; a code that does not exist is an error with the nearest one."""
    assert {"started"} == {each["code"] for each in lines(folder, "events", "--code", "started", "--since", "1h")}
    assert 2 == len(lines(folder, "events", "--limit", "2"))
    assert [] == lines(folder, "events", "--user", "nobody")
    assert "did you mean 'started'?" in run(folder, "events", "--code", "starte", status=1)


def test_clients_are_listed_and_removed(tmp_path: Path) -> None:
    """Comments and the other clients stay; no secret is shown again."""
    file = ("--file", "clients.toml")
    for name in ("one", "two", "three"):
        daypass("client", "add", name, "--id", name, "--introspects", *file, folder=tmp_path)
    path = tmp_path / "clients.toml"
    path.write_text("# ours\n" + path.read_text())
    removed = daypass("client", "remove", "two", *file, folder=tmp_path)
    assert (0, "Removed two from clients.toml\n") == (removed.returncode, removed.stdout)
    listed = daypass("client", "list", *file, "--json", folder=tmp_path).stdout
    assert ["one", "three"] == [json.loads(line)["client_id"] for line in listed.splitlines()]
    assert "secret" not in listed
    assert path.read_text().startswith("# ours\n")
    missing = daypass("client", "remove", "two", *file, folder=tmp_path)
    assert (1, True) == (missing.returncode, "daypass client list" in missing.stderr)


def test_what_is_in_the_store_is_counted_and_purged(folder: Path, service: Service) -> None:
    """As numbers, and nothing that lives is removed."""
    (stats,) = lines(folder, "store", "stats")
    assert (2, 1) == (stats["keys"], stats["users"])
    (purged,) = lines(folder, "store", "purge")
    assert 0 == purged["removed"]


def test_a_person_sees_a_table_and_a_pipe_gets_lines(folder: Path, service: Service) -> None:
    """In a terminal there are headings and columns; in a pipe only tabs."""
    piped = run(folder, "key", "list")
    assert all(4 == line.count("\t") for line in piped.splitlines())
    assert "KID" not in piped
    master, terminal = pty.openpty()
    subprocess.run([DAYPASS, "key", "list", *STORE], cwd=folder, env=environment(GIVEN), stdout=terminal, check=True)
    os.close(terminal)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert shown.startswith("KID ")
    assert "\t" not in shown


def test_a_reader_that_leaves_early_is_no_error(folder: Path, service: Service) -> None:
    """`daypass events | head` ends quietly."""
    command = f"{DAYPASS} events --json --since 1h {' '.join(STORE)} | true"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=environment(GIVEN), capture_output=True, check=False
    )
    assert (0, b"") == (done.returncode, done.stderr)


def test_each_command_has_an_example_and_says_what_it_does() -> None:
    """In its ``--help``, with options that exist."""
    parsers: list[Any] = [parser_of()]
    commands = []
    while parsers:
        parser = parsers.pop()
        under = [
            action for action in parser._actions if hasattr(action, "choices") and isinstance(action.choices, dict)
        ]
        parsers += [each for action in under for each in action.choices.values()]
        if parser.get_default("command") is not None:
            commands.append(parser)
    assert len(WORDS) < len(commands)
    for parser in commands:
        assert "examples:\n  " in (parser.epilog or ""), parser.prog
        assert parser.description, parser.prog


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_commands_are_completed_in_a_shell(tmp_path: Path, shell: str) -> None:
    """The script knows commands and options; bash runs it."""
    done = daypass("completion", shell, folder=tmp_path)
    assert (0, "") == (done.returncode, done.stderr)
    assert ("session" if shell == "tcsh" else "--everyone") in done.stdout
    if shell == "bash":
        script = f"{done.stdout}\nCOMP_WORDS=(daypass ses); COMP_CWORD=1; _shtab_daypass; echo ${{COMPREPLY[@]}}"
        found = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, check=True)
        assert "session" in found.stdout.split()


def test_words_of_the_version_before_still_work(folder: Path, service: Service) -> None:
    """``sessions``, ``keys`` and ``remove`` are other names of ``session``, ``key`` and ``retire``."""
    assert run(folder, "key", "list") == run(folder, "keys", "list")
    assert "daypass key list" in run(folder, "keys", "remove", "nothing", status=1)
