"""Clients of the official ``mcp`` SDK stay logged in: one login, one refresh for all, whatever fails meanwhile."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from daypass.client.mcp import DaypassAuth, TokenStorage
from daypass.client.storage import FileStorage, PostgresStorage, Storage
from daypass.client.timing import Timing
from daypass.errors import ConfigurationError, LoginRequired

from .mcp_server import McpWorld, mcp_world

TIMING = Timing(fresh=0, pause=10, backoff=10, longest_backoff=50)
METADATA = OAuthClientMetadata(client_name="Agent", redirect_uris=[AnyUrl("http://127.0.0.1:1/callback")])

FLEET = """
import asyncio, multiprocessing, sys
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from daypass.client.mcp import DaypassAuth
from daypass.client.storage import FileStorage, PostgresStorage

def storage(place):
    return PostgresStorage(place, "mcp/agents", secret="s" * 43) if "://" in place else FileStorage(place)

async def call(url, place):
    auth = DaypassAuth(url, storage=storage(place))
    async with auth.http_client() as http, Client(streamable_http_client(url, http_client=http)) as client:
        assert {"result": 3} == (await client.call_tool("add", {"a": 1, "b": 2})).structured_content

def worker():
    asyncio.run(call(*sys.argv[1:]))

worker()  # the SDK is warm in every forked process
print("ready", flush=True)
input()
context = multiprocessing.get_context("fork")
workers = [context.Process(target=worker) for _ in range(20)]
for each in workers:
    each.start()
for each in workers:
    each.join()
sys.exit(sum(each.exitcode != 0 for each in workers))
"""


class Person:
    """Allows whatever a browser would show; counts how often that was asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self._query: dict[str, str] = {}

    async def visit(self, url: str) -> None:
        self.asked += 1
        async with httpx2.AsyncClient() as browser:
            location = (await browser.get(url)).headers["location"]
        self._query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}

    async def come_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code=self._query["code"], state=self._query["state"], iss=self._query.get("iss"))


class Kept:
    """A ``TokenStorage`` as the SDK's documentation has it."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@pytest.fixture
def world() -> Iterator[McpWorld]:
    with mcp_world() as world:
        yield world


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path / "mcp.json")


@asynccontextmanager
async def connected(world: McpWorld, auth: Any) -> AsyncIterator[Client]:
    """Connect the SDK's client with this auth."""
    http = auth.http_client() if isinstance(auth, DaypassAuth) else httpx2.AsyncClient(auth=auth)
    async with http, Client(streamable_http_client(world.url, http_client=http)) as client:
        yield client


async def added(client: Client) -> int:
    content = (await client.call_tool("add", {"a": 1, "b": 2})).structured_content
    return int((content or {})["result"])


def asking(world: McpWorld, person: Person, storage: Storage | None = None, **options: Any) -> DaypassAuth:
    """Return an auth that can log in."""
    return DaypassAuth(
        world.url,
        storage=storage,
        client_metadata=METADATA,
        redirect_handler=person.visit,
        callback_handler=person.come_back,
        timing=TIMING,
        **options,
    )


async def log_in(world: McpWorld, storage: Storage) -> None:
    async with connected(world, asking(world, Person(), storage)) as client:
        assert 3 == await added(client)


async def test_one_login_serves_restarts_and_workers(world: McpWorld, storage: FileStorage) -> None:
    """A person is asked once; afterwards a program that cannot ask continues, and its expired token is refreshed."""
    person = Person()
    async with connected(world, asking(world, person, storage)) as client:
        world.expire()
        assert 3 == await added(client)
    world.expire()
    async with connected(world, DaypassAuth(world.url, storage=storage)) as client:
        assert 3 == await added(client)
    assert (1, {"registered": 1, "logins": 1, "refreshes": 2}) == (person.asked, world.counts)


async def test_many_first_calls_ask_the_person_once(world: McpWorld) -> None:
    """The requests that come while a person logs in wait for that login."""
    person = Person()
    async with asking(world, person).http_client() as http:
        answers = await asyncio.gather(*(http.post(world.url, json={}) for _ in range(10)))
    assert (1, 1, set()) == (person.asked, world.counts["logins"], {each.status_code for each in answers} & {401})


