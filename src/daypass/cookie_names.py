"""The names of the cookies that hold tokens. Servers set them, and clients without a browser look for them. Pure."""

import re

DEFAULT = "daypass"
"""The name of the refresh token's cookie, without a prefix. The names of the pages' cookies begin with it."""

SECURE_PREFIX = "__Host-"
"""The prefix of every name over HTTPS (RFC 6265bis §4.1.3.2)."""

SECURE_DEFAULT = SECURE_PREFIX + DEFAULT
"""The name of the refresh token's cookie over HTTPS."""

_DEFAULTS = re.compile(rf"(?:{SECURE_PREFIX})?{DEFAULT}(?:-[0-9]{{1,5}})?")


def is_default(name: str) -> bool:
    """Return whether this is a default name of the refresh token's cookie."""
    return _DEFAULTS.fullmatch(name) is not None


def with_port(port: int) -> str:
    """Return the default name on loopback: cookies ignore ports, so two applications on one machine need two names."""
    return f"{DEFAULT}-{port}"
