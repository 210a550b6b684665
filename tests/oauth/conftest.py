"""An issuer with OAuth clients, in each colour."""

from collections.abc import Iterator

import pytest

from daypass import AsyncDaypass, Daypass

from .live import Served, served
from .world import World


@pytest.fixture(params=[Daypass, AsyncDaypass], ids=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> type[Daypass | AsyncDaypass]:
    colour: type[Daypass | AsyncDaypass] = request.param
    return colour


@pytest.fixture
def world(colour: type[Daypass | AsyncDaypass]) -> World:
    return World(colour=colour)


@pytest.fixture
def application() -> Iterator[Served]:
    """Return an application that is served on loopback."""
    with served() as application:
        yield application
