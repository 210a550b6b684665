"""Stay logged in with ``aiohttp``: `DaypassAuth` is a client middleware.

auth = DaypassAuth("https://api.example.com/auth")
async with aiohttp.ClientSession("https://api.example.com", middlewares=[auth]) as session:
await auth.alogin(session, email="user@example.com", password="…")
async with session.get("/me") as response:
...
"""

import asyncio
from typing import Any, ClassVar

from daypass.client.auth import SessionAuth
from daypass.client.body import REPEATABLE, UNREPEATABLE, AsyncRecorded, Body, SeekableFile, is_seekable
from daypass.client.content import ACCEPT_ENCODING, content_of, is_enough
from daypass.client.library import Library, answer_of, with_cookie
from daypass.client.messages import Answer, Message
from daypass.client.origin import own_port
from daypass.client.redirects import check_redirect, note_redirect
from daypass.client.replay import Replay, Seen
from daypass.errors import ConfigurationError

try:
    import aiohttp
    from aiohttp.payload import AsyncIterablePayload, BytesPayload, IOBasePayload
    from yarl import URL
except ModuleNotFoundError as error:
    if error.name != "aiohttp":
        raise
    raise ConfigurationError('aiohttp is not installed; run: pip install "daypass[aiohttp]"') from error

__all__ = ["DaypassAuth"]


class _Aiohttp:
    """Sends messages through a session of ``aiohttp``."""

    transport_errors: tuple[type[Exception], ...] = (aiohttp.ClientError, TimeoutError, OSError)

    def check(self, client: Any, *, is_async: bool | None) -> None:
        if not isinstance(client, aiohttp.ClientSession) or is_async is False:
            raise ConfigurationError(
                f"a ClientSession of aiohttp is needed, not {type(client).__name__}; it is async: write alogin"
            )

    def is_async(self, client: Any) -> bool:
        return True

    def is_closed(self, client: Any) -> bool:
        return bool(client.closed)

    def is_unsent(self, error: Exception) -> bool:
        return isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        async def once() -> Answer:
            async with aiohttp.ClientSession() as opened:
                return await self.send_async(opened, url, message, limit)

        return asyncio.run(once())

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        async def bare(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            with_cookie(request.headers, message)
            request.headers[ACCEPT_ENCODING[0]] = ACCEPT_ENCODING[1]
            return await handler(request)

        options: dict[str, Any] = {} if limit is None else {"timeout": aiohttp.ClientTimeout(total=limit)}
        if message.method != "GET":
            options |= {"data": message.pairs} if message.form is not None else {"json": message.json}
        async with client.request(
            message.method,
            url,
            allow_redirects=False,
            auto_decompress=False,
            raise_for_status=False,
            middlewares=(bare,),
            **options,
        ) as response:
            raw = bytearray()
            async for chunk in response.content.iter_any():
                raw += chunk
                if is_enough(raw):
                    break
            headers = response.headers
            body = content_of(bytes(raw), headers.get("content-encoding"))
            return answer_of(response.status, body, headers, lambda name: headers.getall(name, []))

    def forget_cookie(self, client: Any, name: str) -> None:
        client.cookie_jar.clear(lambda morsel: morsel.key == name)


class AiohttpReplay(Replay[aiohttp.ClientResponse]):
    """A `Replay` of one hop of an aiohttp request."""

    __slots__ = ("request",)

    request: aiohttp.ClientRequest

    def seen(self, response: aiohttp.ClientResponse) -> Seen:
        """Return the status, the ``Authorization`` and the challenges of a response."""
        challenges = response.headers.getall("www-authenticate", [])
        return Seen(response.status, self.request.headers.get("Authorization"), challenges)


class DaypassAuth(SessionAuth):
    """Keeps one user logged in, as a middleware of any session of ``aiohttp``.

    Its arguments are those of `daypass.client.auth.SessionAuth`; log in and out with `alogin` and `alogout`. To send a
    request without the token, pass ``middlewares=()``.
    """

    library: ClassVar[Library] = _Aiohttp()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send one request, refreshing if needed; the session calls this for each hop of a redirect.

        Raises:
            LoginRequired: nobody is logged in, or the session has ended.
            RefreshUnavailable: the access token has expired and cannot be refreshed now.
        """
        url = request.url
        if (url.scheme, url.host, own_port(url.scheme, url.explicit_port)) not in self.own_origins:
            return await handler(request)
        body, source = await _body_of(request, self.keep_at_most)
        replay = AiohttpReplay(self.context, body)
        replay.request = request

        async def resend(_: aiohttp.ClientResponse, authorization: str) -> aiohttp.ClientResponse:
            request.headers["Authorization"] = authorization
            replay.prove(request.headers, request.method, url)
            if source is not None:
                await request.update_body(source)
            response = await handler(request)
            replay.learn(response.headers)
            return response

        request.headers["Authorization"] = replay.young() or await replay.start_async()
        check_redirect(url, replay.login_id)
        replay.prove(request.headers, request.method, url)
        response = await handler(request)
        replay.learn(response.headers)
        if response.status >= 300 and (location := response.headers.get("location")):
            note_redirect(url.join(URL(location)).with_fragment(None), replay.login_id)
        if response.status >= 400:
            response = await replay.finish_async(response, lambda refused: _drain(request, refused), resend)
        replay.done()
        return response

    def use_in(self, client: Any) -> None:
        """Check that ``client`` has this middleware.

        Raises:
            ConfigurationError: it does not have it.
        """
        # aiohttp has no public way to read or add the middlewares of a session.
        middlewares = getattr(client, "_middlewares", None)
        if isinstance(middlewares, tuple | list) and self not in middlewares:
            raise ConfigurationError(
                "this ClientSession would send its requests without a token: make it with "
                "aiohttp.ClientSession(middlewares=[auth])"
            )


async def _drain(request: aiohttp.ClientRequest, response: aiohttp.ClientResponse) -> None:
    """Free the connection of a refused request, because the refresh may need it; the response can still be read.

    A server may answer before it has read the whole body, and may never read the rest: so the rest is not sent.
    """
    await response.read()
    request.terminate()
    await asyncio.sleep(0)


async def _body_of(request: aiohttp.ClientRequest, limit: int) -> tuple[Body, AsyncRecorded | None]:
    """Return the body of ``request``, and what to set as its body before each sending, if anything.

    aiohttp itself rewinds files, also those in a form, to the position they had at first.
    """
    payload = request.body
    if not payload or isinstance(payload, (bytes, BytesPayload)):
        return REPEATABLE, None
    if isinstance(payload, aiohttp.MultipartWriter):
        return (REPEATABLE if all(_is_repeatable(part) for part, *_ in payload) else UNREPEATABLE), None
    # These attributes are private. If aiohttp renames them, such a body is not sent again, and the tests fail.
    if isinstance(payload, IOBasePayload):
        file = getattr(payload, "_value", None)
        return (SeekableFile(file, file.tell()) if file and is_seekable(file) else UNREPEATABLE), None
    iterator = getattr(payload, "_iter", None)
    if not isinstance(payload, AsyncIterablePayload) or iterator is None:
        return UNREPEATABLE, None
    recorded = AsyncRecorded(iterator, limit)
    await request.update_body(recorded)
    return recorded, recorded


def _is_repeatable(part: Any) -> bool:
    if isinstance(part, aiohttp.MultipartWriter):
        return all(_is_repeatable(inner) for inner, *_ in part)
    if isinstance(part, IOBasePayload):
        return is_seekable(getattr(part, "_value", None))
    return isinstance(part, BytesPayload)
