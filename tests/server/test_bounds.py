"""What one client can cost `daypass serve`: bytes, connections, time, and how others fare meanwhile. Real sockets."""

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from daypass.server import connection

from .processes import PATIENCE, SECRET, Service, add_user, running

HOST = b"Host: localhost\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST
MEGABYTE = 1_000_000
LOGIN = b'{"username": "alice", "password": "correct horse battery"}'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("bounds")
    add_user(folder)
    with running(folder=folder) as found:
        yield found


def connect(service: Service) -> socket.socket:
    host, _, port = service.address.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def exchange(service: Service, *parts: bytes) -> bytes:
    """Send the parts one by one; return all that comes until the server closes, or is idle."""
    with connect(service) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(0.02)
        client.settimeout(1)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while chunk := client.recv(65_536):
                received += chunk
        return received


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def memory(service: Service) -> int:
    """Return the bytes of memory that the service has used at most."""
    text = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", text)[0]) * 1024


def healthy(service: Service) -> float:
    """Check that a new client is answered; return how many seconds it took."""
    began = time.monotonic()
    assert 200 == httpx2.get(f"{service.address}/healthz", timeout=PATIENCE).status_code
    return time.monotonic() - began


# ---- bytes


def endless_header() -> Iterator[bytes]:
    yield HEALTH + b"X-Large: "
    yield from (MEGABYTE * b"x" for _ in range(300))


def endless_headers() -> Iterator[bytes]:
    yield HEALTH
    yield from (b"".join(b"x-%d: %s\r\n" % (number, 1000 * b"x") for number in range(1000)) for _ in range(300))


def endless_target() -> Iterator[bytes]:
    yield b"GET /"
    yield from (MEGABYTE * b"x" for _ in range(300))


def endless_body() -> Iterator[bytes]:
    yield b"POST /auth/login HTTP/1.1\r\n" + HOST + b"Content-Length: 300000000\r\n\r\n"
    yield from (MEGABYTE * b"x" for _ in range(300))


def endless_chunk_extension() -> Iterator[bytes]:
    yield b"POST /auth/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5;x="
    yield from (MEGABYTE * b"x" for _ in range(300))


def endless_trailers() -> Iterator[bytes]:
    yield b"POST /auth/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    yield from (b"".join(b"x-%d: %s\r\n" % (number, 1000 * b"x") for number in range(1000)) for _ in range(300))


def endless_trailer() -> Iterator[bytes]:
    yield b"POST /auth/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nx: "
    yield from (MEGABYTE * b"x" for _ in range(300))


def endless_requests() -> Iterator[bytes]:
    yield from (15_000 * (HEALTH + b"\r\n") for _ in range(300))


ENDLESS = [
    endless_header,
    endless_headers,
    endless_target,
    endless_body,
    endless_chunk_extension,
    endless_trailers,
    endless_trailer,
    endless_requests,
]


@pytest.mark.parametrize("sending", ENDLESS)
def test_300_megabytes_on_one_connection_cost_no_memory(
    service: Service, sending: Callable[[], Iterator[bytes]]
) -> None:
    """Whichever part of a request is endless: the service keeps less than 10 MB of it, and serves other clients."""
    healthy(service)
    before = memory(service)
    with connect(service) as client, contextlib.suppress(ConnectionError, TimeoutError):
        client.settimeout(connection.REQUEST_SECONDS + 2)
        for part in sending():
            client.sendall(part)
    assert memory(service) - before < 10 * MEGABYTE
    healthy(service)


@pytest.mark.parametrize(
    "head",
    [
        HEALTH + b"X-Large: " + 40_000 * b"x" + b"\r\n\r\n",
        HEALTH + b"".join(b"x-%d: x\r\n" % number for number in range(101)) + b"\r\n",
        b"GET /healthz?" + 40_000 * b"x" + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        40 * (b"\r\n") + HEALTH + b"X-Large: " + 40_000 * b"x",
    ],
    ids=["one header", "many headers", "request line", "no end"],
)
def test_a_head_that_is_too_large_is_431(service: Service, head: bytes) -> None:
    """The answer is JSON as all failures are, says what the bounds are, and closes the connection."""
    half = len(head) // 2
    for parts in ((head,), (head[:half], head[half:])):
        received = exchange(service, *parts)
        assert [431] == statuses(received)
        assert b'"error":"request_header_fields_too_large"' in received
        assert b"32768 bytes and 100 headers" in received
        assert b"connection: close" in received


