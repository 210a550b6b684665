"""Addresses of loopback: to a browser each is a site of its own, without cookies, storage or caches."""

from itertools import count

_numbers = count()


def fresh_host() -> str:
    """Return an address that no test of this process has had."""
    number = next(_numbers)
    return f"127.1.{number // 250 + 1}.{number % 250 + 1}"


def is_fresh(host: str | None) -> bool:
    """Return whether a host is one of these, so that no other test sees what a browser keeps of it."""
    return host is not None and host.startswith("127.1.")
