"""Files and storages that do not work: what is kept, what is lost, and what is reported."""

import asyncio
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import niquests
import pytest

from daypass.client.events import ClientEvent
from daypass.client.httpx import DaypassAuth
from daypass.client.storage import FileStorage, MemoryStorage
from daypass.client.storage.file import last_line, write_in_place
from daypass.client.timing import Timing
from daypass.errors import LoginRequired, RefreshUnavailable

LIFETIME = 900_000
TIMING = Timing(fresh=0, pause=10, backoff=20)
NewUser = Callable[..., Any]


class DriverError(Exception):
    """What a database driver raises; it is not an OSError."""


class Unwritable(MemoryStorage):
    """A storage whose writes fail while `fails` is set: all of them, or those with a refresh token in them."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: str | None = None

    def save(self, text: str | None) -> None:
        if self.fails == "all" or (self.fails == "tokens" and "refreshToken" in (text or "")):
            raise DriverError("secret")
        super().save(text)


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_any_error_of_a_storage_costs_no_session(new_user: NewUser, issuer: Any, clock: Any) -> None:
    """A driver's own exception is `storage_failed`; the rotated token is used, and written at the next chance."""
    events: list[ClientEvent] = []
    storage = Unwritable()
    user = new_user("httpx2-sync", storage=storage, on_event=events.append)
    user.login()
    before = storage.load()
    storage.fails = "all"
    for _ in range(2):
        clock.advance(LIFETIME)
        assert 200 == user.get().status_code
    failed = [event.reason for event in events if event.kind == "storage_failed"]
    assert ["the storage could not be written (DriverError)"] * 2 == failed
    assert (2, before) == (issuer.counts["rotated"], storage.load())
    storage.fails = None
    until(lambda: storage.load() != before)
    clock.advance(LIFETIME)
    assert 200 == new_user("httpx2-sync", storage=storage).get().status_code
    clock.advance(LIFETIME)
    assert 200 == user.get().status_code
    assert (4, 4) == (issuer.counts["refreshes"], issuer.counts["rotated"])


class Watched(MemoryStorage):
    """Notes whether each reading was on a thread whose event loop it would block."""

    def __init__(self) -> None:
        super().__init__()
        self.on_a_loop: list[bool] = []

    def load(self) -> str | None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.on_a_loop.append(False)
        else:
            self.on_a_loop.append(True)
        return super().load()


@pytest.mark.parametrize("module", ["httpx", "aiohttp", "niquests"])
def test_slow_storage_blocks_no_event_loop(url: str, module: str) -> None:
    """Without tokens each request looks into the storage, for a login elsewhere: in a thread, if it is a task's."""
    adapter = importlib.import_module(f"daypass.client.{module}")
    storage = Watched()
    auth = getattr(adapter, "AsyncDaypassAuth", adapter.DaypassAuth)(f"{url}/auth", storage=storage)
    storage.on_a_loop.clear()

    async def get() -> None:
        if module == "httpx":
            async with httpx2.AsyncClient(auth=auth) as client:
                await client.get(f"{url}/me")
        elif module == "aiohttp":
            async with aiohttp.ClientSession(middlewares=[auth]) as session:
                await session.get(f"{url}/me")
        else:
            async with niquests.AsyncSession() as session:
                await session.get(f"{url}/me", auth=auth)

    for ask in (get, auth.atoken):
        with pytest.raises(LoginRequired):
            asyncio.run(ask())
    assert [False, False] == storage.on_a_loop


def test_storage_says_that_it_is_behind(new_user: NewUser, issuer: Any, clock: Any) -> None:
    """If a short record can be written but not the tokens: the next start does not spend the token that was used."""
    storage = Unwritable()
    user = new_user("httpx2-sync", storage=storage)
    sibling = new_user("httpx2-sync", storage=storage, timing=TIMING)
    user.login()
    assert 200 == sibling.get().status_code
    storage.fails = "tokens"
    clock.advance(LIFETIME)
    assert 200 == user.get().status_code
    assert "DriverError" == json.loads(storage.load() or "")["behind"]
    with pytest.raises(RefreshUnavailable, match="another process has the newest tokens"):
        sibling.get()
    with pytest.raises(LoginRequired, match="could not be written"):
        new_user("httpx2-sync", storage=storage).get()
    storage.fails = None
    until(lambda: "behind" not in json.loads(storage.load() or ""))
    clock.advance(1_000)
    assert 200 == sibling.get().status_code
    assert (1, 1) == (issuer.counts["refreshes"], issuer.counts["rotated"])


def test_other_processes_learn_why_the_session_ended(new_user: NewUser, issuer: Any, clock: Any) -> None:
    """The reason is in the storage: for who shares the session, and for who starts later."""
    storage = MemoryStorage()
    one, two = (new_user("httpx2-sync", storage=storage) for _ in range(2))
    one.login()
    assert 200 == two.get().status_code
    issuer.end_sessions()
    clock.advance(LIFETIME)
    for user in (one, two, new_user("httpx2-sync", storage=storage)):
        with pytest.raises(LoginRequired, match=r"the session has ended: the refresh was rejected \(401\)"):
            user.get()
    assert 1 == issuer.counts["refreshes"]
    one.login()
    one.logout()
    with pytest.raises(LoginRequired, match=r"^not logged in"):
        two.get()


def test_symbolic_link_is_followed(tmp_path: Path) -> None:
    """The file that the link leads to is written, its locks are shared, and the link stays."""
    target, link = tmp_path / "real" / "session.json", tmp_path / "link.json"
    target.parent.mkdir()
    link.symlink_to(target)
    FileStorage(link).save("text")
    assert (True, "text") == (link.is_symlink(), FileStorage(target).load())
    with FileStorage(link).refreshing(1) as first, FileStorage(target).refreshing(0) as second:
        assert (True, False) == (first, second)


