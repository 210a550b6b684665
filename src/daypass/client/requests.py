"""Stay logged in with ``requests``: `DaypassAuth` is the ``auth`` of a `requests.Session`.

auth = DaypassAuth("https://api.example.com/auth")
with requests.Session() as session:
auth.login(session, email="user@example.com", password="…")
session.get("https://api.example.com/me")
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Any, ClassVar

from daypass.client.library import Library, forget_from_jar
from daypass.client.messages import Answer, Message
from daypass.client.origin import uses_proxy
from daypass.client.prepared import Bare, SyncPreparedAuth, options_of, raw_body, read_answer
from daypass.errors import ConfigurationError

try:
    import requests
    from requests.auth import AuthBase
    from urllib3.exceptions import HTTPError, NewConnectionError
except ModuleNotFoundError as error:
    if error.name != "requests":
        raise
    raise ConfigurationError('requests is not installed; run: pip install "daypass[requests]"') from error

__all__ = ["DaypassAuth"]


class _Requests:
    """Sends messages through a session of ``requests``."""

    transport_errors: tuple[type[Exception], ...] = (requests.RequestException, HTTPError)

    def check(self, client: Any, *, is_async: bool | None) -> None:
        if not isinstance(client, requests.Session) or is_async is True:
            raise ConfigurationError(
                f"a Session of requests is needed, not {type(client).__name__}; requests has no async: write login"
            )

    def is_async(self, client: Any) -> bool:
        return False

    def is_closed(self, client: Any) -> bool:
        return False  # a session can be used again after it was closed

    def is_unsent(self, error: Exception) -> bool:
        if isinstance(error, requests.ConnectTimeout):
            return True
        cause = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else None
        return isinstance(getattr(cause, "reason", cause), NewConnectionError)

    def send(self, client: Any | None, url: str, message: Message, limit: float | None) -> Answer:
        if client is None:
            with requests.Session() as opened:
                opened.trust_env = uses_proxy(url)
                return self.send(opened, url, message, limit)
        request = requests.Request(message.method, url, auth=Bare(message), **options_of(message))
        prepared = client.prepare_request(request)
        prepared.hooks = {"response": []}  # the user's hooks may raise for a status, and the response would be lost
        settings: Mapping[str, Any] = client.merge_environment_settings(
            prepared.url, {}, stream=True, verify=None, cert=None
        )
        with closing(client.send(prepared, timeout=limit, allow_redirects=False, **settings)) as response:
            return read_answer(response, raw_body(response))

    async def send_async(self, client: Any, url: str, message: Message, limit: float | None) -> Answer:
        raise NotImplementedError

    def forget_cookie(self, client: Any, name: str) -> None:
        forget_from_jar(client.cookies, name)


class DaypassAuth(SyncPreparedAuth, AuthBase):
    """Keeps one user logged in, as the ``auth`` of any session of ``requests``.

    Its arguments are those of `daypass.client.auth.SessionAuth`. The token is added when a request is prepared.
    """

    library: ClassVar[Library] = _Requests()
