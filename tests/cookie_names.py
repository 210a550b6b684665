"""The cookies of an application on loopback, whose names have its port: ``daypass-8000``."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from daypass.cookie_names import is_default


def refresh_cookie(cookies: Mapping[str, Any]) -> str:
    """Return the refresh token among cookies."""
    (name,) = filter(is_default, cookies.keys())
    return str(cookies[name])


def without_port(names: Iterable[str]) -> list[str]:
    """Return the names of cookies, sorted, without the port in them."""
    return sorted(re.sub(r"^daypass-\d+", "daypass", name) for name in names)
