"""Stay logged in with ``httpx2`` and ``httpx``, sync and async: `DaypassAuth` is their `auth`.

    auth = DaypassAuth("https://api.example.com/auth")
    with httpx2.Client(base_url="https://api.example.com", auth=auth) as client:
        auth.login(client, email="user@example.com", password="…")
        client.get("/me")

One `DaypassAuth` is one session, for any number of clients, threads, tasks and event loops. With an `AsyncClient` it
is `await auth.alogin(client, …)` and `await auth.alogout(client)`; everything else is the same.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from daypass.client.auth import SessionAuth
from daypass.client.content import ACCEPT_ENCODING
from daypass.client.httpx_body import body_of
from daypass.client.httpx_libraries import AuthOfAllLibraries, check_client, classes, default_library
from daypass.client.httpx_transport import ANSWER, REPLAY, HttpxReplay, install, with_authorization
from daypass.client.library import Library, forget_from_jar, with_cookie
from daypass.client.origin import uses_proxy
from daypass.client.replay import Drain, Resend, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    import httpx
    import httpx2

    from daypass.client.messages import Answer, Message

    class _Auth(httpx2.Auth, httpx.Auth):  # type: ignore[misc]  # the same methods over each library's own classes
        pass
else:
    _Auth = type("_Auth", (AuthOfAllLibraries, default_library().Auth), {})

__all__ = ["DaypassAuth"]


class _Httpx:
    """Sends messages through a client of ``httpx2`` or ``httpx``."""

    @property
    def transport_errors(self) -> tuple[type[Exception], ...]:
        return classes("TransportError")

    def check(self, client: Any, *, is_async: bool | None) -> None:
        check_client(client, is_async=is_async)

    def is_async(self, client: Any) -> bool:
        return isinstance(client, classes("AsyncClient"))

    def is_closed(self, client: Any) -> bool:
        return bool(client.is_closed)

    def is_unsent(self, error: Exception) -> bool:
        return any(isinstance(error, classes(name)) for name in ("ConnectError", "ConnectTimeout", "PoolTimeout"))

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        if client is None:
            with default_library().Client(trust_env=uses_proxy(url)) as opened:
                return self.send(opened, url, message, limit)
        request, box = _request(client, url, message, limit)
        try:
            client.send(request, auth=None, follow_redirects=False)
        except Exception:
            if not box:
                raise
            # A hook of the user has raised, as `raise_for_status` does; the response is in the box.
        return box[0]

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        request, box = _request(client, url, message, limit)
        try:
            await client.send(request, auth=None, follow_redirects=False)
        except Exception:
            if not box:
                raise
        return box[0]

    def forget_cookie(self, client: Any, name: str) -> None:
        forget_from_jar(client.cookies.jar, name)


class DaypassAuth(SessionAuth, _Auth):
    """Keeps one user logged in, as the ``auth`` of any client of ``httpx2`` or ``httpx``.

    Its arguments are those of `daypass.client.auth.SessionAuth`. To send a request without the token, pass
    ``auth=None``. Refreshes are sent by the client that logged in, so that client's event hooks see them.

    `login`, `alogin` and `attach` install the auth below the client's event hooks, so a hook such as
    ``raise_for_status`` does not see a 401 that is retried. A client without such a call works too, but its hooks see
    each 401 first.
    """

    library: ClassVar[Library] = _Httpx()

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Do nothing: `sync_auth_flow` and `async_auth_flow` are used instead."""
        raise NotImplementedError

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Send one request of a sync client, refreshing if needed; called by the client.

        Raises:
            LoginRequired: nobody is logged in, or the session has ended.
            RefreshUnavailable: the access token has expired and cannot be refreshed now.
        """
        if not self._is_own(request.url):
            yield request
            return
        replay = self._replay(request, is_async=False)
        request.headers["Authorization"] = replay.start()
        response = yield request
        if not replay.below_hooks:
            replay.require_proof()
        if response.status_code >= 400:  # with `TransportBelowHooks` in the client, everything is done already
            steps = replay.steps(response, blocks=True)
            reply: Any = None
            with suppress(StopIteration):
                while True:
                    match steps.send(reply):
                        case Drain(refused):
                            reply = refused.read()
                        case Resend(refused, authorization):
                            reply = yield with_authorization(refused, authorization)
                        case Wait(pending):
                            reply = self._refresher.wait(pending)
        replay.done()

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Send one request of an async client; the async version of `sync_auth_flow`, raises the same."""
        if not self._is_own(request.url):
            yield request
            return
        replay = self._replay(request, is_async=True)
        request.headers["Authorization"] = replay.young() or await replay.start_async()
        response = yield request
        if not replay.below_hooks:
            replay.require_proof()
        if response.status_code >= 400:  # with `TransportBelowHooks` in the client, everything is done already
            steps = replay.steps(response, blocks=False)
            reply: Any = None
            with suppress(StopIteration):
                while True:
                    match steps.send(reply):
                        case Drain(refused):
                            reply = await refused.aread()
                        case Resend(refused, authorization):
                            reply = yield with_authorization(refused, authorization)
                        case Wait(pending):
                            reply = await self._refresher.wait_async(pending)
        replay.done()

    def _bind(self, client: Any) -> None:
        install(client)
        super()._bind(client)

    def _is_own(self, url: Any) -> bool:
        return (url.scheme, url.host, url.port) in self.own_origins

    def _replay(self, request: Any, *, is_async: bool) -> HttpxReplay:
        body = body_of(request, self.keep_at_most, is_async=is_async)
        replay = HttpxReplay(self.context, body, request, self.own_origins)
        request.extensions[REPLAY] = replay
        return replay


def _request(client: Any, url: str, message: Message, limit: float | None) -> tuple[Any, list[Answer]]:
    """Return the request for a message, and the list that will get its response."""
    install(client)
    box: list[Answer] = []
    options: dict[str, Any] = {} if limit is None else {"timeout": limit}
    if message.method != "GET":
        options |= {"data": message.form} if message.form is not None else {"json": message.json}
    request = client.build_request(message.method, url, extensions={ANSWER: box}, **options)
    with_cookie(request.headers, message)
    request.headers[ACCEPT_ENCODING[0]] = ACCEPT_ENCODING[1]
    return request, box
