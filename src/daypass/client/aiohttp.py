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
from daypass.client.courier import Library, with_cookie
from daypass.client.messages import LONGEST_ANSWER, Answer, Message
from daypass.client.origin import own_port
from daypass.client.passage import Passage
from daypass.errors import ConfigurationError

try:
    import aiohttp
    from aiohttp.payload import AsyncIterablePayload, BytesPayload, IOBasePayload
except ModuleNotFoundError as error:
    if error.name != "aiohttp":
        raise
    raise ConfigurationError('there is no aiohttp here; write: pip install "daypass[aiohttp]"') from error

__all__ = ["DaypassAuth"]


class _Aiohttp:
    """How messages go through a session of ``aiohttp``."""

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

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        async def once() -> Answer:
            async with aiohttp.ClientSession() as opened:
                return await self.send_async(opened, url, message, limit)

        return asyncio.run(once())

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        async def bare(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            with_cookie(request.headers, message)
            return await handler(request)

        options: dict[str, Any] = {} if limit is None else {"timeout": aiohttp.ClientTimeout(total=limit)}
        if message.method != "GET":
            options |= {"data": message.pairs} if message.form is not None else {"json": message.json}
        async with client.request(
            message.method, url, allow_redirects=False, raise_for_status=False, middlewares=(bare,), **options
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    break
            headers = response.headers
            return Answer(
                response.status,
                bytes(body[:LONGEST_ANSWER]),
                headers.get("retry-after"),
                headers.getall("set-cookie", []),
                headers.getall("www-authenticate", []),
                headers.get("date"),
            )

    def forget_cookie(self, client: Any, name: str) -> None:
        client.cookie_jar.clear(lambda morsel: morsel.key == name)


class DaypassAuth(SessionAuth):
    """Keeps one user logged in, as a middleware of any session of ``aiohttp``.

    What it does and takes is told by `daypass.client.auth.SessionAuth`; logging in and out is `alogin` and `alogout`.
    Send a request with ``middlewares=()`` to have it go as it is.
    """

    _library: ClassVar[Library] = _Aiohttp()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Take one request through; called by the session, for each hop of a redirect anew.

        Raises:
            LoginRequired: there is no session, or it was found to be over.
            RefreshUnavailable: the access token is dead, and could not be replaced now.
        """
        url = request.url
        if (url.scheme, url.host, own_port(url.scheme, url.explicit_port)) not in self._own:
            return await handler(request)
        body, source = await _body_of(request, self._keep_at_most)
        passage = Passage(self._session, self._courier, body)
        sent = request.headers["Authorization"] = await passage.set_out_async()
        response = await handler(request)
        while passage.refused(response.status, sent, response.headers.getall("www-authenticate", [])):
            await _let_go(request, response)
            authorization = await passage.mend_async()
            if authorization is None:
                break
            sent = request.headers["Authorization"] = authorization
            if source is not None:
                await request.update_body(source)
            response = await handler(request)
        passage.arrive()
        return response


async def _let_go(request: aiohttp.ClientRequest, response: aiohttp.ClientResponse) -> None:
    """Give the connection of a refused answer back, which the refresh may need; the answer can still be read.

    A server may have answered before it had the whole body, and may never read the rest: so nobody sends that any more.
    """
    await response.read()
    request.terminate()
    await asyncio.sleep(0)


async def _body_of(request: aiohttp.ClientRequest, limit: int) -> tuple[Body, AsyncRecorded | None]:
    """Return the body of ``request``, and what it has to be made of anew before each sending, if that is needed.

    aiohttp itself rewinds the files that it sends, and those in a form, to where they stood.
    """
    payload = request.body
    if not payload or isinstance(payload, (bytes, BytesPayload)):
        return REPEATABLE, None
    if isinstance(payload, aiohttp.MultipartWriter):
        return (REPEATABLE if all(_is_repeatable(part) for part, *_ in payload) else UNREPEATABLE), None
    # What a payload was made of is private; should its name change, such a body is not sent again, and tests say so.
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
