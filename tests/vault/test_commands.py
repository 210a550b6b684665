"""`daypass vault`, as people and scripts run it: real processes, a real authorization server, PostgreSQL and Redis."""

import io
import json
import logging
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest
import redis

from daypass.cli import main
from daypass.client.vault import Vault, VaultEvent
from daypass.errors import DaypassError
from tests.client.authlib_server import CLIENT_ID, Server, authlib_server
from tests.server.processes import DAYPASS, daypass, environment
from tests.servers.postgres import free_port

from .conftest import OLD, SECRET, Open, Provider, auth_of

BROWSER = f"{sys.executable} -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' %s"
SERVERS = ("authlib", "werkzeug", "uvicorn")
"""The loggers of the other side, which knows its own tokens."""

LEFT_BEHIND = 10
"""The longest piece of a secret that may be found anywhere, by chance."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


ON_ONE = pytest.mark.parametrize("url", ["postgres"], indirect=True)
"""For what does not depend on the database."""


@pytest.fixture
def given(url: str, tmp_path: Path, provider: Provider) -> dict[str, str]:
    """The environment of a command; ``acme`` is the strict provider."""
    providers = tmp_path / "providers.toml"
    providers.write_text(
        f"""
        [acme]
        token_endpoint = "{provider.url}/oauth/token"
        revocation_endpoint = "{provider.url}/oauth/revoke"
        client_id = "app"
        idle_ttl = "600ms"
        """
    )
    return {
        "DAYPASS_VAULT_URL": url,
        "DAYPASS_VAULT_SECRET": "-".join(SECRET.split()),
        "DAYPASS_VAULT_PROVIDERS": str(providers),
        "BROWSER": BROWSER,
    }


@pytest.fixture
def run(given: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: starting one takes longer than most commands."""

    def run(*arguments: str, text: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
        capsys.readouterr()
        with monkeypatch.context() as patched:
            for name, value in {**given, **more}.items():
                patched.setenv(name, value)
            patched.setattr("sys.stdin", io.StringIO(text))
            try:
                status = main(["vault", *arguments])
            except SystemExit as end:
                status = int(str(end.code))
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, printed.out, printed.err)

    return run


