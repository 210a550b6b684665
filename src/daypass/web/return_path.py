"""Finds the path to return to after a login, without leaving the site. Pure."""

import re

__all__ = ["local_path"]

_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*")
"""A path, perhaps with a query: visible ASCII without a backslash, which browsers read as a slash."""


def local_path(text: str | None, default: str = "/") -> str:
    """Return ``text`` if it is a path on this site, such as ``/orders?page=2``; otherwise ``default``.

    Use it for a value from a form or a query (``next=…``). Otherwise a link could send a user who has just typed their
    password to another site (an open redirect).
    """
    return text if text is not None and _LOCAL.fullmatch(text) else default
