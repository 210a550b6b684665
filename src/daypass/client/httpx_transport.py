"""Retries and Daypass's own messages below a client's event hooks.

A refused request is sent again here, so no hook sees the 401. The response to a message of Daypass is read here, so no
hook can hide it. httpx offers no other public place for this than a client's transport, and its attributes are private
in both libraries. If they change, only the client's ``auth`` is used, and the tests of hooks fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from daypass.client.content import content_of, is_enough
from daypass.client.library import answer_of
from daypass.client.replay import Replay, Seen
from daypass.errors import ConfigurationError

if TYPE_CHECKING:
    from daypass.client.body import Body
    from daypass.client.messages import Answer
    from daypass.client.origin import OwnOrigins
    from daypass.client.replay import ReplayContext

REPLAY = "daypass.replay"
"""The name of the request extension that holds its `HttpxReplay`."""

ANSWER = "daypass.answer"
"""The name of the request extension that gets the `Answer` to one of Daypass's messages."""

_CODED = ("content-encoding", "content-length", "transfer-encoding")


class HttpxReplay(Replay[Any]):
    """A `Replay` that an httpx request keeps through all redirects."""

    __slots__ = ("_first_request", "_own_origins", "below_hooks")

    def __init__(self, context: ReplayContext, body: Body, request: Any, own_origins: OwnOrigins) -> None:
        super().__init__(context, body)
        self._first_request = id(
            request
        )  # not the request: it refers to this replay, and a reference cycle costs a garbage collection
        self._own_origins = own_origins
        self.below_hooks = False

    def seen(self, response: Any) -> Seen | None:
        """Return what `Replay` needs of a response; after a redirect, the token is sent only to own origins."""
        request = response.request
        if not self._is_own(request.url):
            return None
        headers = response.headers
        return Seen(response.status_code, request.headers.get("authorization"), headers.get_list("www-authenticate"))

    def prepare(self, request: Any) -> None:
        """Prove the request of one hop; remove the token if it was redirected to another origin.

        httpx keeps the token on an HTTPS upgrade, and a proof always.
        """
        self.below_hooks = True
        if id(request) == self._first_request or self._is_own(request.url):
            if not self.proves:
                return
            if request.headers.get("Authorization") == self.authorization:
                self.prove(request.headers, request.method, request.url)
                return
        else:
            request.headers.pop("Authorization", None)
        if self.proves:
            request.headers.pop("DPoP", None)

    def require_proof(self) -> None:
        """Refuse to go on above the hooks without the proof: only the transport below them sees each hop of a redirect.

        Raises:
            ConfigurationError: the session is bound to a key, and the client was not attached.
        """
        if self.proves:
            raise ConfigurationError(
                "the session is bound to a key, and this client sends no proofs yet: write auth.attach(client) first"
            )

    def _is_own(self, url: Any) -> bool:
        return (url.scheme, url.host, url.port) in self._own_origins


def with_authorization(response: Any, authorization: str) -> Any:
    """Return the request that was refused, ready to be sent again.

    After a redirect this is the last request: the requests before it are not sent again.
    """
    response.request.headers["Authorization"] = authorization
    return response.request


class TransportBelowHooks:
    """Wraps a client's transport and handles `HttpxReplay` and `Answer`; both sync and async."""

    def __init__(self, transport: Any, client: Any) -> None:
        self._transport = transport
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def __enter__(self) -> Self:
        self._transport.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._transport.__exit__(*error)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._transport.__aexit__(*error)

    def handle_request(self, request: Any) -> Any:
        """Send the request, and once more if the response refuses the token."""
        extensions = request.extensions
        replay: HttpxReplay | None = extensions.get(REPLAY)
        if replay is not None:
            replay.prepare(request)
            response = self._transport.handle_request(request)
            replay.learn(response.headers)
            if response.status_code < 400:
                return response
            response.request = request
            return replay.finish(response, self._drain, self._resend)
        response = self._transport.handle_request(request)
        return self._read(request, response) if ANSWER in extensions else response

    async def handle_async_request(self, request: Any) -> Any:
        """Send the request; the async version of `handle_request`."""
        extensions = request.extensions
        replay: HttpxReplay | None = extensions.get(REPLAY)
        if replay is not None:
            replay.prepare(request)
            response = await self._transport.handle_async_request(request)
            replay.learn(response.headers)
            if response.status_code < 400:
                return response
            response.request = request
            return await replay.finish_async(response, self._adrain, self._aresend)
        response = await self._transport.handle_async_request(request)
        return await self._aread(request, response) if ANSWER in extensions else response

    def _drain(self, response: Any) -> None:
        response.read()
        self._client.cookies.extract_cookies(response)

    async def _adrain(self, response: Any) -> None:
        await response.aread()
        self._client.cookies.extract_cookies(response)

    def _resend(self, refused: Any, authorization: str) -> Any:
        request, replay = _again(refused, authorization)
        response = self._transport.handle_request(request)
        replay.learn(response.headers)
        response.request = request
        return response

    async def _aresend(self, refused: Any, authorization: str) -> Any:
        request, replay = _again(refused, authorization)
        response = await self._transport.handle_async_request(request)
        replay.learn(response.headers)
        response.request = request
        return response

    def _read(self, request: Any, response: Any) -> Any:
        if response.is_stream_consumed:  # a transport that responds without a network
            return _answered(request, response, response.content, None)
        raw = bytearray()
        try:
            for chunk in response.iter_raw():
                raw += chunk
                if is_enough(raw):
                    break
        finally:
            response.close()
        return _answered(request, response, bytes(raw), response.headers.get("content-encoding"))

    async def _aread(self, request: Any, response: Any) -> Any:
        if response.is_stream_consumed:
            return _answered(request, response, response.content, None)
        raw = bytearray()
        try:
            async for chunk in response.aiter_raw():
                raw += chunk
                if is_enough(raw):
                    break
        finally:
            await response.aclose()
        return _answered(request, response, bytes(raw), response.headers.get("content-encoding"))


def _again(refused: Any, authorization: str) -> tuple[Any, HttpxReplay]:
    request = with_authorization(refused, authorization)
    replay: HttpxReplay = request.extensions[REPLAY]
    replay.prove(request.headers, request.method, request.url)
    return request, replay


def install(client: Any) -> None:
    """Put `TransportBelowHooks` below the event hooks of ``client``, once."""
    transport = getattr(client, "_transport", None)
    if transport is None or isinstance(transport, TransportBelowHooks):
        return
    client._transport = TransportBelowHooks(transport, client)  # noqa: SLF001 - there is no public place for it
    mounts = getattr(client, "_mounts", {})
    for pattern, mounted in list(mounts.items()):
        if mounted is not None:
            mounts[pattern] = TransportBelowHooks(mounted, client)


def _answered(request: Any, response: Any, raw: bytes, encoding: str | None) -> Any:
    """Keep the answer for Daypass, and return a response with the same content for the hooks."""
    headers = response.headers
    body = content_of(raw, encoding)
    box: list[Answer] = request.extensions[ANSWER]
    box[:] = [answer_of(response.status_code, body, headers, headers.get_list)]
    kept = [(name, value) for name, value in headers.multi_items() if name.lower() not in _CODED]
    answered = type(response)(response.status_code, headers=kept, content=body, extensions=response.extensions)
    answered.request = request
    return answered
