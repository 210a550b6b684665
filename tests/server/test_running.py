"""How the service runs: worker processes, TLS, a store that is down, ending without dropping a request, reloading."""

import contextlib
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from ..servers import redis
from .certificates import write_certificate
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
)

LOGIN = {"username": "alice", "password": PASSWORD}
GIVEN = {"DAYPASS_SECRET": SECRET}


@contextlib.contextmanager
def logged(service: Service) -> Iterator[list[str]]:
    """Give the lines that the service writes to standard error, as they come."""
    lines: list[str] = []
    stream = service.process.stderr
    assert stream is not None
    threading.Thread(target=lambda: lines.extend(iter(stream.readline, "")), daemon=True).start()
    yield lines


def connect(service: Service) -> socket.socket:
    host, port = service.address.rpartition("//")[2].split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def received(connection: socket.socket) -> bytes:
    """Return everything that comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(4096), b""))


def children(service: Service) -> set[int]:
    found = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    spawned = (int(pid) for pid in found)
    return {pid for pid in spawned if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def is_gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


# ---- workers


def test_a_worker_that_dies_is_replaced_and_all_end_with_their_parent(tmp_path: Path) -> None:
    """Two processes answer on one port; a killed one comes back; SIGTERM ends all, and so does the parent's death."""
    add_user(tmp_path)
    with running("--workers", "2", folder=tmp_path, given=GIVEN) as service, logged(service) as lines:
        first = children(service)
        assert 2 == len(first)
        doomed = min(first)
        os.kill(doomed, signal.SIGKILL)
        eventually(lambda: len(children(service) - {doomed}) == 2)
        eventually(lambda: "a worker ended with status -9; starting another\n" in lines)
        assert 200 == httpx2.post(f"{service.address}/auth/login", json=LOGIN, timeout=PATIENCE).status_code
        workers = children(service)
        service.process.terminate()
        assert 0 == service.process.wait(PATIENCE)
        assert all(map(is_gone, workers))
        with pytest.raises(ConnectionRefusedError):
            connect(service)
    with running("--workers", "2", folder=tmp_path, given=GIVEN) as service:
        workers = children(service)
        service.process.kill()
        eventually(lambda: all(map(is_gone, workers)))


def test_a_worker_that_cannot_start_ends_the_service(tmp_path: Path) -> None:
    """It says why, and ends with status 1."""
    (tmp_path / "app.db").write_bytes(b"\xff" * 1000)
    refused = daypass("serve", "--port", "0", "--workers", "2", "--store", "sqlite:///app.db", folder=tmp_path)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "file is not a database" in refused.stderr
    assert "Traceback" not in refused.stderr


# ---- TLS


def shown(service: Service) -> bytes | None:
    """Return the certificate that a new connection is shown."""
    host, port = service.address.removeprefix("https://").split(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain) as connection:
        return connection.getpeercert(binary_form=True)


def test_certificates_are_replaced_without_a_restart(tmp_path: Path) -> None:
    """New connections get the new certificate; a wrong pair is reported, the old stays."""
    add_user(tmp_path)
    chain, key = write_certificate(tmp_path)
    options = ("--tls-certificate", str(chain), "--tls-key", str(key))
    with running(*options, folder=tmp_path, given=GIVEN) as service, logged(service) as lines:
        assert service.address.startswith("https://")
        old = shown(service)
        with httpx2.Client(verify=ssl.create_default_context(cafile=chain), timeout=PATIENCE) as client:
            login = client.post(f"{service.address.replace('127.0.0.1', 'localhost')}/auth/login", json=LOGIN)
        assert (200, True) == (login.status_code, "Secure" in login.headers["set-cookie"])
        other, _ = write_certificate(tmp_path / "other")
        chain.write_bytes(other.read_bytes())  # and its key comes a moment later
        eventually(lambda: any("the old certificate is still used" in line for line in lines))
        assert old == shown(service)
        key.write_bytes((tmp_path / "other" / "key.pem").read_bytes())
        eventually(lambda: shown(service) != old)
        service.process.terminate()
        assert 0 == service.process.wait(PATIENCE)


def test_half_a_pair_is_refused(tmp_path: Path) -> None:
    """A certificate without a key, and a key of another certificate, are refused before anything is made."""
    chain, _ = write_certificate(tmp_path)
    _, other = write_certificate(tmp_path / "other")
    alone = daypass("config", "--tls-certificate", str(chain), folder=tmp_path)
    apart = daypass("config", "--tls-certificate", str(chain), "--tls-key", str(other), folder=tmp_path)
    assert "give both files, or neither" in alone.stderr
    assert "cannot be used together: KEY_VALUES_MISMATCH" in apart.stderr


# ---- a store that is down


