"""Who a client is, and how it shows it (RFC 6749 §2)."""

import asyncio
import logging
import threading
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import pytest

from daypass import AsyncDaypass, ConfigurationError, EventCode, StoreUnavailable
from daypass.web.clients import Client, Clients, hash_secret
from daypass.web.message import Response

from .world import CLIENTS, READER, READER_SECRET, SECRETS, World, basic, error_of

SECRET = READER_SECRET or ""


def encoded(pair: str) -> str:
    return "Basic " + b64encode(pair.encode()).decode()


def ask(world: World, authorization: str | None = None, **form: str) -> Response:
    """Refresh the reader's session, however it shows who it is."""
    first = world.start()
    body = urlencode({"grant_type": "refresh_token", "refresh_token": first.refresh_token, **form})
    return world.ask("/token", body, headers={"authorization": authorization} if authorization is not None else {})


@pytest.mark.parametrize(
    ("authorization", "form"),
    [
        (basic("reader", SECRET), {}),
        (basic("reader", SECRET).replace("Basic", "bAsIc"), {}),
        (basic("reader", SECRET), {"client_id": "reader"}),
        (None, {"client_id": "reader", "client_secret": SECRET}),
    ],
    ids=["basic", "whatever case", "named in the body too", "post"],
)
def test_ways_to_show_it(world: World, authorization: str | None, form: dict[str, str]) -> None:
    """By HTTP Basic, or in the body (RFC 6749 §2.3.1)."""
    assert 200 == ask(world, authorization, **form).status


@pytest.mark.parametrize(
    "authorization",
    [
        basic("reader", "dpc_" + "x" * 43),
        basic("nobody", SECRET),
        basic("reader", ""),
        basic("", ""),
        basic("caf\u00e9", SECRET),
        basic("rea\0der", SECRET),
        basic("app", SECRET),
        encoded("reader"),
        encoded(f"reader:{SECRET}%ff"),
        f"{basic('reader', SECRET)}, {basic('reader', SECRET)}",
        "Basic ***",
        "Basic",
        "",
        f"Bearer {SECRET}",
        "Basic " + b64encode(b"reader:\xff").decode(),
    ],
)
def test_a_client_that_does_not_show_it_by_header(world: World, authorization: str) -> None:
    """Unknown, a wrong secret, none, two headers, garbage: one answer for all, with a challenge (RFC 6749 §5.2)."""
    response = ask(world, authorization)
    assert (401, "invalid_client") == error_of(response)
    assert ("www-authenticate", 'Basic realm="daypass", charset="UTF-8"') in response.headers
    assert ask(world, basic("somebody", "x")).body == response.body


@pytest.mark.parametrize(
    "form",
    [
        {"client_id": "reader", "client_secret": "dpc_" + "x" * 43},
        {"client_id": "reader"},
        {"client_id": "reader", "client_secret": ""},
        {"client_id": "nobody", "client_secret": SECRET},
        {"client_id": "x" * 256},
        {"client_id": "app", "client_secret": SECRET},
        {"client_secret": SECRET},
        {},
    ],
)
def test_a_client_that_does_not_show_it_in_the_body(world: World, form: dict[str, str]) -> None:
    """The same without a challenge, upon which a browser would ask its user for a password."""
    response = ask(world, **form)
    assert (401, "invalid_client") == error_of(response)
    assert "www-authenticate" not in dict(response.headers)
    assert (EventCode.REJECTED, "invalid_client") == (world.events[-1].code, world.events[-1].reason)
    assert 1 == len(world.session_ids())


def test_an_empty_secret_means_a_public_client(world: World) -> None:
    """What libraries send for a public client: its id and an empty secret (RFC 6749 §2.3.1)."""
    for authorization, form in ((basic("app", ""), {}), (None, {"client_id": "app", "client_secret": ""})):
        token = world.start("app").refresh_token
        assert 200 == ask(world, authorization, refresh_token=token, **form).status


@pytest.mark.parametrize("form", [{"client_id": "reader", "client_secret": SECRET}, {"client_id": "writer"}])
def test_two_ways_at_once(world: World, form: dict[str, str]) -> None:
    """Two methods, or two names: ``invalid_request`` (RFC 6749 §2.3), and nothing is done."""
    assert (400, "invalid_request") == error_of(ask(world, basic("reader", SECRET), **form))
    assert [EventCode.STARTED] == [event.code for event in world.events]


def test_both_parts_are_form_encoded(world: World) -> None:
    """An id and a secret with any character there may be arrive as they are (RFC 6749 §2.3.1)."""
    secret = "a colon: a plus+ a percent% an umlaut\u00e4 spaces"
    odd = Client("an odd: id+%20", hash_secret(secret))
    asked = World(clients=[odd])
    token = asked.start(odd.id).refresh_token
    assert 200 == ask(asked, basic(odd.id, secret), refresh_token=token).status
    assert 401 == ask(asked, encoded(f"{odd.id}:{secret}"), refresh_token=token).status