@pytest.fixture
def run_alone(given: dict[str, str], tmp_path: Path) -> Run:
    """Run a command in a separate process."""

    def run(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return daypass("vault", *arguments, folder=tmp_path, given={**given, **more})

    return run


@pytest.fixture
def authorization_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: dict[str, str]) -> Iterator[Server]:
    """A server made with Authlib, the provider ``books``."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with authlib_server() as server:
        with (tmp_path / "providers.toml").open("a") as file:
            file.write(f'\n[books]\nissuer = "{server.url}"\nclient_id = "{CLIENT_ID}"\nscope = "profile"\n')
        yield server


@ON_ONE
def test_a_login_in_the_browser_gives_a_connection(authorization_server: Server, run: Run, run_alone: Run) -> None:
    """The authorization code grant on loopback: one command, and the connection is live; removing it revokes."""
    done = run_alone("put", "books/ada")
    assert (0, "Kept books/ada\n") == (done.returncode, done.stdout), done.stderr
    assert "Log in with your browser: http://127.0.0.1" in done.stderr
    assert 1 == len(authorization_server.tokens)
    shown = json.loads(run("show", "books/ada", "--json").stdout)
    assert ("books/ada", "live", None) == (shown["connection"], shown["state"], shown["reason"])
    removed = run("remove", "books/ada", "--json")
    assert (0, {"connection": "books/ada", "revoked": True, "reason": None}) == (
        removed.returncode,
        json.loads(removed.stdout),
    )
    assert {} == authorization_server.tokens


@ON_ONE
def test_a_login_on_another_device_gives_a_connection(authorization_server: Server, run: Run) -> None:
    """The device grant: the page and the code are shown, and the command waits for the user."""
    done = run("put", "books/ada", "--device", "--json")
    assert (0, {"connection": "books/ada"}) == (done.returncode, json.loads(done.stdout)), done.stderr
    assert "on any device and enter the code: " in done.stderr
    authorization_server.denies = True
    refused = run("put", "books/bob", "--device")
    assert (1, True) == (refused.returncode, "daypass: the login was refused: access_denied" in refused.stderr)
    assert ["books/ada\tlive"] == [line.rsplit("\t", 3)[0] for line in run("list").stdout.splitlines()]


@ON_ONE
def test_tokens_that_exist_are_read_from_standard_input(provider: Provider, run: Run) -> None:
    """The answer of a token endpoint, as it is; anything else is refused without being repeated."""
    answer = {
        "refresh_token": provider.grant("one"),
        "access_token": "acc3ss",
        "expires_in": 60,
        "token_type": "bearer",
    }
    assert 0 == run("put", "acme/one", "--stdin", text=json.dumps(answer)).returncode
    shown = json.loads(run("show", "acme/one", "--json").stdout)
    assert "live" == shown["state"]
    for wrong in ("s3cr3t", "[1]", '{"access_token": "s3cr3t"}', '{"refresh_token": "s3cr3t s3cr3t"}'):
        refused = run("put", "acme/two", "--stdin", text=wrong)
        assert (1, "") == (refused.returncode, refused.stdout)
        assert "s3cr3t" not in refused.stderr


@ON_ONE
def test_lists_are_for_people_and_for_programs(
    opened: Open, provider: Provider, run: Run, given: dict[str, str]
) -> None:
    """Tabs in a pipe, a table in a terminal, JSON lines on request; filtered by provider and state."""
    vault = opened(given["DAYPASS_VAULT_SECRET"])
    vault.put("acme", "one", refresh_token=provider.grant("one"), access_token="a", expires_in=7200)
    vault.put("other", "two", refresh_token="r")
    lines = [line.split("\t") for line in run("list").stdout.splitlines()]
    assert [["acme/one", "live"], ["other/two", "live"]] == sorted(line[:2] for line in lines)
    assert {5} == {len(line) for line in lines}
    assert ["acme/one"] == [
        json.loads(line)["connection"] for line in run("list", "--json", "--provider", "acme").stdout.splitlines()
    ]
    assert "" == run("list", "--state", "needs_login").stdout
    table = in_terminal(["vault", "list"], given).splitlines()
    assert ["CONNECTION", "STATE", "EXPIRES", "REFRESHED", "WHY"] == table[0].split()
    assert any(line.split()[:5] == ["acme/one", "live", "in", "1h", "0s"] or "in 1h" in line for line in table[1:])


def in_terminal(arguments: list[str], given: dict[str, str]) -> str:
    """Return what a command prints to a terminal."""
    outer, inner = pty.openpty()
    with subprocess.Popen([DAYPASS, *arguments], stdout=inner, env=environment(given)) as process:
        os.close(inner)
        read = b""
        try:
            while chunk := os.read(outer, 65536):
                read += chunk
        except OSError:  # the command has ended
            pass
        assert 0 == process.wait(30)
    os.close(outer)
    return read.decode()


@ON_ONE
def test_a_removal_that_did_not_revoke_has_its_own_status(
    opened: Open, provider: Provider, run: Run, given: dict[str, str]
) -> None:
    """Status 3, and a warning that says why; with ``--only-if-revoked`` status 1, and the connection is kept."""
    vault = opened(given["DAYPASS_VAULT_SECRET"])
    vault.put("unknown", "one", refresh_token="r")
    kept = run("remove", "unknown/one", "--only-if-revoked")
    assert (1, "") == (kept.returncode, kept.stdout)
    assert "is kept: no provider of that name is configured" in kept.stderr
    removed = run("remove", "unknown/one")
    assert (3, "Removed unknown/one\n") == (removed.returncode, removed.stdout)
    assert "daypass: unknown/one was not revoked at the provider: no provider of that name" in removed.stderr
    assert "" == run("list").stdout
    assert 1 == run("remove", "unknown/one").returncode


@ON_ONE
@pytest.mark.parametrize(
    ("arguments", "more", "status", "says"),
    [
        (("show", "acme/nobody"), {}, 1, "there is no connection 'acme/nobody' in the vault; see: daypass vault list"),
        (("show", "acme"), {}, 1, "write PROVIDER/NAME"),
        (("list",), {"DAYPASS_VAULT_URL": ""}, 1, "write --vault postgresql://"),
        (("list", "--vault", "mysql://h/d"), {}, 1, "not the URL of a vault"),
        (
            ("put", "acme/one"),
            {"DAYPASS_VAULT_SECRET": ""},
            1,
            "the vault's secret is missing: set DAYPASS_VAULT_SECRET",
        ),
        (("put", "acme/one"), {"DAYPASS_VAULT_SECRET": "short"}, 1, "at least 32"),
        (("put", "nobody/one"), {}, 1, "write a table [nobody] in the file of providers"),
        (("put", "acme/one"), {}, 1, "no authorization_endpoint is known"),
        (("keep", "--once"), {"DAYPASS_VAULT_PROVIDERS": ""}, 1, "providers"),
        (("keep", "--once", "--batch", "x"), {}, 2, "invalid int value"),
        (("keep", "--every", "soon"), {}, 1, "invalid duration 'soon'"),
        (("keep", "--once", "--metrics", "9464"), {}, 1, "expected a host and a port"),
        (("list", "--jsn"), {}, 2, "did you mean --json?"),
        (("remove",), {}, 2, "PROVIDER/NAME"),
    ],
)
def test_a_command_that_cannot_work_says_what_to_write(
    run: Run, arguments: tuple[str, ...], more: dict[str, str], status: int, says: str
) -> None:
    """One line on standard error, nothing on standard output, status 1 or 2."""
    done = run(*arguments, **more)
    assert (status, "") == (done.returncode, done.stdout)
    assert says in done.stderr


@ON_ONE
def test_secrets_are_rotated_by_a_command(opened: Open, provider: Provider, run: Run, tmp_path: Path) -> None:
    """`rewrap` with both secrets in a file, newest first; afterwards the old one opens nothing."""
    old = OLD.replace(" ", "-")
    for name in ("one", "two"):
        opened(old).put("acme", name, refresh_token=provider.grant(name))
    file = tmp_path / "secrets"
    file.write_text(f"{SECRET.replace(' ', '-')}\n{old}\n")
    file.chmod(0o600)
    done = run("rewrap", "--secret-file", str(file), DAYPASS_VAULT_SECRET="")
    assert (0, "Rewrapped 2 of 2 connections\n") == (done.returncode, done.stdout), done.stderr
    again = json.loads(run("rewrap", "--secret-file", str(file), "--json", DAYPASS_VAULT_SECRET="").stdout)
    assert (0, 2, True) == (again["rewrapped"], again["seen"], again["finished"])
    refused = run("rewrap", DAYPASS_VAULT_SECRET=old)
    assert (1, 1) == (refused.returncode, refused.stderr.count("2 connections could not be opened"))


@ON_ONE
def test_keep_runs_once_from_cron(opened: Open, provider: Provider, run: Run, given: dict[str, str]) -> None:
    """Idle connections are refreshed; status 1 if one needs a person."""
    vault = opened(given["DAYPASS_VAULT_SECRET"])
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    time.sleep(0.35)
    done = run("keep", "--once")
    assert (0, "Refreshed 1, failed 0, needing a login 0\n") == (done.returncode, done.stdout), done.stderr
    provider.server.end_sessions()
    time.sleep(0.35)
    done = run("keep", "--once", "--json")
    *events, summary = map(json.loads, done.stdout.splitlines())
    assert (1, {"refreshed": 0, "failed": 0, "needs_login": 1}) == (done.returncode, summary)
    assert [("needs_login", "acme", "one")] == [(each["kind"], each["provider"], each["name"]) for each in events]


def test_keepers_run_until_a_signal_and_count(
    opened: Open, provider: Provider, given: dict[str, str], tmp_path: Path
) -> None:
    """Two processes keep at once: each connection is refreshed once each time; Prometheus reads the counters."""
    vault = opened(given["DAYPASS_VAULT_SECRET"])
    for number in range(20):
        vault.put("acme", f"tenant-{number}", refresh_token=provider.grant(f"tenant-{number}"))
    ports = [free_port(), free_port()]
    keepers = [
        subprocess.Popen(
            [DAYPASS, "vault", "keep", "--every", "100ms", "--batch", "4", "--metrics", f"127.0.0.1:{port}"],
            env=environment(given),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for port in ports
    ]
    try:
        end = time.monotonic() + 40
        while provider.server.counts["rotated"] < 40:
            assert time.monotonic() < end
            time.sleep(0.05)
        counted = [httpx2.get(f"http://127.0.0.1:{port}/metrics").text for port in ports]
    finally:
        for keeper in keepers:
            keeper.send_signal(signal.SIGTERM)
    ended = [(keeper.communicate(timeout=30), keeper.returncode) for keeper in keepers]
    assert [0, 0] == [status for _, status in ended]
    assert all(output.startswith("Refreshed ") for (output, _), _ in ended)
    assert all('event="refreshed",provider="acme"}' in text for text in counted)
    presented = provider.server.presented
    assert len(presented) == len(set(presented)), "a strict provider has seen no token twice"


def test_no_secret_is_shown_anywhere(
    authorization_server: Server,
    opened: Open,
    provider: Provider,
    run: Run,
    run_alone: Run,
    given: dict[str, str],
    url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Everything is driven, in good and bad weather: no token or secret is in output, logs, events, errors or rows."""
    caplog.set_level(logging.DEBUG)
    events: list[VaultEvent] = []
    vault = opened(given["DAYPASS_VAULT_SECRET"], on_event=events.append)
    seen: list[str] = []
    tokens = [provider.grant(name) for name in ("one", "two", "lost")]

    def note(done: "subprocess.CompletedProcess[str]") -> None:
        seen.extend((done.stdout, done.stderr))

    def attempt(function: Callable[[], object]) -> None:
        try:
            seen.append(repr(function()))
        except DaypassError as error:
            seen.append(f"{error!r} {error}")

    note(run_alone("put", "books/ada"))
    note(run("put", "acme/one", "--stdin", text=json.dumps({"refresh_token": tokens[0]})))
    vault.put("acme", "two", refresh_token=tokens[1])
    vault.put("acme", "lost", refresh_token=tokens[2])
    rows = everything_in(url)
    time.sleep(0.35)
    provider.server.statuses = [503, 500]
    provider.server.lose = 1
    end = time.monotonic() + 60
    while "lost_answer" not in run("list", "--state", "needs_login").stdout:
        assert time.monotonic() < end
        attempt(lambda: auth_of(vault, provider, "lost").token() and None)  # the token itself is no news
        note(run("keep", "--once", "--json"))
    for command in (("list",), ("list", "--json"), ("show", "acme/one"), ("show", "acme/one", "--json"), ("rewrap",)):
        note(run(*command))
    note(run("rewrap", DAYPASS_VAULT_SECRET=OLD.replace(" ", "-")))
    note(run("remove", "acme/one", DAYPASS_VAULT_SECRET=OLD.replace(" ", "-")))
    other: Vault = opened(OLD)
    for each in (
        lambda: vault,
        lambda: vault.connection("acme", "two"),
        lambda: vault._sealing,
        lambda: list(vault.connections()),
        lambda: other.connection("acme", "two").load(),
        lambda: other.rewrap(),
        lambda: vault.put("acme", "two", refresh_token=f"{tokens[1]}\n"),
        lambda: vault.remove("acme", "two"),
        vault.metrics,
    ):
        attempt(each)
    note(run("remove", "books/ada"))
    rows += everything_in(url)
    tokens += [token for line in provider.server.lines.values() for token in line.tokens]
    tokens += provider.server.live
    tokens += [token for each in authorization_server.given for token in (each["access_token"], each["refresh_token"])]
    secrets = {*tokens, given["DAYPASS_VAULT_SECRET"], OLD, OLD.replace(" ", "-")}
    logs = [record.getMessage() for record in caplog.records if record.name.partition(".")[0] not in SERVERS]
    everything = "\n".join([*seen, *map(repr, events), *logs, *rows])
    assert any("keep_failed acme/" in line for line in logs)
    assert len(tokens) > 8
    assert [] == [secret for secret in secrets if any(piece in everything for piece in pieces(secret))]


def pieces(secret: str) -> list[str]:
    """Return what of a secret may not be found: each part of it that is too long to be there by chance."""
    return [secret[at : at + LEFT_BEHIND + 6] for at in range(max(1, len(secret) - LEFT_BEHIND - 5))]


def everything_in(url: str) -> list[str]:
    """Return the text of all rows in a database."""
    if url.startswith("postgres"):
        with psycopg.connect(url) as connection:
            return [repr(row) for row in connection.execute("SELECT * FROM daypass_connection")]
    with redis.Redis.from_url(url.partition("?")[0]) as client:
        prefix = url.partition("prefix=")[2]
        keys = list(client.scan_iter(f"{prefix}:*"))
        return [repr((key, client.hgetall(key) if client.type(key) == b"hash" else None)) for key in keys]