def test_it_starts_and_waits_while_its_store_is_down(tmp_path: Path) -> None:
    """Live but not ready, and every login is a 503; when the store is there the service says that it is ready."""
    with redis.Server("appendonly yes", "appendfsync always") as server:
        url = f"{server.url}?timeout=1"
        added = daypass(
            "user", "add", "alice@example.com", "--username", "alice", "--store", url, folder=tmp_path, text=PASSWORD
        )
        assert 0 == added.returncode
        server.kill()
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
        with launch(["--port", str(port), "--store", url], tmp_path, GIVEN) as process:
            service = Service(process, f"http://127.0.0.1:{port}")
            with contextlib.ExitStack() as stack, service.client() as client, logged(service) as lines:

                def health() -> int:
                    with contextlib.suppress(httpx2.TransportError):
                        return client.get("/healthz").status_code
                    return 0

                stack.callback(process.kill)
                eventually(lambda: health() == 200)
                answers = [client.get("/readyz"), client.post("/auth/login", json=LOGIN)]
                assert [503, 503] == [answer.status_code for answer in answers]
                assert any(line.startswith("waiting for the store: ") for line in lines)
                server.start()
                assert process.stdout is not None
                assert f"{READY}{service.address}\n" == process.stdout.readline()
                assert 200 == client.get("/readyz").status_code
                eventually(lambda: client.post("/auth/login", json=LOGIN).status_code == 200)
                process.terminate()
                assert 0 == process.wait(PATIENCE)


# ---- the end


def test_requests_under_way_are_answered_before_the_end(tmp_path: Path) -> None:
    """Half a request, one that waits to be accepted, an idle one: the first two get answers, no connection is reset."""
    with running("--store", "memory:", folder=tmp_path, given=GIVEN) as service:
        with connect(service) as half, connect(service) as idle:
            half.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert idle.recv(4096).startswith(b"HTTP/1.1 200")
            service.process.send_signal(signal.SIGSTOP)
            with connect(service) as queued:
                queued.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                service.process.terminate()
                service.process.send_signal(signal.SIGCONT)
                assert b'{"status":"ok"}' in received(queued)
            assert received(idle) in (b"", b'{"status":"ok"}')  # what its first answer had left
            half.sendall(b" localhost\r\n\r\n")
            answer = received(half)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer
        assert 0 == service.process.wait(PATIENCE)


def test_the_end_is_announced_and_bounded(tmp_path: Path) -> None:
    """For a while it answers and says that it is not ready; then a slow client cannot delay the end."""
    options = ("--store", "memory:", "--drain-delay", "1s", "--drain-timeout", "500ms")
    with (
        running(*options, folder=tmp_path, given=GIVEN) as service,
        service.client() as client,
        connect(service) as slow,
    ):
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        service.process.terminate()
        eventually(lambda: client.get("/readyz").status_code == 503)
        answers = [client.get("/readyz"), httpx2.get(f"{service.address}/healthz", timeout=PATIENCE)]
        assert [(503, "close"), (200, "close")] == [(each.status_code, each.headers["connection"]) for each in answers]
        assert {"status": "draining"} == answers[0].json()
        began = time.monotonic()
        assert 0 == service.process.wait(PATIENCE)
        assert time.monotonic() - began < 5


# ---- reloading


def test_sighup_reads_configuration_and_clients_again(tmp_path: Path) -> None:
    """From the next request on; sessions go on. What cannot work, or needs a restart, is said and changes nothing."""
    add_user(tmp_path)
    file = tmp_path / "daypass.toml"
    file.write_text('access_ttl = "2m"\n')
    with running("--issuer", "http://localhost", folder=tmp_path, given=GIVEN) as service, logged(service) as lines:
        with service.client() as client:
            assert 120 == service.login(client).json()["expiresIn"]
            assert 404 == client.post("/oauth/token").status_code
            added = daypass("client", "add", "Apps", "--public", "--id", "daypass", "--file", "c.toml", folder=tmp_path)
            assert 0 == added.returncode
            file.write_text('access_ttl = "3m"\nclients = "c.toml"\nworkers = 3\n')
            service.process.send_signal(signal.SIGHUP)
            eventually(lambda: client.post("/oauth/token").status_code != 404)
            eventually(lambda: "reloaded, but these need a restart: workers\n" in lines)
            assert 180 == client.post("/auth/refresh").json()["expiresIn"]
            file.write_text('access_ttl = "4 fortnights"\n')
            service.process.send_signal(signal.SIGHUP)
            eventually(lambda: any("not reloaded, the service goes on as before: access_ttl" in line for line in lines))
            assert 180 == client.post("/auth/refresh").json()["expiresIn"]
        service.process.terminate()
        assert 0 == service.process.wait(PATIENCE)
