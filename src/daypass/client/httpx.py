"""Stay logged in with ``httpx2`` and ``httpx``, sync and async: `DaypassAuth` is their `auth`.

    auth = DaypassAuth("https://api.example.com/auth")
    with httpx2.Client(base_url="https://api.example.com", auth=auth) as client:
        auth.login(client, email="user@example.com", password="…")
        client.get("/me")

One `DaypassAuth` is one session, for any number of clients, threads, tasks and event loops. With an `AsyncClient` it
is `await auth.alogin(client, …)` and `await auth.alogout(client)`; everything else is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from daypass.client.auth import SessionAuth
from daypass.client.courier import Library, forget_from_jar, with_cookie
from daypass.client.httpx_body import body_of
from daypass.client.httpx_libraries import check_client, classes, default_library
from daypass.client.httpx_transport import ANSWER, PASSAGE, Way, install

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    import httpx
    import httpx2

    from daypass.client.messages import Answer, Message

    class _Auth(httpx2.Auth, httpx.Auth):  # type: ignore[misc]  # the same methods over each library's own classes
        pass
else:
    _Auth = type("_Auth", classes("Auth"), {})

__all__ = ["DaypassAuth"]

_ASYNC_CLIENTS = classes("AsyncClient")


class _Httpx:
    """How messages go through a client of ``httpx2`` or ``httpx``."""

    transport_errors: tuple[type[Exception], ...] = classes("TransportError")

    def check(self, client: Any, *, is_async: bool | None) -> None:
        check_client(client, is_async=is_async)

    def is_async(self, client: Any) -> bool:
        return isinstance(client, _ASYNC_CLIENTS)

    def is_closed(self, client: Any) -> bool:
        return bool(client.is_closed)

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        if client is None:
            with default_library().Client() as opened:
                return self.send(opened, url, message, limit)
        request, box = _request(client, url, message, limit)
        try:
            client.send(request, auth=None, follow_redirects=False)
        except Exception:
            if not box:
                raise
            # A hook of the user's, such as one that raises for every status; the answer is there all the same.
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

    What it does and takes is told by `daypass.client.auth.SessionAuth`. Send a request with ``auth=None`` to have it go
    as it is. Refreshes go through the client that logged in, and so are seen by that client's event hooks.

    `login`, `alogin` and `attach` put themselves below the client's event hooks, so that a hook such as
    ``raise_for_status`` does not see a 401 that is mended. A client that none of them was called with is served all the
    same, but its hooks see each 401 first.
    """

    _library: ClassVar[Library] = _Httpx()

    def attach(self, client: Any) -> Any:
        """Make this the ``auth`` of ``client``, below its event hooks, let refreshes go through it, and return it.

        Raises:
            ConfigurationError: it is no client of httpx2 or httpx.
        """
        super().attach(client).auth = self
        return client

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Not used: the sync and the async flow each do I/O of their own."""
        raise NotImplementedError

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Take one request of a sync client through; called by the client.

        Raises:
            LoginRequired: there is no session, or it was found to be over.
            RefreshUnavailable: the access token is dead, and could not be replaced now.
        """
        if not self._is_own(request.url):
            yield request
            return
        way = self._way(request, is_async=False)
        request.headers["Authorization"] = way.set_out()
        response = yield request
        while way.is_refused(response):  # by a client with no place of ours below its hooks: else it was seen to there
            response.read()  # gives its connection back, which the refresh may need
            again = way.replay(response)
            if again is None:
                break
            response = yield again
        way.arrive()

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Take one request of an async client through; the twin of `sync_auth_flow`, and raises the same."""
        if not self._is_own(request.url):
            yield request
            return
        way = self._way(request, is_async=True)
        request.headers["Authorization"] = await way.set_out_async()
        response = yield request
        while way.is_refused(response):  # by a client with no place of ours below its hooks: else it was seen to there
            await response.aread()  # gives its connection back, which the refresh may need
            again = await way.replay_async(response)
            if again is None:
                break
            response = yield again
        way.arrive()

    def _bind(self, client: Any) -> None:
        install(client)
        super()._bind(client)

    def _is_own(self, url: Any) -> bool:
        return (url.scheme, url.host, url.port) in self._own

    def _way(self, request: Any, *, is_async: bool) -> Way:
        body = body_of(request, self._keep_at_most, is_async=is_async)
        way = request.extensions[PASSAGE] = Way(request, self._session, self._courier, body, self._own)
        return way


def _request(client: Any, url: str, message: Message, limit: float | None) -> tuple[Any, list[Answer]]:
    """Return the request for a message, and where its answer will be."""
    install(client)
    box: list[Answer] = []
    options: dict[str, Any] = {} if limit is None else {"timeout": limit}
    if message.method != "GET":
        options |= {"data": message.form} if message.form is not None else {"json": message.json}
    request = client.build_request(message.method, url, extensions={ANSWER: box}, **options)
    with_cookie(request.headers, message)
    return request, box