@pytest.mark.parametrize("kept", ["file", "postgres"])
async def test_twenty_processes_refresh_once(
    world: McpWorld, storage: FileStorage, kept: str, request: pytest.FixtureRequest
) -> None:
    """20 processes with one grant find its token expired: one of them refreshes, and all get their answer."""
    if kept == "postgres":
        place = request.getfixturevalue("postgres_url")
        with closing(PostgresStorage(place, "mcp/agents", secret="s" * 43)) as shared:
            await log_in(world, shared)
    else:
        place = str(storage.path)
        await log_in(world, storage)

    def fleet() -> int:
        command = [sys.executable, "-c", FLEET, world.url, place]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdin
            assert running.stdout
            assert "ready\n" == running.stdout.readline()
            world.expire()
            running.stdin.write("\n")
            running.stdin.close()
            return running.wait(200)

    assert 0 == await asyncio.to_thread(fleet)
    assert (1, 0) == (world.counts["refreshes"], world.counts["reused"])


async def test_outage_is_the_error_of_one_call(world: McpWorld, storage: FileStorage) -> None:
    """A token endpoint that is down fails the call and says why; the connection and the session go on."""
    await log_in(world, storage)
    async with connected(world, DaypassAuth(world.url, storage=storage, timing=TIMING)) as client:
        world.expire()
        world.statuses = [503] * 3
        with pytest.raises(MCPError, match="the refresh was answered with 503"):
            await added(client)
        await asyncio.sleep(0.1)
        assert 3 == await added(client)
    assert (1, 1) == (world.counts["logins"], world.counts["refreshes"])


async def test_lost_answer_costs_no_login(world: McpWorld, storage: FileStorage) -> None:
    """The same token is presented again by a later call, and a server with a grace period answers."""
    await log_in(world, storage)
    world.grace = True
    async with connected(world, DaypassAuth(world.url, storage=storage, timing=TIMING)) as client:
        world.expire()
        world.lose = 1
        with pytest.raises(MCPError, match="no answer"):
            await added(client)
        await asyncio.sleep(0.1)
        assert 3 == await added(client)
    assert (1, 1, 1) == (world.counts["logins"], world.counts["refreshes"], world.counts["repeated"])


async def test_ended_grant_needs_a_person(world: McpWorld, storage: FileStorage) -> None:
    """A worker gets the SDK's error; a program that can ask a person does so at its next call."""
    person = Person()
    async with connected(world, asking(world, person, storage)) as client:
        world.end_grants()
        with pytest.raises(MCPError, match="the session has ended"):
            await added(client)
        async with DaypassAuth(world.url, storage=storage).http_client() as http:
            assert 401 == (await http.post(world.url)).status_code
        assert 3 == await added(client)
    assert 2 == person.asked


async def test_forgotten_client_registers_again(world: McpWorld, storage: FileStorage) -> None:
    """A server that has lost its clients answers invalid_client: the next login registers, and all is well."""
    person = Person()
    async with connected(world, asking(world, person, storage)) as client:
        world.clients.clear()
        world.expire()
        with pytest.raises(MCPError, match="invalid_client"):
            await added(client)
        assert 3 == await added(client)
    assert (2, 2) == (person.asked, world.counts["registered"])


async def test_tokens_from_elsewhere_find_their_server(world: McpWorld) -> None:
    """`start` with a refresh token: the MCP server's own metadata (RFC 9728) say where to present it."""
    async with connected(world, asking(world, Person())) as client:
        assert 3 == await added(client)
    (client_id,), (line,) = world.clients, world.lines.values()
    secret = world.clients[client_id].client_secret
    auth = DaypassAuth(world.url, client_id=client_id, client_secret=secret, timing=TIMING)
    auth.start(refresh_token=line[-1])
    async with connected(world, auth) as client:
        assert 3 == await added(client)
    assert 1 == world.counts["refreshes"]


