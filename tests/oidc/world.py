"""A service in this process that logs users in at a provider on loopback, and a browser that does what it is told."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx2

from daypass import AsyncDaypass, Event, StoreUnavailable, User
from daypass.server.app import build_app
from daypass.server.oidc.options import OidcOptions
from daypass.server.oidc.user_claims import UserRules
from daypass.store_steps import StoreStep
from daypass.stores.memory import AsyncMemoryStore
from daypass.testing import Clock

from .providers import CLIENT, SECRET, LyingProvider

A = TypeVar("A")

ORIGIN = "http://localhost:8000"
HOUR = 3_600_000


class Store(AsyncMemoryStore):
    """A store that is down when a test wants it to be."""

    is_down = False

    async def perform(self, step: StoreStep[A]) -> A:
        if self.is_down:
            raise StoreUnavailable("down")
        return await super().perform(step)


def options_for(provider: LyingProvider, **others: Any) -> OidcOptions:
    made = OidcOptions(
        issuer=provider.issuer,
        client_id=CLIENT,
        client_secret=SECRET,
        client_auth="client_secret_basic",
        scopes=("openid", "email"),
        redirect_uri=f"{ORIGIN}/auth/oidc/callback",
        return_to="/",
        session_ttl=12 * HOUR,
        userinfo=False,
        rules=UserRules(),
    )
    return replace(made, **others)


@dataclass
class World:
    """The service, its provider, and a browser.

    Attributes:
        provider: the provider.
        auth: the issuer.
        store: its store.
        clock: the service's.
        browser: has cookies, follows no redirect.
        events: what the service has told.
    """

    provider: LyingProvider
    auth: AsyncDaypass
    store: Store
    clock: Clock
    browser: httpx2.AsyncClient
    events: list[Event] = field(default_factory=list)

    async def begin(self, browser: httpx2.AsyncClient | None = None, **query: str) -> str:
        """Begin a login; return the URL of the provider's login page."""
        response = await (browser or self.browser).get("/auth/oidc/login", params=query)
        assert (303, "no-store") == (response.status_code, response.headers["cache-control"]), response.text
        return response.headers["location"]

    async def consent(self, url: str) -> str:
        """Log in at the provider; return the URL that it sends the browser to."""
        async with httpx2.AsyncClient(verify=False) as elsewhere:
            response = await elsewhere.get(url)
        return response.headers["location"]

    async def log_in(self, browser: httpx2.AsyncClient | None = None, **query: str) -> httpx2.Response:
        """Log in from the beginning to the end; return the answer to the callback."""
        back = await self.consent(await self.begin(browser, **query))
        return await (browser or self.browser).get(back)

    async def refresh(self, browser: httpx2.AsyncClient | None = None) -> httpx2.Response:
        return await (browser or self.browser).post("/auth/refresh")

    async def log_out_by_provider(self, token: str) -> httpx2.Response:
        """Send a logout token, as the provider does."""
        async with self.another_browser() as elsewhere:
            return await elsewhere.post("/auth/oidc/backchannel-logout", data={"logout_token": token})

    def another_browser(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=self.browser._transport, base_url=ORIGIN)

    def told(self) -> list[str]:
        return [event.code.value for event in self.events]


@asynccontextmanager
async def world(
    provider: LyingProvider, *, load_user: Callable[[str], User | None] | None = None, **others: Any
) -> AsyncIterator[World]:
    """Run a service; with ``load_user`` it knows the provider's users itself."""
    clock = Clock(time.time_ns() // 1_000_000)
    store, events = Store(), list[Event]()
    application: Any = {"rate_limits": None}
    application |= {name: others.pop(name) for name in ("allowed_origins", "rate_limits") if name in others}
    auth = AsyncDaypass(
        store,
        issuer=ORIGIN,
        secret="s" * 32,
        load_user=load_user or (lambda _: None),
        clock=clock,
        on_event=events.append,
    )
    app = build_app(
        auth,
        store,
        oidc=options_for(provider, **others),
        own_users=load_user is not None,
        **application,
    )
    transport = httpx2.ASGITransport(app=app)
    async with auth, httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as browser:
        yield World(provider, auth, store, clock, browser, events)


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
