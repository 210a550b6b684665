"""Logins at an OpenID Connect provider, by `daypass serve`, are bound like any other."""

import time
from collections.abc import Iterator

import httpx2
import pytest
from starlette.testclient import TestClient

from daypass import AsyncDaypass, Event
from daypass.duration import MINUTE, SECOND
from daypass.server.app import build_app
from daypass.stores.memory import AsyncMemoryStore
from daypass.testing import Clock

from ..oidc.providers import LyingProvider
from ..oidc.world import options_for
from .browser import DeviceBrowser

BASE = "https://login.example.com"


@pytest.fixture
def provider() -> Iterator[LyingProvider]:
    with LyingProvider() as running:
        yield running


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 200), ("same-site", 303)], ids=["provider elsewhere", "provider on this site"]
)
def test_a_login_at_a_provider_is_bound(provider: LyingProvider, site: str, status: int) -> None:
    """The response that sets the cookies asks for the registration, be it a page or a redirect."""
    clock, events, store = Clock(time.time_ns() // 1_000_000), list[Event](), AsyncMemoryStore()
    auth = AsyncDaypass(
        store,
        issuer=BASE,
        secret="s" * 32,
        load_user=lambda _: None,
        clock=clock,
        on_event=events.append,
        device_bound=True,
    )
    oidc = options_for(provider, redirect_uri=f"{BASE}/auth/oidc/callback")
    with TestClient(build_app(auth, store, oidc=oidc), base_url=BASE, follow_redirects=False) as client:
        browser = DeviceBrowser(client, clock=lambda: clock() / SECOND)
        begun = browser.get("/auth/oidc/login?return_to=/orders")
        back = httpx2.get(begun.headers["location"]).headers["location"]
        answer = browser.get(back, headers={"sec-fetch-site": site})
        assert status == answer.status_code
        assert [("/auth/device/register", 200)] == browser.log[-1:]
        assert (status == 303) == (browser.bound_cookie in browser.jar())
        for _ in range(2):
            clock.advance(16 * MINUTE)
            thief = browser.copied()
            assert 200 == browser.post("/auth/refresh").status_code
            assert 401 == thief.post("/auth/refresh").status_code
        assert "bound" in [str(event.code) for event in events]
        assert 303 == browser.post("/auth/oidc/logout").status_code
        assert 401 == browser.post("/auth/refresh").status_code