async def test_sdk_provider_can_log_in_to_our_storage(world: McpWorld, storage: FileStorage) -> None:
    """`TokenStorage` is the SDK's: its own provider, of a program that is there already, begins the session."""
    person = Person()
    tokens = TokenStorage(DaypassAuth(world.url, storage=storage))
    async with connected(
        world, OAuthClientProvider(world.url, METADATA, tokens, person.visit, person.come_back)
    ) as client:
        assert 3 == await added(client)
    known, client_info = await tokens.get_tokens(), await tokens.get_client_info()
    assert known is not None
    assert client_info is not None
    assert list(world.clients) == [client_info.client_id]
    assert known.access_token in world.live


async def test_no_token_is_logged(world: McpWorld, storage: FileStorage, caplog: pytest.LogCaptureFixture) -> None:
    """Nor in the representation of anything."""
    caplog.set_level(logging.DEBUG, "daypass")
    await log_in(world, storage)
    auth = DaypassAuth(world.url, storage=storage, timing=TIMING)
    async with connected(world, auth) as client:
        world.expire()
        assert 3 == await added(client)
    secrets = [*world.live, *(token for line in world.lines.values() for token in line)]
    told = f"{[record.getMessage() for record in caplog.records if record.name.startswith('daypass')]} {auth!r}"
    assert [] == [secret for secret in secrets if secret in told]


def test_half_a_login_is_refused() -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match="give all"):
        DaypassAuth("https://mcp.example.com/mcp", client_metadata=METADATA)
    with pytest.raises(ConfigurationError, match="give both"):
        DaypassAuth("https://mcp.example.com/mcp", client_secret="x")


async def test_worker_without_a_session_gets_an_error(world: McpWorld) -> None:
    """Through a client of the program's own it is an exception."""
    async with httpx2.AsyncClient(auth=DaypassAuth(world.url)) as http:
        with pytest.raises(LoginRequired):
            await http.post(world.url)


class TestTheSdksOwnProvider:
    """What `OAuthClientProvider` of this version of the SDK does in the same three cases."""

    async def provider(self, world: McpWorld, kept: Kept, person: Person | None = None) -> OAuthClientProvider:
        handlers = () if person is None else (person.visit, person.come_back)
        return OAuthClientProvider(world.url, METADATA.model_copy(), kept, *handlers)

    async def test_asks_again_after_a_restart(self, world: McpWorld) -> None:
        """It does not store when a token expires, so the expired one is sent, and its 401 leads to a new login."""
        person, kept = Person(), Kept()
        async with connected(world, await self.provider(world, kept, person)) as client:
            assert 3 == await added(client)
        world.expire()
        async with connected(world, await self.provider(world, kept, person)) as client:
            assert 3 == await added(client)
        assert (2, 0) == (person.asked, world.counts["refreshes"])

    async def test_asks_again_after_an_outage(self, world: McpWorld) -> None:
        """A 503 to a refresh drops the refresh token."""
        person, kept = Person(), Kept()
        provider = await self.provider(world, kept, person)
        async with connected(world, provider) as client:
            provider.context.token_expiry_time = 1
            world.statuses = [503]
            world.expire()
            assert 3 == await added(client)
        assert (2, 0) == (person.asked, world.counts["refreshes"])

    async def test_two_of_one_grant_end_it(self, world: McpWorld) -> None:
        """Each refreshes alone: the second presents a token that was used, and a worker cannot ask a person."""
        person, kept = Person(), Kept()
        first = await self.provider(world, kept, person)
        async with connected(world, first) as client:
            assert 3 == await added(client)
        second = await self.provider(world, kept)
        second.context.current_tokens, second.context.client_info = kept.tokens, kept.client
        second._initialized = True
        for each in (first, second):
            each.context.oauth_metadata = first.context.oauth_metadata
            each.context.token_expiry_time = 1
        async with httpx2.AsyncClient(auth=first) as http:
            await http.post(world.url, json={})
        async with httpx2.AsyncClient(auth=second) as http:
            with pytest.raises(OAuthFlowError):
                await http.post(world.url, json={})
        assert (1, 1) == (world.counts["refreshes"], world.counts["reused"])
