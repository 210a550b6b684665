"""Well-known OAuth providers, each against a small server that answers as that provider documents."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from daypass.client.httpx import DaypassAuth
from daypass.client.oauth import OAuth
from daypass.client.timing import Timing
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable
from daypass.testing.loopback import serving

from .provider_servers import MANNERS, SECRET, Manner, ProviderServer

TIMING = Timing(fresh=0, attempts=1, pause=0, backoff=0)
LIBRARIES = ["httpx", "requests", "niquests", "aiohttp"]


@contextmanager
def provider(name: str) -> Iterator[tuple[ProviderServer, str]]:
    server = ProviderServer(MANNERS[name])
    with serving(server) as url:
        yield server, url


def session(url: str, strategy: OAuth) -> DaypassAuth:
    auth = DaypassAuth(url, strategy=strategy, timing=TIMING)
    auth.start(refresh_token="refresh-0")
    return auth


@pytest.mark.parametrize("name", MANNERS)
def test_provider_session_is_kept_by_its_refreshes_and_revoked(name: str) -> None:
    """With only a refresh token: a request is answered, a revoked access token is replaced, a logout revokes."""
    with provider(name) as (server, url), httpx2.Client(base_url=url) as client:
        auth = session(url, server.manner.make(url))
        for _ in range(3):
            assert 200 == client.get("/me", auth=auth).status_code
            server.access_token = "revoked"
        assert 3 == len(server.forms)
        held = server.refresh_token
        assert (server.manner.revocation is not None) == auth.logout(client)
        assert ([held] if server.manner.revocation else []) == server.revoked


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", MANNERS)
def test_every_library_speaks_every_providers_manner(name: str, library: str) -> None:
    """Each HTTP library asks for JSON, authenticates as the provider wants it, and reads the answer."""
    with provider(name) as (server, url):
        auth = importlib.import_module(f"daypass.client.{library}").DaypassAuth(url, strategy=server.manner.make(url))
        auth.start(refresh_token="refresh-0")
        assert "access-1" == auth.token()


@pytest.mark.parametrize(
    ("name", "answer"),
    [pytest.param(name, answer, id=f"{name}-{at}") for name, m in MANNERS.items() for at, answer in enumerate(m.dead)],
)
def test_a_dead_refresh_token_is_recognised_once(name: str, answer: Any) -> None:
    """The provider's word for it ends the session: `LoginRequired`, and nothing is sent again."""
    with provider(name) as (server, url), httpx2.Client(base_url=url) as client:
        server.answers = [answer] * 9
        auth = session(url, server.manner.make(url))
        for _ in range(2):
            with pytest.raises(LoginRequired):
                client.get("/me", auth=auth)
        assert (False, 1) == (auth.logged_in, len(server.forms))


@pytest.mark.parametrize("name", MANNERS)
def test_a_busy_provider_costs_no_session(name: str) -> None:
    """Too many requests, and a server error with any body: `RefreshUnavailable`; then the session continues."""
    with provider(name) as (server, url), httpx2.Client(base_url=url) as client:
        for answer in (server.manner.busy, (503, {"error": "invalid_grant"})):
            server.answers = [answer]
            auth = session(url, server.manner.make(url))
            with pytest.raises(RefreshUnavailable):
                client.get("/me", auth=auth)
            assert auth.logged_in
            assert 200 == client.get("/me", auth=auth).status_code
            server.refresh_token = "refresh-0"


@pytest.mark.parametrize("name", [name for name in MANNERS if name != "auth0"])
def test_a_wrong_client_secret_is_a_configuration_error(name: str) -> None:
    """A wrong secret or id is a `ConfigurationError` with the provider's words, not the secret; the session stays."""
    with provider(name) as (server, url), httpx2.Client(base_url=url) as client:
        server.answers = [server.manner.misconfigured]
        auth = session(url, server.manner.make(url))
        with pytest.raises(ConfigurationError, match="refused this client") as caught:
            client.get("/me", auth=auth)
        code = server.manner.misconfigured[1].get("error") or server.manner.misconfigured[1]["status"]
        assert code in str(caught.value)
        assert SECRET not in str(caught.value)
        assert auth.logged_in
        assert 200 == client.get("/me", auth=auth).status_code


def test_githubs_default_answer_is_read_too() -> None:
    """GitHub answers with a form to clients that do not ask for JSON: that is read like JSON."""
    with provider("github") as (server, url), httpx2.Client(base_url=url) as client:
        client.event_hooks["request"] = [lambda request: request.headers.update({"accept": "*/*"})]
        auth = session(url, server.manner.make(url))
        assert 200 == auth.attach(client).get("/me").status_code
        assert auth.expires_in is not None
        assert 28000 < auth.expires_in <= 28800
        server.answers = [server.manner.dead[0]]
        server.access_token = "revoked"
        with pytest.raises(LoginRequired):
            client.get("/me")


def test_a_providers_arguments_can_be_replaced() -> None:
    """What the caller gives wins, and more codes are added to the provider's."""
    strategy = MANNERS["github"].make("https://github.example")
    assert "https://github.example/login/oauth/access_token" in repr(strategy)
    assert SECRET not in repr(strategy)
    manner: Manner = MANNERS["slack"]
    server = ProviderServer(manner, [(200, {"ok": False, "error": "app_not_installed"})])
    with serving(server) as url, httpx2.Client(base_url=url) as client:
        from daypass.client.providers import slack

        auth = session(url, slack("app", SECRET, token_endpoint=f"{url}{manner.path}", ends=["app_not_installed"]))
        with pytest.raises(LoginRequired, match="app_not_installed"):
            client.get("/me", auth=auth)
