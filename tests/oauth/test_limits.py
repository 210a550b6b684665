"""Rate limits of the OAuth endpoints; a stranger cannot hinder a client's live sessions."""

from urllib.parse import urlencode

from daypass import AsyncDaypass, Daypass, EventCode
from daypass.web.limits import RateLimits
from daypass.web.options import Options

from ..web.failing import Watched
from ..web.world import json_of
from .world import World, basic, error_of

GARBAGE = "dpr_" + 76 * "A"
ELSEWHERE = "198.51.100.1"


def limited(colour: type[Daypass | AsyncDaypass] = Daypass, **rates: str | None) -> World:
    """Return a world in which these rates hold, and the ones by default."""
    return World(colour=colour, options=Options(rate_limits=RateLimits(**rates)))  # type: ignore[arg-type]  # rates


def refreshes(world: World, times: int, refresh_token: str, client_id: str = "reader") -> list[int]:
    return [world.refreshes(client_id, refresh_token).status for _ in range(times)]


def as_nobody(world: World, times: int, path: str = "/token", address: str = "192.0.2.7") -> list[int]:
    """Ask with a secret that is wrong."""
    form = urlencode({"grant_type": "refresh_token", "refresh_token": GARBAGE, "token": GARBAGE})
    headers = {"authorization": basic("reader", "x" * 43)}
    return [world.ask(path, form, headers=headers, address=address).status for _ in range(times)]


def test_the_answer(colour: type[Daypass | AsyncDaypass]) -> None:
    """Over the limit: 429 with ``Retry-After``, in the shape of RFC 6749 §5.2, and an event."""
    world = limited(colour, rejected_refresh_per_address="2/minute")
    assert [400, 400] == refreshes(world, 2, GARBAGE)
    refused = world.refreshes("reader", GARBAGE)
    assert (429, "too_many_requests") == error_of(refused)
    assert "61" == dict(refused.headers)["retry-after"]
    assert (EventCode.LIMITED, "rejected_refresh_per_address") == (world.events[-1].code, world.events[-1].reason)


def test_strangers_hinder_no_session(colour: type[Daypass | AsyncDaypass]) -> None:
    """While an address is used up by garbage and by wrong secrets, the sessions of clients there refresh."""
    world = limited(colour, rejected_refresh_per_address="3/minute")
    confidential, public = world.start("reader").refresh_token, world.start("app").refresh_token
    assert [400, 400, 401, 429, 429] == [*refreshes(world, 2, GARBAGE), *as_nobody(world, 3)]
    for _ in range(3):
        assert [429] == refreshes(world, 1, GARBAGE)
        for client_id, token in (("reader", confidential), ("app", public)):
            answered = world.refreshes(client_id, token)
            assert 200 == answered.status
            assert 200 == world.refreshes(client_id, json_of(answered)["refresh_token"]).status


def test_a_session() -> None:
    """A client that runs wild is slowed down by its own session; no other session feels it, and none is ended."""
    world = limited(refresh_per_session="5/minute")
    wild, other = world.start().refresh_token, world.start().refresh_token
    assert [200] * 5 + [429] * 3 == refreshes(world, 8, wild)
    assert [200] == refreshes(world, 1, other)
    assert 2 == len(world.session_ids())


def test_a_token_of_another_client() -> None:
    """A refresh token that another client sends counts against the address, not the session."""
    world = limited(rejected_refresh_per_address="3/minute", refresh_per_session="3/minute")
    token = world.start("reader").refresh_token
    assert [400] * 3 + [429] * 3 == refreshes(world, 6, token, "writer")
    assert [200] == refreshes(world, 1, token)


def test_wrong_secrets() -> None:
    """Clients that do not show who they are count by address, at every endpoint; good ones there are let in."""
    world = limited(rejected_refresh_per_address="3/minute")
    assert [401] == as_nobody(world, 1)
    assert [401] == as_nobody(world, 1, "/revoke")
    assert [401, 429] == as_nobody(world, 2, "/introspect")
    assert [401] == as_nobody(world, 1, address=ELSEWHERE)
    token = world.start().refresh_token
    assert 200 == world.asks("service", "/introspect", token=token).status
    assert 200 == world.asks("reader", "/revoke", token=token).status
    assert [] == world.session_ids()


def test_a_dead_session_counts_against_its_address() -> None:
    """Authentic tokens that are rejected are counted too, and still get their answer, which the client needs."""
    world = limited(rejected_refresh_per_address="3/minute")
    dead = world.start().refresh_token
    world.asks("reader", "/revoke", token=dead)
    assert [400] * 5 == refreshes(world, 5, dead)
    assert [429] == refreshes(world, 1, GARBAGE)


def test_garbage_costs_no_query() -> None:
    """Text that is not a refresh token of this client is answered without a query, limited or not."""
    store = Watched()
    world = World(store=store, options=Options(rate_limits=RateLimits(rejected_refresh_per_address="2/minute")))
    world.start()
    store.asked.clear()
    assert ([400, 400, 429], []) == (refreshes(world, 3, GARBAGE), store.asked)


def test_without_limits() -> None:
    """With ``rate_limits=None`` nothing is limited."""
    world = World(options=Options(rate_limits=None))
    assert [400] * 100 == refreshes(world, 100, GARBAGE)
    assert [401] * 100 == as_nobody(world, 100)
