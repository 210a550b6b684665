"""Stay logged in with ``urllib3``: `DaypassAuth` is attached to a `urllib3.PoolManager`.

    auth = DaypassAuth("https://api.example.com/auth")
    with urllib3.PoolManager() as pool:
        auth.login(pool, email="user@example.com", password="…")
        pool.request("GET", "https://api.example.com/me")

It is also the example in docs/adapters.md for writing your own adapter.
"""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any, ClassVar
from urllib.parse import urlencode, urljoin

from daypass.client.adapter import (
    ACCEPT_ENCODING,
    Answer,
    Library,
    Message,
    Replay,
    Seen,
    SessionAuth,
    answer_of,
    body_to_send,
    check_redirect,
    content_of,
    is_enough,
    note_redirect,
    origin_of,
    own_port,
    with_cookie,
)
from daypass.errors import ConfigurationError

try:
    import urllib3
except ModuleNotFoundError as error:
    if error.name != "urllib3":
        raise
    raise ConfigurationError('urllib3 is not installed; run: pip install "daypass[urllib3]"') from error

__all__ = ["DaypassAuth"]

_CHUNK = 65_536


class _Headers(urllib3.HTTPHeaderDict):
    """The headers of a request that is ready to be sent: urllib3 itself retries it after a broken connection."""


class _Urllib3:
    """Sends Daypass's own messages through a `urllib3.PoolManager`."""

    transport_errors: tuple[type[Exception], ...] = (urllib3.exceptions.HTTPError,)

    def check(self, client: Any, *, is_async: bool | None) -> None:
        if not isinstance(client, urllib3.PoolManager) or is_async is True:
            raise ConfigurationError(
                f"a PoolManager of urllib3 is needed, not {type(client).__name__}; it has no async: write login"
            )

    def is_async(self, client: Any) -> bool:
        return False

    def is_closed(self, client: Any) -> bool:
        return False  # a PoolManager can be used again after it was cleared

    def is_unsent(self, error: Exception) -> bool:
        return isinstance(error, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        if client is None:
            with urllib3.PoolManager() as opened:
                return self.send(opened, url, message, limit)
        headers, body = _Headers(client.headers), None
        with_cookie(headers, message)
        headers[ACCEPT_ENCODING[0]] = ACCEPT_ENCODING[1]
        if message.form is not None:
            headers["Content-Type"], body = "application/x-www-form-urlencoded", urlencode(message.pairs)
        elif message.method != "GET":
            headers["Content-Type"], body = "application/json", json.dumps(message.json)
        options: dict[str, Any] = {} if limit is None else {"timeout": limit}
        response = client.urlopen(
            message.method,
            url,
            body=body,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            **options,
        )
        with closing(response):
            raw = bytearray()
            for chunk in response.stream(_CHUNK, decode_content=False):
                raw += chunk
                if is_enough(raw):
                    break
            content = content_of(bytes(raw), response.headers.get("content-encoding"))
            return answer_of(response.status, content, response.headers, response.headers.getlist)

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        raise NotImplementedError

    def forget_cookie(self, client: Any, name: str) -> None:
        pass  # it has no cookie jar


class _Replay(Replay[Any]):
    """A `Replay` of one hop of a urllib3 request."""

    __slots__ = ("headers",)

    headers: _Headers

    def seen(self, response: Any) -> Seen:
        return Seen(response.status, self.headers["Authorization"], response.headers.getlist("www-authenticate"))


class DaypassAuth(SessionAuth):
    """Keeps one user logged in with any `urllib3.PoolManager` that `login` or `attach` was called with.

    Its arguments are those of `daypass.client.auth.SessionAuth`. With ``preload_content=False``, the body of a 401 that
    is not retried is in ``response.data``.
    """

    library: ClassVar[Library] = _Urllib3()

    def use_in(self, client: Any) -> None:
        """Make the connection pools of ``client`` send the access token.

        A client that already does is not changed: clearing it would close connections that are in use.
        """
        kinds = client.pool_classes_by_scheme.items()
        if all(getattr(kind, "daypass_auth", None) is self for _, kind in kinds):
            return
        client.pool_classes_by_scheme = {scheme: _pool_class(_original(kind), self) for scheme, kind in kinds}
        client.clear()

    def send(
        self, pool: Any, method: str, url: str, body: Any, headers: Any, urlopen: Callable[[Any, Any], Any]
    ) -> Any:
        """Send one request of a pool, refreshing if needed; the pool calls this for each hop of a redirect.

        Raises:
            LoginRequired: nobody is logged in, or the session has ended.
            RefreshUnavailable: the access token has expired and cannot be refreshed now.
        """
        target = origin_of(url) if "://" in url else (pool.scheme, pool.host, own_port(pool.scheme, pool.port))
        if target not in self.own_origins:
            return urlopen(body, headers)
        kept, body = body_to_send(body, self.keep_at_most)
        replay = _Replay(self.context, kept)
        replay.headers = _Headers(pool.headers if headers is None else headers)
        address = urljoin(f"{pool.scheme}://{pool.host}:{pool.port}", url)

        def resend(_: Any, authorization: str) -> Any:
            replay.headers["Authorization"] = authorization
            replay.prove(replay.headers, method, address)
            response = urlopen(body, replay.headers)
            replay.learn(response.headers)
            return response

        authorization = replay.start()
        check_redirect(address, replay.login_id)
        response = resend(None, authorization)
        if location := response.get_redirect_location():
            note_redirect(urljoin(address, location), replay.login_id)
        if response.status >= 400:
            response = replay.finish(response, lambda refused: refused.read(cache_content=True), resend)
        replay.done()
        return response


def _pool_class(kind: type[Any], auth: DaypassAuth) -> type[Any]:
    """Return a class of connection pools whose requests to an own origin carry the token."""

    class Pool(kind):  # type: ignore[misc]  # which class it is is known at run time
        daypass_original = kind
        daypass_auth = auth

        def urlopen(self, method: str, url: str, body: Any = None, headers: Any = None, *rest: Any, **more: Any) -> Any:
            original = super().urlopen
            if isinstance(headers, _Headers):  # one of Daypass's own messages, or a retry by urllib3
                return original(method, url, body, headers, *rest, **more)

            def urlopen(body: Any, headers: Any) -> Any:
                return original(method, url, body, headers, *rest, **more)

            return auth.send(self, method, url, body, headers, urlopen)

    return Pool


def _original(kind: type[Any]) -> type[Any]:
    return getattr(kind, "daypass_original", kind)
