"""The first tokens from an OAuth 2 server, for a program at a terminal.

With a browser on this machine: the authorization code grant with PKCE, redirected to loopback (RFC 8252, RFC 7636).
With a browser anywhere: the device grant (RFC 8628). Authlib builds the request that the browser is sent to.
"""

import math
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn, Self
from urllib.parse import parse_qs, urlsplit

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from daypass.client.discovery import Metadata
from daypass.client.dpop import thumbprint_of, with_key
from daypass.client.failures import described
from daypass.client.messages import Answer, Grant, Message, Outcome, Refreshed, Rejected, Unavailable
from daypass.client.oauth import OAuth, checked_redirect_uri
from daypass.client.server_message import code_of, fields_of
from daypass.client.strategy import StrategyFlow
from daypass.drive import run
from daypass.errors import ConfigurationError, CredentialsRejected, RefreshUnavailable

PATIENCE = 300.0
"""Seconds to wait until the user has logged in with a browser on this machine."""

TIMEOUT = 30.0
"""Timeout of each step of a message, in seconds."""

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_POLL = 0.05
_PAGE = b"<!doctype html><title>Daypass</title><p>Done. You can close this page and go back to the terminal."

Send = Callable[[Any], Any]
"""Sends one `Message`, and returns the `Answer`."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """Wait this long before the next message."""

    seconds: float


def first_grant(
    oauth: OAuth,
    show: Callable[[str, str | None], object],
    *,
    device: bool,
    send: Send | None = None,
    key: str | None = None,
) -> Grant:
    """Let a user log in with a browser on this machine or on any device; return the tokens.

    Args:
        oauth: the client.
        show: shows the URL of the login page, and the code to enter there, if any.
        device: log in with a browser on any device.
        send: sends a message to the server; by default through a new httpx client.
        key: the private key of the proofs that ``send`` adds (RFC 9449); ``None`` for a login without a key.

    Raises:
        Exception: as `by_browser` and `by_device`.
    """
    send = _send_by_httpx if send is None else send
    if device:
        return by_device(oauth, send, show, key=key)
    return by_browser(oauth, send, lambda page: show(page, None), key=key)


def by_browser(
    oauth: OAuth,
    send: Send,
    open_page: Callable[[str], object],
    *,
    patience: float = PATIENCE,
    key: str | None = None,
) -> Grant:
    """Let a user log in with a browser on this machine; return the tokens.

    Args:
        oauth: the client; its ``scope``, ``resource`` and ``parameters`` are sent.
        send: sends a message to the server.
        open_page: shows a URL to the user.
        patience: seconds to wait for the user.
        key: the private key of the proofs that ``send`` adds; the code is bound to it too (RFC 9449 §10).

    Raises:
        CredentialsRejected: the user or the server refused.
        RefreshUnavailable: nobody logged in within ``patience``, or the server did not answer.
        ConfigurationError: the server has no such login, or refused the client.
    """
    state, verifier = generate_token(43), generate_token(64)
    with _Listener(state, oauth.redirect_uri) as listener:
        metadata = run(_metadata(oauth, "authorization", key), send)
        bound_to = {} if key is None else {"dpop_jkt": thumbprint_of(key)}
        open_page(
            prepare_grant_uri(
                metadata.authorization,
                oauth.client_id,
                "code",
                listener.url,
                oauth.scope,
                state,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
                **(oauth.parameters | oauth.authorization_parameters | bound_to),
            )
        )
        query = listener.wait(patience)
    if "error" in query:
        raise CredentialsRejected(f"the login was refused: {code_of(query, ()) or 'error'}")
    if metadata.issuer is not None and query.get("iss", metadata.issuer) != metadata.issuer:  # RFC 9207 §2.4
        raise CredentialsRejected("the answer came from another issuer than the one that was asked")
    form = {
        "grant_type": "authorization_code",
        "code": query.get("code", ""),
        "redirect_uri": listener.url,
        "code_verifier": verifier,
    }
    outcome = run(oauth.request_tokens(metadata, form, secrets=(form["code"], verifier)), send)
    return _granted(outcome, key)


def by_device(oauth: OAuth, send: Send, show: Callable[[str, str], object], *, key: str | None = None) -> Grant:
    """Let a user log in with a browser on any device; return the tokens.

    Args:
        oauth: the client.
        send: sends a message to the server.
        show: shows a URL and a code to the user.
        key: as for `by_browser`.

    Raises:
        CredentialsRejected: the user or the server refused, or the code expired.
        RefreshUnavailable: the server did not answer.
        ConfigurationError: the server has no such login, or refused the client.
    """

    def perform(step: Any) -> Any:
        return time.sleep(step.seconds) if isinstance(step, _Pause) else send(step)

    return run(_device_flow(oauth, show, key), perform)


def _send_by_httpx(message: Message) -> Answer:
    from daypass.client.httpx import DaypassAuth  # imported here: the user's own client may be of another library

    library = DaypassAuth.library
    try:
        return library.send(None, message.path, message, TIMEOUT)
    except library.transport_errors as error:
        url = urlsplit(message.path)
        raise RefreshUnavailable(f"{url.scheme}://{url.netloc} did not answer ({described(error)})") from None


def _device_flow(oauth: OAuth, show: Callable[[str, str], object], key: str | None) -> StrategyFlow[Grant]:
    metadata = yield from _metadata(oauth, "device", key)
    scope = {} if oauth.scope is None else {"scope": oauth.scope}
    answer: Answer = yield oauth.message(metadata, str(metadata.device), {**oauth.parameters, **scope})
    fields = fields_of(answer)
    code, user_code = fields.get("device_code"), fields.get("user_code")
    place = fields.get("verification_uri") or fields.get("verification_url")  # Google uses the second name
    if not (isinstance(code, str) and isinstance(user_code, str) and isinstance(place, str)):
        _refuse(oauth.judge(answer, ()))
    show(str(fields.get("verification_uri_complete") or place), user_code)
    left, interval = _number(fields.get("expires_in"), 600), _number(fields.get("interval"), 5)
    form = {"grant_type": _DEVICE_GRANT, "device_code": code}
    while left > 0:
        yield _Pause(interval)
        left -= interval
        answer = yield oauth.message(metadata, metadata.token, {**oauth.parameters, **form})
        match code_of(fields_of(answer), (code,)):
            case "authorization_pending":
                continue
            case "slow_down":  # RFC 8628 §3.5
                interval += 5
            case "access_denied" | "expired_token" as reason:
                raise CredentialsRejected(f"the login was refused: {reason}")
            case _:
                return _granted(oauth.judge(answer, (code,)), key)
    raise CredentialsRejected("the login was refused: expired_token")


def _metadata(oauth: OAuth, endpoint: str, key: str | None) -> StrategyFlow[Metadata]:
    metadata = yield from oauth.discover()
    if isinstance(metadata, Unavailable):
        _refuse(metadata)
    if key is not None:
        metadata.require_dpop()
    if getattr(metadata, endpoint) is None:
        other = "with a browser on this machine" if endpoint == "device" else "on a device"
        name = "device_authorization" if endpoint == "device" else endpoint
        raise ConfigurationError(f"no {name}_endpoint is known of this server: log in {other}, or give the endpoint")
    return metadata


def _granted(outcome: Outcome, key: str | None) -> Grant:
    return with_key(outcome.grant, key) if isinstance(outcome, Refreshed) else _refuse(outcome)


def _refuse(outcome: Outcome) -> NoReturn:
    match outcome:
        case Rejected(reason):
            raise CredentialsRejected(reason.replace("the refresh", "the login"))
        case Unavailable(reason, retry_after):
            raise RefreshUnavailable(reason.replace("the refresh", "the login"), retry_after=retry_after)
    raise RefreshUnavailable("the login got an answer that makes no sense")


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < math.inf else default


class _Listener:
    """A server on loopback for the one redirect with this ``state`` (RFC 8252 §7.3).

    It serves in its own threads: opening a browser may block, and browsers may open connections that they do not use.
    """

    def __init__(self, state: str, redirect_uri: str | None = None) -> None:
        registered = redirect_uri and checked_redirect_uri(redirect_uri)
        host, port = (registered.hostname, registered.port) if registered else ("127.0.0.1", 0)
        self._state = state
        self._query: Future[dict[str, str]] = Future()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listener._answer(self)

            def log_message(self, *_: Any) -> None:
                """Log nothing, because the URL contains the code."""

        self._server = _listening(str(host), port or 0, Handler)
        self._server.daemon_threads = True
        self.url = redirect_uri or f"http://127.0.0.1:{self._server.server_port}/callback"
        self._path = urlsplit(self.url).path

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(_POLL,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, patience: float) -> dict[str, str]:
        """Return the parameters of the redirect."""
        try:
            return self._query.result(patience)
        except TimeoutError:
            raise RefreshUnavailable(f"no login within {patience:.0f} seconds") from None

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        # Any web page could send the browser here, but it does not know the state.
        expected = url.path == self._path and query.get("state") == self._state
        request.send_response(200 if expected else 404)
        request.send_header("content-type", "text/html; charset=utf-8")
        request.end_headers()
        request.wfile.write(_PAGE if expected else b"")
        if expected and not self._query.done():
            self._query.set_result(query)


class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def _listening(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    kind, host = (_Server6, host) if ":" in host else (ThreadingHTTPServer, "127.0.0.1")
    try:
        return kind((host, port), handler)
    except OSError as error:
        raise ConfigurationError(
            f"port {port} of this machine cannot be used ({error.strerror}): end the program that has it, or register "
            "another redirect_uri"
        ) from None