def test_damaged_file_is_named_and_repaired_by_login(new_user: NewUser, tmp_path: Path) -> None:
    """A file that was cut off, or filled with zeros by a crash: `LoginRequired` with its name; a login replaces it."""
    path = tmp_path / "session.json"
    new_user("httpx2-sync", storage=FileStorage(path)).login()
    whole = path.read_bytes()
    for torn in (whole[:40], b"\0" * 100):
        path.write_bytes(torn)
        user = new_user("httpx2-sync", storage=FileStorage(path))
        with pytest.raises(LoginRequired, match=f"{path}.* is damaged"):
            user.get()
        user.login()
        assert 200 == user.get().status_code
        assert 200 == new_user("httpx2-sync", storage=FileStorage(path)).get().status_code


def test_drafts_of_killed_writers_are_removed(new_user: NewUser, tmp_path: Path) -> None:
    """A draft has tokens in it: the next writer removes it, while it holds the lock of writers."""
    path = tmp_path / "session.json"
    for name in (".session.json.killed1", ".session.json.killed2", ".another"):
        (tmp_path / name).write_text("secret")
    new_user("httpx2-sync", storage=FileStorage(path)).login()
    assert [".another", "session.json"] == sorted(each.name for each in tmp_path.iterdir() if "lock" not in each.name)


class Crashed(BaseException):
    """The process has ended here."""


class Crashing(io.FileIO):
    """A file whose writer is killed after this many bytes."""

    left = 0

    def write(self, data: Any, /) -> int:
        kept = bytes(data)[: self.left]
        self.left -= len(kept)
        super().write(kept)
        if len(kept) < len(data):
            raise Crashed
        return len(kept)


@pytest.mark.parametrize("old", ["old", "older\nold\n", "x" * 30, "x" * 30 + "\n", f"{'y' * 50}\n{'x' * 30}\n"])
@pytest.mark.parametrize("new", ["new", "n" * 20, "n" * 60])
def test_write_in_place_is_whole_or_not_at_all(tmp_path: Path, old: str, new: str) -> None:
    """Whatever byte the writer is killed at, the file has the old text or the new one."""
    path = tmp_path / "file"
    finished = False
    for left in range(200):
        path.write_text(old)
        with Crashing(path, "r+b") as file:
            file.left = left
            try:
                write_in_place(file, new)
                finished = True
            except Crashed:
                pass
        assert last_line(path.read_text()) in (last_line(old), new)
    assert (True, new) == (finished, last_line(path.read_text()))


IN_PLACE = """
import errno, sys
from pathlib import Path
from daypass.client.storage import FileStorage
storage = FileStorage(sys.argv[1])
for text in ["a" * 500, "b" * 100, "c" * 900, "d", "e" * 300]:
    with storage.changing():
        storage.save(text)
    assert storage.load() == text, (text, storage.load())
if len(sys.argv) > 2:
    with open(sys.argv[2], "wb", buffering=0) as fill:
        try:
            while True:
                fill.write(b"x" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC
    for text in ["f" * 200, "g" * 250, "h" * 100]:
        storage.save(text)
        assert storage.load() == text, (text, storage.load())
else:
    storage.save(None)
    assert storage.load() is None
print("well")
"""


def in_namespace(*commands: str) -> subprocess.CompletedProcess[str]:
    """Run shell commands in a namespace whose mounts no other process sees."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let us mount in a namespace of our own")
    program = " && ".join(commands)
    return subprocess.run([unshare, "-rm", "sh", "-c", program], capture_output=True, text=True, check=False)


def test_file_that_is_mounted_by_itself_is_written_in_place(tmp_path: Path) -> None:
    """As in a container, where nothing can take its place (EBUSY)."""
    path = tmp_path / "session.json"
    path.touch(mode=0o600)
    (tmp_path / "program.py").write_text(IN_PLACE)
    run = f"{sys.executable} {tmp_path}/program.py {path}"
    done = in_namespace(f"mount --bind {path} {path}", run)
    assert ("well\n", "") == (done.stdout, done.stderr)


def test_full_disk_keeps_the_newest_text(tmp_path: Path) -> None:
    """No draft can be written: the text goes into the file that is there."""
    folder = tmp_path / "disk"
    folder.mkdir()
    (tmp_path / "program.py").write_text(IN_PLACE)
    run = f"{sys.executable} {tmp_path}/program.py {folder}/session.json {folder}/fill"
    done = in_namespace(f"mount -t tmpfs -o size=64k none {folder}", run)
    assert ("well\n", "") == (done.stdout, done.stderr)


@pytest.mark.skipif(os.name != "posix", reason="modes are for POSIX")
def test_auth_keeps_a_session_in_a_mounted_file(new_user: NewUser, issuer: Any, clock: Any, tmp_path: Path) -> None:
    """A session lives on in a file that had to be written in place."""
    path = tmp_path / "session.json"
    user = new_user("httpx2-sync", storage=FileStorage(path))
    user.login()
    with path.open("r+b", buffering=0) as file:
        write_in_place(file, path.read_text())
    clock.advance(LIFETIME)
    assert 200 == user.get().status_code
    assert 200 == new_user("httpx2-sync", storage=FileStorage(path)).get().status_code
    assert 1 == issuer.counts["refreshes"]
    assert DaypassAuth(f"{user.url}/auth", storage=FileStorage(path), clock=clock).logged_in
