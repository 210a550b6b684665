"""Authlib and requests-oauthlib, as they are, against a served application."""

from typing import Any

import httpx2
import pytest
import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from oauthlib.oauth2 import WebApplicationClient
from oauthlib.oauth2.rfc6749 import errors
from requests_oauthlib import OAuth2Session

from daypass import LoginRequired
from daypass.client.httpx import DaypassAuth
from daypass.client.oauth import OAuth
from daypass.client.timing import Timing
from daypass.duration import MINUTE, SECOND

from ..web.world import ISSUER, json_of
from .live import Begun, Served
from .world import READER_SECRET, SERVICE_SECRET, World

SECRET = READER_SECRET or ""
SERVICE = SERVICE_SECRET or ""
NEVER = "dpr_" + 76 * "A"


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these clients speak plain HTTP, by the switches that they document."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def expired(begun: Begun) -> dict[str, Any]:
    """Return an expired token, as an OAuth library keeps it."""
    return {
        "access_token": begun.access_token,
        "refresh_token": begun.refresh_token,
        "token_type": "Bearer",
        "expires_in": -30,
        "expires_at": 1,
    }


# ---- Authlib


@pytest.mark.parametrize("issuer", [ISSUER, f"{ISSUER}/tenant"])
def test_authlib_finds_the_metadata_valid(issuer: str) -> None:
    """Authlib finds it at the address that it computes from RFC 8414, and validates it.

    Except that it refuses an empty list: ``response_types_supported`` is required, and there are none.
    """
    metadata = json_of(World(issuer=issuer).ask(get_well_known_url(issuer), method="GET"))
    assert [] == metadata["response_types_supported"]
    AuthorizationServerMetadata(metadata | {"response_types_supported": ["none"]}).validate()


@pytest.mark.parametrize("make", [OAuth2Client, AuthlibSession])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_refreshes_by_itself(application: Served, make: Any, method: str) -> None:
    """A request with an expired access token is answered, and the client keeps the tokens that it was given."""
    kept: list[dict[str, Any]] = []
    metadata = httpx2.get(get_well_known_url(application.address, external=True)).json()
    with make(
        "reader",
        SECRET,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        token=expired(application.begin()),
        token_endpoint=metadata["token_endpoint"],
        update_token=lambda token, refresh_token=None, access_token=None: kept.append(token),
    ) as client:
        assert "reader" == client.get(f"{application.address}/profile").json()["client"]
        assert 1 == len(kept)
        application.clock.advance(MINUTE)
        narrowed = client.refresh_token(metadata["token_endpoint"], scope="read")
        assert "read" == narrowed["scope"]
        assert "read" == client.get(f"{application.address}/profile").json()["scope"]
        answer = client.revoke_token(metadata["revocation_endpoint"], narrowed["refresh_token"], "refresh_token")
        assert 200 == answer.status_code
        with pytest.raises(AuthlibBaseError, match="invalid_grant"):
            client.refresh_token(metadata["token_endpoint"])


def test_authlib_without_a_secret(application: Served) -> None:
    """A public client refreshes with only its id."""
    with OAuth2Client("app", token_endpoint_auth_method="none", token=expired(application.begin("app"))) as client:
        tokens = client.refresh_token(f"{application.address}/oauth/token")
    assert 200 == application.opens(tokens["access_token"])


async def test_authlib_async(application: Served) -> None:
    """The async client does as the other."""
    token_endpoint = f"{application.address}/oauth/token"
    begun = expired(application.begin())
    async with AsyncOAuth2Client("reader", SECRET, token=begun, token_endpoint=token_endpoint) as client:
        assert 200 == (await client.get(f"{application.address}/profile")).status_code


def test_authlib_introspects(application: Served) -> None:
    """A service learns what a token is worth."""
    begun = application.begin()
    with OAuth2Client("service", SERVICE) as client:
        url = f"{application.address}/oauth/introspect"
        told = client.introspect_token(url, begun.access_token, "access_token").json()
        assert (True, "reader", "alice") == (told["active"], told["client_id"], told["username"])
        assert {"active": False} == client.introspect_token(url, "garbage").json()


@pytest.mark.parametrize(
    ("client_id", "secret", "form", "code"),
    [
        ("reader", "wrong", {}, "invalid_client"),
        ("nobody", SECRET, {}, "invalid_client"),
        ("reader", SECRET, {"scope": "admin"}, "invalid_scope"),
        ("reader", SECRET, {"refresh_token": NEVER}, "invalid_grant"),
    ],
)
def test_authlib_understands_errors(
    application: Served, client_id: str, secret: str, form: dict[str, str], code: str
) -> None:
    """Each error arrives as the library's own, by its code, with a description."""
    with OAuth2Client(client_id, secret, token=expired(application.begin())) as client:
        with pytest.raises(AuthlibBaseError) as caught:
            client.refresh_token(f"{application.address}/oauth/token", **form)
        assert code == caught.value.error
        assert caught.value.description


# ---- requests-oauthlib