def test_a_secret_is_replaced_in_two_steps(world: World) -> None:
    """While the client has both hashes, both secrets work; afterwards only the new one."""
    fresh, new = Client.register(client_id="reader")
    both = Client("reader", (str(READER.secret_hash), str(fresh.secret_hash)))
    for client, statuses in ((READER, [200, 401]), (both, [200, 200]), (fresh, [401, 200])):
        asked = World(clients=[client])
        assert statuses == [ask(asked, basic("reader", secret or "")).status for secret in (SECRET, new)]


# ---- finding a client


def test_a_function_finds_clients(colour: type) -> None:
    """Clients may be in a database that compares loosely; an id still has to match exactly."""
    asked_for = []

    def find(client_id: str) -> Client | None:
        asked_for.append(client_id)
        return next((client for client in CLIENTS if client.id == client_id.lower()), None)

    world = World(colour=colour, clients=find)
    assert 200 == ask(world, basic("reader", SECRET)).status
    assert (401, "invalid_client") == error_of(ask(world, basic("READER", SECRET)))
    assert (401, "invalid_client") == error_of(ask(world, basic("nobody", SECRET)))
    assert 401 == ask(world, basic("a\0b", SECRET)).status
    assert ["reader", "READER", "nobody"] == asked_for


def test_an_async_function_finds_clients() -> None:
    """With `AsyncDaypass` it may be async; a plain one runs in a thread. `Daypass` refuses an async one."""
    threads: set[int] = set()

    async def find(client_id: str) -> Client | None:
        await asyncio.sleep(0)
        threads.add(threading.get_ident())
        return READER if client_id == "reader" else None

    def find_slowly(client_id: str) -> Client | None:
        threads.add(threading.get_ident())
        return READER if client_id == "reader" else None

    for registry, count in ((find, 1), (find_slowly, 2)):
        assert 200 == ask(World(colour=AsyncDaypass, clients=registry), basic("reader", SECRET)).status
        assert count == len(threads)
    with pytest.raises(ConfigurationError, match="async"):
        ask(World(clients=find), basic("reader", SECRET))


def test_a_function_that_returns_something_else(colour: type) -> None:
    """A registry that returns something else than a client is the operator's mistake; the error says so."""

    def find(_: str) -> Any:
        return {"id": "reader"}

    with pytest.raises(ConfigurationError, match="returned a dict"):
        ask(World(colour=colour, clients=find), basic("reader", SECRET))


def test_a_registry_that_cannot_be_asked(colour: type) -> None:
    """A database of clients that is down is as a store that is down: 503, and nothing is said of the client."""

    def find(_: str) -> Client | None:
        raise StoreUnavailable("the clients' database is down")

    response = ask(World(colour=colour, clients=find), basic("reader", SECRET))
    assert (503, "temporarily_unavailable") == error_of(response)


# ---- what a client may be


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "x" * 256},
        {"id": "caf\u00e9"},
        {"id": 7},
        {"id": "x", "secret_hash": "secret"},
        {"id": "x", "secret_hash": ""},
        {"id": "x", "secret_hash": ()},
        {"id": "x", "secret_hash": ("a" * 64, "A" * 64)},
        {"id": "x", "scope": 'a"b'},
        {"id": "x", "introspects": True},
    ],
)
def test_a_client_that_is_not_possible(wrong: dict[str, Any]) -> None:
    """It is refused when it is made; and so is a registry with two clients of one id, or with something else."""
    with pytest.raises(ConfigurationError):
        Client(**wrong)


@pytest.mark.parametrize("wrong", [[READER, READER], ["reader"], [READER.id, READER]])
def test_a_registry_that_is_not_possible(wrong: Any) -> None:
    """Two clients with one id, or an object that is not a client, are refused."""
    with pytest.raises(ConfigurationError):
        Clients(wrong)


def test_a_new_client() -> None:
    """A secret is 32 random bytes, found by secret scanners, and each client's own; a public client has none."""
    client, secret = Client.register("Reports", scope="read  read write")
    other, another = Client.register("Reports", public=True)
    assert ("Reports", "read write", False) == (client.name, client.scope, client.introspects)
    assert secret is not None
    assert (secret[:4], len(secret)) == ("dpc_", 47)
    assert client.has_secret(secret)
    assert not client.has_secret(secret[:-1])
    assert (True, False, None) == (client.is_confidential, other.is_confidential, another)
    assert client.id != other.id
    with pytest.raises(ConfigurationError):
        hash_secret("too short to be random")


def test_a_secret_is_in_no_log_error_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong, no event, log or answer contains a client's secret, its hash or a token."""
    world = World()
    first = world.start()
    hidden = [SECRET, str(READER.secret_hash), first.refresh_token, first.access_token]
    with caplog.at_level(logging.DEBUG):
        answers = [
            ask(world, basic("writer", SECRET)),
            ask(world, basic("reader", SECRET), client_secret=SECRET, client_id="reader"),
            ask(world, client_id="app", client_secret=SECRET),
            world.refreshes("writer", first.refresh_token),
            world.asks("reader", "/introspect", token=first.refresh_token),
            world.asks("writer", "/revoke", token=first.access_token),
        ]
    told = [repr(READER), repr(Clients(CLIENTS)), repr(world.events), caplog.text]
    told += [response.body.decode() for response in answers]
    assert [] == [text for text in told for each in (*hidden, *filter(None, SECRETS.values())) if each in text]
