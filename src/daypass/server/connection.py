"""HTTP/1.1 connections with limits: how much a client may send, how long it may take, how many may be open.

uvicorn's fast parser has none of these limits, and no option for them. (`limit_concurrency` counts open connections and
answers all requests with 503, so a client that opens connections and sends nothing locks out all others.) This subclass
adds the limits, and refuses what RFC 9112 says to refuse and the parser accepts.
"""

import asyncio
import re
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from daypass.web.message import Response, failure

MAXIMUM_HEAD = 32_768
"""Bytes of a request line and its headers."""

MAXIMUM_HEADERS = 100

MAXIMUM_REQUEST = 1_000_000
"""Bytes of a whole request: its body, which the endpoints refuse at 64 kB, and what else chunks and trailers have."""

MAXIMUM_PIPELINED = 16
"""Requests that wait for the answer to an earlier one on the same connection."""

REQUEST_SECONDS = 10
"""From the first byte of a request to its last, from opening to the first byte, and for reading an answer."""

IDLE_SECONDS = 125
"""Between requests. Longer than proxies keep a connection (Caddy 120 s, nginx 60 s), so that they close it first."""

_ABSOLUTE = re.compile(rb"[a-z]+://([^/?#]*)", re.IGNORECASE)

_TOO_LARGE = failure(
    431,
    "request_header_fields_too_large",
    f"The request line and headers may have {MAXIMUM_HEAD} bytes and {MAXIMUM_HEADERS} headers",
)


class Connections(ServerState):
    """The open connections.

    maximum: how many there may be. Above that, the connection that has waited longest for its client is closed.
        maximum: how many there may be. One more closes the connection that has waited longest for its client.

    Attributes:
        waiting: those that wait for their client to send or to read, longest first.
        draining: whether the service is shutting down: each response closes its connection.
    """

    def __init__(self, maximum: int) -> None:
        super().__init__()
        self.maximum = maximum
        self.waiting: dict[Connection, None] = {}
        self.draining = False

    def make_room(self) -> None:
        """Close the connection that has waited longest, if there are too many."""
        if len(self.connections) > self.maximum:
            next(iter(self.waiting)).cut()


class Connection(HttpToolsProtocol):
    """One connection; uvicorn creates it and calls its methods."""

    server_state: Connections

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._deadline: asyncio.TimerHandle | None = None
        self._in_message = False
        self._in_head = False
        self._chunk = 0
        self._received = 0
        self._unanswered = 0
        self._answered = False
        self._refusal: Response | None = None
        self._closed = False

    # ---- the transport's events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, and make room for it."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._wait()
        self.server_state.make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._unset_keepalive_if_required()
        self._proceed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the received data; refuse it if it is too much or not an HTTP request."""
        if self._closed:
            return
        self._unset_keepalive_if_required()
        self._chunk = len(data)
        self._received += len(data)
        try:
            self.parser.feed_data(data)
            if self._in_head and self._received > MAXIMUM_HEAD:
                self._fail(_TOO_LARGE)
        except httptools.HttpParserUpgrade:
            self._closed = True  # nothing is upgraded; what follows is not a request, and the response closes
        except httptools.HttpParserError:
            self._refuse(self._refusal or failure(400, "bad_request", "This is not a valid HTTP request"))
            return
        if self._in_message and self._received > MAXIMUM_REQUEST:
            self.cut()
        else:
            self._wait_or_proceed()

    def pause_writing(self) -> None:
        """Give the client time to read what was sent."""
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        """Continue: the client has read."""
        super().resume_writing()
        self._wait_or_proceed()

    # ---- the parser's events

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_message = self._in_head = True

    def on_headers_complete(self) -> None:
        """Begin to answer a request whose head is valid."""
        self._in_head = False
        can_be_long = max(self._received, self._chunk) > MAXIMUM_HEAD
        if len(self.headers) > MAXIMUM_HEADERS or (can_be_long and self._head_size() > MAXIMUM_HEAD):
            self._fail(_TOO_LARGE)
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            self._fail(failure(505, "http_version_not_supported", "Send HTTP/1.1"))
        self._check_host()
        if self._unanswered > MAXIMUM_PIPELINED:
            self._fail(failure(400, "bad_request", "Too many requests before the first answer"))
        super().on_headers_complete()
        self.headers = []  # for trailers, which uvicorn would add to the application's headers
        self._unanswered += 1
        if self.parser.should_upgrade() or self.server_state.draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """End a request: from here on we wait for the client."""
        super().on_message_complete()
        self._in_message = False
        self._received = 0
        if not self.flow.write_paused:  # otherwise the time to read a response keeps running
            self._proceed()

    def on_response_complete(self) -> None:
        """Wait for the client: to read the response, to send the rest of its body, or to send another request."""
        self._unanswered -= 1
        self._answered = True
        super().on_response_complete()
        if self.transport.is_closing():
            self._wait()
        elif not self._unanswered:
            self.server_state.waiting.setdefault(self)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for too long."""
        self.cut()

    def shutdown(self) -> None:
        """Close once no response is awaited: a request that has begun to arrive, or may have, still gets one."""
        if self._unanswered:
            self.cycle.keep_alive = False
        elif self._answered and not self._in_message:
            self.transport.close()

    # ---- shared by both

    def cut(self) -> None:
        """Close the connection at once."""
        self._closed = True
        self.server_state.waiting.pop(self, None)
        self.transport.abort()

    def _wait_or_proceed(self) -> None:
        if self._in_message or self.flow.write_paused:
            self._wait()
        else:
            self._proceed()

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.cut)
        self.server_state.waiting.setdefault(self)

    def _proceed(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.server_state.waiting.pop(self, None)

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _check_host(self) -> None:
        """Refuse a request without a ``Host``, or with two (RFC 9112 §3.2)."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._fail(failure(400, "bad_request", "Send one Host header"))
        target = None if self.url.startswith(b"/") else _ABSOLUTE.match(self.url)
        if target and target[1] not in hosts:
            self._fail(failure(400, "bad_request", "The URL and the Host header name different hosts"))

    def _fail(self, refusal: Response) -> None:
        """Stop parsing, and make `data_received` refuse the request."""
        self._refusal = refusal
        raise httptools.HttpParserError(str(refusal.status))

    def _refuse(self, refusal: Response) -> None:
        """Answer and close; only close if another response comes first."""
        if self._unanswered > 1 or (self._unanswered and self.cycle.response_started):
            self.cut()
            return
        self._closed = True
        if self._unanswered:
            self.cycle.disconnected = True  # the application cannot answer any more
            self.cycle.message_event.set()
        headers = [(name.encode(), value.encode()) for name, value in refusal.headers]
        headers += [*self.server_state.default_headers, (b"connection", b"close")]
        headers += [(b"content-length", str(len(refusal.body)).encode())]
        lines = [b"%s: %s\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", refusal.body]))
        self.transport.close()
        self._wait()
