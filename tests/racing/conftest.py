"""Worlds in which presenters race: each store, with threads, with tasks, and with processes where they can share it."""

import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .presenters import Fleet, Processes, Tasks, Threads
from .stores import STORES, URL
from .world import World

RACERS = [
    f"{store} {presenters}"
    for store, kind in STORES.items()
    for presenters in (("threads", "tasks", "processes") if kind.shared else ("threads", "tasks"))
]

MakeWorld = Callable[[], World]


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Give processes, for all tests together."""
    with Fleet() as fleet:
        yield fleet


@pytest.fixture(autouse=True)
def _server(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Say where the server is, to stores that have one."""
    if "postgres" in request.node.name:
        (tmp_path / URL).write_text(request.getfixturevalue("postgres_url"))
    if "redis" in request.node.name:
        (tmp_path / URL).write_text(f"{request.getfixturevalue('redis_server')}?prefix=race-{uuid.uuid4().hex}")


@pytest.fixture(params=RACERS)
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> MakeWorld:
    """Give what makes a world of each kind, over a new and empty store each time; who makes it closes it."""
    store, presenters = str(request.param).split()
    numbers = itertools.count()

    def made() -> World:
        place = tmp_path / str(next(numbers))
        place.mkdir()
        match presenters:
            case "threads":
                return World(Threads(store, place))
            case "tasks":
                return World(Tasks(store, place))
        return World(Processes(request.getfixturevalue("fleet"), store, place))

    return made


@pytest.fixture
def world(make_world: MakeWorld) -> Iterator[World]:
    """Give one world."""
    world = make_world()
    yield world
    world.close()
