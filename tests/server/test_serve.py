"""`daypass serve` as a process: how it starts, what it serves, how it ends, and what it refuses."""

import base64
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from daypass.cli import main
from daypass.keys import MasterSecret, SigningKey
from daypass.store_steps import ReadKeys
from daypass.stores.sqlite import SqliteStore

from ..cookie_names import refresh_cookie, without_port
from .processes import (
    PASSWORD,
    PATIENCE,
    READY,
    SECRET,
    Service,
    add_user,
    daypass,
    eventually,
    launch,
    running,
    untouched,
)

ISSUER = "https://api.example.com"
HOST = {"host": "api.example.com"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database that has a user, Alice."""
    made = tmp_path_factory.mktemp("service")
    add_user(made)
    return made


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    """Run a service that the tests of this file share; each starts its own sessions."""
    with running("--issuer", ISSUER, folder=folder, given={"DAYPASS_SECRET": SECRET}) as found:
        yield found


@pytest.fixture
def client(service: Service) -> Iterator[httpx2.Client]:
    with service.client() as client:
        yield client


# ---- how it starts and ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_and_a_clean_end(tmp_path: Path, number: signal.Signals) -> None:
    """It prints one line when it can be reached, and ends at once on a signal, with exit status 0."""
    with running(folder=tmp_path) as service, service.client() as client:
        assert {"status": "ok"} == client.get("/healthz").json()  # and keeps a connection open
        began = time.monotonic()
        assert 0 == service.end(number)
        assert time.monotonic() - began < 5
        assert [f"{READY}{service.address}"] == service.stdout
        told = "made a secret in app.db.secret (mode 0600); keep it with the database, or give one with secret=…\n"
        assert told == service.stderr
    assert {"app.db", "app.db.secret"} == {path.name for path in tmp_path.iterdir()}
    assert 0o600 == (tmp_path / "app.db.secret").stat().st_mode & 0o777


def test_sigterm_ends_it_at_any_moment(tmp_path: Path) -> None:
    """A SIGTERM at any moment of its start ends it: none is lost between two who listen for it."""
    delays = [0.05 * step for step in range(12)]

    def end_after(delay: float, ended: list[int]) -> None:
        with launch(["--port", "0", "--store", "memory:"], tmp_path) as process:
            time.sleep(delay)
            process.terminate()
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
        ended.append(process.returncode)

    ended: list[int] = []
    threads = [threading.Thread(target=end_after, args=(delay, ended)) for delay in delays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {0, -signal.SIGTERM} >= set(ended)
    assert len(delays) == len(ended)


def test_sessions_and_keys_outlive_it(tmp_path: Path) -> None:
    """After a restart on the same file the sessions go on, and access tokens from before are still good."""
    add_user(tmp_path)
    with running("--issuer", ISSUER, folder=tmp_path) as service, service.client() as client:
        login = service.login(client)
        cookie = {"cookie": f"daypass={refresh_cookie(client.cookies)}"}
        keys = client.get("/.well-known/jwks.json").json()
        assert 0 == service.end()
    with running("--issuer", ISSUER, folder=tmp_path) as service, service.client() as client:
        bearing = {"authorization": f"Bearer {login.json()['accessToken']}"}
        assert "Alice" == client.get("/auth/me", headers=bearing).json()["username"]
        assert 200 == client.post("/auth/refresh", headers=cookie).status_code
        assert keys == client.get("/.well-known/jwks.json").json()


def test_killed_and_started_again(tmp_path: Path) -> None:
    """Answered logins are on the disk: a service that is killed at once knows the session afterwards."""
    add_user(tmp_path)
    with running(folder=tmp_path) as service, service.client() as client:
        assert 200 == service.login(client).status_code
        cookie = {"cookie": f"daypass={refresh_cookie(client.cookies)}"}
        service.end(signal.SIGKILL)
    with running(folder=tmp_path) as service, service.client() as client:
        assert 200 == client.post("/auth/refresh", headers=cookie).status_code


def test_two_on_one_file(tmp_path: Path) -> None:
    """Several services that start at once on one new file share users, sessions, keys and the secret."""
    add_user(tmp_path)
    with (
        running("--issuer", ISSUER, folder=tmp_path) as one,
        running("--issuer", ISSUER, folder=tmp_path) as two,
        one.client() as first,
        two.client() as second,
    ):
        access = one.login(first).json()["accessToken"]
        cookie = refresh_cookie(first.cookies)
        assert 200 == second.get("/auth/me", headers={"authorization": f"Bearer {access}"}).status_code
        answers = [each.post("/auth/refresh", headers={"cookie": f"daypass={cookie}"}) for each in (second, first)]
        assert [200, 200] == [answer.status_code for answer in answers]
        assert refresh_cookie(answers[0].cookies) == refresh_cookie(answers[1].cookies)
        assert 204 == second.post("/auth/logout", headers={"cookie": f"daypass={cookie}"}).status_code
        assert 401 == first.post("/auth/refresh", headers={"cookie": f"daypass={cookie}"}).status_code


def test_many_start_at_once(tmp_path: Path) -> None:
    """Services that start at the same moment on a file that is not there yet all come up, with one key and secret."""
    processes = [launch(["--port", "0", "--store", "sqlite:///new.db"], tmp_path) for _ in range(4)]
    try:
        lines = [process.stdout.readline() for process in processes if process.stdout is not None]
        keys = [httpx2.get(f"{line.removeprefix(READY).strip()}/.well-known/jwks.json").json() for line in lines]
    finally:
        for process in processes:
            process.terminate()
        written = [process.communicate(timeout=30) for process in processes]
    assert 4 * [keys[0]] == keys
    assert 1 == sum("made a secret" in err for _, err in written)
    assert {"new.db", "new.db.secret"} == {path.name for path in tmp_path.iterdir()}


# ---- endpoints


def test_health(client: httpx2.Client) -> None:
    """It is live as long as it answers, and ready if it can use the store."""
    for path in ("/healthz", "/readyz"):
        answer = client.get(path)
        assert (200, {"status": "ok"}) == (answer.status_code, answer.json())


def test_health_of_a_store_that_is_gone(tmp_path: Path) -> None:
    """If the store cannot be used, it answers 503; no cookie is changed, and no restart is needed afterwards."""
    add_user(tmp_path)
    with running(folder=tmp_path) as service, service.client() as client:
        service.login(client)
        with sqlite3.connect(tmp_path / "app.db") as breaking:
            breaking.execute("ALTER TABLE daypass_sessions RENAME TO away")
            breaking.execute("ALTER TABLE daypass_keys RENAME TO keys_away")
        eventually(lambda: client.get("/readyz").status_code == 503)  # the result is cached for a second
        answers = [client.get("/readyz"), client.post("/auth/refresh"), client.post("/auth/logout")]
        assert [503, 503, 503] == [answer.status_code for answer in answers]
        assert ["1", "1", "1"] == [answer.headers["retry-after"] for answer in answers]
        assert ["daypass"] == without_port(client.cookies)
        breaking.execute("ALTER TABLE away RENAME TO daypass_sessions")
        breaking.execute("ALTER TABLE keys_away RENAME TO daypass_keys")
        breaking.close()
        assert [200, 200] == [client.get("/readyz").status_code, client.post("/auth/refresh").status_code]


def test_health_costs_one_write_a_second(tmp_path: Path) -> None:
    """Anyone may ask for it at any rate; the store is written at most once a second."""
    add_user(tmp_path)
    log = tmp_path / "app.db-wal"
    with running(folder=tmp_path) as service, service.client() as client:
        assert 200 == client.get("/readyz").status_code
        began, written = time.monotonic(), {log.stat().st_mtime_ns}
        for _ in range(100):
            assert 200 == client.get("/readyz").status_code
            written.add(log.stat().st_mtime_ns)
        assert len(written) <= 2 + time.monotonic() - began


def test_health_of_a_full_disk(tmp_path: Path) -> None:
    """A disk that can be read but not written is no healthy store; when there is room again, it is."""
    add_user(tmp_path)
    with running(folder=tmp_path) as service, service.client() as client:
        assert 200 == service.login(client).status_code
        unlimited = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (512, unlimited[1]))  # no file can grow
        eventually(lambda: client.get("/readyz").status_code == 503)
        answers = [client.get("/readyz"), client.post("/auth/refresh")]
        assert [503, 503] == [answer.status_code for answer in answers]
        assert ["1", "1"] == [answer.headers["retry-after"] for answer in answers]
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, unlimited)
        assert [200, 200] == [client.get("/readyz").status_code, client.post("/auth/refresh").status_code]


@pytest.mark.parametrize(
    "name",
    [
        {"email": "alice@example.com"},
        {"email": "ALICE@Example.COM"},
        {"username": "Alice"},
        {"username": "aLICE"},
        {"username": "alice@example.com"},
        {"email": "alice"},
    ],
)
def test_login(client: httpx2.Client, name: dict[str, str]) -> None:
    """A user logs in by address or by name, in whatever case, and the access token says who it is."""
    login = client.post("/auth/login", json=name | {"password": PASSWORD})
    assert 200 == login.status_code
    me = client.get("/auth/me", headers={"authorization": f"Bearer {login.json()['accessToken']}"}).json()
    assert ("Alice", "alice@example.com") == (me["username"], me["email"])


def test_refresh_and_logout(service: Service, client: httpx2.Client) -> None:
    """The cookie gets the next one again and again, until the logout."""
    service.login(client)
    assert [200, 200, 204, 401] == [
        client.post(f"/auth/{path}").status_code for path in 2 * ["refresh"] + 1 * ["logout"] + ["refresh"]
    ]


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong password"),
        ("nobody", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
        ("alice%", PASSWORD),
        ("alice", " "),
    ],
)
def test_wrong_credentials(service: Service, client: httpx2.Client, username: str, password: str) -> None:
    """An unknown user and a wrong password get the same answer."""
    answer = service.login(client, username=username, password=password)
    content = {"message": "Authentication failed", "error": "invalid_credentials"}
    assert (401, content, {}) == (answer.status_code, answer.json(), dict(client.cookies))


def test_a_disabled_user(tmp_path: Path) -> None:
    """A user who was disabled can neither log in, with the answer of a wrong password, nor refresh."""
    add_user(tmp_path)
    with running(folder=tmp_path) as service, service.client() as client:
        service.login(client)
        with sqlite3.connect(tmp_path / "app.db") as changing:
            changing.execute("UPDATE daypass_accounts SET disabled_at = 1")
        changing.close()
        refresh = client.post("/auth/refresh")
        assert (401, "invalid_grant") == (refresh.status_code, refresh.json()["error"])
        assert "set-cookie" not in refresh.headers
        assert "invalid_credentials" == service.login(client).json()["error"]


# ---- invalid tokens

Forgery = Callable[[SigningKey, dict[str, Any]], str]


def signed(key: SigningKey, claims: dict[str, Any], **header: Any) -> str:
    headers = {"typ": "at+jwt", "alg": "ES256", "kid": key.kid} | header
    return jws.serialize_compact(headers, json.dumps(claims).encode(), key.key, [headers["alg"]])


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def unsigned(key: SigningKey, claims: dict[str, Any]) -> str:
    return f"{part({'typ': 'at+jwt', 'alg': 'none', 'kid': key.kid})}.{part(claims)}."


def signed_with_the_public_key(key: SigningKey, claims: dict[str, Any]) -> str:
    known = OctKey.import_key(json.dumps(key.public).encode())
    headers = {"typ": "at+jwt", "alg": "HS256", "kid": key.kid}
    return jws.serialize_compact(headers, json.dumps(claims).encode(), known, ["HS256"])


def signed_with_a_key_of_its_own(key: SigningKey, claims: dict[str, Any]) -> str:
    own = SigningKey.generate("ES256")
    return signed(own, claims, kid=key.kid, jwk=own.public)


def signed_with_an_unknown_key(_: SigningKey, claims: dict[str, Any]) -> str:
    return signed(SigningKey.generate("ES256"), claims)


def with_claims(**changed: Any) -> Forgery:
    def forge(key: SigningKey, claims: dict[str, Any]) -> str:
        return signed(key, {name: value for name, value in (claims | changed).items() if value is not None})

    return forge


def with_header(**changed: Any) -> Forgery:
    return lambda key, claims: signed(key, claims, **changed)


def with_claims_swapped(key: SigningKey, claims: dict[str, Any]) -> str:
    header, _, signature = signed(key, claims).split(".")
    return f"{header}.{part(claims | {'sub': 'somebody-else'})}.{signature}"


def without_its_end(key: SigningKey, claims: dict[str, Any]) -> str:
    return signed(key, claims)[:-2]


FORGERIES: dict[str, Forgery] = {
    "alg none": unsigned,
    "the public key as a secret": signed_with_the_public_key,
    "a key of its own": signed_with_a_key_of_its_own,
    "an unknown key": signed_with_an_unknown_key,
    "swapped claims": with_claims_swapped,
    "truncated": without_its_end,
    "expired": with_claims(exp=1_000_000_000),
    "no exp": with_claims(exp=None),
    "exp as text": with_claims(exp="9999999999"),
    "no sub": with_claims(sub=None),
    "no sid": with_claims(sid=None),
    "wrong iss": with_claims(iss="https://evil.example"),
    "no iss": with_claims(iss=None),
    "wrong aud": with_claims(aud="https://other.example.com"),
    "wrong audiences": with_claims(aud=["https://other.example.com", "https://evil.example"]),
    "no aud": with_claims(aud=None),
    "typ JWT": with_header(typ="JWT"),
    "typ of an ID token": with_header(typ="id+jwt"),
    "crit": with_header(crit=["b64"], b64=True),
}


@pytest.fixture(scope="module")
def signing_key(folder: Path, service: Service) -> SigningKey:
    """Return the service's own signing key, which needs the secret and the database."""
    assert service.address
    store = SqliteStore(folder / "app.db")
    (record,) = (record for record in store.perform(ReadKeys()) if record.algorithm == "ES256")
    store.close()
    key = MasterSecret.of(SECRET).unwrap(record)
    assert isinstance(key, SigningKey)
    return key


def good_claims(client: httpx2.Client) -> dict[str, Any]:
    login = client.post("/auth/login", json={"username": "alice", "password": PASSWORD})
    payload = login.json()["accessToken"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert isinstance(claims, dict)
    return claims


def test_the_forger_s_tools_work(client: httpx2.Client, signing_key: SigningKey) -> None:
    """With the true key, the true header and true claims the tests below make a token that is accepted."""
    token = signed(signing_key, good_claims(client))
    assert 200 == client.get("/auth/me", headers={"authorization": f"Bearer {token}"}).status_code


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_access_token(client: httpx2.Client, signing_key: SigningKey, forgery: Forgery) -> None:
    """An access token with anything wrong about it is refused, even where the true key signed it."""
    token = forgery(signing_key, good_claims(client))
    answer = client.get("/auth/me", headers={"authorization": f"Bearer {token}"})
    assert (401, "invalid_token") == (answer.status_code, answer.json()["error"])
    assert answer.headers["www-authenticate"].startswith('Bearer realm="daypass", error="invalid_token"')
    assert 200 == client.post("/auth/refresh").status_code


@pytest.mark.parametrize(
    "text", ["garbage", "a.b.c", ".", "..", "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30.", 8_000 * "A"]
)
def test_a_garbage_access_token(client: httpx2.Client, text: str) -> None:
    """Garbage is refused with the same challenge."""
    answer = client.get("/auth/me", headers={"authorization": f"Bearer {text}"})
    assert (401, "invalid_token") == (answer.status_code, answer.json()["error"])
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("text", ["garbage", "dpr_", "dpr_" + 76 * "A", "dpr_" + 76 * "-", 16_000 * "x", "a.b.c"])
def test_a_garbage_refresh_token(client: httpx2.Client, text: str) -> None:
    """A garbage refresh token is refused, in the cookie and in the body."""
    for answer in (
        client.post("/auth/refresh", headers={"cookie": f"daypass={text}"}),
        client.post("/auth/refresh", json={"refreshToken": text}),
    ):
        assert (401, "invalid_grant") == (answer.status_code, answer.json()["error"])


def test_a_cookie_that_was_changed(service: Service, client: httpx2.Client) -> None:
    """With any one character changed a refresh token is refused, and the true one still works."""
    service.login(client)
    token = refresh_cookie(client.cookies)
    for at in range(0, len(token), 7):
        other = "A" if token[at] != "A" else "B"
        forged = {"refreshToken": f"{token[:at]}{other}{token[at + 1 :]}"}
        assert 401 == client.post("/auth/refresh", json=forged).status_code
    assert 200 == client.post("/auth/refresh").status_code


def test_an_oversized_body(service: Service, client: httpx2.Client) -> None:
    """A body of a megabyte is refused, and the session continues."""
    service.login(client)
    assert [413, 413] == [
        client.post(f"/auth/{path}", content=1_000_000 * b"x").status_code for path in ("login", "refresh")
    ]
    assert 200 == client.post("/auth/refresh").status_code


@pytest.mark.parametrize("name", ["authorization", "cookie", "origin", "user-agent", "x-anything"])
def test_an_oversized_header(service: Service, client: httpx2.Client, name: str) -> None:
    """A header of a hundred kilobytes is refused without a 5xx, and the service continues."""
    service.login(client)
    answer = client.get("/auth/me", headers={name: 100_000 * "x"})
    assert answer.status_code in (400, 401, 431)
    assert 200 == client.post("/auth/refresh").status_code


def test_another_protocol_is_refused(service: Service, client: httpx2.Client) -> None:
    """A client of another protocol is refused, and the service continues."""
    host, port = service.address.removeprefix("http://").split(":")
    for sent in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"\0\0\0\0",
        b"POST /auth/login HTTP/1.1\r\n\xff\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert b" 200 " not in b"".join(iter(lambda connection=connection: connection.recv(1024), b""))  # type: ignore[misc]  # bound at once
    assert 200 == client.get("/healthz").status_code


# ---- options and the environment


def test_lifetimes(tmp_path: Path) -> None:
    """The spans count, from an option or from the environment; where both are given the option wins."""
    add_user(tmp_path)
    given = {"DAYPASS_ACCESS_TTL": "2m", "DAYPASS_IDLE_TTL": "2h", "DAYPASS_PORT": "no port"}
    options = ("--access-ttl", "90s", "--absolute-ttl", "3h")
    with running(*options, folder=tmp_path, given=given) as service, service.client() as client:
        login = service.login(client)
        assert (90, "Max-Age=7200") == (login.json()["expiresIn"], login.headers["set-cookie"].split("; ")[2])


@pytest.mark.parametrize(("grace_period", "expected"), [("0s", 401), ("30s", 200)])
def test_the_grace_period(tmp_path: Path, grace_period: str, expected: int) -> None:
    """In the strict mode a token from two refreshes ago is reuse at once; by default it is a message under way."""
    add_user(tmp_path)
    with running(folder=tmp_path, given={"DAYPASS_GRACE_PERIOD": grace_period}) as service, service.client() as client:
        service.login(client)
        first = refresh_cookie(client.cookies)
        for _ in range(2):
            assert client.post("/auth/refresh").status_code == 200
            time.sleep(0.01)
        assert expected == client.post("/auth/refresh", headers={"cookie": f"daypass={first}"}).status_code


def test_everything_from_the_environment(tmp_path: Path) -> None:
    """The service can be run without any option: store, issuer, host, port, and the secret in a file."""
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    given = {
        "DAYPASS_STORE": "sqlite:///other.db",
        "DAYPASS_ISSUER": ISSUER,
        "DAYPASS_HOST": "127.0.0.2",
        "DAYPASS_PORT": "0",
        "DAYPASS_SECRET_FILE": str(secret),
    }
    daypass("user", "add", "alice@example.com", "--username", "alice", folder=tmp_path, given=given, text=PASSWORD)
    with launch([], tmp_path, given) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix(READY).strip()
        credentials = {"username": "alice", "password": PASSWORD}
        login = httpx2.post(f"{address}/auth/login", json=credentials, timeout=PATIENCE)
        process.terminate()
        logged = process.communicate(timeout=PATIENCE)[1].splitlines()
    assert all("cookies are set without Secure" in line for line in logged)  # an https issuer, without a proxy
    claims = json.loads(base64.urlsafe_b64decode(login.json()["accessToken"].split(".")[1] + "=="))
    assert ("http://127.0.0.2:", ISSUER, ISSUER) == (address[:17], claims["iss"], claims["aud"])
    assert {"other.db", "secret"} == {path.name for path in tmp_path.iterdir()}


def test_a_secret_is_replaced(tmp_path: Path) -> None:
    """With [new, old] and then [new] every session continues; with a third secret the service does not start."""
    add_user(tmp_path)
    options = ("--issuer", ISSUER)
    with running(*options, folder=tmp_path, given={"DAYPASS_SECRET": SECRET}) as service, service.client() as client:
        service.login(client)
        cookie = {"cookie": f"daypass={refresh_cookie(client.cookies)}"}
        service.end()
    new = SECRET[::-1]
    both = {"DAYPASS_SECRET": f"{new} {SECRET}"}
    with running(*options, folder=tmp_path, given=both) as service, service.client() as client:
        assert 200 == client.post("/auth/refresh", headers=cookie).status_code
        service.end()
    with running(*options, folder=tmp_path, given={"DAYPASS_SECRET": new}) as service, service.client() as client:
        assert 200 == client.post("/auth/refresh", headers=cookie).status_code  # repeated, and the user stays logged in
        service.login(client)
        service.end()
    serve = ("serve", "--port", "0", "--store", "sqlite:///app.db")
    with untouched(tmp_path):
        refused = daypass(*serve, folder=tmp_path, given={"DAYPASS_SECRET": "third" + SECRET})
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "wrapped under another secret" in one_line(refused.stderr)


def test_behind_a_proxy_on_the_same_machine(service: Service) -> None:
    """A proxy on loopback that ends TLS says so, and the cookie is then the one for HTTPS."""
    headers = {"x-forwarded-proto": "https", "host": "api.example.com"}
    content = {"username": "alice", "password": PASSWORD}
    answer = httpx2.post(f"{service.address}/auth/login", json=content, headers=headers)
    assert (200, "__Host-daypass") == (answer.status_code, answer.headers["set-cookie"].partition("=")[0])
    answer = httpx2.post(f"{service.address}/auth/login", json=content, headers={"forwarded": "proto=https"} | HOST)
    assert 403 == answer.status_code  # the header that the proxy is not configured to write


def test_behind_a_proxy_that_writes_forwarded(tmp_path: Path) -> None:
    """A proxy may write RFC 7239's header instead: then that one counts, and not what the client has written."""
    add_user(tmp_path)
    content = {"username": "alice", "password": PASSWORD}
    with running("--proxy-header", "forwarded", folder=tmp_path) as service:
        lies = {"x-forwarded-proto": "https", "x-forwarded-for": "198.51.100.9"}
        assert 403 == httpx2.post(f"{service.address}/auth/login", json=content, headers=HOST | lies).status_code
        told = {"forwarded": 'for=203.0.113.1, for="[2001:db8::7]:4711";proto=https'} | lies | HOST
        login = httpx2.post(f"{service.address}/auth/login", json=content, headers=told)
        bearing = {"authorization": f"Bearer {login.json()['accessToken']}"} | told
        (session,) = httpx2.get(f"{service.address}/auth/sessions", headers=bearing).json()["sessions"]
    assert ("2001:db8::7", "__Host-daypass") == (session["address"], login.headers["set-cookie"].partition("=")[0])


def test_nobody_is_trusted(tmp_path: Path) -> None:
    """Where no proxy is trusted, nothing that a request says of its way is believed, from loopback neither."""
    content = {"username": "alice", "password": PASSWORD}
    with running("--trusted-proxies", "off", folder=tmp_path) as service:
        told = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.1"}
        assert 403 == httpx2.post(f"{service.address}/auth/login", json=content, headers=told | HOST).status_code


def test_logins_are_limited(tmp_path: Path) -> None:
    """By default the eleventh login with one name in a minute gets 429, whatever its case."""
    add_user(tmp_path)
    with running(folder=tmp_path, given={"DAYPASS_RATE_LIMITS": "memory:"}) as service, service.client() as client:
        names = ["alice", "ALICE"] * 5 + ["Alice"]
        statuses = [client.post("/auth/login", json={"username": name, "password": "wrong one"}) for name in names]
        assert [401] * 10 + [429] == [answer.status_code for answer in statuses]
        refused = statuses[-1]
        assert ("too_many_requests", True) == (refused.json()["error"], 1 <= int(refused.headers["retry-after"]) <= 61)


def test_rates_of_ones_own(tmp_path: Path) -> None:
    """The rates are options; ``off`` means no limit."""
    add_user(tmp_path)
    options = ("--rate-limits", "memory:", "--login-per-account", "off", "--login-per-address", "12/hour")
    with running(*options, folder=tmp_path) as service, service.client() as client:
        assert 200 == service.login(client).status_code
        guesses = [service.login(client, password=f"guess {number}").status_code for number in range(13)]
        assert [401] * 12 + [429] == guesses
        assert 200 == client.post("/auth/refresh").status_code


def test_a_page_of_another_origin(tmp_path: Path) -> None:
    """Pages of the origins that are named may use the service."""
    app = "https://app.example.com"
    with running("--allowed-origins", f"{app}, https://other.example", folder=tmp_path) as service:
        for origin, expected in ((app, app), ("https://other.example",) * 2, ("https://evil.example", None)):
            asking = {"origin": origin, "access-control-request-method": "POST"}
            answer = httpx2.options(f"{service.address}/auth/login", headers=asking)
            assert (204, expected) == (answer.status_code, answer.headers.get("access-control-allow-origin"))


# ---- refusals


def one_line(text: str) -> str:
    """Return the one line of ``text``, which starts with the name of the command."""
    assert text.startswith("daypass: ")
    assert 1 == text.count("\n")
    assert text.endswith("\n")
    assert "Traceback" not in text
    return text.removeprefix("daypass: ").strip()


LONG = {"DAYPASS_SECRET": SECRET}
MISUSES: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no port": (["--port", "eighty"], {}, "invalid port 'eighty': expected a number from 0 to 65535"),
    "a port too high": (["--port", "65536"], {}, "invalid port '65536': expected a number from 0 to 65535"),
    "a negative port": (["--port", "-1"], {}, "invalid port '-1': expected a number from 0 to 65535"),
    "a port of other digits": (["--port", "\u0668\u0660"], {}, "expected a number from 0 to 65535"),
    "an endless port": (["--port", 5000 * "9"], {}, "expected a number from 0 to 65535"),
    "a host of somebody else": (["--host", "192.0.2.1"], {}, "cannot listen on 192.0.2.1 port 0: "),
    "a host that is none": (["--host", "300.1.2.3"], {}, "cannot listen on 300.1.2.3 port 0: "),
    "an impossible host": (["--host", ".."], {}, "cannot listen on .. port 0: "),
    "an impossible name": (["--host", 70 * "\u00e4"], {}, "port 0: this is not a host name"),
    "no host": (["--host", ""], {}, "host is empty"),
    "a short secret": ([], {"DAYPASS_SECRET": "short"}, "secret has 5 bytes and needs at least 32"),
    "a short old secret": ([], {"DAYPASS_SECRET": f"{SECRET} short"}, "secret has 5 bytes and needs at least 32"),
    "an unknown store": (["--store", "mysql://user:password@host/db"], {}, "no store is called 'mysql'"),
    "no store": (["--store", ""], {}, "no store is called ''"),
    "a store without a file": (["--store", "sqlite:///"], {}, "name a file: memory:, sqlite:///app.db"),
    "no duration": (["--access-ttl", "soon"], {}, "access_ttl: invalid duration 'soon': write a number and a unit"),
    "no unit": (["--idle-ttl", "15"], {}, "idle_ttl: invalid duration '15': write a number and a unit"),
    "a negative duration": (["--grace-period=-1s"], {}, "grace_period: invalid duration '-1s'"),
    "an endless duration": (["--absolute-ttl", f"{400 * '9'}d"], {}, "it must be zero or more, and finite"),
    "no duration in the environment": ([], {"DAYPASS_IDLE_TTL": "x"}, "idle_ttl: invalid duration 'x'"),
    "access over idle": (["--access-ttl", "31d"], {}, "idle_ttl has to be at least access_ttl"),
    "idle over absolute": (["--idle-ttl", "200d"], {}, "absolute_ttl must be at least idle_ttl"),
    "grace over idle": (
        ["--idle-ttl", "1h", "--grace-period", "1h"],
        {},
        "grace_period has to be shorter than idle_ttl",
    ),
    "too short": (["--access-ttl", "999ms"], {}, "access_ttl has to be at least one second"),
    "no issuer": (["--issuer", "example"], {}, "invalid issuer 'example'"),
    "an issuer with a query": (["--issuer", f"{ISSUER}?a=b"], {}, "invalid issuer"),
    "an issuer without a host": (["--issuer", "https://"], {}, "invalid issuer"),
    "an issuer of another scheme": (["--issuer", "ftp://example.com"], {}, "invalid issuer"),
    "no secret file": (["--secret-file", "missing"], {}, "the secret file missing cannot be read: No such file"),
    "a folder as secret file": (["--secret-file", "folder"], {}, "the secret file folder cannot be read: "),
    "an empty secret file": (["--secret-file", "empty"], {}, "the secret file empty is empty"),
    "a binary secret file": (
        ["--secret-file", "binary"],
        {},
        "the secret file binary cannot be read: it is not UTF-8 text",
    ),
    "a secret that others can read": (["--secret-file", "public"], {}, "can be read by others; run: chmod 600 public"),
    "a short secret in a file": (["--secret-file", "short"], {}, "secret has 5 bytes and needs at least 32"),
    "two secrets": (["--secret-file", "good"], LONG, "both DAYPASS_SECRET and a secret file are given"),
    "two secrets by environment": ([], LONG | {"DAYPASS_SECRET_FILE": "good"}, "both DAYPASS_SECRET and a secret file"),
    "no folder": (["--store", "sqlite:///missing/app.db"], LONG, "missing/app.db cannot be used: No such file"),
    "no folder for the secret": (["--store", "sqlite:///missing/app.db"], {}, "missing/app.db.secret cannot be made"),
    "an unwritable folder": (["--store", "sqlite:////proc/app.db"], LONG, "/proc/app.db cannot be used: No such file"),
    "an unwritable folder for the secret": (["--store", "sqlite:////proc/app.db"], {}, "/proc/app.db.secret cannot be"),
    "a folder as database": (["--store", "sqlite:///folder"], {}, "unable to open database file"),
    "no database": (["--store", "sqlite:///binary"], {}, "file is not a database"),
    "no database, with a secret": (["--store", "sqlite:///binary"], LONG, "file is not a database"),
    "a name that is too long": (["--store", f"sqlite:///{300 * 'x'}"], {}, "File name too long"),
    "a database from the future": (["--store", "sqlite:///future.db"], {}, "needs a Daypass that knows schema 99"),
    "no proxy": (["--trusted-proxies", "nginx"], {}, "invalid trusted_proxies entry 'nginx'"),
    "half a network": (["--trusted-proxies", "10.0.0.1/8"], {}, "invalid trusted_proxies entry '10.0.0.1/8'"),
    "no proxy header": (["--proxy-header", "via"], {}, "invalid proxy_header 'via': write x-forwarded or forwarded"),
    "no origin": (
        ["--allowed-origins", "https://a.example/ *"],
        {},
        "invalid origin 'https://a.example/': write https",
    ),
    "no rate": (["--login-per-address", "often"], {}, "login_per_address: invalid rate 'often': write 30/minute"),
    "an unknown variable": (
        [],
        {"DAYPASS_RATE_LIMIT": "off"},
        "unknown environment variable 'DAYPASS_RATE_LIMIT': did you mean 'DAYPASS_RATE_LIMITS'?",
    ),
    "the port of a Kubernetes service": (
        [],
        {
            "DAYPASS_PORT": "tcp://10.0.0.1:80",
            "DAYPASS_SERVICE_HOST": "10.0.0.1",
            "DAYPASS_PORT_80_TCP_ADDR": "10.0.0.1",
        },
        "invalid port 'tcp://10.0.0.1:80': expected a number from 0 to 65535; Kubernetes set it",
    ),
    "no rate in the environment": (
        [],
        {"DAYPASS_LOGIN_PER_ACCOUNT": "0/minute"},
        "login_per_account: invalid rate '0/minute'",
    ),
    "no place to count": (["--rate-limits", "nowhere://user:pass@host"], {}, "cannot be counted at this 'nowhere' URL"),
    "no URL to count at": (
        ["--rate-limits", "redis"],
        {},
        "invalid storage of rate limits 'redis': write memory: or redis://",
    ),
    "a secret beside the database that others can read": (["--store", "sqlite:///exposed.db"], {}, "chmod 600 exposed"),
}


@pytest.fixture
def full_folder(tmp_path: Path) -> Path:
    """Return a folder with everything that can be given wrongly."""
    files = {
        "empty": b"",
        "binary": b"\xff\xfe" * 600,
        "public": SECRET.encode(),
        "short": b"short",
        "good": SECRET.encode(),
    }
    for name, content in (files | {"exposed.db.secret": SECRET.encode()}).items():
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(0o644 if name in ("public", "exposed.db.secret") else 0o600)
    (tmp_path / "folder").mkdir()
    future = sqlite3.connect(tmp_path / "future.db")
    future.execute("PRAGMA journal_mode = WAL")
    future.execute("CREATE TABLE daypass_schema AS SELECT 99 AS version")
    future.close()
    (tmp_path / "future.db").chmod(0o600)
    return tmp_path


@pytest.mark.parametrize(("options", "given", "told"), MISUSES.values(), ids=MISUSES.keys())
def test_a_wrong_configuration_is_refused_in_one_line(
    full_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    given: dict[str, str],
    told: str,
) -> None:
    """It ends with status 1 and one line that says what is wrong; nothing is created or changed."""
    monkeypatch.chdir(full_folder)
    for name in [each for each in os.environ if each.startswith("DAYPASS_")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    port = [] if "DAYPASS_PORT" in given else ["--port", "0"]
    signal.alarm(PATIENCE)  # ends what should not have started
    with untouched(full_folder):
        status = main(["serve", *port, *options])
    signal.alarm(0)
    out, err = capfd.readouterr()
    assert told in one_line(err)
    assert (1, "") == (status, out)
    assert SECRET not in err


def test_an_issuer_with_half_an_address(tmp_path: Path) -> None:
    """A text that is not a URL is refused in one line, like any other wrong issuer."""
    with untouched(tmp_path):
        refused = daypass("serve", "--port", "0", "--issuer", "http://[::1", folder=tmp_path)
    assert "invalid issuer" in one_line(refused.stderr)


def test_a_port_in_use(service: Service, tmp_path: Path) -> None:
    """Where another listens on the port it says so, and which option chooses another."""
    port = service.address.rpartition(":")[2]
    with untouched(tmp_path):
        refused = daypass("serve", "--port", port, folder=tmp_path)
    told = f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose another with --host or --port"
    assert (1, told) == (refused.returncode, one_line(refused.stderr))


@pytest.mark.parametrize(("mode", "database"), [(0o000, False), (0o500, False), (0o500, True)])
@pytest.mark.parametrize("given", [{}, LONG])
def test_without_the_right_to_write(tmp_path: Path, mode: int, given: dict[str, str], *, database: bool) -> None:
    """If the folder cannot be written or read, one line says so, and nothing is created."""
    closed = tmp_path / "closed"
    closed.mkdir()
    if database:
        add_user(closed)
        (closed / "app.db").chmod(0o400)
        (closed / "app.db.secret").write_text(SECRET)
        (closed / "app.db.secret").chmod(0o400)
    closed.chmod(mode)
    refused = daypass(
        "serve", "--port", "0", "--store", "sqlite:///closed/app.db", folder=tmp_path, given=given, by=BOUND
    )
    closed.chmod(0o700)
    assert one_line(refused.stderr)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert ({"app.db", "app.db.secret"} if database else set()) == {path.name for path in closed.iterdir()}


BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""What binds root, too, to the permissions of files."""


def test_a_lost_secret_is_not_replaced(tmp_path: Path) -> None:
    """A database whose secret file is missing is not given a new one: that would break its keys. Nothing is made."""
    add_user(tmp_path)
    with running(folder=tmp_path) as service:
        service.end()
    secret = tmp_path / "app.db.secret"
    kept = secret.read_text()
    secret.unlink()
    with untouched(tmp_path):
        refused = daypass("serve", "--port", "0", "--store", "sqlite:///app.db", folder=tmp_path)
    said = one_line(refused.stderr)
    assert "the secret file app.db.secret is missing, and the keys in app.db need it" in said
    assert "Nothing was made" in said
    assert 1 == refused.returncode
    secret.write_text(kept)
    secret.chmod(0o600)
    with running(folder=tmp_path) as service, service.client() as client:
        assert 200 == service.login(client).status_code


def test_a_database_that_others_can_open_is_mentioned(tmp_path: Path) -> None:
    """A file made by hand with mode 0644 works, and a line says how to close it."""
    add_user(tmp_path)
    (tmp_path / "app.db").chmod(0o644)
    with running(folder=tmp_path, given=LONG) as service:
        service.end()
    assert "every user of this machine can open the database app.db; run: chmod 600 app.db\n" == service.stderr


ALL = "0.0.0.0"  # noqa: S104 - every address of the machine, on purpose


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        (["--host", ALL], True),
        (["--host", ALL, "--allow-insecure"], False),
        (["--host", ALL, "--trusted-proxies", "10.0.0.0/8"], False),
        (["--host", "localhost"], False),
    ],
)
def test_a_service_that_would_refuse_everybody_says_so(tmp_path: Path, options: list[str], *, warned: bool) -> None:
    """On other addresses than loopback, without a proxy and without permission, it says at start what to write."""
    with running(*options, folder=tmp_path, given=LONG) as service:
        service.end()
    expected = (
        "it listens on 0.0.0.0, and answers 403 (insecure_transport) to plain HTTP from other machines. Put a "
        "proxy with TLS in front and write --trusted-proxies ADDRESS, or write --allow-insecure\n"
    )
    assert (expected if warned else "") == service.stderr


def test_no_grace_period(tmp_path: Path) -> None:
    """``0`` is a duration without a unit."""
    add_user(tmp_path)
    with running("--grace-period", "0", folder=tmp_path) as service, service.client() as client:
        service.login(client)
        assert 200 == client.post("/auth/refresh").status_code


@pytest.mark.parametrize("arguments", [["--rate-limit", "off"], ["--rate", "off"], ["--rate-limit=off"]])
def test_a_misspelt_option_names_the_right_one(tmp_path: Path, arguments: list[str]) -> None:
    """An unknown option is refused with status 2, and so is an abbreviated one."""
    refused = daypass("serve", *arguments, folder=tmp_path)
    assert (2, "") == (refused.returncode, refused.stdout)
    assert "did you mean --rate-limits?" in refused.stderr


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["serve", "--nonsense"], ["serve", "--port"], ["user"]])
def test_a_wrong_call(tmp_path: Path, arguments: list[str]) -> None:
    """A wrong command line gets the usage and status 2."""
    refused = daypass(*arguments, folder=tmp_path)
    assert (2, "") == (refused.returncode, refused.stdout)
    assert refused.stderr.startswith("usage: daypass")


# ---- secrets in the output

LOUD = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
from daypass.cli import main
sys.exit(main())
"""


def test_nothing_secret_is_logged(tmp_path: Path) -> None:
    """With every logger at DEBUG no token, secret or password is written, by whatever is logged on the way."""
    add_user(tmp_path)
    command = (sys.executable, "-c", LOUD)
    with (
        running("--grace-period", "0s", folder=tmp_path, given={"DAYPASS_SECRET": SECRET}, command=command) as service,
        service.client() as client,
    ):
        tokens = [service.login(client).json()["accessToken"], refresh_cookie(client.cookies)]
        for _ in range(3):
            time.sleep(0.002)
            tokens += [client.post("/auth/refresh").json()["accessToken"], refresh_cookie(client.cookies)]
        client.get("/auth/me", headers={"authorization": f"Bearer {tokens[0]}"})
        client.get("/auth/me", headers={"authorization": f"Bearer {tokens[0]}x"})
        client.post("/auth/refresh", json={"refreshToken": f"{tokens[1]}x"})
        client.post("/auth/refresh", json={"refreshToken": tokens[1]})
        client.post("/auth/refresh")
        service.login(client, password="a wrong password")
        service.login(client)
        tokens.append(refresh_cookie(client.cookies))
        client.post("/auth/logout")
        assert 0 == service.end()
        written = "\n".join([*service.stdout, service.stderr])
    assert "DEBUG:daypass:rotated" in written
    assert "WARNING:daypass:reused" in written
    hidden = [*tokens, *(token.rpartition(".")[2] for token in tokens), SECRET, PASSWORD, "a wrong password", "dpr_"]
    assert [] == [each for each in hidden if each in written]


def test_processes_that_share_a_file_accept_each_others_tokens(tmp_path: Path) -> None:
    """Two services on one file, started as the documentation says and with no other option, are one to their users."""
    add_user(tmp_path)
    with running(folder=tmp_path) as one, running(folder=tmp_path) as other, one.client() as client:
        token = one.login(client).json()["accessToken"]
        answers = [
            httpx2.get(f"{each.address}/auth/me", headers={"authorization": f"Bearer {token}"}).status_code
            for each in (one, other)
        ]
    assert [200, 200] == answers


def test_what_the_service_does_not_have_is_refused_in_one_shape(service: Service) -> None:
    """A wrong path and a wrong method are answered as all failures are."""
    with service.client() as client:
        answers = [client.get("/nowhere"), client.get("/auth/login")]
    assert [404, 405] == [answer.status_code for answer in answers]
    assert ["not_found", "method_not_allowed"] == [answer.json()["error"] for answer in answers]


@pytest.mark.parametrize("path", ["/auth/login/", "/auth/refresh/", "/auth/verify/", "/healthz/"])
def test_a_slash_too_many_leads_nowhere(service: Service, path: str) -> None:
    """No request is redirected with its tokens, perhaps to plain HTTP behind a proxy that ends TLS."""
    headers = {"x-forwarded-proto": "https", "host": "api.example.com"}
    with service.client() as client:
        answer = client.post(path, json={"username": "alice", "password": PASSWORD}, headers=headers)
    assert (404, "not_found") == (answer.status_code, answer.json()["error"])
    assert "location" not in answer.headers


def test_a_forwarded_request_is_not_on_loopback(service: Service) -> None:
    """A proxy on this machine that ends no TLS is no reason to send tokens in the clear."""
    with service.client() as client:
        answer = client.post("/auth/refresh", headers={"x-forwarded-for": "203.0.113.7"})
    assert (403, "insecure_transport") == (answer.status_code, answer.json()["error"])
