"""The interface that Daypass needs to send its own requests through a client: login, refresh and logout."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from daypass.client.messages import Answer, Message


class Library(Protocol):
    """An HTTP library."""

    @property
    def transport_errors(self) -> tuple[type[Exception], ...]:
        """The errors that it raises if no response came."""

    def check(self, client: Any, *, is_async: bool | None) -> None:
        """Check that ``client`` is a client of this library, and sync or async as asked for.

        Raises:
            ConfigurationError: it is not.
        """

    def is_async(self, client: Any) -> bool:
        """Return whether a client is async."""

    def is_closed(self, client: Any) -> bool:
        """Return whether a client is closed and cannot send anything."""

    def is_unsent(self, error: Exception) -> bool:
        """Return whether it is certain that the server received nothing of the request that raised ``error``."""

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        """Send one message through a sync client, or through a new one; ``limit`` is in seconds."""

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        """Send one message through an async client, on the running event loop."""

    def forget_cookie(self, client: Any, name: str) -> None:
        """Remove a cookie from a client's cookie jar."""


def forget_from_jar(jar: Any, name: str) -> None:
    """Remove every cookie of that name from an `http.cookiejar.CookieJar`."""
    for _ in range(3):  # another thread may add a cookie while the jar is being read
        with suppress(RuntimeError, KeyError):
            for cookie in [cookie for cookie in jar if cookie.name == name]:
                jar.clear(cookie.domain, cookie.path, cookie.name)
            return


def with_cookie(headers: Any, message: Message) -> None:
    """Ask for JSON, add the message's cookie to those of ``headers``, and set its authorization and its proof."""
    headers["Accept"] = "application/json"  # otherwise GitHub responds with a form
    for name in [name for name in headers if name.lower() == "authorization"]:
        del headers[name]
    if message.authorization is not None:
        headers["Authorization"] = message.authorization
    if message.proof is not None:
        headers["DPoP"] = message.proof
    if message.cookie is not None:
        ours = f"{message.cookie.name}={message.cookie.value}"
        others = headers.get("Cookie")
        headers["Cookie"] = f"{others}; {ours}" if others else ours


def answer_of(status: int, body: bytes, headers: Any, all_of: Callable[[str], Sequence[str]]) -> Answer:
    """Return the `Answer` for a response.

    Args:
        status: the HTTP status.
        body: the body, decoded.
        headers: a mapping that ignores case.
        all_of: returns a list of every header with a name.
    """
    return Answer(
        status,
        body,
        headers.get("retry-after"),
        all_of("set-cookie"),
        all_of("www-authenticate"),
        headers.get("date"),
        headers.get("daypass-grace"),
        headers.get("dpop-nonce"),
    )
