"""The built-in users: how one is added, and what a check of a password costs."""

import asyncio
import os
import pty
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

import argon2
import pytest

from daypass import ConfigurationError
from daypass.account_steps import AddAccount, FindAccount, LoadAccount
from daypass.server import users
from daypass.server.users import Users
from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.user import Account

from .processes import DAYPASS, PASSWORD, daypass, environment, untouched

NOW = 1_800_000_000_000
ADD = ("user", "add", "alice@example.com", "--username", "alice", "--store", "sqlite:///app.db")


def accounts(folder: Path) -> list[tuple[str, str | None]]:
    with sqlite3.connect(folder / "app.db") as database:
        found = database.execute("SELECT email, username FROM daypass_accounts ORDER BY created_at").fetchall()
    database.close()
    return found


def hashed(folder: Path) -> str:
    with sqlite3.connect(folder / "app.db") as database:
        (text,) = database.execute("SELECT password_hash FROM daypass_accounts").fetchone()
    database.close()
    return str(text)


# ---- daypass user add


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_a_password_from_standard_input(tmp_path: Path, ending: str) -> None:
    """The password is the first line of standard input; it is kept as a hash by Argon2id, and printed nowhere."""
    added = daypass(*ADD, folder=tmp_path, text=f"{PASSWORD}{ending}")
    assert (0, "") == (added.returncode, added.stderr)
    assert added.stdout.startswith("Added alice@example.com with subject ")
    assert 1 == added.stdout.count("\n")
    assert [("alice@example.com", "alice")] == accounts(tmp_path)
    assert hashed(tmp_path).startswith("$argon2id$")
    assert argon2.PasswordHasher().verify(hashed(tmp_path), PASSWORD)


def at_a_terminal(folder: Path, *answers: bytes) -> tuple[int, str]:
    """Run the command at a separate terminal; answer each prompt, and return exit status and output."""
    controlling, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, DAYPASS, *ADD],
        cwd=folder,
        env=environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown = b""
        prompts = [b"Password: ", b"Again: "]
        for prompt, answer in zip(prompts, answers, strict=False):
            while prompt not in shown:
                shown += os.read(controlling, 1024)
            os.write(controlling, answer)
        while read := _read(controlling):
            shown += read
        os.close(controlling)
        return process.wait(timeout=30), shown.decode()


TAKE_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:  # what Linux says when the other end is not open
        return b""


def test_a_password_from_a_terminal(tmp_path: Path) -> None:
    """At a terminal the password is asked for, twice, and is not shown."""
    typed = f"{PASSWORD}\n".encode()
    status, shown = at_a_terminal(tmp_path, typed, typed)
    assert (0, [("alice@example.com", "alice")]) == (status, accounts(tmp_path))
    assert argon2.PasswordHasher().verify(hashed(tmp_path), PASSWORD)
    assert PASSWORD not in shown


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ((b"correct horse\n", b"correct mule\n"), "daypass: the two passwords differ; nothing was added"),
        ((b"short\n", b"short\n"), "daypass: the password must have at least 8 characters"),
        ((b"\x04",), "daypass: no password was given; nothing was added"),
        ((b"\x03",), "daypass: interrupted"),
    ],
)
def test_a_terminal_without_a_password(tmp_path: Path, answers: tuple[bytes, ...], told: str) -> None:
    """Two that differ, one too short, end of input, Ctrl-C: one plain line, and nothing is made."""
    with untouched(tmp_path):
        status, shown = at_a_terminal(tmp_path, *answers)
    assert (1, True) == (status, shown.splitlines()[-1].endswith(told))
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "the password must have at least 8 characters"),
        (b"1234567\n", "the password must have at least 8 characters"),
        (1025 * b"x", "the password can have 1024 characters"),
        (b"\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc\n", "the password has characters that JSON cannot send"),
        (b"with a \0 in it\n", "the password has characters that JSON cannot send; write it in UTF-8"),
    ],
)
def test_an_invalid_password_is_refused(tmp_path: Path, text: bytes, told: str) -> None:
    """One that is too short, too long or no text is refused in one plain line, and nothing is made."""
    with untouched(tmp_path):
        refused = daypass(*ADD, folder=tmp_path, text=text)
    assert (1, "", 1) == (refused.returncode, refused.stdout, refused.stderr.count("\n"))
    assert refused.stderr.startswith(f"daypass: {told}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--store", "memory:"], "memory: is empty in a new process; give the service's store with --store"),
        (
            ["--store", "mongodb://u:p@host"],
            "no store is called 'mongodb': write memory:, sqlite:///app.db, postgresql://user@host/database or redis://host:6379/0",
        ),
        (["--store", "sqlite:///missing/a.db"], f"the SQLite database missing/a.db cannot be used: {os.strerror(2)}"),
        (
            ["--username", "al@ice"],
            "invalid user name 'al@ice': it must have no @, no outer spaces, and not be empty",
        ),
    ],
)
def test_an_unusable_store_is_reported_in_one_line(tmp_path: Path, arguments: list[str], told: str) -> None:
    """A store or a name that cannot be used is reported in one line, and nothing is created."""
    with untouched(tmp_path):
        refused = daypass("user", "add", "alice@example.com", *arguments, folder=tmp_path, text=PASSWORD)
    assert (1, "", f"daypass: {told}\n") == (refused.returncode, refused.stdout, refused.stderr)


