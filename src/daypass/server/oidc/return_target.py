"""Where a browser may go after a login. Pure."""

import re
from collections.abc import Iterable

from daypass.web.return_path import local_path

LONGEST = 1024
_VISIBLE = re.compile(r"[!-\[\]-~]+")
"""ASCII without spaces and without a backslash, which browsers read as a slash."""


def is_return(text: str, origins: Iterable[str]) -> bool:
    """Return whether ``text`` is a path on this site, or a URL of one of the origins."""
    if len(text) > LONGEST or not _VISIBLE.fullmatch(text):
        return False
    return local_path(text, "") == text or any(_is_below(text, origin) for origin in origins)


def _is_below(url: str, origin: str) -> bool:
    return url == origin or url.startswith((f"{origin}/", f"{origin}?", f"{origin}#"))
