"""What Daypass needs of an HTTP library to send requests of its own through a client: login, refresh and logout."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from daypass.client.messages import Answer, Message


class Library(Protocol):
    """An HTTP library."""

    @property
    def transport_errors(self) -> tuple[type[Exception], ...]:
        """What it raises if no answer came."""

    def check(self, client: Any, *, is_async: bool | None) -> None:
        """Make sure that ``client`` is one of this library's, and sync or async as asked for.

        Raises:
            ConfigurationError: it is not.
        """

    def is_async(self, client: Any) -> bool:
        """Tell whether a client is async."""

    def is_closed(self, client: Any) -> bool:
        """Tell whether a client cannot send anything any more."""

    def is_unsent(self, error: Exception) -> bool:
        """Tell whether the server certainly got nothing of the request that raised ``error``."""

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        """Send one message through a sync client, or through one opened for it; ``limit`` in seconds."""

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        """Send one message through an async client, on the running event loop."""

    def forget_cookie(self, client: Any, name: str) -> None:
        """Take a cookie out of a client's jar."""


def forget_from_jar(jar: Any, name: str) -> None:
    """Take every cookie of that name out of an `http.cookiejar.CookieJar`."""
    for _ in range(3):  # another thread may put a cookie in while the jar is being read
        with suppress(RuntimeError, KeyError):
            for cookie in [cookie for cookie in jar if cookie.name == name]:
                jar.clear(cookie.domain, cookie.path, cookie.name)
            return


def with_cookie(headers: Any, message: Message) -> None:
    """Ask for JSON, add the message's cookie to those of ``headers``, and replace their authorization by its own."""
    headers["Accept"] = "application/json"  # GitHub answers with a form otherwise
    for name in [name for name in headers if name.lower() == "authorization"]:
        del headers[name]
    if message.authorization is not None:
        headers["Authorization"] = message.authorization
    if message.cookie is not None:
        ours = f"{message.cookie.name}={message.cookie.value}"
        others = headers.get("Cookie")
        headers["Cookie"] = f"{others}; {ours}" if others else ours


def answer_of(status: int, body: bytes, headers: Any, all_of: Callable[[str], Sequence[str]]) -> Answer:
    """Return an answer as Daypass reads it.

    Args:
        status: the HTTP status.
        body: the body, decoded.
        headers: a mapping that ignores case.
        all_of: returns every header of a name, apart.
    """
    return Answer(
        status,
        body,
        headers.get("retry-after"),
        all_of("set-cookie"),
        all_of("www-authenticate"),
        headers.get("date"),
        headers.get("daypass-grace"),
    )
