"""What ``requests`` and ``niquests`` have in common: prepared requests, an auth that is called, hooks for responses.

Neither is imported here. The auth puts a hook of its own before every other: it gets each answer first, hop by hop, and
puts the mended one in the place of a 401, so no hook of the user's sees that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

from daypass.client.auth import SessionAuth
from daypass.client.body import (
    REPEATABLE,
    UNREPEATABLE,
    AsyncRecorded,
    Body,
    Recorded,
    SeekableFile,
    chunks_of,
    is_seekable,
)
from daypass.client.courier import with_cookie
from daypass.client.messages import LONGEST_ANSWER, Answer, Message
from daypass.client.origin import Origin, origin_of, own_port
from daypass.client.passage import Passage

CHUNK = 65_536


class PreparedAuth(SessionAuth):
    """A `SessionAuth` that is called with each prepared request."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._prefixes = tuple(_prefixes(self._own))

    def attach(self, client: Any) -> Any:
        """Make this the ``auth`` of ``client``, let refreshes go through it, and return it.

        Raises:
            ConfigurationError: it is no session of this library.
        """
        super().attach(client).auth = self
        return client

    def _is_own(self, url: str) -> bool:
        return url.startswith(self._prefixes)

    def _passage(self, request: Any) -> Passage:
        return Passage(self._session, self._courier, body_of(request, self._keep_at_most))

    def _keep_at_home(self, response: Any) -> None:
        """Take the token off a request that is being redirected elsewhere: the libraries let it go along to HTTPS."""
        target = urljoin(response.url, response.headers["location"])
        if origin_of(target) not in self._own:
            response.request.headers.pop("Authorization", None)

    def _refuses(self, passage: Passage, response: Any) -> bool:
        """Tell whether an answer is one to mend; and see to the others."""
        status = response.status_code
        if status < 300:
            passage.arrive()
            return False
        if response.is_redirect:
            self._keep_at_home(response)
            return False
        request = response.request
        if (
            status == 401
            and self._is_own(request.url)
            and passage.refused(401, request.headers.get("Authorization"), headers_of(response, "www-authenticate"))
        ):
            return True
        passage.arrive()
        return False


class SyncPreparedAuth(PreparedAuth):
    """The `PreparedAuth` of a session that blocks."""

    def __call__(self, request: Any) -> Any:
        """Put the access token into a prepared request, and see to its answers; called by the session.

        Raises:
            LoginRequired: there is no session, or it was found to be over.
            RefreshUnavailable: the access token is dead, and could not be replaced now.
        """
        if self._is_own(request.url):
            passage = self._passage(request)
            request.headers["Authorization"] = passage.set_out()
            hook_first(request, lambda response, **options: self._seen(passage, response, options))
        return request

    def _seen(self, passage: Passage, response: Any, options: Mapping[str, Any]) -> Any:
        """Return what the session goes on with in place of ``response``."""
        while self._refuses(passage, response):
            _ = response.content  # gives its connection back, which the refresh may need
            authorization = passage.mend()
            if authorization is None:
                break
            response.close()
            request, elapsed = response.request, response.elapsed
            request.headers["Authorization"] = authorization
            response = response.connection.send(request, **options)
            response.elapsed = elapsed
        return response


def hook_first(request: Any, hook: Callable[..., Any]) -> None:
    """Have ``hook`` called with each response to ``request`` before any other hook."""
    request.hooks["response"] = [hook, *(request.hooks.get("response") or ())]


def body_of(request: Any, limit: int) -> Body:
    """Return the body of a prepared request, and have it recorded while it is sent where that is needed.

    Args:
        request: its ``body`` is replaced where it can be read only once. Multipart is bytes already.
        limit: how many bytes of such a body are kept.
    """
    body = request.body
    if body is None or isinstance(body, (bytes, str, list, tuple)):
        return REPEATABLE
    if hasattr(body, "__aiter__"):
        recorded: AsyncRecorded | Recorded = AsyncRecorded(body, limit)
    elif is_seekable(body):
        return SeekableFile(body, body.tell())
    elif hasattr(body, "read"):
        recorded = Recorded(chunks_of(body), limit)
    elif isinstance(body, Iterable):
        recorded = Recorded(body, limit)
    else:
        return UNREPEATABLE
    request.body = recorded
    return recorded


class Bare:
    """The auth of a message of ours: none, save what the message brings."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def __call__(self, request: Any) -> Any:
        """Take every other authorization off, and put the message's own cookie in."""
        with_cookie(request.headers, self._message)
        return request


def content_of(message: Message) -> Mapping[str, Any]:
    """Return a message's body as the options of a request."""
    return {"data": message.pairs} if message.form is not None else {"json": message.json}


def headers_of(response: Any, name: str) -> Sequence[str]:
    """Return every header of that name, apart."""
    raw = getattr(response.raw, "headers", None)
    if raw is not None and hasattr(raw, "getlist"):
        return list(raw.getlist(name))
    joined = response.headers.get(name)
    return [] if joined is None else [joined]


def answer_of(response: Any, body: bytes) -> Answer:
    """Return what a response says."""
    headers = response.headers
    return Answer(
        response.status_code,
        body,
        headers.get("retry-after"),
        headers_of(response, "set-cookie"),
        headers_of(response, "www-authenticate"),
        headers.get("date"),
    )


def bounded(chunks: Iterable[bytes]) -> bytes:
    """Read so much of a body as an answer can be long."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > LONGEST_ANSWER:
            break
    return bytes(body[:LONGEST_ANSWER])


def _prefixes(origins: Iterable[Origin]) -> Iterable[str]:
    """Return what the URLs of prepared requests to these origins begin with: they always have a path."""
    for scheme, host, port in origins:
        name = f"[{host}]" if ":" in host else host
        if port is not None:
            yield f"{scheme}://{name}:{port}/"
            continue
        yield f"{scheme}://{name}/"
        yield from (f"{scheme}://{name}:{each}/" for each in (80, 443) if own_port(scheme, each) is None)
