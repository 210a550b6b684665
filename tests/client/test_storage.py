"""Where sessions are kept: between runs, between processes, and when something is wrong with the place."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import keyring.backend
import pytest

from daypass.client.clock import boot_id
from daypass.client.endpoints import Endpoints
from daypass.client.events import ClientEvent
from daypass.client.httpx import DaypassAuth
from daypass.client.messages import Cookie, Grant
from daypass.client.oauth import OAuth
from daypass.client.record import Now, read_record, record_id_of, write_record
from daypass.client.storage import FileStorage, KeyringStorage, MemoryStorage, Storage
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens, refreshed, tokens_from
from daypass.errors import ConfigurationError, LoginRequired

LIFETIME = 900_000
TIMING = Timing(fresh=0, pause=10, backoff=20)
NewUser = Callable[..., Any]


class Drawer(keyring.backend.KeyringBackend):
    """A keyring backend that keeps everything in this process: the library's own interface, and no daemon."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class Own(Storage):
    """The minimum of a user's own storage."""

    def __init__(self) -> None:
        super().__init__()
        self.text: str | None = None

    def load(self) -> str | None:
        return self.text

    def save(self, text: str | None) -> None:
        self.text = text


@pytest.fixture(params=["memory", "file", "keyring", "own"])
def reopened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Storage]:
    """Return what opens the same place again and again, of each kind."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    memory, own, drawer = MemoryStorage(), Own(), Drawer()
    kinds: dict[str, Callable[[], Storage]] = {
        "memory": lambda: memory,
        "file": lambda: FileStorage(tmp_path / "folder" / "session.json"),
        "keyring": lambda: KeyringStorage(username="ada", keyring=drawer),
        "own": lambda: own,
    }
    return kinds[str(request.param)]


def test_a_session_goes_on_after_a_restart(
    new_user: NewUser, issuer: Any, clock: Any, reopened: Callable[[], Storage]
) -> None:
    """With its expiry known, and the newest refresh token: a strict server finds nothing to object to."""
    first = new_user("httpx2-sync", storage=reopened())
    first.login()
    clock.advance(LIFETIME)
    assert first.get().status_code == 200
    clock.advance(600_000)

    second = new_user("httpx2-sync", storage=reopened())

    assert second.auth.logged_in
    assert 299 < second.auth.expires_in <= 300
    assert second.get().status_code == 200
    assert 1 == issuer.counts["refreshes"]
    clock.advance(LIFETIME)
    assert second.get().status_code == 200
    assert (2, 2) == (issuer.counts["refreshes"], issuer.counts["rotated"])


def test_a_siblings_refresh_login_and_logout_are_adopted(
    new_user: NewUser, kind: str, issuer: Any, clock: Any, reopened: Callable[[], Storage]
) -> None:
    """What one client does to a session, another client with the same storage continues from."""
    events: list[str] = []
    one = new_user("httpx2-sync", storage=reopened())
    two = new_user(kind, storage=reopened(), on_event=lambda event: events.append(event.kind.value))
    one.login()
    assert two.get().status_code == 200
    clock.advance(LIFETIME)
    assert one.get().status_code == 200
    assert two.get().status_code == 200
    assert (1, ["restored", "refreshing", "adopted"]) == (issuer.counts["refreshes"], events)
    one.logout()
    clock.advance(LIFETIME)
    with pytest.raises(LoginRequired):
        two.get()
    one.login()
    assert two.get().status_code == 200
    assert 1 == issuer.counts["refreshes"]


def test_a_dead_session_is_cleared_from_its_place(
    new_user: NewUser, issuer: Any, clock: Any, reopened: Callable[[], Storage]
) -> None:
    """A definite rejection leaves nothing behind for the next run to send."""
    user = new_user("httpx2-sync", storage=reopened())
    user.login()
    issuer.end_sessions()
    clock.advance(LIFETIME)
    with pytest.raises(LoginRequired):
        user.get()
    assert {"ended"} == set(json.loads(reopened().load() or "{}")) - {"daypass", "id"}


def test_a_rejection_of_an_old_token_does_not_end_what_a_sibling_has(
    new_user: NewUser, issuer: Any, clock: Any
) -> None:
    """One who waited no longer for its turn is rejected with the old token: the newer one, in the storage, stays."""
    storage = MemoryStorage()
    user = new_user("httpx2-sync", storage=storage, timing=TIMING)
    user.login()
    sibling = new_user("httpx2-sync", storage=storage, timing=TIMING)
    clock.advance(LIFETIME)
    assert user.get().status_code == 200
    newest = storage.load()
    issuer.gate = threading.Event()
    issuer.refreshing.clear()
    clock.advance(LIFETIME)
    waiting = threading.Thread(target=sibling.burst, args=(1,))
    waiting.start()
    issuer.refreshing.wait(5)
    storage.save(newest and newest.replace(str(record_id_of(newest)), "another"))
    issuer.end_sessions()
    issuer.gate.set()
    waiting.join()
    assert storage.load() is not None


def test_a_logout_during_a_siblings_refresh_stays(new_user: NewUser, issuer: Any, clock: Any) -> None:
    """The refresh of another process that ends after the logout does not bring the session back into its place."""
    storage = MemoryStorage()
    one = new_user("httpx2-sync", storage=storage)
    one.login()
    two = new_user("httpx2-sync", storage=storage)
    issuer.gate = threading.Event()
    clock.advance(LIFETIME)
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.extend(two.burst(3)))
    waiting.start()
    issuer.refreshing.wait(5)
    one.logout()
    issuer.gate.set()
    waiting.join()
    assert {LoginRequired} == {type(each) for each in results}
    assert storage.load() is None


def test_a_stale_token_re_reads_its_place_first(new_user: NewUser, issuer: Any, clock: Any) -> None:
    """If the server says that there is a newer token, a client adopts it from the storage before it asks again."""
    storage = Own()
    user = new_user("httpx2-sync", storage=storage, timing=TIMING)
    user.login()
    clock.advance(LIFETIME)
    issuer.gate, issuer.statuses, issuer.latency = threading.Event(), [409], 0.2
    held = user.auth._session.tokens
    assert held is not None
    newer = refreshed(held, Grant(issuer._access_token("s"), LIFETIME, "newer"), clock(), clock(), 0.0, TIMING)
    waiting: list[Any] = []
    thread = threading.Thread(target=lambda: waiting.append(user.get().status_code))
    thread.start()
    issuer.refreshing.wait(5)
    storage.text = write_record(newer, "newer", Now(clock(), 0, boot_id()))
    thread.join()
    assert ([200], 1) == (waiting, issuer.counts["refreshes"])
    assert held is not user.auth._session.tokens


@pytest.mark.parametrize("wall", [0, 10**13])
def test_a_wrong_wall_clock_changes_nothing_within_one_run_of_the_machine(wall: int) -> None:
    """The age is counted on the monotonic clock, whatever the wall clock says."""
    held = tokens_from(Grant("a", 900_000, "r"), "login", 5_000, 0.0, TIMING)
    text = write_record(held, "x", Now(5_000, 1_800_000_000_000, "boot"))
    read = read_record(text, Now(605_000, wall, "boot"), 0.0, TIMING)
    assert isinstance(read, Tokens)
    assert 905_000 == read.expires_at


@pytest.mark.parametrize(("wall", "left"), [(1_800_000_600_000, 300_000), (1_700_000_000_000, 900_000)])
def test_after_a_reboot_the_wall_clock_counts(wall: int, left: int) -> None:
    """The machine ran for 7 s when it read what an earlier run had written; one from the future counts as new."""
    held = tokens_from(Grant("a", 900_000, None, Cookie("c", "v")), "login", 5_000_000, 0.0, TIMING)
    text = write_record(held, "x", Now(5_000_000, 1_800_000_000_000, "boot"))
    read = read_record(text, Now(7_000, wall, "another"), 0.0, TIMING)
    assert isinstance(read, Tokens)
    assert (7_000 + left, Cookie("c", "v")) == (read.expires_at, read.cookie)


GOOD = write_record(tokens_from(Grant("a", 1_000, "r"), "login", 0, 0.0, TIMING), "x", Now(0, 0, None))


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", "nonsense", *(json.dumps({**json.loads(GOOD), name: wrong}) for name, wrong in (
        ("daypass", 2), ("id", 5), ("accessToken", None), ("refreshToken", "a\nb"), ("lifetime", "x"),
        ("login", 1), ("grace", "x"), ("receivedAt", None),
        ("receivedAt", {"wall": "x", "boot": None, "monotonic": 1}), ("cookie", ["a"]),
    ))],
)  # fmt: skip
def test_a_damaged_record_is_recognised(text: str) -> None:
    """Nothing half read comes out of a record that was tampered with."""
    assert read_record(text, Now(0, 0, None), 0.0, TIMING) is None


def test_a_file_that_is_no_session_is_refused(tmp_path: Path) -> None:
    """Garbage, a folder, or a file that others may read: a ConfigurationError that says what to do, and no content."""
    path = tmp_path / "session.json"
    path.write_text("SECRET")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not a Daypass session") as caught:
        DaypassAuth("https://a.example/auth", storage=FileStorage(path))
    assert "SECRET" not in str(caught.value)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        DaypassAuth("https://a.example/auth", storage=FileStorage(path))
    with pytest.raises(ConfigurationError, match="folder"):
        FileStorage(tmp_path)
    with pytest.raises(ConfigurationError, match="storage is"):
        DaypassAuth("https://a.example/auth", storage=path)  # type: ignore[arg-type]


def test_a_file_is_written_whole_and_closed_to_others(tmp_path: Path) -> None:
    """Mode 0600 from the first moment, replaced at once, and no drafts are left."""
    storage = FileStorage(tmp_path / "folder" / "session.json")
    for text in ("first", "second" * 10_000):
        storage.save(text)
        assert text == storage.load()
    assert 0o600 == storage.path.stat().st_mode & 0o777
    assert 0o700 == storage.path.parent.stat().st_mode & 0o777
    assert ["session.json"] == [each.name for each in storage.path.parent.iterdir()]
    storage.save(None)
    storage.save(None)
    assert storage.load() is None


def test_a_full_disk_costs_no_session(new_user: NewUser, issuer: Any, clock: Any) -> None:
    """A rotated token that cannot be written stays in memory, and is not replaced by the older one in the file."""

    class Full(Own):
        full = False

        def save(self, text: str | None) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            super().save(text)

    events: list[ClientEvent] = []
    storage = Full()
    user = new_user("httpx2-sync", storage=storage, on_event=events.append)
    user.login()
    storage.full = True
    for _ in range(3):
        clock.advance(LIFETIME)
        assert user.get().status_code == 200
    assert 3 == [event.kind.value for event in events].count("storage_failed")
    assert 3 == issuer.counts["rotated"]
    storage.full = False
    clock.advance(LIFETIME)
    assert user.get().status_code == 200
    assert new_user("httpx2-sync", storage=storage).get().status_code == 200


@pytest.mark.parametrize("ends", ["logout", "rejection"])
def test_a_session_that_could_not_be_removed_does_not_come_back(
    new_user: NewUser, issuer: Any, clock: Any, ends: str
) -> None:
    """If the storage cannot be written, a session that was ended still stays ended, and its token is not sent again."""

    class ReadOnly(Own):
        written = False

        def save(self, text: str | None) -> None:
            if self.written:
                raise OSError(30, "Read-only file system")
            super().save(text)
            self.written = True

    user = new_user("httpx2-sync", storage=ReadOnly())
    user.login()
    if ends == "logout":
        user.logout()
    else:
        issuer.end_sessions()
        clock.advance(LIFETIME)
        with pytest.raises(LoginRequired):
            user.get()
    presented = len(issuer.presented)
    for _ in range(2):
        with pytest.raises(LoginRequired):
            user.get()
    assert presented == len(issuer.presented)


HOLDER = """
import sys, time
from daypass.client.storage import FileStorage
with FileStorage(sys.argv[1]).refreshing(5) as came:
    print(came, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    """Another process that has its turn to refresh, and does not come to an end with it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "session.json")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_stuck_holder_delays_by_a_bound(
    new_user: NewUser, issuer: Any, clock: Any, tmp_path: Path, holder: Any
) -> None:
    """Others wait a limited time for a process that was stopped during its turn, and then go on."""
    user = new_user("httpx2-sync", storage=FileStorage(tmp_path / "session.json"), timing=Timing(turn=500))
    user.login()
    assert "True\n" == holder.stdout.readline()
    os.kill(holder.pid, signal.SIGSTOP)
    clock.advance(LIFETIME)
    began = time.monotonic()
    assert user.get().status_code == 200
    assert 0.5 <= time.monotonic() - began < 3
    assert 1 == issuer.counts["refreshes"]


def test_a_killed_holder_delays_nobody(new_user: NewUser, issuer: Any, clock: Any, tmp_path: Path, holder: Any) -> None:
    """The kernel takes the lock of a dead process back."""
    user = new_user("httpx2-sync", storage=FileStorage(tmp_path / "session.json"), timing=Timing(turn=60_000))
    user.login()
    assert "True\n" == holder.stdout.readline()
    clock.advance(LIFETIME)
    threading.Timer(0.3, holder.kill).start()
    began = time.monotonic()
    assert user.get().status_code == 200
    assert time.monotonic() - began < 5


def test_a_valid_token_takes_no_lock_and_reads_no_file(new_user: NewUser, tmp_path: Path, holder: Any) -> None:
    """Requests with a valid token are sent even if another process never ends its turn, or the file is gone."""
    path = tmp_path / "session.json"
    user = new_user("httpx2-sync", storage=FileStorage(path), timing=Timing(turn=60_000))
    user.login()
    assert "True\n" == holder.stdout.readline()
    path.unlink()
    with user.auth._session._lock:
        assert [200] * 5 == [user.get().status_code for _ in range(5)]


AT_EXIT = """
import sys, httpx2
from daypass.client.httpx import DaypassAuth
from daypass.client.storage import FileStorage
auth = DaypassAuth(sys.argv[1] + "/auth", storage=FileStorage(sys.argv[2]))
print(httpx2.get(sys.argv[1] + "/me", auth=auth).status_code)
"""


def test_a_program_that_ends_loses_no_rotated_token(new_user: NewUser, issuer: Any, url: str, tmp_path: Path) -> None:
    """A refresh ahead of expiry that is under way at the program's end is waited for: a strict server has rotated."""
    path = tmp_path / "session.json"
    issuer.expires_in = 10
    user = new_user(
        "httpx2-sync", storage=FileStorage(path), jitter=lambda: 0.0, clock=lambda: time.monotonic_ns() // 10**6
    )
    user.login()
    record = json.loads(path.read_text())
    record["receivedAt"] = {"monotonic": 0, "wall": time.time_ns() // 10**6 - 9_500, "boot": "another"}
    path.write_text(json.dumps(record))
    before = path.read_text()
    issuer.latency = 0.5

    shown = subprocess.run([sys.executable, "-c", AT_EXIT, url, str(path)], capture_output=True, text=True, timeout=30)

    assert ("200\n", "") == (shown.stdout, shown.stderr)
    assert 1 == issuer.counts["rotated"]
    assert before != path.read_text()


def test_a_keyring_that_is_not_to_be_had_is_refused() -> None:
    """No backend, no safety: said at once, with what to do instead."""
    from keyring.backends.fail import Keyring

    with pytest.raises(ConfigurationError, match="keep the session in a file"):
        KeyringStorage(keyring=Keyring())  # type: ignore[no-untyped-call]  # the library's


def test_logs_tell_the_steps_and_no_secret(
    new_user: NewUser, issuer: Any, clock: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each event is a log line of `daypass.client`; none has a token, a cookie or the password in it."""
    caplog.set_level(logging.DEBUG, "daypass")
    user = new_user("httpx2-sync", storage=FileStorage(tmp_path / "session.json"), timing=TIMING)
    user.login()
    issuer.revoke_access()
    user.get()
    issuer.statuses = [503] * 3
    issuer.revoke_access()
    with pytest.raises(Exception, match="503"):
        user.get()
    user.logout()
    lines = [record.getMessage() for record in caplog.records if record.name == "daypass.client"]
    steps = ["logged_in", "unauthorized", "refreshing", "refreshed", "replayed", "unauthorized", "refreshing"]
    retried = [f"{step}: the refresh was answered with 503" for step in ("retrying", "retrying", "refresh_failed")]
    assert [*steps, *retried, "logged_out: logout"] == lines
    secrets = [token for line in issuer.lines.values() for token in line.tokens] + list(issuer.live) + ["correct horse"]
    assert not [secret for secret in secrets if secret in "".join(lines)]


def other_server(storage: Storage, stranger: tuple[str, Any]) -> list[Callable[[], object]]:
    """Return what a client of another server may try with a storage, until it is refused."""
    url = f"{stranger[0]}/auth"
    return [
        lambda: DaypassAuth(url, storage=storage),
        lambda: DaypassAuth(url, storage=storage, strategy=lambda token: "token"),
        lambda: DaypassAuth(url, storage=storage, strategy=Endpoints(refresh="token")),
        lambda: DaypassAuth(url, storage=storage, strategy=OAuth(client_id="app", token_endpoint=f"{url}/token")),
    ]


def test_session_of_another_server_is_refused(
    new_user: NewUser, url: str, stranger: tuple[str, Any], reopened: Callable[[], Storage]
) -> None:
    """Neither token goes to another server, whichever strategy it has; the record stays as it is."""
    new_user("httpx2-sync", storage=reopened()).login()
    before = reopened().load()
    for attempt in other_server(reopened(), stranger):
        with pytest.raises(ConfigurationError, match=rf"keeps a session of {url}/auth/refresh, and this client is for"):
            attempt()
    assert (before, {}) == (reopened().load(), stranger[1].cookies)
    assert 200 == new_user("httpx2-sync", storage=reopened()).get().status_code


def test_session_of_another_server_that_comes_later_is_left_alone(
    new_user: NewUser, url: str, issuer: Any, stranger: tuple[str, Any], clock: Any, reopened: Callable[[], Storage]
) -> None:
    """Two clients opened one empty storage: the second sends nothing, ends nothing, does not log in over the first."""
    auth = DaypassAuth(f"{stranger[0]}/auth", storage=reopened(), clock=clock)
    new_user("httpx2-sync", storage=reopened()).login()
    before = reopened().load()
    with httpx2.Client(base_url=stranger[0]) as client:
        auth.attach(client)
        with pytest.raises(ConfigurationError, match="keeps a session of"):
            client.get("/me")
        with pytest.raises(ConfigurationError, match="keeps a session of"):
            auth.start(access_token="token", refresh_token="token")
        assert auth.logout(client)
    assert (before, {}, 0) == (reopened().load(), stranger[1].cookies, issuer.counts["ended"])
    reopened().save(None)
    auth.start(access_token="t0ken", refresh_token="r3fresh", expires_in=60)
    reopened().save(before)
    clock.advance(60_000)
    with pytest.raises(LoginRequired, match=rf"keeps a session of {url}"):
        auth.token()
    assert (before, {}) == (reopened().load(), stranger[1].cookies)


def test_record_without_a_server_is_used_and_gains_it(
    new_user: NewUser, url: str, issuer: Any, clock: Any, reopened: Callable[[], Storage]
) -> None:
    """Records of version 0.1 are accepted: the upgrade logs nobody out."""
    new_user("httpx2-sync", storage=reopened()).login()
    old = {name: value for name, value in json.loads(reopened().load() or "").items() if name != "server"}
    reopened().save(json.dumps(old))
    user = new_user("httpx2-sync", storage=reopened())
    assert 200 == user.get().status_code
    clock.advance(LIFETIME)
    assert 200 == user.get().status_code
    assert (1, f"{url}/auth/refresh") == (issuer.counts["rotated"], json.loads(reopened().load() or "")["server"])


def test_one_server_in_other_spellings_is_the_same() -> None:
    """A slash at the end, upper case, the scheme's own port and the API's URL make no other server of it."""
    storage = MemoryStorage()
    DaypassAuth("https://API.example.com:443/auth/", storage=storage).start(access_token="t", refresh_token="r")
    assert DaypassAuth("https://api.example.com/auth", storage=storage).logged_in
    storage = MemoryStorage()
    app = OAuth(client_id="app", issuer="https://id.example.com")
    DaypassAuth("https://one.example.com", storage=storage, strategy=app).start(refresh_token="r")
    assert DaypassAuth("https://two.example.com", storage=storage, strategy=app).logged_in
    other = OAuth(client_id="other", issuer="https://id.example.com")
    with pytest.raises(ConfigurationError, match=r"https://id.example.com \(client app\)"):
        DaypassAuth("https://one.example.com", storage=storage, strategy=other)
