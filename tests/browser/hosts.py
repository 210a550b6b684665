"""Loopback addresses. For a browser each is another site: without cookies, storage or caches."""

from itertools import count

_numbers = count()


def fresh_host() -> str:
    """Return an address that no test of this process has used."""
    number = next(_numbers)
    return f"127.1.{number // 250 + 1}.{number % 250 + 1}"


def is_fresh(host: str | None) -> bool:
    """Return whether `fresh_host` made this host: then no other test sees the cookies that a browser keeps for it."""
    return host is not None and host.startswith("127.1.")