def test_an_address_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """An address in bytes that are not UTF-8 is refused like any other invalid one."""
    with untouched(tmp_path):
        refused = daypass("user", "add", "\udcff@example.com", folder=tmp_path, text=PASSWORD)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "invalid email address" in refused.stderr


@pytest.mark.parametrize(
    ("email", "username"),
    [
        ("alice@example.com", None),
        ("ALICE@EXAMPLE.COM", None),
        ("other@example.com", "alice"),
        ("other@example.com", "ALICE"),
    ],
)
def test_a_name_that_is_taken(email: str, username: str | None) -> None:
    """An address or a name that is taken, in whatever case, is refused, and the user who has it keeps everything."""
    store = MemoryStore()
    account = users.add(store, "alice@example.com", "alice", PASSWORD, NOW)
    with pytest.raises(ConfigurationError, match="a user with that email address or name exists already"):
        users.add(store, email, username, "another password", NOW)
    assert account == store.perform_account(FindAccount("alice"))
    assert store.perform_account(FindAccount("other@example.com")) is None


def test_a_name_that_is_taken_on_disk(tmp_path: Path) -> None:
    """The same on the command line: one plain line, and the password of the first still counts."""
    assert 0 == daypass(*ADD, folder=tmp_path, text=PASSWORD).returncode
    refused = daypass(*ADD, folder=tmp_path, text="another password")
    told = "daypass: a user with that email address or name exists already\n"
    assert (1, told) == (refused.returncode, refused.stderr)
    assert argon2.PasswordHasher().verify(hashed(tmp_path), PASSWORD)


NO_PARTS = ["", "alice", "@", "@example.com", "alice@", "a@b@c"]
NO_TEXT = [" a@b.c", "a@b.c ", "a b@c.d", "a\n@b.c", "a\0@b.c", "\ud800@b.c"]


@pytest.mark.parametrize("email", [*NO_PARTS, *NO_TEXT, "a" * 250 + "@b.cd"])
def test_an_invalid_address_is_refused(email: str) -> None:
    """What can be no address is refused, and nothing is added."""
    store = MemoryStore()
    with pytest.raises(ConfigurationError, match="invalid email address"):
        users.add(store, email, None, PASSWORD, NOW)
    assert store.perform_account(FindAccount(email)) is None


@pytest.mark.parametrize("username", ["", " alice", "alice ", "al@ice", "a\nb", "a\0b", "\ud800", 255 * "a"])
def test_an_invalid_name_is_refused(username: str) -> None:
    """What can be no name is refused, and nothing is added."""
    store = MemoryStore()
    with pytest.raises(ConfigurationError, match="invalid user name"):
        users.add(store, "alice@example.com", username, PASSWORD, NOW)
    assert store.perform_account(FindAccount("alice@example.com")) is None


