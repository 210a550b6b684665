"""`daypass client` and `daypass serve --clients`: OAuth clients of the ready-made service."""

import tomllib
from pathlib import Path

import httpx2
import pytest

from daypass.web.clients import hash_secret

from .processes import PASSWORD, SECRET, add_user, daypass, running, untouched

FILE = ("--file", "clients.toml")


def add(folder: Path, name: str, *options: str) -> tuple[str, str | None]:
    """Add a client by the command; return its id and its secret, as they were printed."""
    done = daypass("client", "add", name, *options, *FILE, folder=folder)
    assert (0, "") == (done.returncode, done.stderr)
    printed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("client_"))
    return printed["client_id"], printed.get("client_secret")


def test_a_client_is_added(tmp_path: Path) -> None:
    """Id and secret are printed once; the file, private to its owner, has the hash, and keeps the other clients."""
    path = tmp_path / "clients.toml"
    reports, secret = add(tmp_path, "Reports", "--scope", "read write")
    path.write_text("# by hand\n" + path.read_text().rstrip("\n"))
    own, none = add(tmp_path, 'The "caf\u00e9" \U0001f600', "--public", "--id", "daypass")
    service, another = add(tmp_path, "A service", "--introspects")
    assert secret is not None
    assert another is not None
    assert secret.startswith("dpc_")
    text = path.read_text()
    assert text.startswith("# by hand\n")
    assert secret not in text
    assert 0o600 == path.stat().st_mode & 0o777
    expected = [
        {"id": reports, "name": "Reports", "secret_hash": hash_secret(secret), "scope": "read write"},
        {"id": "daypass", "name": 'The "caf\u00e9" \U0001f600'},
        {"id": service, "name": "A service", "secret_hash": hash_secret(another), "introspects": True},
    ]
    assert ("daypass", None, {"client": expected}) == (own, none, tomllib.loads(text))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("Again", "--id", "daypass"), "two clients have the id 'daypass'"),
        (("Service", "--public", "--introspects"), "cannot introspect"),
        ((" ",), "invalid client name ' '"),
        (("A", "--scope", 'a"b'), "scope"),
        (("A", "--id", "caf\u00e9"), "ASCII"),
    ],
)
def test_a_client_that_is_not_possible(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    """It is refused in one line, and the file stays as it is."""
    add(tmp_path, "Own", "--public", "--id", "daypass")
    with untouched(tmp_path):
        done = daypass("client", "add", *arguments, *FILE, folder=tmp_path)
    assert (1, "") == (done.returncode, done.stdout)
    assert reason in done.stderr
    assert 1 == len(done.stderr.splitlines())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("", "has no clients"),
        ("[[client]\n", "is not TOML"),
        ("[client]\nid = 'a'\n", "[[client]]"),
        ("x = 1\n", "[[client]]"),
        ("client = ['a']\n", "client 1"),
        ("[[client]]\nname = 'a'\n", "id"),
        ("[[client]]\nid = 'a'\nsecret = 'dpc_x'\n", "unknown setting 'secret': did you mean 'secret_hash'?"),
        ("[[client]]\nid = 'a'\nsecret_hash = 'dpc_x'\n", "secret_hash"),
        ("[[client]]\nid = 'a'\nsecret_hash = [1]\n", "secret_hash"),
        ("[[client]]\nid = 'a'\nintrospects = 1\n", "introspects"),
        ("[[client]]\nid = 'a'\n[[client]]\nid = 'a'\n", "two clients"),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path: Path, text: str | None, reason: str) -> None:
    """The service does not start with it, says in one line why, and makes nothing."""
    if text is not None:
        (tmp_path / "clients.toml").write_text(text)
    with untouched(tmp_path):
        done = daypass("serve", "--port", "0", "--clients", "clients.toml", folder=tmp_path)
    assert (1, "") == (done.returncode, done.stdout)
    assert reason in done.stderr
    assert "dpc_x" not in done.stderr
    assert 1 == len(done.stderr.splitlines())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add_user(tmp_path)
    return tmp_path


@pytest.fixture
def service_secret(folder: Path) -> str:
    """Return the secret of a client that introspects, in a file with the issuer's own client."""
    add(folder, "Own", "--public", "--id", "daypass")
    _, secret = add(folder, "A service", "--id", "service", "--introspects")
    assert secret is not None
    return secret


def test_clients_are_served(folder: Path, service_secret: str) -> None:
    """An OAuth client refreshes a session that was begun by a login, a service asks what its tokens are worth."""
    options = ("--issuer", "https://auth.example.com/tenant", "--clients", "clients.toml")
    with running(*options, folder=folder, given={"DAYPASS_SECRET": SECRET}) as service, service.client() as client:
        metadata = client.get("/.well-known/oauth-authorization-server/tenant").json()
        assert "https://auth.example.com/tenant/oauth/token" == metadata["token_endpoint"]
        login = {"username": "alice", "password": PASSWORD, "tokenDelivery": "body"}
        begun = client.post("/auth/login", json=login).json()
        form = {"grant_type": "refresh_token", "refresh_token": begun["refreshToken"], "client_id": "daypass"}
        tokens = client.post("/oauth/token", data=form).json()

        def told() -> httpx2.Response:
            token = {"token": tokens["access_token"]}
            return client.post("/oauth/introspect", data=token, auth=("service", service_secret))

        assert (True, "Alice") == (told().json()["active"], told().json()["username"])
        gone = client.post("/oauth/revoke", data={"token": tokens["refresh_token"], "client_id": "daypass"})
        assert (200, {"active": False}) == (gone.status_code, told().json())
        service.end()
        assert "" == service.stderr


def test_the_environment_names_the_file(folder: Path, service_secret: str) -> None:
    """``DAYPASS_CLIENTS`` is the same; without either there are no OAuth endpoints, and no metadata of them."""
    given = {"DAYPASS_SECRET": SECRET}
    paths = ("/oauth/token", "/.well-known/oauth-authorization-server")
    for environment, statuses in (({"DAYPASS_CLIENTS": "clients.toml"}, [405, 200]), ({}, [404, 404])):
        with running(folder=folder, given=given | environment) as service, service.client() as client:
            assert statuses == [client.get(path).status_code for path in paths]