def test_what_a_browser_sends_fits(service: Service) -> None:
    """The largest cookies and access token that the endpoints look at are within the bounds."""
    large = b"Cookie: " + 16_000 * b"x" + b"\r\nAuthorization: Bearer " + 8000 * b"x" + b"\r\n"
    usual = b"".join(b"x-%d: x\r\n" % number for number in range(60))
    received = exchange(service, b"GET /auth/me HTTP/1.1\r\n" + HOST + large + usual + b"\r\n")
    assert [401] == statuses(received)


# ---- time and number


HALF_SENT = [
    b"",
    b"GET /healthz HT",
    HEALTH + b"X-Slow: ",
    b"POST /auth/login HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    b"POST /auth/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nx",
    b"POST /auth/me HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\n{",  # has its answer already: 405
]


def test_half_sent_requests_are_cut(service: Service) -> None:
    """300 clients send part of a request, then a byte a second: all are cut within seconds, others are answered."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(service)) for _ in range(300)]
        for number, client in enumerate(slow):
            client.sendall(HALF_SENT[number % len(HALF_SENT)])
        until = time.monotonic() + connection.REQUEST_SECONDS + 3
        while slow and time.monotonic() < until:
            slow = [client for client in slow if still_open(client)]
            assert healthy(service) < 1
            time.sleep(1)
        assert [] == slow


def test_each_request_of_a_pipeline_has_its_own_time(service: Service) -> None:
    """A client whose every packet ends within the next request is served for longer than one request may take."""
    request = HEALTH + b"\r\n"
    end, begin = request[20:], request[:20]
    with connect(service) as client:
        client.sendall(begin)
        until = time.monotonic() + connection.REQUEST_SECONDS + 2
        while time.monotonic() < until:
            client.sendall(end + begin)
            received = b""
            while not received.endswith(b'{"status":"ok"}'):
                chunk = client.recv(65_536)
                assert chunk
                received += chunk
            time.sleep(0.2)


def still_open(client: socket.socket) -> bool:
    """Read what there is, send one byte more; return whether the server has not closed."""
    client.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    try:
        while client.recv(65_536):
            pass
    except BlockingIOError:
        with contextlib.suppress(ConnectionError):
            client.send(b"x")
        return True
    except ConnectionError:
        return False
    return False


def test_connections_that_send_nothing_starve_nobody(tmp_path: Path) -> None:
    """With 1,024 files at most, 1,100 clients that hold a connection open keep no other out."""
    add_user(tmp_path)
    limited = ("prlimit", "--nofile=1024:1024")
    with (
        running(folder=tmp_path, given={"DAYPASS_SECRET": SECRET}, by=limited) as service,
        contextlib.ExitStack() as stack,
        service.client() as idle,
    ):
        assert 200 == service.login(idle).status_code
        for _ in range(1100):
            stack.enter_context(connect(service)).sendall(HEALTH)
        took = [healthy(service) for _ in range(20)]
        assert max(took) < 1
        with service.client() as client:
            assert [200, 200] == [service.login(client).status_code, client.post("/auth/refresh").status_code]
        assert 200 == idle.post("/auth/refresh").status_code  # over a new connection where the old one was closed
        assert 0 == service.end()
        assert "" == service.stderr


def send_for_ever(client: socket.socket, data: bytes) -> None:
    while True:
        client.sendall(data)
        time.sleep(0.005)


def test_a_client_that_does_not_read_is_cut(service: Service) -> None:
    """Answers that the client does not read are not kept: the connection is cut after seconds."""
    asking = b"GET /auth/daypass.js HTTP/1.1\r\n" + HOST + b"\r\n"
    with connect(service) as client:
        client.settimeout(connection.REQUEST_SECONDS + 5)
        with pytest.raises(ConnectionError):
            send_for_ever(client, asking)


# ---- passwords


def test_logins_at_once_do_not_hold_up_refreshes(service: Service) -> None:
    """Of 100 logins at once each is answered, by 503 if there are too many, and refreshes stay quick meanwhile."""
    with service.client() as refreshing, ThreadPoolExecutor(100) as crowd:
        assert 200 == service.login(refreshing).status_code
        logins = [crowd.submit(login, service) for _ in range(100)]
        took: list[float] = []
        while not all(each.done() for each in logins):
            began = time.monotonic()
            assert 200 == refreshing.post("/auth/refresh").status_code
            took.append(time.monotonic() - began)
        assert {200, 503} >= {each.result() for each in logins}
        assert sorted(took)[len(took) // 2] < 0.5
        assert max(took) < 5


def login(service: Service) -> int:
    answer = httpx2.post(
        f"{service.address}/auth/login", content=LOGIN, headers={"content-type": "application/json"}, timeout=PATIENCE
    )
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1
    return answer.status_code
