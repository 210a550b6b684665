"""Redirects in libraries that ask for a token at each hop: all hops use the login that the request began with.

Such a library (aiohttp, urllib3) sends a new request for each hop, in the same task or thread. So the target of a
redirect is kept in a context variable for the next request.
"""

from contextvars import ContextVar
from typing import NamedTuple

from daypass.client.flow import another_login


class _Hop(NamedTuple):
    """The URL that a request was redirected to, and the login that it began with."""

    url: object
    login_id: str | None


_next_hop: ContextVar[_Hop | None] = ContextVar("daypass_next_hop", default=None)


def note_redirect(url: object, login_id: str | None) -> None:
    """Remember the target of a redirect.

    Args:
        url: the absolute URL, in the library's own type.
        login_id: the login of the token that the request was sent with; `Replay.login_id`.
    """
    _next_hop.set(_Hop(url, login_id))


def check_redirect(url: object, login_id: str | None) -> None:
    """Refuse to follow a redirect with the token of another login.

    Args:
        url: the URL of the request, in the same type as for `note_redirect`.
        login_id: the login of the token that it would carry.

    Raises:
        LoginRequired: it continues a request that began under another login.
    """
    hop = _next_hop.get()
    if hop is None:
        return
    _next_hop.set(None)
    if hop.url == url and hop.login_id != login_id:
        raise another_login()
