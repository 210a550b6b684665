"""Stay logged in with ``niquests``: `DaypassAuth` is the ``auth`` of a `niquests.Session`, and `AsyncDaypassAuth` that
of a `niquests.AsyncSession`.

    auth = DaypassAuth("https://api.example.com/auth")
    with niquests.Session() as session:
        session.auth = auth
        auth.login(session, email="user@example.com", password="…")
        session.get("https://api.example.com/me")

Two classes, because niquests tells by its auth whether to wait for it. To share one session between both, give them one
storage: `daypass.client.storage.MemoryStorage` will do.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Any, ClassVar

from daypass.client.courier import Library, forget_from_jar
from daypass.client.messages import LONGEST_ANSWER, Answer, Message
from daypass.client.passage import Passage
from daypass.client.prepared import (
    CHUNK,
    Bare,
    PreparedAuth,
    SyncPreparedAuth,
    answer_of,
    bounded,
    content_of,
    hook_first,
)
from daypass.errors import ConfigurationError

try:
    import niquests
    from niquests.auth import AsyncAuthBase, AuthBase
except ModuleNotFoundError as error:
    if error.name != "niquests":
        raise
    raise ConfigurationError('there is no niquests here; write: pip install "daypass[niquests]"') from error

__all__ = ["AsyncDaypassAuth", "DaypassAuth"]


class _Niquests:
    """How messages go through a session of ``niquests``."""

    transport_errors: tuple[type[Exception], ...] = (niquests.RequestException,)

    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind

    def check(self, client: Any, *, is_async: bool | None) -> None:
        wanted = {None: self._kind, True: niquests.AsyncSession, False: niquests.Session}[is_async]
        if wanted is not self._kind or not self._is_one(client):
            raise ConfigurationError(
                f"{self._kind.__name__} of niquests is needed, not {type(client).__name__}; a Session has login and "
                "DaypassAuth, an AsyncSession alogin and AsyncDaypassAuth"
            )

    def is_async(self, client: Any) -> bool:
        return isinstance(client, niquests.AsyncSession)

    def is_closed(self, client: Any) -> bool:
        return False  # a session can be used again after it was closed

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        if client is None:
            with niquests.Session() as opened:
                return self.send(opened, url, message, limit)
        prepared, options = _prepared(client, url, message, limit)
        with closing(client.send(prepared, **options)) as response:
            return answer_of(response, bounded(response.iter_content(CHUNK)))

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        prepared, options = _prepared(client, url, message, limit)
        response = await client.send(prepared, **options)
        try:
            body = bytearray()
            async for chunk in await response.iter_content(CHUNK):
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    break
            return answer_of(response, bytes(body[:LONGEST_ANSWER]))
        finally:
            await response.close()

    def forget_cookie(self, client: Any, name: str) -> None:
        forget_from_jar(client.cookies, name)

    def _is_one(self, client: Any) -> bool:
        return isinstance(client, self._kind) and self.is_async(client) == (self._kind is niquests.AsyncSession)


class DaypassAuth(SyncPreparedAuth, AuthBase):
    """Keeps one user logged in, as the ``auth`` of any `niquests.Session`.

    What it does and takes is told by `daypass.client.auth.SessionAuth`. The token is put in when a request is prepared.
    """

    _library: ClassVar[Library] = _Niquests(niquests.Session)


class AsyncDaypassAuth(PreparedAuth, AsyncAuthBase):
    """The async twin of `DaypassAuth`, for a `niquests.AsyncSession`; log in with `alogin`."""

    _library: ClassVar[Library] = _Niquests(niquests.AsyncSession)

    async def __call__(self, request: Any) -> Any:
        """Put the access token into a prepared request, and see to its answers; called by the session."""
        if self._is_own(request.url):
            passage = self._passage(request)
            request.headers["Authorization"] = await passage.set_out_async()

            async def seen(response: Any, **options: Any) -> Any:
                return await self._seen(passage, response, options)

            hook_first(request, seen)
        return request

    async def _seen(self, passage: Passage, response: Any, options: Mapping[str, Any]) -> Any:
        while self._refuses(passage, response):
            content = response.content
            if not isinstance(content, bytes | None):
                await content
            authorization = await passage.mend_async()
            if authorization is None:
                break
            await response.close()
            request, elapsed = response.request, response.elapsed
            request.headers["Authorization"] = authorization
            response = await response.connection.send(request, **options)
            response.elapsed = elapsed
        return response


def _prepared(client: Any, url: str, message: Message, limit: float | None) -> tuple[Any, dict[str, Any]]:
    request = niquests.Request(message.method, url, auth=Bare(message), **content_of(message))
    prepared = client.prepare_request(request)
    prepared.hooks = {"response": []}  # the user's may raise for every status, and the answer would be lost
    settings = client.merge_environment_settings(prepared.url, {}, stream=True, verify=None, cert=None)
    return prepared, {"timeout": limit or client.timeout or 30.0, "allow_redirects": False, **settings}
