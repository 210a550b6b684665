"""Requests that no honest client sends to `daypass serve`, over raw sockets: smuggled, ambiguous, old, pipelined."""

import re
from collections.abc import Iterator

import pytest

from .processes import PASSWORD, Service, add_user, running
from .test_bounds import HEALTH, HOST, exchange, statuses

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
POST = b"POST /auth/login HTTP/1.1\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hostile")
    add_user(folder)
    with running(folder=folder) as found:
        yield found


REFUSED = {
    "two lengths": POST + HOST + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + SMUGGLED,
    "length and chunks": POST + HOST + CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunks and length": POST + HOST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "a length with a sign": POST + HOST + b"Content-Length: +4\r\n\r\n" + SMUGGLED,
    "a length of two numbers": POST + HOST + b"Content-Length: 4, 4\r\n\r\n" + SMUGGLED,
    "an endless length": POST + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n" + SMUGGLED,
    "an unknown coding": POST + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked is not last": POST + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a space before the colon": POST + HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a folded header": POST + HOST + b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    "a bare line feed": b"GET /healthz HTTP/1.1\nHost: localhost\n\n" + SMUGGLED,
    "a bare carriage return": HEALTH + b"X: a\rTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    "NUL in a header": HEALTH + b"X: a\0b\r\n\r\n" + SMUGGLED,
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n" + SMUGGLED,
    "two hosts": HEALTH + b"Host: evil\r\n\r\n" + SMUGGLED,
    "two equal hosts": HEALTH + HOST + b"\r\n" + SMUGGLED,
    "the URL names another host": b"GET http://evil/healthz HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED,
    "the URL has credentials": b"GET http://a:b@localhost/healthz HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED,
    "a tunnel": b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n" + SMUGGLED,
    "HTTP/0.9": b"GET /healthz\r\n" + SMUGGLED,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 in a request line": b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n" + SMUGGLED,
    "HTTP/9.9": b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n" + SMUGGLED,
    "a chunk without a size": POST + HOST + CHUNKED + b"\r\nx\r\n\r\n" + SMUGGLED,
    "a negative chunk": POST + HOST + CHUNKED + b"\r\n-1\r\n\r\n" + SMUGGLED,
    "an endless chunk": POST + HOST + CHUNKED + b"\r\nfffffffffffffffffff\r\n\r\n" + SMUGGLED,
    "TLS": bytes.fromhex("16030100a5010000a10303") + 100 * b"x",
    "a byte that is not ASCII in the path": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED.keys())
def test_an_ambiguous_request_is_refused_and_nothing_behind_it_is_answered(service: Service, request_: bytes) -> None:
    """It gets at most one 4xx or 505, and the connection closes: no second request hides in it."""
    for parts in ((request_,), (request_[: len(request_) // 2], request_[len(request_) // 2 :])):
        received = exchange(service, *parts)
        assert len(statuses(received)) <= 1
        assert all(400 <= status < 500 or status == 505 for status in statuses(received))
        assert b"connection: close" in received or not received


def test_trailers_are_no_headers(service: Service) -> None:
    """A trailer after a body cannot change the sender or the address of a request."""
    body = b'{"username": "alice", "password": "%s"}' % PASSWORD.encode()
    head = POST + HOST + CHUNKED + b"Content-Type: application/json\r\nTrailer: X-Forwarded-For\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    trailers = b"X-Forwarded-For: 203.0.113.7\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n\r\n"
    assert [200] == statuses(exchange(service, head + chunks + trailers))
    assert [200] == statuses(exchange(service, head, chunks, trailers))


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"TLS/1.2"])
def test_an_upgrade_is_answered_and_closes(service: Service, upgrade: bytes) -> None:
    """Nothing is upgraded, and what follows such a request is not read as another."""
    asking = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: " + upgrade + b"\r\n"
    for following in (b"", SMUGGLED, b"x", 100 * SMUGGLED):
        received = exchange(service, HEALTH + asking + b"\r\n" + following)
        assert [200] == statuses(received)
        assert b"connection: close" in received
    length = b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
    assert 1 == len(statuses(exchange(service, POST + HOST + asking + length + SMUGGLED)))


def test_unusual_requests_are_answered(service: Service) -> None:
    """HTTP/1.0, a full URL of the same host, pipelining, chunk extensions, empty lines before a request: all valid."""
    assert [200] == statuses(exchange(service, b"GET /healthz HTTP/1.0\r\n\r\n"))
    assert [200] == statuses(exchange(service, b"GET http://localhost/healthz HTTP/1.1\r\n" + HOST + b"\r\n"))
    assert [200] == statuses(exchange(service, b"\r\n\r\n" + HEALTH + b"\r\n"))
    assert 5 * [200] == statuses(exchange(service, 5 * (HEALTH + b"\r\n")))
    extended = b'd;name=value;other="a b"\r\n{"username":1\r\n1;x\r\n}\r\n0\r\n\r\n'
    received = exchange(service, POST + HOST + CHUNKED + b"Content-Type: application/json\r\n\r\n" + extended)
    assert [400] == statuses(received)
    assert re.search(rb'"error":"(?!bad_request)', received)


def test_answers_keep_their_order(service: Service) -> None:
    """Pipelined requests are answered in turn, one that is refused last; nothing is answered after it."""
    following = HEALTH + b"\r\nGET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n" + HEALTH + b"X : y\r\n\r\n" + SMUGGLED
    received = statuses(exchange(service, HEALTH + b"\r\n", following))
    assert [200, 200, 404, 400][: len(received)] == received


def test_a_flood_of_pipelined_requests_is_cut(service: Service) -> None:
    """More requests than a browser ever sends before an answer close the connection."""
    assert len(statuses(exchange(service, 1000 * (HEALTH + b"\r\n")))) < 1000
