"""Loopback addresses. For a browser each is another site: without cookies, storage or caches."""

from itertools import count

_numbers = count()


def fresh_host() -> str:
    """Return an address that no test of this process has used."""
    number = next(_numbers)
    return f"127.1.{number // 250 + 1}.{number % 250 + 1}"
