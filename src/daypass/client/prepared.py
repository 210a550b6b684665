"""The common part of ``requests`` and ``niquests``: prepared requests, an auth that is called, hooks for responses.

Neither library is imported here. The auth puts its own hook before all others: it gets each response first, at each hop
of a redirect, and replaces a 401 by the response to the retry. So no hook of the user sees that 401.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

from daypass.client.auth import SessionAuth
from daypass.client.body import REPEATABLE, Body, body_to_send
from daypass.client.content import ACCEPT_ENCODING, content_of, is_enough
from daypass.client.library import answer_of, with_cookie
from daypass.client.messages import Answer, Message
from daypass.client.origin import Origin, origin_of, own_port
from daypass.client.replay import Replay, ReplayContext, Seen

CHUNK = 65_536


class PreparedReplay(Replay[Any]):
    """A `Replay` of a prepared request."""

    __slots__ = ("_is_own",)

    def __init__(self, context: ReplayContext, body: Body, is_own: Callable[[str], bool]) -> None:
        super().__init__(context, body)
        self._is_own = is_own

    def seen(self, response: Any) -> Seen | None:
        """Return the status, the ``Authorization`` and the challenges of a response."""
        request = response.request
        if not self._is_own(request.url):
            return None
        challenges = headers_of(response, "www-authenticate")
        return Seen(response.status_code, request.headers.get("Authorization"), challenges)


class PreparedAuth(SessionAuth):
    """A `SessionAuth` that is called with each prepared request."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._prefixes = tuple(_prefixes(self.own_origins))

    def _is_own(self, url: str) -> bool:
        return url.startswith(self._prefixes) or origin_of(url) in self.own_origins

    def _replay(self, request: Any) -> PreparedReplay:
        body = body_of(request, self.keep_at_most)
        return PreparedReplay(self.context, body, self._is_own)

    def _may_be_refused(self, replay: PreparedReplay, response: Any) -> bool:
        """Return whether a response may refuse the token; make a request ready for a redirect.

        The libraries would send the token on an upgrade to HTTPS, and a proof anywhere: they copy the headers.
        """
        status = response.status_code
        replay.learn(response.headers)
        if status >= 400:
            return True
        if status >= 300 and response.is_redirect:
            target = urljoin(response.url, response.headers["location"])
            headers = response.request.headers
            if origin_of(target) not in self.own_origins:
                headers.pop("Authorization", None)
            if replay.proves:
                headers.pop("DPoP", None)
                if origin_of(target) == origin_of(response.url):
                    replay.prove(headers, redirected_method(response.request.method, status), target)
        else:
            replay.done()
        return False


class SyncPreparedAuth(PreparedAuth):
    """The `PreparedAuth` of a sync session."""

    def __call__(self, request: Any) -> Any:
        """Add the access token to a prepared request, and check its responses; called by the session.

        Raises:
            LoginRequired: nobody is logged in, or the session has ended.
            RefreshUnavailable: the access token has expired and cannot be refreshed now.
        """
        if self._is_own(request.url):
            replay = self._replay(request)
            request.headers["Authorization"] = replay.start()
            replay.prove(request.headers, request.method, request.url)
            hook_first(request, lambda response, **options: self._answered(replay, response, options))
        return request

    def _answered(self, replay: PreparedReplay, response: Any, options: Mapping[str, Any]) -> Any:
        """Return the response to use instead of ``response``."""
        if not self._may_be_refused(replay, response):
            return response

        def resend(refused: Any, authorization: str) -> Any:
            refused.close()
            request = refused.request
            request.headers["Authorization"] = authorization
            replay.prove(request.headers, request.method, request.url)
            again = refused.connection.send(request, **options)
            replay.learn(again.headers)
            again.elapsed = refused.elapsed
            return again

        response = replay.finish(response, lambda refused: refused.content, resend)
        replay.done()
        return response


def redirected_method(method: str, status: int) -> str:
    """Return the method after a redirect, by the rule of both libraries (RFC 9110 §15.4)."""
    if status == 303 or (status == 302 and method != "HEAD"):
        return "HEAD" if method == "HEAD" else "GET"
    return "GET" if status == 301 and method == "POST" else method


def hook_first(request: Any, hook: Callable[..., Any]) -> None:
    """Register ``hook`` for each response to ``request``, before any other hook."""
    request.hooks["response"] = [hook, *(request.hooks.get("response") or ())]


def body_of(request: Any, limit: int) -> Body:
    """Return the body of a prepared request; if it can be read only once, record it while it is sent.

    Args:
        request: its ``body`` is replaced if it can be read only once. Multipart is bytes already.
        limit: how many bytes of such a body are kept.
    """
    given = request.body
    if given is None:
        return REPEATABLE
    body, request.body = body_to_send(given, limit)
    return body


class Bare:
    """The auth of Daypass's own messages: only the authorization in the message."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def __call__(self, request: Any) -> Any:
        """Remove any other authorization, and add the message's cookie."""
        with_cookie(request.headers, self._message)
        request.headers[ACCEPT_ENCODING[0]] = ACCEPT_ENCODING[1]
        return request


def options_of(message: Message) -> Mapping[str, Any]:
    """Return a message's body as options of a request."""
    return {"data": message.pairs} if message.form is not None else {"json": message.json}


def headers_of(response: Any, name: str) -> Sequence[str]:
    """Return a list of every header with that name."""
    raw = getattr(response.raw, "headers", None)
    if raw is not None and hasattr(raw, "getlist"):
        return list(raw.getlist(name))
    joined = response.headers.get(name)
    return [] if joined is None else [joined]


def raw_body(response: Any) -> bytes:
    """Read a body as received, not decoded, up to the maximum length of an answer."""
    raw = bytearray()
    for chunk in response.raw.stream(CHUNK, decode_content=False):
        raw += chunk
        if is_enough(raw):
            break
    return bytes(raw)


def read_answer(response: Any, raw: bytes) -> Answer:
    """Return the `Answer` for a response whose body was read without decoding."""
    headers = response.headers
    body = content_of(raw, headers.get("content-encoding"))
    return answer_of(response.status_code, body, headers, lambda name: headers_of(response, name))


def _prefixes(origins: Iterable[Origin]) -> Iterable[str]:
    """Return the prefixes of URLs of prepared requests to these origins: such URLs always have a path."""
    for scheme, host, port in origins:
        name = f"[{host}]" if ":" in host else host
        if port is not None:
            yield f"{scheme}://{name}:{port}/"
            continue
        yield f"{scheme}://{name}/"
        yield from (f"{scheme}://{name}:{each}/" for each in (80, 443) if own_port(scheme, each) is None)
