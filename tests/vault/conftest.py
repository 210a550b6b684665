"""A vault on PostgreSQL and on Redis, and a strict provider whose refresh tokens can be used once."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from daypass.client.httpx import DaypassAuth
from daypass.client.oauth import OAuth
from daypass.client.vault import Vault, VaultEvent
from daypass.duration import Duration
from daypass.testing.loopback import serving
from daypass.testing.strict_server import Line, StrictServer
from tests.servers import postgres, redis

SECRET = "the secret of the vault, of more than 32 bytes"
OLD = "an older secret of the vault, of more than 32"


class Provider:
    """A provider, and the client that it knows.

    Attributes:
        server: counts what it sees.
        url: where it is.
    """

    def __init__(self, server: StrictServer, url: str) -> None:
        self.server = server
        self.url = url

    def client(self, idle_ttl: Duration | None = "60d", *, revokes: bool = True) -> OAuth:
        """Return the strategy of a client."""
        return OAuth(
            client_id="app",
            token_endpoint=f"{self.url}/oauth/token",
            revocation_endpoint=f"{self.url}/oauth/revoke" if revokes else None,
            idle_ttl=idle_ttl,
        )

    def grant(self, name: str) -> str:
        """Return the first refresh token of a new session."""
        token = f"refresh-of-{name}-{uuid.uuid4().hex}"
        self.server.lines[name] = Line([token])
        return token

    def newest(self, name: str) -> str:
        """Return the one refresh token of a session that is good."""
        return self.server.lines[name].tokens[-1]


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = StrictServer()
    with serving(server) as url:
        yield Provider(server, url)


@pytest.fixture(params=["postgres", "redis"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database; keys in Redis are removed afterwards, because other tests would scan them."""
    if request.param == "postgres":
        yield postgres.empty(request.getfixturevalue("postgres_at")())
        return
    server = request.getfixturevalue("redis_server")
    with redis.prefix(server) as prefix:
        yield f"{server}?prefix={prefix}"


def auth_of(vault: Vault, provider: Provider, name: str) -> DaypassAuth:
    """Return a worker's client of a connection."""
    return DaypassAuth(provider.url, strategy=provider.client(), storage=vault.connection("acme", name))


Open = Callable[..., Vault]


@pytest.fixture
def opened(url: str, provider: Provider) -> Iterator[Open]:
    """Return a function that opens a vault, as another machine would; all are closed at the end."""
    vaults: list[Vault] = []

    def open_vault(secret: str | list[str] = SECRET, idle_ttl: Duration | None = "60d", **options: object) -> Vault:
        given = {"providers": {"acme": provider.client(idle_ttl)}, **options}
        vaults.append(Vault(url, secret=secret, **given))  # type: ignore[arg-type]  # options by their names
        return vaults[-1]

    yield open_vault
    for vault in vaults:
        vault.close()


@pytest.fixture
def events() -> list[VaultEvent]:
    return []


@pytest.fixture
def vault(opened: Open, events: list[VaultEvent]) -> Vault:
    return opened(on_event=events.append)
