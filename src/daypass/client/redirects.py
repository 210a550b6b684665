"""Redirects in libraries that ask for a token at each hop: all hops go under the login that the request was begun with.

Such a library (aiohttp, urllib3) makes a new request of each hop, in the same task or thread. So where an answer leads
to is kept in a context variable, for the next request there.
"""

from contextvars import ContextVar
from typing import NamedTuple

from daypass.client.flow import another_login


class _Hop(NamedTuple):
    """Where a request was redirected to, and the login that it was begun with."""

    url: object
    login_id: str | None


_next_hop: ContextVar[_Hop | None] = ContextVar("daypass_next_hop", default=None)


def note_redirect(url: object, login_id: str | None) -> None:
    """Note where the answer to a request leads.

    Args:
        url: the absolute URL, in whatever type the library has.
        login_id: of the token that the request was sent with; `Replay.login_id`.
    """
    _next_hop.set(_Hop(url, login_id))


def check_redirect(url: object, login_id: str | None) -> None:
    """Refuse to send a request that another user's was redirected to.

    Args:
        url: of the request, in the type that `note_redirect` got.
        login_id: of the token that it would carry.

    Raises:
        LoginRequired: it continues a request that was begun under another login.
    """
    hop = _next_hop.get()
    if hop is None:
        return
    _next_hop.set(None)
    if hop.url == url and hop.login_id != login_id:
        raise another_login()
