"""What stands below a client's event hooks: there a 401 is mended, so that no hook sees it, and an answer to a message
of ours is read, so that no hook can hide it.

httpx has no place for that but a client's transport. Its attributes for those are private, in both libraries; should
they change, a client is served by its ``auth`` alone, and the tests of hooks say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from daypass.client.messages import LONGEST_ANSWER, Answer
from daypass.client.passage import Passage

if TYPE_CHECKING:
    from collections.abc import Collection

    from daypass.client.body import Body
    from daypass.client.courier import Courier
    from daypass.client.origin import Origin
    from daypass.client.session import ClientSession

PASSAGE = "daypass.passage"
"""The request's extension that has its `Way`."""

ANSWER = "daypass.answer"
"""The request's extension that gets the `Answer` to a message of ours."""

_CODED = ("content-encoding", "content-length", "transfer-encoding")


class Way(Passage):
    """A `Passage` as an httpx request carries it, through all redirects."""

    __slots__ = ("_first", "_own", "_settled")

    def __init__(
        self, request: Any, session: ClientSession, courier: Courier, body: Body, own: Collection[Origin]
    ) -> None:
        super().__init__(session, courier, body)
        self._first = request
        self._own = own
        self._settled = False

    def is_refused(self, response: Any) -> bool:
        """Tell whether ``response`` refuses the very token that was sent, in a way that a newer one may mend.

        A redirect may have led elsewhere: the token went along only where the origin stayed the same.
        """
        if response.status_code != 401 or self._settled:
            return False
        request = response.request
        authorization, challenges = request.headers.get("authorization"), response.headers.get_list("www-authenticate")
        return self._is_own(request.url) and self.refused(401, authorization, challenges)

    def keep_at_home(self, request: Any) -> None:
        """Take the token off a request that was redirected elsewhere: httpx lets it go along to HTTPS."""
        if request is not self._first and not self._is_own(request.url):
            request.headers.pop("Authorization", None)

    def replay(self, response: Any) -> Any | None:
        """Return the request that was refused, ready to be sent again; ``None`` where the answer is the caller's.

        After a redirect that is the redirected one: what led to it was done, and is not done twice.
        """
        return self._dressed(response, self.mend())

    async def replay_async(self, response: Any) -> Any | None:
        """The twin of `replay`."""
        return self._dressed(response, await self.mend_async())

    def _is_own(self, url: Any) -> bool:
        return (url.scheme, url.host, url.port) in self._own

    def _dressed(self, response: Any, authorization: str | None) -> Any | None:
        if authorization is None:
            self._settled = True
            return None
        response.request.headers["Authorization"] = authorization
        return response.request


class Below:
    """A client's transport with a place for `Way` and `Answer`; of both colours, like httpx's own for tests."""

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
        """Send it, and once more where its `Way` says so."""
        extensions = request.extensions
        if (way := extensions.get(PASSAGE)) is not None:
            way.keep_at_home(request)
        response = self._transport.handle_request(request)
        if way is not None:
            if response.status_code != 401:
                return response
            response.request = request
            while way.is_refused(response):
                response.read()  # gives its connection back, which the refresh may need
                self._client.cookies.extract_cookies(response)
                request = way.replay(response)
                if request is None:
                    break
                response = self._transport.handle_request(request)
                response.request = request
        elif ANSWER in extensions:
            response.request = request
            body = bytearray()
            try:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > LONGEST_ANSWER:
                        break
            finally:
                response.close()
            return _answered(extensions[ANSWER], response, bytes(body[:LONGEST_ANSWER]))
        return response

    async def handle_async_request(self, request: Any) -> Any:
        """The twin of `handle_request`."""
        extensions = request.extensions
        if (way := extensions.get(PASSAGE)) is not None:
            way.keep_at_home(request)
        response = await self._transport.handle_async_request(request)
        if way is not None:
            if response.status_code != 401:
                return response
            response.request = request
            while way.is_refused(response):
                await response.aread()  # gives its connection back, which the refresh may need
                self._client.cookies.extract_cookies(response)
                request = await way.replay_async(response)
                if request is None:
                    break
                response = await self._transport.handle_async_request(request)
                response.request = request
        elif ANSWER in extensions:
            response.request = request
            body = bytearray()
            try:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > LONGEST_ANSWER:
                        break
            finally:
                await response.aclose()
            return _answered(extensions[ANSWER], response, bytes(body[:LONGEST_ANSWER]))
        return response


def install(client: Any) -> None:
    """Put `Below` below the event hooks of ``client``, once."""
    transport = getattr(client, "_transport", None)
    if transport is None or isinstance(transport, Below):
        return
    client._transport = Below(transport, client)  # noqa: SLF001 - there is no public place for it
    mounts = getattr(client, "_mounts", {})
    for pattern, mounted in list(mounts.items()):
        if mounted is not None:
            mounts[pattern] = Below(mounted, client)


def _answered(box: list[Answer], response: Any, body: bytes) -> Any:
    """Keep the answer, and return a response with the same content for the hooks."""
    headers = response.headers
    box[:] = [
        Answer(
            response.status_code,
            body,
            headers.get("retry-after"),
            headers.get_list("set-cookie"),
            headers.get_list("www-authenticate"),
            headers.get("date"),
        )
    ]
    kept = [(name, value) for name, value in headers.multi_items() if name.lower() not in _CODED]
    return type(response)(response.status_code, headers=kept, content=body, extensions=response.extensions)
