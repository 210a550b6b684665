"""Stay logged in with ``niquests``: `DaypassAuth` is the ``auth`` of a `niquests.Session`, and `AsyncDaypassAuth` that
of a `niquests.AsyncSession`.

    auth = DaypassAuth("https://api.example.com/auth")
    with niquests.Session() as session:
        auth.login(session, email="user@example.com", password="…")
        session.get("https://api.example.com/me")

There are two classes, because niquests checks the class of its auth to know whether to await it. To share one session
between both, give them the same storage, for example a `daypass.client.storage.MemoryStorage`.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Any, ClassVar

from daypass.client.content import is_enough
from daypass.client.library import Library, forget_from_jar
from daypass.client.messages import Answer, Message
from daypass.client.origin import uses_proxy
from daypass.client.prepared import (
    CHUNK,
    Bare,
    PreparedAuth,
    PreparedReplay,
    SyncPreparedAuth,
    hook_first,
    options_of,
    raw_body,
    read_answer,
)
from daypass.errors import ConfigurationError

try:
    import niquests
    from niquests.auth import AsyncAuthBase, AuthBase
    from niquests.packages import urllib3
except ModuleNotFoundError as error:
    if error.name != "niquests":
        raise
    raise ConfigurationError('niquests is not installed; run: pip install "daypass[niquests]"') from error

__all__ = ["AsyncDaypassAuth", "DaypassAuth"]


class _Niquests:
    """Sends messages through a session of ``niquests``."""

    transport_errors: tuple[type[Exception], ...] = (niquests.RequestException, urllib3.exceptions.HTTPError)

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

    def is_unsent(self, error: Exception) -> bool:
        if isinstance(error, niquests.ConnectTimeout):
            return True
        cause = error.args[0] if isinstance(error, niquests.ConnectionError) and error.args else None
        return isinstance(getattr(cause, "reason", cause), urllib3.exceptions.NewConnectionError)

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        if client is None:
            with niquests.Session() as opened:
                opened.trust_env = uses_proxy(url)
                return self.send(opened, url, message, limit)
        prepared, options = _prepared(client, url, message, limit)
        with closing(client.send(prepared, **options)) as response:
            return read_answer(response, raw_body(response))

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        prepared, options = _prepared(client, url, message, limit)
        response = await client.send(prepared, **options)
        try:
            raw = bytearray()
            while not is_enough(raw) and (chunk := await response.raw.read(CHUNK, decode_content=False)):
                raw += chunk
            return read_answer(response, bytes(raw))
        finally:
            await response.close()

    def forget_cookie(self, client: Any, name: str) -> None:
        forget_from_jar(client.cookies, name)

    def _is_one(self, client: Any) -> bool:
        return isinstance(client, self._kind) and self.is_async(client) == (self._kind is niquests.AsyncSession)


class DaypassAuth(SyncPreparedAuth, AuthBase):
    """Keeps one user logged in, as the ``auth`` of any `niquests.Session`.

    Its arguments are those of `daypass.client.auth.SessionAuth`. The token is added when a request is prepared.
    """

    library: ClassVar[Library] = _Niquests(niquests.Session)


class AsyncDaypassAuth(PreparedAuth, AsyncAuthBase):
    """The async version of `DaypassAuth`, for a `niquests.AsyncSession`; log in with `alogin`."""

    library: ClassVar[Library] = _Niquests(niquests.AsyncSession)

    async def __call__(self, request: Any) -> Any:
        """Add the access token to a prepared request, and check its responses; called by the session.

        Raises:
            LoginRequired: nobody is logged in, or the session has ended.
            RefreshUnavailable: the access token has expired and cannot be refreshed now.
        """
        if self._is_own(request.url):
            replay = self._replay(request)
            request.headers["Authorization"] = replay.young() or await replay.start_async()
            replay.prove(request.headers, request.method, request.url)

            async def answered(response: Any, **options: Any) -> Any:
                if self._may_be_refused(replay, response):
                    return await self._answered(replay, response, options)
                return response

            hook_first(request, answered)
        return request

    async def _answered(self, replay: PreparedReplay, response: Any, options: Mapping[str, Any]) -> Any:
        async def drain(refused: Any) -> None:
            content = refused.content
            if not isinstance(content, bytes | None):
                await content

        async def resend(refused: Any, authorization: str) -> Any:
            await refused.close()
            request = refused.request
            request.headers["Authorization"] = authorization
            replay.prove(request.headers, request.method, request.url)
            again = await refused.connection.send(request, **options)
            replay.learn(again.headers)
            again.elapsed = refused.elapsed
            return again

        response = await replay.finish_async(response, drain, resend)
        replay.done()
        return response


def _prepared(client: Any, url: str, message: Message, limit: float | None) -> tuple[Any, dict[str, Any]]:
    request = niquests.Request(message.method, url, auth=Bare(message), **options_of(message))
    prepared = client.prepare_request(request)
    prepared.hooks = {"response": []}  # the user's hooks may raise for a status, and the response would be lost
    settings = client.merge_environment_settings(prepared.url, {}, stream=True, verify=None, cert=None)
    return prepared, {"timeout": limit or client.timeout or 30.0, "allow_redirects": False, **settings}
