"""A new application for each test, on the servers that all tests share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from daypass.testing.loopback import Loopback

from .site import Site


@pytest.fixture
def site(loopbacks: tuple[Loopback, Loopback]) -> Iterator[Callable[..., Site]]:
    """Return what serves an application with these options of its issuer; at most two in a test."""
    free, made = iter(loopbacks), []

    def make(**options: Any) -> Site:
        loopback, new = next(free), Site(**options)
        new.build(loopback.url)
        loopback.app = new
        made.append(new)
        return new

    yield make
    for client in (client for each in made for client in each.clients):
        client.close()