@pytest.mark.parametrize("email", ["alice@example.com", "a+b@c", "o'hara@example.com", "zoë@bücher.example"])
def test_an_address_as_people_have_them(email: str) -> None:
    """Addresses as people have them are taken as they are."""
    assert email == users.add(MemoryStore(), email, None, PASSWORD, NOW).email


# ---- passwords


def store_with_alice(password_hash: str) -> AsyncMemoryStore:
    store = AsyncMemoryStore()
    account = Account("user-1", "alice@example.com", "alice", password_hash, NOW)
    assert asyncio.run(store.perform_account(AddAccount(account)))
    return store


def verifications(store: AsyncMemoryStore, *logins: tuple[str, str]) -> int:
    """Return how many hashes were computed to compare a password with, as the interpreter itself saw it."""
    counted = []
    computing = argon2.low_level.verify_secret.__code__

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is computing:
            counted.append(frame.f_code)

    async def check() -> None:
        for identifier, password in logins:
            assert await Users(store).check(identifier, password) is None

    threading.setprofile(watch)  # for threads that start from now on: those that hashes are computed in
    try:
        asyncio.run(check())
    finally:
        threading.setprofile(None)
    return len(counted)


def test_an_unknown_user_costs_what_a_wrong_password_costs() -> None:
    """The time of the answer does not show who has an account: each case computes one hash of one cost.

    Counted, not timed: a clock on a busy machine proves nothing. An unknown user's password is compared with a hash of
    the same hasher as all others, so its parameters, and with them its cost, are the same.
    """
    store = store_with_alice(argon2.PasswordHasher().hash(PASSWORD))
    assert [1, 1] == [verifications(store, (who, "a wrong password")) for who in ("alice", "nobody")]
    own = asyncio.run(store.perform_account(FindAccount("alice")))
    assert own is not None
    costs = [argon2.extract_parameters(text) for text in (own.password_hash, users._unknown_user())]
    assert costs[0] == costs[1]


def test_a_hash_of_older_parameters_is_replaced() -> None:
    """A login with the right password renews a hash that was made with weaker parameters; a wrong one does not."""
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    store = store_with_alice(weak)

    async def check(password: str) -> str:
        await Users(store).check("alice", password)
        account = await store.perform_account(LoadAccount("user-1"))
        assert account is not None
        return account.password_hash

    assert weak == asyncio.run(check("a wrong password"))
    renewed = asyncio.run(check(PASSWORD))
    assert renewed != weak
    assert not argon2.PasswordHasher().check_needs_rehash(renewed)
    assert renewed == asyncio.run(check(PASSWORD))


@pytest.mark.parametrize("password_hash", ["", "!", "plain text", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$12$abc"])
def test_an_invalid_hash_accepts_no_password(password_hash: str) -> None:
    """An account whose hash is invalid accepts no password."""
    assert asyncio.run(Users(store_with_alice(password_hash)).check("alice", password_hash)) is None


ACCENT = "caf\u00e9 au lait"
APART = "cafe\u0301 au lait"
"""The same password, as a Mac may send it."""


@pytest.mark.parametrize(("added", "typed"), [(ACCENT, APART), (APART, ACCENT), (APART, APART)])
def test_a_password_is_the_same_on_every_keyboard(added: str, typed: str) -> None:
    """An accented letter may be one character or two, when the user is added and when they log in."""
    store = MemoryStore()
    users.add(store, "alice@example.com", "alice", added, NOW)
    asynchronous = AsyncMemoryStore()
    account = store.perform_account(FindAccount("alice"))
    assert account is not None
    asyncio.run(asynchronous.perform_account(AddAccount(account)))
    assert asyncio.run(Users(asynchronous).check("alice", typed)) is not None
    assert asyncio.run(Users(asynchronous).check("alice", "cafe au lait")) is None


def test_a_hash_of_a_password_that_was_not_normalized() -> None:
    """A hash made before passwords were normalized is good for the password as typed then, and is replaced."""
    store = store_with_alice(argon2.PasswordHasher().hash(APART))
    assert asyncio.run(Users(store).check("alice", APART)) is not None
    assert asyncio.run(Users(store).check("alice", ACCENT)) is not None