def test_requests_oauthlib_refreshes_by_itself(application: Served) -> None:
    """The library's automatic refresh: the application's request is answered, and the new token is kept."""
    kept: list[dict[str, Any]] = []
    with OAuth2Session(
        "reader",
        token=expired(application.begin()),
        auto_refresh_url=f"{application.address}/oauth/token",
        auto_refresh_kwargs={"client_id": "reader", "client_secret": SECRET},
        token_updater=kept.append,
    ) as session:
        assert "reader" == session.get(f"{application.address}/profile").json()["client"]
        assert (1, 900) == (len(kept), kept[0]["expires_in"])
        application.clock.advance(MINUTE)
        auth = requests.auth.HTTPBasicAuth("reader", SECRET)
        session.auto_refresh_kwargs = {}
        session.scope = ["read"]
        narrowed = session.refresh_token(session.auto_refresh_url, auth=auth)
        assert ["read"] == narrowed["scope"]
        assert "read" == session.get(f"{application.address}/profile").json()["scope"]


def test_requests_oauthlib_revokes(application: Served) -> None:
    """With the request that oauthlib prepares; the next refresh says that the session has ended."""
    begun = application.begin("app")
    client = WebApplicationClient("app")
    url, headers, body = client.prepare_token_revocation_request(
        f"{application.address}/oauth/revoke", begun.refresh_token, "refresh_token", body="client_id=app"
    )
    assert 200 == requests.post(url, data=body, headers=headers, timeout=10).status_code
    with (
        OAuth2Session("app", token=expired(begun), auto_refresh_kwargs={"client_id": "app"}) as session,
        pytest.raises(errors.InvalidGrantError),
    ):
        session.refresh_token(f"{application.address}/oauth/token")


@pytest.mark.parametrize(
    ("secret", "token", "error"),
    [("wrong", None, errors.InvalidClientError), (SECRET, NEVER, errors.InvalidGrantError)],
)
def test_requests_oauthlib_understands_errors(
    application: Served, secret: str, token: str | None, error: type[Exception]
) -> None:
    """Each error arrives as the library's own."""
    begun = application.begin()
    with OAuth2Session("reader", token=expired(begun)) as session, pytest.raises(error):
        session.refresh_token(
            f"{application.address}/oauth/token",
            refresh_token=token or begun.refresh_token,
            client_id="reader",
            client_secret=secret,
        )


def test_a_stale_token_ends_no_session_in_either(application: Served) -> None:
    """Of two processes that share a session, the one with the older token does not learn that it has ended."""
    url = f"{application.address}/oauth/token"
    begun = application.begin("app")
    with OAuth2Client("app", token_endpoint_auth_method="none", token=expired(begun)) as one:
        second = one.refresh_token(url)["refresh_token"]
        for _ in range(2):
            application.clock.advance(31 * SECOND)
            newest = one.refresh_token(url)["refresh_token"]
        with OAuth2Client("app", token_endpoint_auth_method="none", token=expired(begun)) as other:
            with pytest.raises(httpx2.HTTPStatusError) as caught:
                other.refresh_token(url, refresh_token=second)
            assert ("1", 503) == (caught.value.response.headers["retry-after"], caught.value.response.status_code)
            assert 200 == application.opens(other.refresh_token(url, refresh_token=newest)["access_token"])
    with OAuth2Session("app", token=expired(begun)) as session, pytest.raises(errors.OAuth2Error) as told:
        session.refresh_token(url, refresh_token=second, client_id="app")
    assert "temporarily_unavailable" == told.value.error


# ---- our own


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", None])
def test_our_own_client(application: Served, method: Any) -> None:
    """`daypass.client.oauth` finds the endpoints by the issuer, refreshes unnoticed, and revokes at the logout."""
    begun = application.begin()
    auth = DaypassAuth(
        application.address,
        strategy=OAuth(client_id="reader", client_secret=SECRET, issuer=application.address, method=method),
        timing=Timing(fresh=0),
    )
    with httpx2.Client(base_url=application.address, auth=auth) as client:
        auth.start(refresh_token=begun.refresh_token)
        assert "reader" == client.get("/profile").json()["client"]
        application.clock.advance(20 * MINUTE)
        assert 200 == client.get("/profile").status_code
        auth.logout(client)
        with pytest.raises(LoginRequired):
            client.get("/profile")
    assert "logged_out" == application.events[-1].code


def test_our_own_client_without_a_secret(application: Served) -> None:
    """With a public client, and a session that another party ended: a login is required, and nothing else."""
    begun = application.begin("app")
    strategy = OAuth(client_id="app", issuer=application.address)
    auth = DaypassAuth(application.address, strategy=strategy, timing=Timing(fresh=0))
    with httpx2.Client(base_url=application.address, auth=auth) as client:
        auth.start(access_token=begun.access_token, refresh_token=begun.refresh_token)
        application.clock.advance(20 * MINUTE)
        assert "app" == client.get("/profile").json()["client"]
        form = {"token": begun.refresh_token, "client_id": "app"}
        assert 200 == httpx2.post(f"{application.address}/oauth/revoke", data=form).status_code
        with pytest.raises(LoginRequired):
            client.get("/profile")
